from __future__ import annotations

import numpy as np
import pytest
from jaxtyping import Float
from PIL import Image, ImageColor

from foveate.drawing.overlays import (
    Slice,
    cell_places,
    dimmed,
    draw_grid,
    draw_peaks,
    grid_lines,
    heat_scale,
    heated,
    relative_pull,
)
from foveate.drawing.page import Page, Room
from foveate.types import Size

BLUE, ORANGE = "#0072B2", "#E69F00"


def identity(size: int) -> Float[np.ndarray, "size size 2"]:
    line = np.linspace(-1, 1, size)
    return np.stack(np.meshgrid(line, line, indexing="xy"), axis=-1)


def test_cells_lie_from_the_first_pixels_centre_to_the_lasts() -> None:
    cells = np.zeros((3, 3), dtype=bool)
    cells[0, 0] = cells[1, 2] = cells[2, 1] = True
    assert cell_places(cells, Size(9, 5)).tolist() == [[0.5, 0.5], [8.5, 2.5], [4.5, 4.5]]
    assert cell_places(np.zeros((3, 3), dtype=bool), Size(9, 5)).shape == (0, 2)


def test_lines_of_the_identity_are_straight_and_even() -> None:
    lines = grid_lines(identity(5), Size(9, 9), count=3)
    across, down = lines[:3], lines[3:]
    assert [line.tolist() for line in across] == [[[x, y] for x in (0.5, 2.5, 4.5, 6.5, 8.5)] for y in (0.5, 4.5, 8.5)]
    assert [line.tolist() for line in down] == [[[x, y] for y in (0.5, 2.5, 4.5, 6.5, 8.5)] for x in (0.5, 4.5, 8.5)]


def test_lines_of_a_warp_by_hand() -> None:
    grid = np.array([[[-1, -1], [0.5, -1], [1, -1]], [[-1, 1], [0, 0], [1, 1]]])
    lines = [line.tolist() for line in grid_lines(grid, Size(5, 3))]  # fewer than 22 lines: the grid has fewer pixels
    assert lines == [
        [[0.5, 0.5], [3.5, 0.5], [4.5, 0.5]],
        [[0.5, 2.5], [2.5, 1.5], [4.5, 2.5]],
        [[0.5, 0.5], [0.5, 2.5]],
        [[3.5, 0.5], [2.5, 1.5]],
        [[4.5, 0.5], [4.5, 2.5]],
    ]


def test_lines_are_drawn_where_they_lie() -> None:
    page = Page(Size(140, 120))
    draw_grid(
        page.panel(Room(20, 10, 121, 111), Image.new("RGB", (101, 101))), grid_lines(identity(7), Size(101, 101), 3)
    )
    grey = np.asarray(page.picture().convert("L"))[10:111, 20:121]
    assert np.flatnonzero(grey[25] > 120).tolist() == [0, 50, 100]
    assert np.flatnonzero(grey[:, 25] > 120).tolist() == [0, 50, 100]


def test_heat_is_interpolated_between_cells() -> None:
    ramp = np.broadcast_to(np.linspace(0, 1, 5), (5, 5))
    image = Image.new("RGB", (81, 81), "gray")
    drawn = np.asarray(heated(image, ramp)).astype(int)
    for x, value in ((0, 0.0), (10, 0.125), (20, 0.25), (40, 0.5), (80, 1.0)):
        alike = np.asarray(heated(image, np.full((2, 2), value))).astype(int)
        assert np.abs(drawn[:, x] - alike[:, x]).max() <= 3, x


@pytest.mark.parametrize("cells", [2, 7, 31, 64])
@pytest.mark.parametrize("side", [1, 20, 90])
def test_heat_is_hottest_at_its_cell(cells: int, side: int) -> None:
    values = np.zeros((cells, cells))
    values[0, -1] = 1.0
    drawn = np.asarray(heated(Image.new("RGB", (side, side)), values)).astype(int)
    assert drawn[..., 0].argmax() == side - 1  # the last pixel of the first row


def test_no_heat_leaves_the_image_grey() -> None:
    drawn = np.asarray(heated(Image.new("RGB", (9, 9), "teal"), np.zeros((3, 3)))).astype(int)
    assert np.ptp(drawn, axis=-1).max() <= 2


def test_the_scale_shows_the_colours_of_heat() -> None:
    scale = heat_scale(Size(30, 4))
    assert scale.size == (30, 4)
    for x, value in ((0, 0.0), (29, 1.0)):
        assert scale.getpixel((x, 2)) == heated(Image.new("RGB", (2, 2), "gray"), np.full((2, 2), value)).getpixel(
            (0, 0)
        )


def test_a_flat_map_pulls_nowhere() -> None:
    assert not relative_pull(np.full((3, 3), 0.09)).any()
    pull = relative_pull(np.array([[0.1, 0.4], [0.2, 0.1]]))
    assert pull.ravel().tolist() == pytest.approx([0, 0.75, 0.25, 0])


def test_a_dimmed_image_is_darker_everywhere() -> None:
    image = Image.new("RGB", (4, 4), (200, 100, 20))
    assert dimmed(image).getpixel((1, 1)) == (130, 65, 13)


def markers(*strengths: float, slices: tuple[Slice, ...]) -> Image.Image:
    """Draw markers 40 pixels apart on black, the first 20 pixels from the top left; the image has 2 pixels for each."""
    page = Page(Size(40 * len(strengths), 40))
    axes = page.panel(Room(0, 0, *page.size), Image.new("RGB", (2 * page.size.width, 80)))
    places = np.array([[40.0 + 80 * index, 40.0] for index in range(len(strengths))])
    draw_peaks(axes, places, np.array(strengths), [slices] * len(strengths), unit=2.0)
    return page.picture()


def count(picture: Image.Image, colour: str) -> int:
    return int((np.asarray(picture) == ImageColor.getrgb(colour)).all(-1).sum())


def test_a_marker_is_divided_clockwise_from_the_top() -> None:
    picture = markers(1.0, slices=(Slice(BLUE, 0.1), Slice(ORANGE, 0.3)))
    assert picture.getpixel((24, 15)) == ImageColor.getrgb(BLUE)
    for place in ((24, 24), (15, 24), (15, 15)):
        assert picture.getpixel(place) == ImageColor.getrgb(ORANGE)
    assert picture.getpixel((2, 2)) == (0, 0, 0)


def test_a_markers_area_grows_with_its_strength() -> None:
    picture = markers(0.0, 0.5, 1.0, slices=(Slice(BLUE, 1.0),))
    weak, middle, strong = (count(picture.crop((left, 0, left + 40, 40)), BLUE) for left in (0, 40, 80))
    assert weak < middle < strong
    assert middle == pytest.approx((weak + strong) / 2, rel=0.1)


def test_a_marker_has_a_white_outline() -> None:
    picture = markers(1.0, slices=(Slice(BLUE, 1.0),))
    assert picture.getpixel((20, 20)) == ImageColor.getrgb(BLUE)
    row = [picture.getpixel((x, 20)) for x in range(40)]
    assert (255, 255, 255) in row[:20]
    assert (255, 255, 255) in row[20:]


def test_small_markers_lie_above_large_ones() -> None:
    page = Page(Size(40, 40))
    axes = page.panel(Room(0, 0, 40, 40), Image.new("RGB", (40, 40)))
    slices = [[Slice(ORANGE, 1.0)], [Slice(BLUE, 1.0)]]
    draw_peaks(axes, np.full((2, 2), 20.0), np.array([0.0, 1.0]), slices, unit=1.0)
    assert page.picture().getpixel((20, 20)) == ImageColor.getrgb(ORANGE)
