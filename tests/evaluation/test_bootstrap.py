"""The mean of photographs and its interval; the intervals of accuracies are tested beside them."""

from __future__ import annotations

import numpy as np
import pytest

from foveate.evaluation.bootstrap import mean_of


def test_the_mean_and_its_interval() -> None:
    estimate = mean_of(np.array([0.2, np.nan, 0.4, 0.6]))
    assert estimate is not None
    assert estimate.value == pytest.approx(0.4)
    assert 0.2 <= estimate.low < 0.4 < estimate.high <= 0.6
    assert estimate == mean_of(np.array([0.2, 0.4, 0.6]))  # the same draw
    assert mean_of(np.array([np.nan])) is None
