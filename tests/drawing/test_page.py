from __future__ import annotations

from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageColor

from foveate.drawing.page import GROUND, Page, Room, TextStyle
from foveate.errors import UserError
from foveate.types import Size

STYLE = TextStyle(17, bold=True)
RULER = Page(Size(10, 10))


def inked(picture: Image.Image) -> tuple[int, int, int, int] | None:
    """Return the box of all pixels that are not the page's ground."""
    return Image.fromarray((np.asarray(picture) != ImageColor.getrgb(GROUND)).any(-1)).getbbox()


def same(one: Image.Image, other: Image.Image) -> bool:
    return np.array_equal(np.asarray(one), np.asarray(other))


@pytest.mark.parametrize("size", [(1792, 1910), (1, 1), (333, 77), (1001, 999)])
def test_a_page_has_the_size_that_was_asked_for(size: tuple[int, int]) -> None:
    picture = Page(Size(*size)).picture()
    assert picture.size == size
    assert picture.mode == "RGB"
    assert inked(picture) is None


def test_a_panel_shows_the_image_pixel_by_pixel() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (37, 53, 3), dtype=np.uint8)
    page = Page(Size(101, 83))
    page.panel(Room(11, 7, 64, 44), Image.fromarray(pixels))
    assert np.array_equal(np.asarray(page.picture())[7:44, 11:64], pixels)
    assert inked(page.picture()) == (11, 7, 64, 44)


@pytest.mark.parametrize("mode", ["L", "RGBA", "P", "CMYK", "1"])
def test_a_panel_shows_images_of_any_mode(mode: str) -> None:
    page = Page(Size(20, 20))
    page.panel(Room(0, 0, 20, 20), Image.new(mode, (5, 5)))
    assert len(page.picture().getcolors() or []) == 1


@settings(deadline=None)
@given(st.builds(Size, *[st.integers(1, 500)] * 2), st.builds(Size, *[st.integers(1, 5000)] * 2))
def test_a_letterbox_shows_an_image_whole_in_the_middle(size: Size, image: Size) -> None:
    room = Room(3, 7, 3 + size.width, 7 + size.height)
    inner = room.letterbox(image)
    scale = min(size.width / image.width, size.height / image.height)
    assert (inner.width, inner.height) == tuple(max(1, round(scale * side)) for side in image)
    assert 0 <= (room.right - inner.right) - (inner.left - room.left) <= 1
    assert 0 <= (room.bottom - inner.bottom) - (inner.top - room.top) <= 1


def test_boxes_are_filled_in_their_order() -> None:
    page = Page(Size(30, 20))
    page.fill(Room(2, 3, 22, 13), "#FF0000")
    page.fill(Room(12, 3, 22, 13), "#0000FF")
    picture = page.picture()
    assert [picture.getpixel((x, 5)) for x in (2, 11, 12, 21)] == [(255, 0, 0)] * 2 + [(0, 0, 255)] * 2
    assert inked(picture) == (2, 3, 22, 13)


def test_a_dot_lies_around_its_centre() -> None:
    page = Page(Size(30, 20))
    page.dot((20, 8), 4, "#FF0000")
    assert inked(page.picture()) == (16, 4, 24, 12)


def test_text_stays_in_its_lines_and_at_its_side() -> None:
    page = Page(Size(200, 90))
    assert page.write((10, 20), ["Ég", "jÅ"], STYLE) == 20 + 2 * STYLE.line_height
    left, top, _, bottom = inked(page.picture()) or (0, 0, 0, 0)
    assert 9 <= left <= 13
    assert top >= 17
    assert bottom <= 20 + 2 * STYLE.line_height
    page = Page(Size(200, 40))
    page.write((190, 5), "Ig", STYLE, align="right")
    assert 187 <= (inked(page.picture()) or (0, 0, 0, 0))[2] <= 191


@settings(deadline=None, max_examples=60)
@given(st.text(max_size=60), st.integers(20, 300), st.integers(1, 4))
def test_wrapped_lines_fit_and_keep_the_text(text: str, room: int, most: int) -> None:
    lines = RULER.wrapped(text, STYLE, room, most)
    assert 1 <= len(lines) <= most
    assert all(RULER.length(line, STYLE) <= room or len(line) <= 1 for line in lines)
    joined, whole = "".join("".join(lines).split()), "".join(text.split())
    assert joined == whole or (joined.endswith("…") and whole.startswith(joined[:-1]))


def test_text_breaks_where_a_word_ends() -> None:
    room = RULER.length("Black_footed_Al", STYLE)
    assert RULER.wrapped("Black_footed_Albatross", STYLE, room, 2) == ["Black_footed_", "Albatross"]
    assert RULER.wrapped("Black footed Albatross", STYLE, room, 3) == ["Black footed", "Albatross"]
    assert RULER.wrapped("Blackfooted", STYLE, RULER.length("Black", STYLE), 9)[0] == "Black"


def test_fitted_text_is_as_long_as_it_may_be() -> None:
    room = RULER.length("Black_foo…", STYLE)
    assert RULER.fitted("Black_footed_Albatross", STYLE, room) == "Black_foo…"
    assert RULER.fitted("Black\n footed", STYLE, 1000) == "Black footed"
    assert RULER.fitted("Black", STYLE, 0) == "…"


def test_fitted_text_is_drawn_within_its_room() -> None:
    page = Page(Size(300, 40))
    page.write((20, 5), page.fitted("W" * 300, STYLE, 240), STYLE)
    left, _, right, _ = inked(page.picture()) or (0, 0, 0, 0)
    assert left >= 19
    assert 220 <= right <= 261


@pytest.mark.parametrize("text", ["\N{CJK UNIFIED IDEOGRAPH-9DFA}", "\x00\x07", "\udcff", "\N{BIRD}"])
def test_letters_that_the_font_lacks_show_as_boxes(text: str) -> None:
    page, boxes = Page(Size(80, 30)), Page(Size(80, 30))
    page.write((5, 5), text, STYLE)
    boxes.write((5, 5), "\N{WHITE SQUARE}" * len(text), STYLE)
    assert same(page.picture(), boxes.picture())


def test_text_is_not_read_as_mathematics() -> None:
    page, plain = Page(Size(120, 30)), Page(Size(120, 30))
    page.write((5, 5), "$x^2$", STYLE)
    plain.write((5, 5), "x2", STYLE)
    assert (inked(page.picture()) or (0, 0, 0, 0))[2] > (inked(plain.picture()) or (0, 0, 0, 0))[2] + 15


def example() -> Image.Image:
    page = Page(Size(100, 60))
    page.panel(Room(5, 5, 55, 55), Image.new("RGB", (10, 10), "navy"))
    page.fill(Room(60, 5, 90, 15), "#E69F00")
    page.dot((75, 45), 5, "#0072B2")
    page.write((60, 18), "Wren", STYLE)
    return page.picture()


def test_a_page_is_the_same_whatever_matplotlibs_settings_are() -> None:
    settings: dict[Any, Any] = {
        "font.family": "serif",
        "font.size": 30.0,
        "figure.autolayout": True,
        "axes.grid": True,
        "image.interpolation": "bicubic",
        "image.origin": "lower",
        "savefig.bbox": "tight",
        "figure.facecolor": "red",
        "patch.edgecolor": "red",
        "patch.force_edgecolor": True,
    }
    expected = example()
    with matplotlib.rc_context(settings):
        assert same(example(), expected)


def test_drawing_leaves_matplotlibs_settings_alone() -> None:
    before = dict(matplotlib.rcParams)
    example()
    assert dict(matplotlib.rcParams) == before


def test_a_page_is_written_whole_or_not_at_all(tmp_path: Path) -> None:
    page, path = Page(Size(30, 20)), tmp_path / "folder" / "page.png"
    page.save(path)
    with Image.open(path) as picture:
        assert (picture.format, picture.size) == ("PNG", (30, 20))
    assert list(path.parent.iterdir()) == [path]
    occupied = tmp_path / "occupied.png"
    occupied.mkdir()
    (occupied / "kept").write_text("as it was")
    with pytest.raises(UserError, match=r"cannot write .*occupied\.png"):
        page.save(occupied)
    assert (occupied / "kept").read_text() == "as it was"
    assert sorted(each.name for each in tmp_path.iterdir()) == ["folder", "occupied.png"]
