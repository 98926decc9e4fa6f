from __future__ import annotations

from dataclasses import astuple
from random import Random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose
from numpy.typing import NDArray
from scipy.stats import binomtest, bootstrap

from foveate.errors import UserError
from foveate.evaluation import accuracy as module
from foveate.evaluation.accuracy import Accuracy, measure_accuracy, truth_ranks
from foveate.evaluation.bootstrap import Estimate
from oracles.accuracy import naive_bootstrap, naive_metrics, naive_rank

Sample = tuple[NDArray[np.floating], NDArray[np.integer]]


def sample(images: int, classes: int, seed: int, levels: int = 0) -> Sample:
    """Random answers, somewhat better than chance; with ``levels``, probabilities take few values and tie."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(classes, size=images)
    scores = rng.random((images, classes)) + 0.4 * (np.arange(classes) == labels[:, None])
    if levels:
        scores = np.floor(levels * scores) / levels
    return scores.astype(np.float32), labels


def estimates(accuracy: Accuracy) -> list[Estimate]:
    return [accuracy.top1, accuracy.top3, accuracy.top5, accuracy.mean_per_class]


def values(accuracy: Accuracy) -> list[float]:
    return [estimate.value for estimate in estimates(accuracy)]


samples = st.builds(
    sample,
    images=st.integers(1, 30),
    classes=st.integers(1, 8),
    seed=st.integers(0, 10_000),
    levels=st.sampled_from([0, 2]),
)


def test_hand_computed_case() -> None:
    probabilities = np.array(
        [
            [0.5, 0.2, 0.1, 0.1, 0.06, 0.04],  # 0 is first
            [0.5, 0.2, 0.1, 0.1, 0.06, 0.04],  # 1 is second
            [0.5, 0.2, 0.1, 0.1, 0.06, 0.04],  # 3 ties with 2 and comes after it: fourth
            [0.5, 0.2, 0.1, 0.1, 0.06, 0.04],  # 5 is sixth
            [0.1, 0.4, 0.1, 0.2, 0.1, 0.1],  # 1 is first
        ]
    )
    labels = np.array([0, 1, 3, 5, 1])

    assert truth_ranks(probabilities, labels).tolist() == [0, 1, 3, 5, 0]
    accuracy = measure_accuracy(probabilities, labels)
    # Classes 0, 1, 3, 5 have 1, 1/2, 0, 0; classes 2 and 4 have no image.
    assert values(accuracy) == [2 / 5, 3 / 5, 4 / 5, 1.5 / 4]
    assert (accuracy.images, accuracy.classes) == (5, 6)


@settings(deadline=None)
@given(samples)
def test_agrees_with_plain_loops(answers: Sample) -> None:
    probabilities, labels = answers
    rows = probabilities.tolist()
    ranks = [naive_rank(row, label) for row, label in zip(rows, labels.tolist(), strict=True)]
    assert truth_ranks(probabilities, labels).tolist() == ranks
    assert_allclose(values(measure_accuracy(probabilities, labels, resamples=1)), naive_metrics(rows, labels.tolist()))


@settings(deadline=None)
@given(samples)
def test_estimates_are_ordered_fractions_inside_their_intervals(answers: Sample) -> None:
    accuracy = measure_accuracy(*answers, resamples=20)
    for estimate in estimates(accuracy):
        assert 0 <= estimate.low <= estimate.value <= estimate.high <= 1
    for part in range(3):
        top1, top3, top5 = (astuple(k)[part] for k in (accuracy.top1, accuracy.top3, accuracy.top5))
        assert top1 <= top3 <= top5
    if accuracy.classes <= 5:
        assert accuracy.top5 == Estimate(1.0, 1.0, 1.0)


@settings(deadline=None)
@given(samples, st.randoms(use_true_random=False))
def test_order_of_images_changes_nothing(answers: Sample, random: Random) -> None:
    probabilities, labels = answers
    order = list(range(len(labels)))
    random.shuffle(order)
    assert measure_accuracy(probabilities[order], labels[order], resamples=20) == measure_accuracy(
        probabilities, labels, resamples=20
    )


def test_order_of_classes_changes_no_value() -> None:
    probabilities, labels = sample(80, 9, seed=2)
    order = np.random.default_rng(0).permutation(9)
    permuted = measure_accuracy(probabilities[:, order], np.argsort(order)[labels])
    assert_allclose(values(permuted), values(measure_accuracy(probabilities, labels)))


def test_chunks_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    answers = sample(50, 7, seed=4)
    whole = measure_accuracy(*answers, resamples=30)
    monkeypatch.setattr(module, "_CHUNK_ENTRIES", 20)
    assert measure_accuracy(*answers, resamples=30) == whole


def test_the_seed_decides_the_intervals() -> None:
    answers = sample(50, 7, seed=4)
    assert measure_accuracy(*answers, seed=1) == measure_accuracy(*answers, seed=1)
    assert measure_accuracy(*answers, seed=1) != measure_accuracy(*answers, seed=2)


def test_intervals_agree_with_resampling_the_images_themselves() -> None:
    probabilities, labels = sample(60, 6, seed=5)
    accuracy = measure_accuracy(probabilities, labels, resamples=4000)
    low, high = naive_bootstrap(probabilities.tolist(), labels.tolist(), resamples=1500, seed=1)
    spread = [place for place, each in enumerate(estimates(accuracy)) if each.value < 1]  # else it is the exact one
    assert_allclose([estimates(accuracy)[place].low for place in spread], np.array(low)[spread], atol=0.025)
    assert_allclose([estimates(accuracy)[place].high for place in spread], np.array(high)[spread], atol=0.025)


def test_top1_interval_agrees_with_scipy() -> None:
    probabilities, labels = sample(400, 10, seed=6)
    right = (truth_ranks(probabilities, labels) == 0).astype(float)
    reference = bootstrap(
        (right,), np.mean, n_resamples=4000, method="percentile", rng=np.random.default_rng(0)
    ).confidence_interval
    top1 = measure_accuracy(probabilities, labels, resamples=4000).top1
    assert_allclose([top1.low, top1.high], [reference.low, reference.high], atol=0.006)


@pytest.mark.parametrize("right", [0, 12])
def test_the_interval_of_all_or_none_is_the_exact_one(right: int) -> None:
    """Resamples of twelve right answers are all alike, and yet a quarter of others may be wrong."""
    labels = np.arange(12) % 4
    answered = labels if right else (labels + 1) % 4
    accuracy = measure_accuracy(np.eye(4)[answered], labels)
    exact = binomtest(right, 12).proportion_ci(0.95, "exact")
    for each in (accuracy.top1, accuracy.top3) if right else (accuracy.top1,):
        assert_allclose([each.value, each.low, each.high], [right / 12, exact.low, exact.high], atol=1e-12)
    assert accuracy.top5 == Estimate(1.0, 1.0, 1.0)  # of four classes


def test_the_interval_covers_the_true_accuracy_about_19_times_in_20() -> None:
    images, true_accuracy = 200, 0.7
    rng = np.random.default_rng(8)
    covered = 0
    for trial in range(200):
        labels = rng.integers(2, size=images)
        right = rng.random(images) < true_accuracy
        answered = np.where(right, labels, 1 - labels)
        top1 = measure_accuracy(np.eye(2)[answered], labels, resamples=400, seed=trial).top1
        covered += top1.low <= true_accuracy <= top1.high
    # 0.9 to 0.99 of 200: outside it about once in a thousand seeds, were the coverage exactly 0.95.
    assert 180 <= covered <= 198


@pytest.mark.parametrize(
    ("probabilities", "labels", "message"),
    [
        (np.empty((0, 3)), np.empty(0, dtype=int), "at least one image"),
        (np.empty((2, 0)), np.zeros(2, dtype=int), "at least one image and one class"),
        (np.ones((2, 3)), np.array([0, 3]), r"labels must be in 0\.\.2.*got 0 to 3"),
        (np.ones((2, 3)), np.array([-1, 0]), "unknown"),
        (np.array([[0.5, np.nan]]), np.array([0]), "finite"),
        (np.array([[0.5, np.inf]]), np.array([0]), "finite"),
        (np.ones((2, 3)), np.array([0]), r"\(2, 3\) and \(1,\)"),
        (np.ones(3), np.array([0, 1, 2]), r"must be \(n, c\)"),
    ],
)
def test_bad_input_is_named(probabilities: NDArray[np.floating], labels: NDArray[np.integer], message: str) -> None:
    with pytest.raises(UserError, match=message):
        measure_accuracy(probabilities, labels)


def test_resamples_must_be_positive() -> None:
    with pytest.raises(UserError, match="resamples must be at least 1; got 0"):
        measure_accuracy(*sample(3, 3, seed=0), resamples=0)
