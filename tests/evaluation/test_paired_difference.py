"""Paired differences by hand, and their intervals against a slow bootstrap."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from foveate.errors import UserError
from foveate.evaluation.paired_difference import _resampled, mean_accuracy, paired_difference

Right = NDArray[np.bool_]


def answers(seeds: int, photographs: int, share: float, seed: int) -> Right:
    return np.random.default_rng(seed).random((seeds, photographs)) < share


def slow_bootstrap(first: Right, other: Right, resamples: int) -> NDArray[np.floating]:
    """Draw photographs, then s - 1 seeds of each side, one resample after the other."""
    generator, differences = np.random.default_rng(7), []
    for _ in range(resamples):
        photographs = generator.integers(0, first.shape[1], first.shape[1])
        means = []
        for side in (first, other):
            seeds = generator.integers(0, len(side), max(1, len(side) - 1))
            means.append(side[seeds][:, photographs].mean())
        differences.append(means[1] - means[0])
    return np.array(differences)


def test_the_difference_by_hand() -> None:
    # Of ten photographs the other answers 7 and 5 rightly, the first 4 and 6 and 5: 6 - 5 of ten.
    first = np.array([[1] * 4 + [0] * 6, [0] * 4 + [1] * 6, [1] * 5 + [0] * 5], dtype=bool)
    other = np.array([[1] * 7 + [0] * 3, [0] * 5 + [1] * 5], dtype=bool)
    found = paired_difference(first, other)
    assert found.value == pytest.approx(0.1)
    assert found.low < 0.1 < found.high
    assert mean_accuracy(first).value == pytest.approx(0.5)


@pytest.mark.parametrize("seeds", [(1, 1), (3, 1), (3, 4)])
def test_the_interval_is_that_of_a_slow_bootstrap(seeds: tuple[int, int]) -> None:
    first, other = answers(seeds[0], 120, 0.6, 1), answers(seeds[1], 120, 0.75, 2)
    first[0], other[0] = first[0] | (answers(1, 120, 0.5, 3)[0]), other[0] & answers(1, 120, 0.8, 4)[0]  # seeds differ
    found, slow = paired_difference(first, other, resamples=20_000), slow_bootstrap(first, other, 20_000)
    assert (found.low, found.high) == pytest.approx(tuple(np.quantile(slow, (0.025, 0.975))), abs=1.01 / 120)
    one, another = _resampled([first, other], 20_000, 0)
    assert (another - one).std() == pytest.approx(slow.std(), rel=0.02)


def test_the_variance_over_seeds_is_that_of_a_mean() -> None:
    """On photographs that are all alike, the draws vary as the mean of s seeds does: the unbiased variance over s."""
    right = np.repeat(np.array([[True], [True], [False]]), 50, axis=1)
    (spread,) = _resampled([right], 40_000, 0)
    assert spread.var() == pytest.approx(right.mean(1).var(ddof=1) / 3, rel=0.03)


def test_seeds_that_answer_alike_are_one() -> None:
    one = answers(1, 200, 0.7, 5)
    same = np.repeat(one, 3, axis=0)
    single, repeated = paired_difference(one, one ^ True), paired_difference(same, same ^ True)
    assert (single.low, single.high) == pytest.approx((repeated.low, repeated.high), abs=1e-9)


def test_against_itself_there_is_no_difference() -> None:
    right = answers(1, 50, 0.5, 6)
    assert paired_difference(right, right) == paired_difference(right[:, ::-1], right[:, ::-1])
    found = paired_difference(right, right)
    assert (found.value, found.low, found.high) == (0, 0, 0)


def test_the_order_of_the_photographs_does_not_matter() -> None:
    first, other = answers(2, 80, 0.6, 1), answers(3, 80, 0.7, 2)
    order = np.random.default_rng(3).permutation(80)
    assert paired_difference(first, other) == paired_difference(first[:, order], other[:, order])
    assert mean_accuracy(first) == mean_accuracy(first[:, order])


def test_the_other_way_round_it_is_the_opposite() -> None:
    first, other = answers(2, 300, 0.6, 1), answers(3, 300, 0.7, 2)
    there, back = (paired_difference(*sides, resamples=20_000) for sides in ((first, other), (other, first)))
    assert there.value == -back.value
    assert (there.low, there.high) == pytest.approx((-back.high, -back.low), abs=0.006)


def test_chunks_do_not_change_the_draws(monkeypatch: pytest.MonkeyPatch) -> None:
    first, other = answers(1, 60, 0.6, 1), answers(1, 60, 0.7, 2)
    whole, groups = paired_difference(first, other, resamples=50), np.arange(60) // 5
    grouped = paired_difference(first, other, groups, resamples=50)
    monkeypatch.setattr("foveate.evaluation.bootstrap._CHUNK_ENTRIES", 12)
    assert paired_difference(first, other, resamples=50) == whole
    assert paired_difference(first, other, groups, resamples=50) == grouped


@pytest.mark.parametrize(("first", "other"), [((1, 3), (1, 2)), ((0, 3), (1, 3)), ((1, 0), (1, 0))])
def test_answers_to_other_photographs_are_refused(first: tuple[int, int], other: tuple[int, int]) -> None:
    with pytest.raises(UserError, match="on the same n > 0 photographs"):
        paired_difference(np.ones(first, dtype=bool), np.ones(other, dtype=bool))
