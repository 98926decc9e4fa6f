"""S3N equation by equation (ICCV 2019): one image, one cell, one peak at a time, in float64.

Maps are (row, column); a peak is a pair of them.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from itertools import product
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from foveate.s3n.config import Aggregation, AttentionKernel, CellPlacement, EntropySource, Partition, S3NConfig

Map = NDArray[np.float64]
Cell = tuple[int, int]

SMALLEST = 1e-3
"""Responses that are divided by and sampling maps are held above it."""


def cells_of(values: Map) -> Iterator[Cell]:
    """Every (row, column), in reading order."""
    return product(range(values.shape[0]), range(values.shape[1]))


def naive_class_maps(features: Map, weight: Map) -> list[Map]:
    """Eq. 1 for every class; features are (d, h, w), weight is (c, d)."""
    maps = []
    for row in weight:
        each = np.zeros(features.shape[1:])
        for y, x in cells_of(each):
            each[y, x] = sum(row[d] * features[d, y, x] for d in range(len(row)))
        maps.append(each)
    return maps


def _in_cells(place: float, cells: int, placement: CellPlacement) -> float:
    """Where a place between 0 and 1 along the photograph lies, counted in cells from the first one's centre."""
    if placement is CellPlacement.CORNERS:
        return place * (cells - 1)
    return min(max(place * cells - 0.5, 0), cells - 1)


def naive_interpolated(values: Map, size: int, placement: CellPlacement = CellPlacement.CORNERS) -> Map:
    """Bilinear interpolation between the four cells around each place."""
    out = np.zeros((size, size))
    (height, width), (bottom, right) = values.shape, np.subtract(values.shape, 1)
    for y, x in cells_of(out):
        down, along = _in_cells(y / (size - 1), height, placement), _in_cells(x / (size - 1), width, placement)
        top, left = int(down), int(along)
        for j, i in product({top, min(top + 1, bottom)}, {left, min(left + 1, right)}):
            out[y, x] += (1 - abs(down - j)) * (1 - abs(along - i)) * values[j, i]
    return out


def naive_probabilities(scores: Sequence[float]) -> list[float]:
    """Softmax."""
    powers = [math.exp(score - max(scores)) for score in scores]
    return [power / sum(powers) for power in powers]


def naive_top_entropy(scores: Sequence[float]) -> float:
    """Eq. 2 in nats: of the five best of all classes' probabilities."""
    best = sorted(naive_probabilities(scores), reverse=True)[:5]
    return -sum(p * math.log(p) for p in best if p > 0)


def naive_response(
    features: Map, weight: Map, logits: Sequence[float], config: S3NConfig, bias: Sequence[float]
) -> Map:
    """Eq. 3, scaled to [0, 1]."""
    maps = naive_class_maps(features, weight)
    if config.entropy_from is EntropySource.CLASS_MAPS_AND_BIAS:
        maps = [each + more for each, more in zip(maps, bias, strict=True)]
    if config.response_grid is not None:
        maps = [naive_interpolated(each, config.response_grid, config.placement) for each in maps]
    scores = list(logits) if config.entropy_from is EntropySource.LOGITS else [each.mean() for each in maps]
    best = sorted(range(len(scores)), key=lambda index: -scores[index])[: max(1, min(5, len(scores) - 1))]
    total = maps[best[0]]
    if naive_top_entropy(scores) > config.entropy_threshold:
        total = np.sum([maps[index] for index in best], axis=0)
        if config.aggregation is Aggregation.MEAN:
            total = total / len(best)
    if config.response_grid is not None and config.placement is CellPlacement.CENTRES:
        total = _fallen_off_edges(total, features.shape[1], features.shape[2])
    return np.asarray((total - total.min()) / (total.max() - total.min()))


def _fallen_off_edges(values: Map, height: int, width: int) -> Map:
    """Lower what is above the least by a thousandth for each cell's breadth beyond the outermost middles."""
    out, last = values.copy(), len(values) - 1
    for y, x in cells_of(values):
        for place, cells in ((y / last, height), (x / last, width)):
            middle = 1 / (2 * cells)
            beyond = max(middle - place, place - (1 - middle), 0) * cells
            out[y, x] -= 1e-3 * (values[y, x] - values.min()) * beyond
    return out


def naive_peaks(response: Map, window: int, above_mean: bool) -> list[Cell]:
    """Section 3.2: cells that nothing in their window exceeds, nor equals before them; never a map's lowest."""
    reach = window // 2
    peaks = []
    lowest, mean = response.min(), response.mean()
    for y, x in cells_of(response):
        value = response[y, x]
        near = [(j, i) for j, i in cells_of(response) if abs(j - y) <= reach and abs(i - x) <= reach]
        beaten = any(response[other] > value or (response[other] == value and other < (y, x)) for other in near)
        if not beaten and value > lowest and (not above_mean or value >= mean):
            peaks.append((y, x))
    return peaks


class Share(NamedTuple):
    """How much one peak counts in T_d and in T_c."""

    discriminative: float
    complementary: float


def naive_shares(response: Map, peaks: Sequence[Cell], partition: Partition, draw: Map) -> list[Share]:
    """Eq. 4 and its variants."""
    strengths = [float(response[peak]) for peak in peaks]
    shares = []
    for index, (peak, strength) in enumerate(zip(peaks, strengths, strict=True)):
        if partition is Partition.PROBABILITY:
            shares.append(Share(1, 0) if strength > draw[peak] else Share(0, 1))
        elif partition is Partition.RANDOM:
            shares.append(Share(1, 0) if draw[peak] < 0.5 else Share(0, 1))
        elif partition is Partition.EXPECTED:
            shares.append(Share(strength, 1 - strength))
        elif partition is Partition.EXTREMES:
            strongest, weakest = strengths.index(max(strengths)), strengths.index(min(strengths))
            shares.append(Share(index == strongest, index == weakest))
        else:
            shares.append(Share(1, 1))
    return shares


def naive_sampling_maps(response: Map, partition: Partition, draw: Map, config: S3NConfig) -> tuple[Map, Map]:
    """Eq. 5 and 6: Q_d and Q_c."""
    cells = len(response)
    peaks = naive_peaks(response, config.peak_window, config.peaks_above_mean)
    shares = naive_shares(response, peaks, partition, draw)
    factor = 1 if config.kernel is AttentionKernel.PAPER else 2
    maps = np.zeros((2, cells, cells))
    for (row, column), share in zip(peaks, shares, strict=True):
        strength = response[row, column]
        held = max(strength, SMALLEST)
        for y, x in cells_of(response):
            squared = ((x - column) / cells) ** 2 + ((y - row) / cells) ** 2
            near = math.exp(-squared / (factor * held * config.radius**2))
            wide = math.exp(-squared / (factor * held * config.radius_complementary**2))
            maps[0, y, x] += share.discriminative * strength * near
            maps[1, y, x] += share.complementary / held * wide
    maps = np.maximum(maps + config.sampling_floor, SMALLEST)
    return maps[0], maps[1]


def naive_dense_maps(drawing: Map, floor: float) -> tuple[Map, Map]:
    """Table 3's dense attention: Q_d is the map itself, Q_c what it leaves to 1."""
    maps = np.zeros((2, *drawing.shape))
    for y, x in cells_of(drawing):
        maps[0, y, x] = max(drawing[y, x] + floor, SMALLEST)
        maps[1, y, x] = max(1 - drawing[y, x] + floor, SMALLEST)
    return maps[0], maps[1]


def naive_saliency(scores: Map) -> Map:
    """A softmax over the places, as a share of the largest."""
    shares = naive_probabilities([float(score) for score in scores.flat])
    return np.reshape(shares, scores.shape) / max(shares)


def naive_kernel(cells: int, width: float) -> Map:
    """The Gaussian k for every pair of distances; half its height at half of `width`, a fraction of the grid."""
    kernel = np.zeros((2 * cells - 1, 2 * cells - 1))
    for y, x in cells_of(kernel):
        squared = (y - cells + 1) ** 2 + (x - cells + 1) ** 2
        kernel[y, x] = 0.5 ** (squared / (width * cells / 2) ** 2)
    return kernel


def naive_places(sampling_map: Map, kernel: Map) -> Map:
    """Eq. 7 and 8 on a map that its border cells continue: (g, g, 2) with f (across) before g (down)."""
    border = len(sampling_map) - 1
    continued = np.pad(sampling_map, border, mode="edge")
    places = np.zeros((*sampling_map.shape, 2))
    for y, x in cells_of(sampling_map):
        total = across = down = 0.0
        for j, i in cells_of(continued):
            row, column = j - border, i - border  # of v', in cells of the map
            if abs(row - y) <= border and abs(column - x) <= border:
                weight = continued[j, i] * kernel[row - y + border, column - x + border]
                total += weight
                across += weight * column / border
                down += weight * row / border
        places[y, x] = across / total, down / total
    return places


def naive_key(seed: int, epoch: int, position: int) -> int:
    """The key of a photograph in an epoch: SplitMix64's finaliser between the three numbers."""
    key = seed
    for word in (epoch, position):
        key = _mixed(key) ^ word
    return _mixed(key)


def naive_draw(key: int, count: int) -> list[float]:
    """SplitMix64's first outputs from a state, by their 24 highest bits, in [0, 1)."""
    state, drawn = key, []
    for _ in range(count):
        state = (state + 0x9E3779B97F4A7C15) % 2**64
        drawn.append((_mixed(state) >> 40) / 2**24)
    return drawn


def _mixed(word: int) -> int:
    word = (word ^ (word >> 30)) * 0xBF58476D1CE4E5B9 % 2**64
    word = (word ^ (word >> 27)) * 0x94D049BB133111EB % 2**64
    return word ^ (word >> 31)


def naive_cross_entropy(
    rows: Sequence[Sequence[float]], labels: Sequence[int], targets: Sequence[Sequence[float]], weight: Sequence[float]
) -> float:
    """One branch's term of Eq. 9: each class counts by its weight, the mean is over the labels' weights."""
    total = 0.0
    for row, target in zip(rows, targets, strict=True):
        probabilities = naive_probabilities(row)
        total -= sum(weight[c] * target[c] * math.log(probabilities[c]) for c in range(len(row)))
    return total / sum(weight[label] for label in labels)
