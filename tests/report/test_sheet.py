from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageColor

from foveate.drawing.captions import HEADER
from foveate.errors import UserError
from foveate.report.sheet import SheetAnswer, answer_sheet
from foveate.types import RankedClass

GREEN, VERMILION = ImageColor.getrgb("#009E73"), ImageColor.getrgb("#D55E00")
CARD, GROUND = ImageColor.getrgb("#FFFFFF"), ImageColor.getrgb("#F3F4F6")


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


@pytest.mark.parametrize("size", [(5000, 2), (2, 5000), (1, 1), (300, 300), (61, 47)])
def test_a_photograph_is_shown_whole_in_its_shape_on_neutral_ground(tmp_path: Path, size: tuple[int, int]) -> None:
    pixels = np.asarray(drawn(tmp_path, answer("a", "b", size=size)))
    stripe = min(rows_with(Image.fromarray(pixels), VERMILION, share=0.4))
    room = pixels[stripe - 272 : stripe, 40:402]
    blue = (room == ImageColor.getrgb("blue")).all(-1)
    assert ((room == ImageColor.getrgb("#DFE2E7")).all(-1) | blue).all()
    left, top, right, bottom = Image.fromarray(blue).getbbox() or (0, 0, 0, 0)
    assert blue[top:bottom, left:right].all()
    scale = min(362 / size[0], 272 / size[1])
    assert (right - left, bottom - top) == tuple(max(1, round(scale * side)) for side in size)
    assert abs(left - (362 - right)) <= 1
    assert abs(top - (272 - bottom)) <= 1


@pytest.mark.parametrize("mode", ["L", "RGBA", "P", "CMYK", "1"])
def test_photographs_of_any_mode_are_drawn(tmp_path: Path, mode: str) -> None:
    drawn(tmp_path, SheetAnswer(Image.new(mode, (40, 30)), "a", (RankedClass("a", 1.0),)))


@pytest.mark.parametrize("name", ["W" * 300, "word " * 80, "", "two\nlines\ttab", "\N{CJK UNIFIED IDEOGRAPH-9DFA}"])
def test_any_name_and_title_is_drawn(tmp_path: Path, name: str) -> None:
    drawn(tmp_path, answer(name, name, name), answer(name, "x"), answer(None, name), title=name)


@pytest.mark.parametrize("name", ["W" * 300, "068.Ruby_throated_Hummingbird_" * 9, "word " * 80])
def test_long_names_keep_to_their_cards(tmp_path: Path, name: str) -> None:
    answers = [answer(truth, name, name, f"{name}s") for truth in (name, f"{name}s", None)]
    picture = np.asarray(drawn(tmp_path, *[each for each in answers for _ in range(4)], title=name))
    assert picture.shape[1] == 1600
    assert (picture[:, -39:] == GROUND).all()
    top = HEADER + 100  # below a title of two lines
    for left in (402, 788, 1174):
        assert (picture[top:, left : left + 24] == GROUND).all()
    for side in (40, 391):
        texts = picture[min(rows_with(Image.fromarray(picture), VERMILION, share=0.8)) + 8 :][:200, side : side + 11]
        assert (texts == CARD).all()


def test_long_texts_take_a_second_line_and_no_third(tmp_path: Path) -> None:
    short, longer, longest = ("word", "word " * 12, "word " * 80)
    titles = [drawn(tmp_path, RIGHT, title=title).height for title in (short, longer, longest)]
    assert titles[0] < titles[1] == titles[2]
    cards = [drawn(tmp_path, answer(each, "wren")).height for each in (short, longer, longest)]
    assert cards[0] < cards[1] == cards[2]
    names = [drawn(tmp_path, answer("wren", each)).height for each in (short, longer, longest)]
    assert names[0] < names[1] == names[2]


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
