"""The bootstrap: 95% percentile intervals, by drawing the photographs anew (Efron, 1979)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

_CHUNK_ENTRIES = 1 << 21
_RESAMPLES = 2000


@dataclass(frozen=True, slots=True)
class Estimate:
    """A measured fraction and its 95% interval, all in [0, 1]; of a difference of two, in [-1, 1]."""

    value: float
    low: float
    high: float


def bootstrap_counts(
    counts: Int[np.ndarray, "rows columns"],
    measure: Callable[[Int[np.ndarray, "*r rows columns"]], Float[np.ndarray, "*r m"]],
    *,
    resamples: int,
    seed: int,
) -> tuple[Estimate, ...]:
    """Return each of m measures of a table of counts, with its interval.

    Photographs in the same cell of the table are alike, so drawing n of them with replacement is one multinomial draw
    over the cells: the same distribution, at a cost independent of n. An interval is widened to contain its value.

    Args:
        counts: How many photographs are in each cell.
        measure: What is measured, of one table or of r of them.
        resamples: How many tables are drawn.
        seed: Of the draws.
    """
    measured = measure(counts)
    generator = np.random.default_rng(seed)
    images = counts.sum()
    shares = counts.ravel() / images
    step = max(1, _CHUNK_ENTRIES // counts.size)
    sizes = [min(step, resamples - start) for start in range(0, resamples, step)]
    draws = (generator.multinomial(images, shares, size=size) for size in sizes)
    spread = np.concatenate([measure(draw.reshape(-1, *counts.shape)) for draw in draws])
    low, high = np.quantile(spread, (0.025, 0.975), axis=0)
    return tuple(
        Estimate(float(value), float(min(value, lower)), float(max(value, upper)))
        for value, lower, upper in zip(measured, low, high, strict=True)
    )


def mean_of(values: Float[np.ndarray, " n"], seed: int = 0) -> Estimate | None:
    """Return the mean and its 95% percentile-bootstrap interval over photographs; NaN does not count.

    None where nothing counts.
    """
    counted = values[~np.isnan(values)].astype(float)
    if not counted.size:
        return None
    resamples = np.random.default_rng(seed).integers(0, counted.size, (_RESAMPLES, counted.size))
    low, high = np.quantile(counted[resamples].mean(1), (0.025, 0.975))
    return Estimate(float(counted.mean()), float(low), float(high))
