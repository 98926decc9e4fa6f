"""Guided Zoom step by step: one image, one map, one class, one pixel at a time."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from foveate.guided_zoom.config import PatchConfig

Map = NDArray[np.float64]
Pixels = NDArray[np.uint8]
Box = tuple[int, int, int, int]


def naive_interpolated(values: Map, height: int, width: int) -> Map:
    """Bilinear interpolation to pixels; the outermost cells repeat beyond their middles."""
    rows, columns = values.shape
    out = np.zeros((height, width))
    for y in range(height):
        for x in range(width):
            down = min(max((y + 0.5) * rows / height - 0.5, 0), rows - 1)
            along = min(max((x + 0.5) * columns / width - 0.5, 0), columns - 1)
            top, left = int(down), int(along)
            for j in {top, min(top + 1, rows - 1)}:
                for i in {left, min(left + 1, columns - 1)}:
                    out[y, x] += (1 - abs(down - j)) * (1 - abs(along - i)) * values[j, i]
    return out


def naive_box(x: float, y: float, side: int, height: int, width: int) -> Box:
    """The square of `side` pixels whose middle is nearest to (x, y), cut off at the image's edges."""
    lefts = [left for left in range(-side, width + 1) if abs(left + side / 2 - x) <= 0.5]
    tops = [top for top in range(-side, height + 1) if abs(top + side / 2 - y) <= 0.5]
    left, top = (each[0] if len(each) == 1 else next(e for e in each if e % 2 == 0) for each in (lefts, tops))
    return max(left, 0), max(top, 0), min(left + side, width), min(top + side, height)


def naive_erased(image: Pixels, boxes: Sequence[Box]) -> Pixels:
    """Every pixel of every box becomes black."""
    out = image.copy()
    for left, top, right, bottom in boxes:
        for y in range(top, bottom):
            for x in range(left, right):
                out[y, x] = 0
    return out


def naive_refined(
    probabilities: Sequence[float],
    evidence: Sequence[Sequence[float]],
    top_k: int,
    weights: Sequence[float],
) -> int:
    """Algorithm 1 for one image, lines 3 to 13; `evidence[t][l]` is the Evidence CNN's score of class t, round l."""
    total = [weights[0] * each for each in probabilities]
    best = sorted(range(len(probabilities)), key=lambda index: -probabilities[index])[:top_k]
    for t in best:
        for weight, score in zip(weights[1:], evidence[t], strict=False):
            total[t] += weight * score
    return max(best, key=lambda t: total[t])


def naive_elsewhere(values: Map, boxes: Sequence[Box], side: int) -> Map:
    """Cells of a map whose middle lies in a box of an image of `side` pixels count for nothing."""
    out, (height, width) = values.copy(), values.shape
    for row in range(height):
        for column in range(width):
            x, y = (column + 0.5) * side / width, (row + 0.5) * side / height
            if any(left < x < right and top < y < bottom for left, top, right, bottom in boxes):
                out[row, column] = 0
    return out


class NaiveEvidence(NamedTuple):
    """One class's evidence in one image: peak and patch in pixels of the source, the square in those of the image."""

    place: tuple[float, float]
    box: Box
    square: Box


def naive_round(
    image: Pixels, target: int, squares: Sequence[Box], ground: Callable[[Pixels, int], Map], config: PatchConfig
) -> NaiveEvidence:
    """Algorithm 1, lines 9 and 10: erase, and find one class again."""
    side = image.shape[0]
    hidden, patch = round(config.erased * side), round(config.patch * config.source_size)
    scale = config.source_size / side
    values = ground(naive_erased(image, squares), target)
    if config.elsewhere:
        values = naive_elsewhere(values, squares, side)
    row, column = np.unravel_index(values.argmax(), values.shape)
    x, y = (column + 0.5) * side / values.shape[1], (row + 0.5) * side / values.shape[0]
    box = naive_box(x * scale, y * scale, patch, config.source_size, config.source_size)
    return NaiveEvidence((x * scale, y * scale), box, naive_box(x, y, hidden, side, side))


def naive_rounds(
    image: Pixels, target: int, ground: Callable[[Pixels, int], Map], config: PatchConfig
) -> list[NaiveEvidence]:
    """Algorithm 1, lines 5 and 8 to 10, for one class: find, erase, find again."""
    evidence = list[NaiveEvidence]()
    for _ in range(config.rounds + 1):
        evidence.append(naive_round(image, target, [each.square for each in evidence], ground, config))
    return evidence


def naive_refined_probabilities(
    probabilities: Sequence[float], best: Sequence[int], scores: Sequence[float], *, raw: bool
) -> list[float]:
    """One image's distribution: the best classes share what they have, by their scores (logits where `raw`)."""
    top = max(scores)
    shares = [math.exp(each - top) if raw else each for each in scores]
    if sum(shares) == 0:
        shares = [1.0] * len(shares)
    mass = sum(probabilities[label] for label in best)
    out = list(probabilities)
    for label, share in zip(best, shares, strict=True):
        out[label] = mass * share / sum(shares)
    return out


def naive_nearest(
    feature: Sequence[float], target: int, pool: Sequence[Sequence[float]], labels: Sequence[int], count: int
) -> list[tuple[float, int]]:
    """Cosine distance and row of the nearest of a class, one row after the other."""
    found = []
    for row, (other, label) in enumerate(zip(pool, labels, strict=True)):
        if label == target:
            dot = sum(x * y for x, y in zip(feature, other, strict=True))
            lengths = math.sqrt(sum(x * x for x in feature)) * math.sqrt(sum(y * y for y in other))
            found.append((1 - dot / lengths, row))
    return sorted(found)[:count]
