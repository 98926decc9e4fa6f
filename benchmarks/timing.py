"""What the benchmarks of single steps share: sides that take turns, and what is said about them."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping

_WARM_UP = 2


def interleaved(sides: Mapping[str, Callable[[], None]], repetitions: int) -> dict[str, list[float]]:
    """Call the sides in turn, `repetitions` times after a warm-up; return the milliseconds of each call."""
    milliseconds: dict[str, list[float]] = {name: [] for name in sides}
    for repetition in range(repetitions + _WARM_UP):
        for name, call in sides.items():
            began = time.perf_counter()
            call()
            if repetition >= _WARM_UP:
                milliseconds[name].append(1e3 * (time.perf_counter() - began))
    return milliseconds


def spread(values: list[float]) -> dict[str, float]:
    """Return median, lowest and highest."""
    return {
        "median": round(statistics.median(values), 1),
        "low": round(min(values), 1),
        "high": round(max(values), 1),
    }


def ratio(milliseconds: Mapping[str, list[float]], side: str, other: str) -> float:
    """Return how many times as long one side takes as the other, by the medians."""
    return statistics.median(milliseconds[side]) / statistics.median(milliseconds[other])
