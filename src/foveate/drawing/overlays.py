"""What is drawn over a photograph: heat, peaks, sampling lines, and where their coordinates lie on it.

A cell (row i, column j) of a map of g cells a side lies at the shares i / (g - 1) and j / (g - 1) of the way from the
image's first pixel centre to its last, as `grid_sample` has it with ``align_corners=True``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import matplotlib
import numpy as np
from jaxtyping import Bool, Float
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.patches import Circle, Rectangle, Wedge
from PIL import Image

from foveate.types import Box, Size

LINES = 22
"""Sampling lines each way."""

_COLOURS = matplotlib.colormaps["inferno"]
_OPACITY = (0.35, 0.85)  # of the least heat and the most
_DIMMING = 0.35
_RADII = (3.5, 12.0)  # of the weakest peak and the strongest, in pixels of the picture
_OUTLINE, _SHADOW = 1.6, 0.8


class Slice(NamedTuple):
    """One colour's part of a peak's marker; the parts of a marker are scaled to fill it."""

    colour: str
    share: float


def cell_places(cells: Bool[np.ndarray, "g g"], size: Size) -> Float[np.ndarray, "n 2"]:
    """Return (x, y) of the marked cells' centres in continuous pixels of an image, in reading order."""
    rows, columns = np.nonzero(cells)
    share = np.stack([columns, rows], axis=1) / (len(cells) - 1)
    places: Float[np.ndarray, "n 2"] = share * (np.array(size) - 1) + 0.5
    return places


def grid_lines(grid: Float[np.ndarray, "H W 2"], size: Size, count: int = LINES) -> list[Float[np.ndarray, "n 2"]]:
    """Return a view's rows from the top, then its columns from the left, as lines on the image it is taken from.

    Args:
        grid: (x, y) of each pixel of the view, in [-1, 1].
        size: Of the image; the lines are (x, y) in its continuous pixels.
        count: Lines each way, evenly spread over the view, its borders included; fewer where it has fewer pixels.
    """
    places = (grid + 1) / 2 * (np.array(size) - 1) + 0.5
    rows, columns = (np.unique(np.linspace(0, length - 1, count).round().astype(int)) for length in grid.shape[:2])
    return [*places[rows], *places[:, columns].swapaxes(0, 1)]


def heated(image: Image.Image, values: Float[np.ndarray, "g g"]) -> Image.Image:
    """Lay a map of values in [0, 1] over the image in grey: 0 leaves it grey, 1 is bright yellow."""
    box = _within_cells(len(values), Size(*image.size))
    heat = Image.fromarray(values.astype(np.float32)).resize(image.size, Image.Resampling.BILINEAR, box=box)
    return _glowing(image.convert("L"), np.asarray(heat))


def heated_by_cells(image: Image.Image, values: Float[np.ndarray, "h w"]) -> Image.Image:
    """Lay a map over the image as `heated` does, whose cells cover it: each value is in the middle of its cell."""
    heat = Image.fromarray(values.astype(np.float32)).resize(image.size, Image.Resampling.BILINEAR)
    return _glowing(image.convert("L"), np.asarray(heat))


def heat_alone(values: Float[np.ndarray, "h w"], size: Size) -> Image.Image:
    """Return a map in [0, 1] as a picture to lay over a photograph in colour: nothing to see at 0, glowing at 1."""
    heat = np.asarray(Image.fromarray(values.astype(np.float32)).resize(size, Image.Resampling.BICUBIC)).clip(0, 1)
    pixels = _COLOURS(0.25 + 0.7 * heat, bytes=True)
    pixels[..., 3] = (255 * 0.9 * heat**1.1).astype(np.uint8)
    return Image.fromarray(pixels)


def heat_scale(size: Size) -> Image.Image:
    """Return the colours of `heated` from 0, left, to 1, right, over the middle of grey."""
    return _glowing(Image.new("L", size, "gray"), np.broadcast_to(np.linspace(0, 1, size.width), size[::-1]))


def _glowing(grey: Image.Image, heat: Float[np.ndarray, "h w"]) -> Image.Image:
    heat = heat.clip(0, 1)
    colours = Image.fromarray(_COLOURS(heat, bytes=True)).convert("RGB")
    least, most = _OPACITY
    opacity = Image.fromarray((255 * (least + (most - least) * heat)).astype(np.uint8))
    return Image.composite(colours, grey.point(_lifted).convert("RGB"), opacity)


def _lifted(grey: float) -> float:
    return 56 + 0.78 * grey  # the darkest colours of heat would hide a dark photograph


def _within_cells(cells: int, size: Size) -> Box:
    """Return the image's extent in units of cells, the first of which is from 0 to 1."""
    beyond = [0.5 * (cells - 1) / max(side - 1, 1) for side in size]
    left, top = (max(0.0, 0.5 - each) for each in beyond)
    return Box(left, top, cells - left, cells - top)


def relative_pull(attention: Float[np.ndarray, "g g"]) -> Float[np.ndarray, "g g"]:
    """Return by how much a place attracts more than the least one does, as a share of the most.

    0 where a map is flat, since what attracts everywhere alike moves nothing.
    """
    pull: Float[np.ndarray, "g g"] = (attention - attention.min()) / attention.max()
    return pull


def dimmed(image: Image.Image) -> Image.Image:
    """Return the image darker, so that white lines show on it."""
    return Image.blend(image.convert("RGB"), Image.new("RGB", image.size), _DIMMING)


def draw_grid(axes: Axes, lines: Sequence[Float[np.ndarray, "n 2"]]) -> None:
    """Draw sampling lines in white, with a thin shadow."""
    for width, colour in ((2.4, (0, 0, 0, 0.35)), (1.2, (1, 1, 1, 0.95))):
        collection = LineCollection(lines, colors=[colour], linewidths=width, snap=False)
        axes.add_collection(collection, autolim=False)


def draw_box(axes: Axes, box: Box, colour: str) -> None:
    """Draw a box's outline, in pixels of the image, on a dark shadow."""
    for width, ink in ((4.6, (0, 0, 0, 0.55)), (2.6, colour)):
        axes.add_patch(
            Rectangle(box[:2], box.width, box.height, fill=False, linewidth=width, edgecolor=ink, clip_on=False)
        )


def draw_disc(axes: Axes, place: tuple[float, float], radius: float, colour: str) -> None:
    """Draw a disc with a white outline; the radius is in pixels of the image."""
    axes.add_patch(Circle(place, 1.2 * radius, linewidth=0, facecolor="white", clip_on=False))
    axes.add_patch(Circle(place, radius, linewidth=0, facecolor=colour, clip_on=False))


def draw_peaks(
    axes: Axes,
    places: Float[np.ndarray, "n 2"],
    strengths: Float[np.ndarray, " n"],
    slices: Sequence[Sequence[Slice]],
    unit: float,
) -> None:
    """Draw a round marker on each peak: its colours by `slices`, its area by strength, in white to stand out.

    Args:
        axes: Whose unit is the pixel of the image.
        places: (x, y) in continuous pixels of the image.
        strengths: In [0, 1].
        slices: Of each peak, clockwise from the top...
        unit: Pixels of the image to one of the picture.
    """
    smallest, largest = (radius**2 for radius in _RADII)
    radii = np.sqrt(smallest + strengths * (largest - smallest))
    for index in np.argsort(-radii, kind="stable"):  # small ones last, so that none is hidden
        _draw_marker(axes, places[index], radii[index], slices[index], unit)


def _draw_marker(axes: Axes, place: Float[np.ndarray, 2], radius: float, slices: Sequence[Slice], unit: float) -> None:
    centre = (float(place[0]), float(place[1]))
    for wider, colour in ((_OUTLINE + _SHADOW, (0, 0, 0, 0.5)), (_OUTLINE, "white")):
        axes.add_patch(Circle(centre, (radius + wider) * unit, linewidth=0, facecolor=colour, clip_on=False))
    total = sum(share for _, share in slices)
    start = -90.0  # the top, where y grows downwards
    for colour, share in slices:
        angle = 360 * share / total
        axes.add_patch(Wedge(centre, radius * unit, start, start + angle, linewidth=0, facecolor=colour, clip_on=False))
        start += angle
