"""MA-CNN's grouping, cell by cell and channel by channel, in float64."""

from __future__ import annotations

import math
from itertools import product

import numpy as np

from foveate.macnn.config import AttentionForm
from oracles.s3n import Map, cells_of


def naive_attention(features: Map, weights: Map, form: AttentionForm) -> list[Map]:
    """One map for each row of weights (n, d); features are (d, h, w)."""
    maps = []
    for row in weights:
        total = np.zeros(features.shape[1:])
        for y, x in cells_of(total):
            total[y, x] = sum(row[d] * features[d, y, x] for d in range(len(row)))
        if form is AttentionForm.STANDARDISED:
            total = (total - total.mean()) / math.sqrt(((total - total.mean()) ** 2).mean() + 1e-6)
        each = 1 / (1 + np.exp(-total))
        maps.append(each if form is AttentionForm.SIGMOID else each / each.sum())
    return maps


def naive_peak(values: Map) -> tuple[float, float]:
    """(x, y) of the first largest cell's middle, in fractions; the middle of a flat map."""
    if values.max() == values.min():
        return 0.5, 0.5
    row, column = max(cells_of(values), key=lambda cell: (values[cell], -cell[0], -cell[1]))
    return (column + 0.5) / values.shape[1], (row + 0.5) / values.shape[0]


def naive_distance(maps: list[Map], peaks: list[tuple[float, float]]) -> float:
    """L_dis of one image."""
    total = 0.0
    for values, (across, down) in zip(maps, peaks, strict=True):
        for y, x in cells_of(values):
            place = (x + 0.5) / values.shape[1], (y + 0.5) / values.shape[0]
            total += values[y, x] * ((place[0] - across) ** 2 + (place[1] - down) ** 2)
    return total


def naive_diversity(maps: list[Map], margin: float) -> float:
    """L_div of one image, of two maps or more."""
    total = 0.0
    for i, values in enumerate(maps):
        for cell in cells_of(values):
            total += values[cell] * (max(maps[j][cell] for j in range(len(maps)) if j != i) - margin)
    return total


def best_spread(places: Map, count: int) -> float:
    """The smallest sum of squared distances from the groups' means, of all ways to make so many groups; few rows."""
    best = math.inf
    for groups in product(range(count), repeat=len(places)):
        if len(set(groups)) == count:
            chosen = np.array(groups)
            parts = [places[chosen == group] for group in range(count)]
            best = min(best, sum(((part - part.mean(0)) ** 2).sum() for part in parts))
    return best
