"""Spearman's rank correlation of maps."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import spearmanr

from foveate.evaluation.rank_correlation import rank_correlation


@settings(deadline=None, max_examples=25)
@given(st.integers(0, 10_000), st.integers(2, 5))
def test_rank_correlation_is_spearmans(seed: int, side: int) -> None:
    rng = np.random.default_rng(seed)
    first = rng.integers(0, 5, (3, side, side)).astype(np.float32)
    second = rng.normal(size=(3, side, side)).astype(np.float32)
    found = rank_correlation(torch.from_numpy(first), torch.from_numpy(second))
    for index in range(3):
        if len(np.unique(first[index])) > 1:
            assert found[index] == pytest.approx(spearmanr(first[index].ravel(), second[index].ravel()).statistic)
        else:
            assert found[index] == 0
    assert rank_correlation(torch.from_numpy(second), torch.from_numpy(np.exp(second))) == pytest.approx(1)
    assert rank_correlation(torch.from_numpy(second), torch.from_numpy(-second)) == pytest.approx(-1)
