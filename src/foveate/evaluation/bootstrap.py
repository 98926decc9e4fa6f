"""The bootstrap: 95% percentile intervals, by drawing photographs, or whole groups of them, anew (Efron, 1979)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int, Int64
from scipy.sparse import csr_array
from scipy.special import ndtr, stdtrit

_CHUNK_ENTRIES = 1 << 21
_RESAMPLES = 2000
_TAIL = 0.025
FEWEST_GROUPS = 6
"""For an interval: of fewer, an exact test that exchanges whole groups has no p below 0.05 either."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """A measured fraction and its 95% interval, all in [0, 1]; of a difference of two, in [-1, 1]."""

    value: float
    low: float
    high: float


class GroupCounts(NamedTuple):
    """How many photographs of each group are in each cell of a table; groups that are alike are told once."""

    kinds: csr_array
    """(kinds, cells); most are 0."""
    alike: Int64[np.ndarray, " kinds"]
    """How many groups are of each kind."""

    @property
    def number(self) -> int:
        """How many groups there are."""
        return int(self.alike.sum())

    @classmethod
    def of(cls, cells: Int[np.ndarray, " n"], groups: Int64[np.ndarray, " n"], number: int) -> GroupCounts:
        """Count them.

        Args:
            cells: That each photograph is in, in 0..number-1.
            groups: The number of each photograph's group.
            number: Of cells.
        """
        _, rows = np.unique(groups, return_inverse=True)
        shape = (int(rows.max()) + 1, number)
        counts = csr_array((np.ones(len(cells), dtype=np.int64), (rows, cells)), shape=shape)
        counts.sum_duplicates()  # sorts the cells of a group, too
        ends = counts.indptr.tolist()
        kinds: dict[tuple[bytes, bytes], list[int]] = {}
        for row, (start, end) in enumerate(pairwise(ends)):
            key = (counts.indices[start:end].tobytes(), counts.data[start:end].tobytes())
            kinds.setdefault(key, []).append(row)
        rows_of = [kinds[key] for key in sorted(kinds)]  # whatever the order of the photographs
        return cls(counts[[each[0] for each in rows_of]], np.array([len(each) for each in rows_of], dtype=np.int64))


def bootstrap_counts(
    counts: Int[np.ndarray, "rows columns"],
    measure: Callable[[Int[np.ndarray, "*r rows columns"]], Float[np.ndarray, "*r m"]],
    *,
    resamples: int,
    seed: int,
    grouped: GroupCounts | None = None,
) -> tuple[Estimate, ...]:
    """Return each of m measures of a table of counts, with its interval.

    Photographs in the same cell of the table are alike, so drawing n of them with replacement is one multinomial draw
    over the cells: the same distribution, at a cost independent of n. Intervals as in `interval`.

    Args:
        counts: How many photographs are in each cell.
        measure: The shares that are measured, of one table or of r of them.
        resamples: How many tables are drawn.
        seed: Of the draws.
        grouped: As in `drawn_counts`.
    """
    measured = measure(counts)
    draws = drawn_counts(counts.ravel(), grouped, np.random.default_rng(seed), resamples)
    spread = np.concatenate([measure(draw.reshape(-1, *counts.shape)) for draw in draws])
    groups = None if grouped is None else grouped.number
    return tuple(interval(float(value), each, groups) for value, each in zip(measured, spread.T, strict=True))


def drawn_counts(
    counts: Int[np.ndarray, " cells"], grouped: GroupCounts | None, generator: np.random.Generator, resamples: int
) -> Iterator[Int64[np.ndarray, "r cells"]]:
    """Draw photographs anew; yield how many are in each cell, for some resamples at a time.

    Of g groups, whose photographs are much alike, whole ones are drawn: g - 1 of them, with replacement. With g of
    them the variance of a mean over few groups would come out too small, by (g - 1) / g (McCarthy and Snowden, 1985).

    Args:
        counts: How many photographs are in each cell.
        grouped: The same of each group; None: each photograph stands for itself.
        generator: Of the draws.
        resamples: How many there are.
    """
    step = max(1, _CHUNK_ENTRIES // max(counts.size, 0 if grouped is None else len(grouped.alike)))
    for start in range(0, resamples, step):
        size = min(step, resamples - start)
        if grouped is None:
            yield generator.multinomial(counts.sum(), counts / counts.sum(), size=size)
        else:
            shares = grouped.alike / grouped.number
            yield generator.multinomial(max(1, grouped.number - 1), shares, size=size) @ grouped.kinds


def interval(
    value: float,
    spread: Float[np.ndarray, " resamples"],
    groups: int | None,
    possible: tuple[float, float] = (0.0, 1.0),
) -> Estimate:
    """Return a value with its 95% interval: percentiles of resamples, widened to contain it.

    Of g groups the percentiles are further out, as the quantiles of Student's t with g - 1 degrees of freedom are
    beyond the normal ones (the expanded percentile interval; Hesterberg, The American Statistician, 2015). Fewer than
    `FEWEST_GROUPS` groups say too little of others: the interval holds all that is possible.

    Args:
        value: What was measured.
        spread: The same of resamples.
        groups: How many were drawn from; None: photographs were.
        possible: The least and the greatest that the value can be.
    """
    if groups is not None and groups < FEWEST_GROUPS:
        return Estimate(value, *possible)
    tail = _TAIL if groups is None else float(ndtr(stdtrit(groups - 1, _TAIL)))
    low, high = np.quantile(spread, (tail, 1 - tail))
    return Estimate(value, float(min(value, low)), float(max(value, high)))


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
