"""A stratified share of each class, the same whatever else is in the list."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from foveate.data.records import ImageRecord
from foveate.data.splits import hold_out
from foveate.errors import UserError


def birds(label: int, count: int) -> list[ImageRecord]:
    names = (f"{label}/{number}.jpg" for number in range(count))
    return [ImageRecord(name, Path(name), label, f"species {label}") for name in names]


def classes(counts: Sequence[int]) -> list[ImageRecord]:
    return [record for label, count in enumerate(counts) for record in birds(label, count)]


some_classes = st.lists(st.integers(2, 9), min_size=1, max_size=4).map(classes)


@pytest.mark.parametrize(
    ("fraction", "expected"),
    [(0.2, (2, 1, 1, 1)), (0.7, (7, 4, 1, 2)), (0.01, (1, 1, 1, 1)), (0.99, (9, 5, 1, 2))],
)
def test_counts_by_hand(fraction: float, expected: tuple[int, ...]) -> None:
    """Of 10, 6, 2 and 3 photographs: rounded, but one at least and never all."""
    kept, held_out = hold_out(classes((10, 6, 2, 3)), fraction, seed=0)
    counts = Counter(record.label for record in held_out)
    assert tuple(counts[label] for label in range(4)) == expected
    assert len(kept) == 21 - sum(expected)


@settings(deadline=None)
@given(records=some_classes, fraction=st.floats(0.01, 0.99), seed=st.integers(0, 99), data=st.data())
def test_the_parts_are_disjoint_complete_and_in_the_lists_order(
    records: list[ImageRecord], fraction: float, seed: int, data: st.DataObject
) -> None:
    shuffled = data.draw(st.permutations(records))
    parts = hold_out(shuffled, fraction, seed)
    assert [record for record in shuffled if record in parts.kept] == list(parts.kept)
    assert [record for record in shuffled if record not in parts.kept] == list(parts.held_out)
    again = hold_out(records, fraction, seed)
    assert set(parts.held_out) == set(again.held_out)


@settings(deadline=None)
@given(records=some_classes, fraction=st.floats(0.01, 0.99), seed=st.integers(0, 99))
def test_other_classes_do_not_matter(records: list[ImageRecord], fraction: float, seed: int) -> None:
    together = hold_out(records, fraction, seed).held_out
    for label in {record.label for record in records}:
        own = [record for record in records if record.label == label]
        assert hold_out(own, fraction, seed).held_out == tuple(record for record in together if record.label == label)


def test_the_seed_gives_every_photograph_the_same_chance() -> None:
    draws = Counter(record.id for seed in range(400) for record in hold_out(birds(0, 5), 0.2, seed).held_out)
    assert sorted(draws.values()) == pytest.approx([80] * 5, abs=25)  # three standard deviations


def test_classes_of_one_size_are_not_cut_alike() -> None:
    held_out = hold_out(classes([8] * 10), 0.25, seed=0).held_out
    numbers = {tuple(r.id.split("/")[1] for r in held_out if r.label == label) for label in range(10)}
    assert len(numbers) > 5


def test_all_classes_of_one_photograph_are_named() -> None:
    rule = (
        r"holding out 20% .* at least two photographs in it; 6 of 8 classes have one: species 1, species 2, species 3, "
        r"species 4, species 5 and 1 more\. Add photographs, .*--data\.test-fraction 0;"
    )
    with pytest.raises(UserError, match=rule):
        hold_out(classes((4, 1, 1, 1, 1, 1, 1, 2)), 0.2, seed=0, option="test-fraction")


def test_names_that_are_not_utf8_are_drawn_too() -> None:
    """Reading them says what is wrong, not the draw; and no other draw changes."""
    odd = [ImageRecord(f"0/caf\udce9{number}.jpg", Path("x"), 0, "a") for number in range(2)]
    half = [ImageRecord(f"1/\ud800{number}.jpg", Path("x"), 1, "b") for number in range(2)]
    assert len(hold_out([*odd, *half], 0.5, seed=0).held_out) == 2
    kept, held_out = hold_out(birds(0, 5), 0.2, seed=0)
    assert [record.id for record in held_out] == ["0/3.jpg"]
    assert len(kept) == 4


def test_nothing_to_cut() -> None:
    assert hold_out([], 0.5, seed=0) == ((), ())
