"""McNemar's test, by hand and by the binomial distribution."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binom

from foveate.errors import UserError
from foveate.evaluation.mcnemar import mcnemar


def test_mcnemar_by_hand() -> None:
    # Five images are right with a alone, one with b alone: 2 (C(6,0) + C(6,1)) / 2^6.
    a = np.array([1, 1, 1, 1, 1, 0, 1, 0, 1, 0], dtype=bool)
    b = np.array([0, 0, 0, 0, 0, 1, 1, 0, 1, 0], dtype=bool)
    test = mcnemar(a, b)
    assert (test.only_a, test.only_b) == (5, 1)
    assert test.difference == pytest.approx(0.4)
    assert test.p_value == pytest.approx(14 / 64)


@settings(deadline=None)
@given(st.integers(0, 40), st.integers(0, 40))
def test_mcnemar_is_antisymmetric_and_the_doubled_tail(only_a: int, only_b: int) -> None:
    a = np.array([True] * only_a + [False] * only_b + [True])
    b = np.array([False] * only_a + [True] * only_b + [True])
    test, mirrored = mcnemar(a, b), mcnemar(b, a)
    assert test.p_value == pytest.approx(mirrored.p_value)
    assert test.difference == -mirrored.difference
    tail = binom.cdf(min(only_a, only_b), only_a + only_b, 0.5)
    assert test.p_value == pytest.approx(min(1.0, 2 * tail))


def test_mcnemar_of_equal_classifiers_is_1() -> None:
    right = np.array([True, False, True])
    assert mcnemar(right, right).p_value == 1


@pytest.mark.parametrize(("a", "b"), [(3, 2), (0, 0)])
def test_mcnemar_needs_the_same_images(a: int, b: int) -> None:
    with pytest.raises(UserError, match="align the two prediction tables"):
        mcnemar(np.ones(a, dtype=bool), np.ones(b, dtype=bool))
