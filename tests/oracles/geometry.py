"""Views by plain loops: a point carried step by step, a picture resampled pixel by pixel."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from foveate.types import Box, Size


class Resize(NamedTuple):
    """Stretch the view to this size."""

    width: int
    height: int


class Crop(NamedTuple):
    """Cut this size out of the view, its top-left corner at (left, top)."""

    left: float
    top: float
    width: int
    height: int


class Flip(NamedTuple):
    """Mirror the view left to right."""


Step = Resize | Crop | Flip


def naive_point(source: Size, steps: Sequence[Step], x: float, y: float) -> tuple[float, float]:
    """Carry one point through the steps, one at a time."""
    width, height = source
    for step in steps:
        if isinstance(step, Flip):
            x = width - x
        elif isinstance(step, Crop):
            x, y = x - step.left, y - step.top
            width, height = step.width, step.height
        else:
            x, y = x * step.width / width, y * step.height / height
            width, height = step
    return x, y


def naive_view(shades: list[list[int]], window: Box, output: Size, flipped: bool) -> list[list[float]]:
    """Resample a grey picture with a triangle filter, widened where it shrinks, that sees past the window's edges."""
    rows = [_weights(len(shades), window.top, window.bottom, output.height, y) for y in range(output.height)]
    columns = [_weights(len(shades[0]), window.left, window.right, output.width, x) for x in range(output.width)]
    if flipped:
        columns.reverse()
    return [
        [
            sum(down * along * shades[y][x] for y, down in row.items() for x, along in column.items())
            for column in columns
        ]
        for row in rows
    ]


def _weights(length: int, start: float, end: float, output: int, cell: int) -> dict[int, float]:
    """Share of each source pixel in one output cell, along one axis."""
    step = (end - start) / output
    middle = start + (cell + 0.5) * step
    reach = max(step, 1.0)
    weights = {place: max(0.0, 1.0 - abs(place + 0.5 - middle) / reach) for place in range(length)}
    total = sum(weights.values())
    return {place: weight / total for place, weight in weights.items() if weight > 0}
