from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageColor

from foveate.errors import UserError
from foveate.report import sheet as module
from foveate.report.sheet import SheetAnswer, answer_sheet
from foveate.types import RankedClass, Size

GREEN, VERMILION = ImageColor.getrgb("#009E73"), ImageColor.getrgb("#D55E00")


def answer(truth: str | None, *names: str, size: tuple[int, int] = (60, 40), colour: str = "blue") -> SheetAnswer:
    top = tuple(RankedClass(name, 0.6 / 2**rank) for rank, name in enumerate(names))
    return SheetAnswer(Image.new("RGB", size, colour), truth, top)


RIGHT, WRONG, UNKNOWN = answer("wren", "wren", "robin"), answer("wren", "robin", "wren"), answer(None, "crow")


def rows_with(picture: Image.Image, colour: tuple[int, ...], share: float = 0.15) -> list[int]:
    """Rows of which at least this share has this colour: a stripe or a photograph, not a letter."""
    rgb = picture.convert("RGB")
    counts = [
        sum(n for n, found in rgb.crop((0, y, rgb.width, y + 1)).getcolors(rgb.width) or [] if found == colour)
        for y in range(rgb.height)
    ]
    return [y for y, count in enumerate(counts) if count >= share * rgb.width]


def drawn(tmp_path: Path, *answers: SheetAnswer, title: str = "Birds") -> Image.Image:
    path = tmp_path / "sheet.png"
    answer_sheet(answers, path, title)
    picture = Image.open(path)
    assert picture.format == "PNG"
    assert list(tmp_path.iterdir()) == [path]
    picture.load()
    return picture


def test_wrong_answers_come_before_right_ones(tmp_path: Path) -> None:
    picture = drawn(tmp_path, RIGHT, RIGHT, RIGHT, RIGHT, WRONG)
    assert picture.width == 1600
    assert min(rows_with(picture, VERMILION)) < min(rows_with(picture, GREEN, share=0.8))


@pytest.mark.parametrize(
    ("answers", "colours"),
    [([RIGHT], {GREEN}), ([WRONG], {VERMILION}), ([UNKNOWN], set()), ([RIGHT, WRONG], {GREEN, VERMILION})],
)
def test_a_stripe_has_the_verdicts_colour(
    tmp_path: Path, answers: list[SheetAnswer], colours: set[tuple[int, ...]]
) -> None:
    picture = drawn(tmp_path, *answers)
    # A stripe is as wide as its photograph, 0.43 of this sheet; a bar is narrower.
    assert {colour for colour in (GREEN, VERMILION) if rows_with(picture, colour, share=0.4)} == colours


@pytest.mark.parametrize("size", [(5000, 2), (2, 5000), (1, 1), (300, 300)])
def test_a_photograph_keeps_its_shape(tmp_path: Path, size: tuple[int, int]) -> None:
    fitted = module._letterboxed(Image.new("RGB", size, "blue"), Size(362, 272))
    assert fitted.size == (362, 272)
    box = fitted.point(lambda value: 255 * (value < 10)).getchannel("R").getbbox()
    assert box is not None
    left, top, right, bottom = box
    scale = min(362 / size[0], 272 / size[1])
    assert (right - left, bottom - top) == tuple(max(1, round(scale * side)) for side in size)
    assert abs(left - (362 - right)) <= 1
    assert abs(top - (272 - bottom)) <= 1
    drawn(tmp_path, answer("a", "b", size=size))


@pytest.mark.parametrize("mode", ["L", "RGBA", "P", "CMYK", "1"])
def test_photographs_of_any_mode_are_drawn(tmp_path: Path, mode: str) -> None:
    drawn(tmp_path, SheetAnswer(Image.new(mode, (40, 30)), "a", (RankedClass("a", 1.0),)))


@pytest.mark.parametrize("name", ["W" * 300, "word " * 80, "", "two\nlines\ttab", "\N{CJK UNIFIED IDEOGRAPH-9DFA}"])
def test_any_name_and_title_is_drawn(tmp_path: Path, name: str) -> None:
    drawn(tmp_path, answer(name, name, name), answer(name, "x"), answer(None, name), title=name)


@settings(deadline=None)
@given(st.text(max_size=80), st.integers(20, 400))
def test_wrapped_lines_fit_and_keep_the_text(text: str, width: int) -> None:
    style = module._ANSWER
    lines = module._wrapped(text, style, width)
    assert 1 <= len(lines) <= 2
    assert all(style.font.getlength(line) <= width or len(line) <= 1 for line in lines)
    joined = "".join(lines).replace(" ", "")
    whole = "".join(text.split())
    assert joined == whole or (joined.endswith("…") and whole.startswith(joined[:-1]))


def test_names_break_where_a_word_ends() -> None:
    style = module._ANSWER
    width = round(style.font.getlength("Black_footed_Al"))
    assert module._wrapped("Black_footed_Albatross", style, width) == ["Black_footed_", "Albatross"]


def test_more_answers_make_a_longer_sheet_never_a_wider_one(tmp_path: Path) -> None:
    sizes = [drawn(tmp_path, *[RIGHT] * count).size for count in (1, 4, 5, 9)]
    assert [width for width, _ in sizes] == [828, 1600, 1600, 1600]
    assert sizes[1][1] < sizes[2][1] < sizes[3][1]
    assert len({b - a for (_, a), (_, b) in pairwise(sizes[1:])}) == 1


def test_the_same_answers_draw_the_same_picture(tmp_path: Path) -> None:
    assert drawn(tmp_path, RIGHT, WRONG).tobytes() == drawn(tmp_path, RIGHT, WRONG).tobytes()


def test_nothing_to_show_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="at least one answer"):
        answer_sheet([], tmp_path / "sheet.png", "Birds")
    with pytest.raises(ValueError, match="at least one class"):
        answer("wren")


def test_a_path_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "sheet.png").mkdir()
    with pytest.raises(UserError, match=r"cannot write .*sheet\.png"):
        answer_sheet([RIGHT], tmp_path / "sheet.png", "Birds")
