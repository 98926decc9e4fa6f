"""Slow, obvious versions of what is measured of maps and of probabilities."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray


def energy_share(values: NDArray[np.floating], box: Sequence[float], width: float, height: float, fine: int) -> float:
    """Cut each cell into fine x fine points and count those inside the box."""
    rows, columns = values.shape
    inside = total = 0.0
    for row in range(rows * fine):
        for column in range(columns * fine):
            weight = max(float(values[row // fine, column // fine]), 0.0)
            x, y = (column + 0.5) / (columns * fine) * width, (row + 0.5) / (rows * fine) * height
            total += weight
            inside += weight * (box[0] <= x <= box[2] and box[1] <= y <= box[3])
    return inside / total if total else 0.0


def curve(
    answer: Callable[[NDArray[np.floating]], float],
    start: NDArray[np.floating],
    end: NDArray[np.floating],
    relevance: NDArray[np.floating],
    steps: int,
) -> list[float]:
    """Turn `start` (3, H, W) into `end`, pixel by pixel, the most relevant first; note the answer after each step."""
    height, width = relevance.shape
    order = sorted(range(height * width), key=lambda place: -relevance[place // width, place % width])
    image, done, found = start.copy(), 0, [answer(start)]
    for step in range(1, steps + 1):
        while done < int(Fraction(step * height * width, steps) + Fraction(1, 2)):
            row, column = divmod(order[done], width)
            image[:, row, column] = end[:, row, column]
            done += 1
        found.append(answer(image))
    return found


def calibration_error(confidence: Sequence[float], right: Sequence[bool], bins: int) -> float:
    """Go through the bins one by one."""
    error = 0.0
    for number in range(bins):
        low, high = number / bins, (number + 1) / bins
        members = [
            (each, hit)
            for each, hit in zip(confidence, right, strict=True)
            if low <= each < high or (number == bins - 1 and each == 1)
        ]
        if members:
            gap = sum(hit for _, hit in members) / len(members) - sum(each for each, _ in members) / len(members)
            error += len(members) / len(confidence) * abs(gap)
    return error


def risk_area(confidence: Sequence[float], right: Sequence[bool]) -> float:
    """Average the share of wrong answers over every number of the surest answers; no two are equally sure."""
    order = sorted(range(len(right)), key=lambda index: -confidence[index])
    risks = [sum(not right[index] for index in order[:count]) / count for count in range(1, len(order) + 1)]
    return math.fsum(risks) / len(risks)
