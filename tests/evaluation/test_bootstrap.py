"""Intervals by hand and against the binomial distribution; those of accuracies are tested beside them."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.stats import binom

from foveate.evaluation.bootstrap import bootstrap_counts, mean_of


def first_cell(counts: NDArray[np.integer]) -> NDArray[np.floating]:
    """The share of the first cell, of one table or of many."""
    share: NDArray[np.floating] = (counts[..., 0, 0] / counts.sum(axis=(-2, -1)))[..., None]
    return share


def test_a_share_varies_as_its_binomial_distribution_says() -> None:
    (share,) = bootstrap_counts(np.array([[30, 10], [60, 100]]), first_cell, resamples=20_000, seed=0)
    low, high = (float(binom.ppf(level, 200, 0.15)) / 200 for level in (0.025, 0.975))
    assert share.value == 0.15
    assert (share.low, share.high) == pytest.approx((low, high), abs=0.0051)  # one photograph


@pytest.mark.parametrize("offset", [-1, 1])
def test_an_interval_is_widened_to_its_value(offset: int) -> None:
    def biased(counts: NDArray[np.integer]) -> NDArray[np.floating]:
        return first_cell(counts) + offset * (counts.ndim == 2)

    (share,) = bootstrap_counts(np.array([[5, 5]]), biased, resamples=100, seed=0)
    assert share.value == 0.5 + offset
    assert (share.low if offset < 0 else share.high) == share.value


def test_chunks_and_the_seed(monkeypatch: pytest.MonkeyPatch) -> None:
    counts = np.array([[3, 4], [5, 6]])
    whole, other = (bootstrap_counts(counts, first_cell, resamples=50, seed=seed) for seed in (0, 1))
    monkeypatch.setattr("foveate.evaluation.bootstrap._CHUNK_ENTRIES", 12)
    assert bootstrap_counts(counts, first_cell, resamples=50, seed=0) == whole != other


def test_the_mean_and_its_interval() -> None:
    estimate = mean_of(np.array([0.2, np.nan, 0.4, 0.6]))
    assert estimate is not None
    assert estimate.value == pytest.approx(0.4)
    assert 0.2 <= estimate.low < 0.4 < estimate.high <= 0.6
    assert estimate == mean_of(np.array([0.2, 0.4, 0.6]))  # the same draw
    assert mean_of(np.array([np.nan])) is None
