"""Names that are too long for their room stay distinct."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from foveate.drawing.names import apart, wrapped_name
from foveate.drawing.page import Page, TextStyle
from foveate.types import Size

STYLE, RULER = TextStyle(16), Page(Size(10, 10))

ALBATROSSES = ("Black footed Albatross young male", "Black footed Albatross young female")


def test_names_that_fit_stay_whole() -> None:
    assert apart(RULER, ("wren", "house  wren"), STYLE, 200) == ("wren", "house wren")


def test_a_long_name_loses_its_middle() -> None:
    (name,) = apart(RULER, ALBATROSSES[:1], STYLE, 180)
    head, tail = name.split("…")
    assert ALBATROSSES[0].startswith(head)
    assert ALBATROSSES[0].endswith(tail)
    assert len(head) > 5
    assert len(tail) > 5


@pytest.mark.parametrize("room", [60, 90, 120, 180, 240])
def test_names_that_differ_at_the_end_are_told_apart(room: float) -> None:
    male, female = apart(RULER, ALBATROSSES, STYLE, room)
    assert male != female
    assert max(RULER.length(each, STYLE) for each in (male, female)) <= room


def test_names_that_differ_in_the_middle_keep_that() -> None:
    names = [f"Grand Tourer of the long series {year} with the roof that opens" for year in (2007, 2012)]
    first, second = apart(RULER, names, STYLE, 160)
    assert "2007" in first
    assert "2012" in second


@settings(deadline=None, max_examples=60)
@given(st.lists(st.text("ab ", min_size=1, max_size=60), min_size=1, max_size=6), st.integers(60, 300))
def test_whatever_the_names_different_ones_stay_different_and_fit(names: list[str], room: int) -> None:
    shortened = apart(RULER, names, STYLE, room)
    assert len({" ".join(each.split()) for each in names}) == len(set(shortened))
    assert all(RULER.length(each, STYLE) <= room for each in shortened)


def test_the_last_line_of_a_broken_name_keeps_its_end() -> None:
    first, second = wrapped_name(RULER, f"{ALBATROSSES[0]} seen from the far side", STYLE, 150, 2)
    assert first == "Black footed"
    assert second.startswith("Albat")
    assert second.endswith("side")
    assert wrapped_name(RULER, "house  wren", STYLE, 200, 2) == ["house wren"]
