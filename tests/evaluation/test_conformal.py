"""Conformal sets and the error rate: by hand, by slow loops, and how often they keep their word."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import softmax
from scipy.stats import binom

from foveate.errors import UserError
from foveate.evaluation.calibration import Judged
from foveate.evaluation.conformal import conformal_sets, conformal_threshold, least_photographs
from foveate.evaluation.error_rate import confidence_threshold, least_answers

SEEDS = st.integers(0, 10_000)


def drawn(rng: np.random.Generator, photographs: int, sharpness: float = 1.5) -> tuple[np.ndarray, np.ndarray]:
    """Answers of a network that is too sure, of six classes; the sharper, the more are right."""
    logits = rng.normal(0, sharpness, (photographs, 6))
    noise = -np.log(-np.log(rng.uniform(size=logits.shape)))  # of Gumbel: labels are drawn from the softmax
    return softmax(3 * logits, 1).astype(np.float32), (logits + noise).argmax(1)


def test_sets_by_hand() -> None:
    """Of four photographs a coverage of 0.6 takes the ceil(5 x 0.6) = third highest true probability, 0.3."""
    probabilities = np.array([[0.9, 0.1, 0], [0.3, 0.5, 0.2], [0.2, 0.2, 0.6], [0.8, 0.1, 0.1]])
    threshold = conformal_threshold(probabilities, np.array([0, 0, 2, 1]), 0.6)
    assert threshold == 0.3
    asked = np.array([[0.4, 0.3, 0.3], [0.9, 0.1, 0.0], [0.29, 0.28, 0.27]])
    assert conformal_sets(asked, threshold).tolist() == [[True, True, True], [True, False, False], [True, False, False]]


@pytest.mark.parametrize("coverage", [0.5, 0.8, 0.9, 0.95, 0.975, 0.99, 0.999])
def test_so_many_photographs_are_the_least(coverage: float) -> None:
    needed, exact = least_photographs(coverage), Fraction(str(coverage))
    assert needed == next(n for n in range(1, 10_000) if math.ceil((n + 1) * exact) <= n)
    few = np.full((needed - 1, 2), 0.5), np.zeros(needed - 1, int)
    with pytest.raises(UserError, match=rf"takes at least {needed} held-out photographs; got {needed - 1};") as error:
        conformal_threshold(*few, coverage)
    largest = float(str(error.value).rsplit(" ", 1)[1])
    assert largest < coverage
    if largest:
        conformal_threshold(*few, largest)
    conformal_threshold(np.full((needed, 2), 0.5), np.zeros(needed, int), coverage)


@pytest.mark.parametrize("coverage", [0.0, 1.0, 95.0, -0.1, math.nan])
def test_a_coverage_is_a_fraction(coverage: float) -> None:
    with pytest.raises(UserError, match=r"between 0 and 1, 0.95 for 95%; got"):
        least_photographs(coverage)


@pytest.mark.parametrize(("photographs", "coverage"), [(19, 0.95), (60, 0.9), (200, 0.8)])
def test_sets_cover_as_often_as_was_asked(photographs: int, coverage: float) -> None:
    """Over many held-out samples: at least the coverage, and at most 1 / (n + 1) more where the best is not added."""
    rng, covered, bare = np.random.default_rng(0), [], []
    for _ in range(600):
        threshold = conformal_threshold(*drawn(rng, photographs), coverage)
        probabilities, labels = drawn(rng, 100)
        true = probabilities[np.arange(100), labels]
        covered.append(conformal_sets(probabilities, threshold)[np.arange(100), labels].mean())
        bare.append((true >= threshold).mean())
    error = 3 * np.std(bare) / math.sqrt(len(bare))
    assert np.mean(covered) >= coverage - error
    assert np.mean(bare) == pytest.approx(coverage + 0.5 / (photographs + 1), abs=0.5 / (photographs + 1) + error)


@settings(deadline=None, max_examples=40)
@given(SEEDS, st.integers(9, 80))
def test_sets_grow_with_the_coverage_and_hold_the_best(seed: int, photographs: int) -> None:
    probabilities, labels = drawn(np.random.default_rng(seed), photographs)
    small, large = (
        conformal_sets(probabilities, conformal_threshold(probabilities, labels, each)) for each in (0.6, 0.9)
    )
    assert (small <= large).all()
    assert small[np.arange(photographs), probabilities.argmax(1)].all()
    assert large[np.arange(photographs), labels].mean() >= 0.9


def judged(confidence: list[float], right: list[bool]) -> Judged:
    sure = np.array(confidence)
    return Judged.of(np.stack([sure, 1 - sure], 1), np.where(right, 0, 1))


def test_error_rate_by_hand() -> None:
    """None of 22 surest is wrong: 1 - 0.1^(1/22) = 9.94%. Two more, of equal confidence, one wrong: 15.3% of 24."""
    answers = judged([0.9] * 22 + [0.7, 0.7] + [0.6] * 10, [True] * 22 + [True, False] + [False] * 10)
    assert confidence_threshold(answers, 0.0995) == 0.9
    assert confidence_threshold(answers, 0.154) == 0.7  # 0.846^24 + 24 x 0.154 x 0.846^23 < 0.1
    assert confidence_threshold(answers, 0.152) == 0.9
    assert confidence_threshold(answers, 0.6) == 0  # all of them


@settings(deadline=None, max_examples=60)
@given(SEEDS, st.integers(22, 120), st.sampled_from([0.1, 0.2, 0.3, 0.5]))
def test_error_rate_by_a_slow_loop(seed: int, photographs: int, rate: float) -> None:
    """A threshold passes where at this rate so few wrong answers would be rarer than one in ten."""
    answers = Judged.of(*drawn(np.random.default_rng(seed), photographs, sharpness=4))
    passing = []
    for threshold in answers.confidence:
        above = answers.confidence >= threshold
        if binom.cdf((above & ~answers.right).sum(), above.sum(), rate) <= 0.1:
            passing.append(threshold)
    if not passing:
        with pytest.raises(UserError, match="where it is surest"):
            confidence_threshold(answers, rate)
    elif min(passing) == answers.confidence.min():
        assert confidence_threshold(answers, rate) == 0
    else:
        assert confidence_threshold(answers, rate) == min(passing)


@pytest.mark.parametrize("sharpness", [1.5, 4])
@pytest.mark.parametrize(("photographs", "rate"), [(60, 0.1), (150, 0.05), (400, 0.02)])
def test_nine_of_ten_networks_keep_the_rate(photographs: int, rate: float, sharpness: float) -> None:
    """Of many held-out samples; one that allows no answer keeps it. Some room for chance, and for many thresholds."""
    rng, broken, answered = np.random.default_rng(1), 0, 0
    asked = Judged.of(*drawn(rng, 50_000, sharpness))
    for _ in range(300):
        try:
            threshold = confidence_threshold(Judged.of(*drawn(rng, photographs, sharpness)), rate)
        except UserError:
            continue
        above = asked.confidence >= threshold
        broken, answered = broken + bool((~asked.right[above]).mean() > rate), answered + bool(above.any())
    assert broken / 300 <= 0.13
    assert sharpness < 4 or answered


@pytest.mark.parametrize(("rate", "needed"), [(0.02, 114), (0.01, 230), (0.05, 45), (0.1, 22), (0.9, 1)])
def test_an_error_rate_takes_so_many_photographs(rate: float, needed: int) -> None:
    assert least_answers(rate) == needed
    assert (1 - rate) ** needed <= 0.1 + 1e-9 < (1 - rate) ** (needed - 1)
    assert confidence_threshold(judged([0.9] * needed, [True] * needed), rate + 1e-9) == 0
    few = judged([0.9] * max(needed - 1, 1), [True] * max(needed - 1, 1))
    if needed > 1:
        with pytest.raises(UserError, match=rf"at least {needed} held-out photographs; got {needed - 1};") as error:
            confidence_threshold(few, rate)
        confidence_threshold(few, float(str(error.value).rsplit(" ", 1)[1]))


def test_a_network_that_is_never_so_sure_says_what_it_reaches() -> None:
    answers = judged([0.9, 0.8] * 30, [False, True] * 30)
    with pytest.raises(UserError, match=r"0\.\d* on its 60 held-out photographs; got 0.1; ask for that or more"):
        confidence_threshold(answers, 0.1)


@pytest.mark.parametrize("rate", [0.0, 1.0, 2.0, math.nan])
def test_an_error_rate_is_a_fraction(rate: float) -> None:
    with pytest.raises(UserError, match=r"between 0 and 1, 0.02 for 2%; got"):
        least_answers(rate)
