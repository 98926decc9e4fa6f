"""Boxes around thresholded maps, cell by cell; attention, peak by peak."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Map = NDArray[np.float64]
Box = tuple[float, float, float, float]
Cell = tuple[int, int]


def naive_components(mask: NDArray[np.bool_]) -> list[set[Cell]]:
    """Flood each part from its first cell in reading order, to all eight neighbours."""
    left = {(int(y), int(x)) for y, x in np.argwhere(mask)}
    parts = []
    for start in sorted(left):
        if start not in left:
            continue
        part, border = set(), [start]
        while border:
            y, x = border.pop()
            if (y, x) in left:
                left.remove((y, x))
                part.add((y, x))
                border += [(y + down, x + along) for down in (-1, 0, 1) for along in (-1, 0, 1)]
        parts.append(part)
    return parts


def naive_bounds(part: set[Cell]) -> tuple[int, int, int, int]:
    """Left, top, right, bottom of a part, from the first cell to one past the last."""
    rows, columns = [y for y, _ in part], [x for _, x in part]
    return min(columns), min(rows), max(columns) + 1, max(rows) + 1


def naive_overlap(a: Sequence[float], b: Sequence[float]) -> float:
    """Intersection over union of two boxes."""
    width, height = min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1])
    shared = width * height if width > 0 and height > 0 else 0.0
    together = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - shared
    return shared / together if together > 0 else 0.0


def naive_overlaps(values: Map, box: Sequence[float], size: int, threshold: float) -> tuple[float, float]:
    """Of the box around the largest part of a map, and of the part's box that fits best; NaN is not seen."""
    seen = [float(each) for each in values.ravel() if not math.isnan(each)]
    if not seen or max(seen) == min(seen):
        return 0.0, 0.0
    low, spread = min(seen), max(seen) - min(seen)
    parts = naive_components(np.array([[(each - low) / spread >= threshold for each in row] for row in values]))
    step = (size - 1) / (len(values) - 1)  # pixels from one place to the next

    def edge(cell: int) -> float:
        return min(max((cell - 0.5) * step + 0.5, 0.0), float(size))

    overlaps = [naive_overlap([edge(each) for each in naive_bounds(part)], box) for part in parts]
    largest = max(range(len(parts)), key=lambda index: len(parts[index]))  # the first of equal ones
    return overlaps[largest], max(overlaps)


def naive_peaks(response: Map, peaks: NDArray[np.bool_], size: int) -> list[tuple[float, float]]:
    """Places (x, y) of a map's peaks in pixels of the view, by falling response."""
    marked = sorted(((int(y), int(x)) for y, x in np.argwhere(peaks)), key=lambda cell: -response[cell])
    share = (size - 1) / (len(response) - 1)
    return [(x * share + 0.5, y * share + 0.5) for y, x in marked]
