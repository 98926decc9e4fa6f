"""Calibration, risk by coverage, alarms and confusion, by hand, by slow loops and against torchmetrics."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torchmetrics.functional.classification import multiclass_calibration_error

from foveate.errors import UserError
from foveate.evaluation.alarms import Alarm, alarm, highest
from foveate.evaluation.calibration import Judged, reliability
from foveate.evaluation.config import TrustStudy
from foveate.evaluation.confusion import ConfusedPair, confused_pairs, confusion_matrix
from foveate.evaluation.risk_coverage import risk_coverage
from oracles.trust import calibration_error, risk_area

SEEDS = st.integers(0, 10_000)


def random_answers(seed: int, count: int, classes: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    return rng.dirichlet(np.full(classes, 0.5), count).astype(np.float32), rng.integers(0, classes, count)


def judged(confidence: list[float], right: list[bool]) -> Judged:
    """Answers of two classes, the first of which is always given."""
    sure = np.array(confidence)
    return Judged.of(np.stack([sure, 1 - sure], 1), np.where(right, 0, 1))


def test_by_hand() -> None:
    """Of five bins the last holds 0.8 (its lower edge), 0.9 and 1, two right; the third 0.5, wrong."""
    answers = judged([0.9, 0.5, 1.0, 0.8], [True, False, True, False])
    bins = reliability(answers, 5)
    assert bins.counts.tolist() == [0, 0, 1, 0, 3]
    assert bins.confidence[[2, 4]].tolist() == pytest.approx([0.5, 0.9])
    assert bins.accuracy[[2, 4]].tolist() == pytest.approx([0, 2 / 3])
    assert np.isnan(bins.accuracy[[0, 1, 3]]).all()
    assert bins.error == pytest.approx(0.25 * 0.5 + 0.75 * (0.9 - 2 / 3))
    risk = risk_coverage(answers)
    assert risk.coverage.tolist() == [0.25, 0.5, 0.75, 1]
    assert risk.risk.tolist() == pytest.approx([0, 0, 1 / 3, 1 / 2])
    assert risk.area == pytest.approx(5 / 24)
    assert risk.excess == pytest.approx(0)  # every right answer comes first


@settings(deadline=None, max_examples=40)
@given(SEEDS, st.integers(1, 60), st.integers(2, 6), st.integers(1, 20))
def test_agrees_with_plain_loops_and_torchmetrics(seed: int, count: int, classes: int, bins: int) -> None:
    probabilities, labels = random_answers(seed, count, classes)
    answers = Judged.of(probabilities, labels)
    assert answers.right.tolist() == (probabilities.argmax(1) == labels).tolist()
    error = reliability(answers, bins).error
    assert error == pytest.approx(calibration_error(list(answers.confidence), list(answers.right), bins), abs=1e-9)
    told = multiclass_calibration_error(torch.from_numpy(probabilities), torch.from_numpy(labels), classes, n_bins=bins)
    assert error == pytest.approx(float(told), abs=1e-5)
    assert 0 <= error <= 1
    risk = risk_coverage(answers)
    assert risk.area == pytest.approx(risk_area(list(answers.confidence), list(answers.right)))
    assert 0 <= risk.excess <= risk.area <= 1
    assert risk.risk[-1] == pytest.approx(1 - answers.right.mean())


def test_what_is_calibrated_has_a_small_error() -> None:
    """Right as often as it is sure; the same answers, all surer by 0.2, have that error."""
    rng = np.random.default_rng(0)
    confidence = rng.uniform(0.5, 0.8, 40_000)
    right = rng.random(40_000) < confidence
    assert reliability(judged(list(confidence), list(right)), 15).error < 0.015
    assert reliability(judged(list(confidence + 0.2), list(right)), 15).error == pytest.approx(0.2, abs=0.015)


@settings(deadline=None, max_examples=30)
@given(SEEDS, st.integers(2, 30))
def test_equally_sure_answers_count_as_their_mean(seed: int, count: int) -> None:
    """The mean over many orders, and no order of the photographs matters."""
    rng = np.random.default_rng(seed)
    confidence, right = rng.choice([0.6, 0.7, 0.9], count), rng.random(count) < 0.5
    found = risk_coverage(judged(list(confidence), list(right)))
    order = rng.permutation(count)
    assert found.risk == pytest.approx(risk_coverage(judged(list(confidence[order]), list(right[order]))).risk)
    drawn = [risk_area(list(confidence + 1e-6 * rng.random(count)), list(right)) for _ in range(100)]
    assert found.area == pytest.approx(np.mean(drawn), abs=0.08)


def test_doubts_that_say_nothing_have_the_share_of_errors_as_area() -> None:
    risk = risk_coverage(judged([0.7] * 8, [True, False, False, True, True, True, True, True]))
    assert risk.risk == pytest.approx(0.25)
    assert risk.excess == pytest.approx(0.25 - (1 / 7 + 2 / 8) / 8)


def test_all_right_or_all_wrong() -> None:
    assert risk_coverage(judged([0.9, 0.6], [True, True])).area == 0
    wrong = risk_coverage(judged([0.9, 0.6], [False, False]))
    assert (wrong.area, wrong.excess) == (1, 0)


def test_alarms_by_hand() -> None:
    right = np.array([True, False, False, True, True])
    raised = np.array([True, True, False, False, False])
    assert alarm(raised, right) == Alarm(2, 0.5, 0.5, 0.5, 2 / 3)
    assert alarm(~right, right) == Alarm(2, 1.0, 1.0, 0.0, 1.0)
    assert alarm(np.zeros(5, dtype=bool), right) == Alarm(0, None, 0.0, None, 0.6)
    assert alarm(np.ones(2, dtype=bool), np.ones(2, dtype=bool)) == Alarm(2, 0.0, None, 1.0, None)
    assert highest(np.array([0.1, 0.5, 0.5, 0.9]), 2).tolist() == [False, True, False, True]
    assert not highest(np.array([0.1, 0.5]), 0).any()


def test_confused_pairs_by_hand() -> None:
    """Class 0 is twice taken for 2 and 2 once for 0; 1 is once taken for 0; the rest is right."""
    labels = np.array([0, 0, 2, 1, 1, 2])
    answers = np.array([2, 2, 0, 0, 1, 2])
    sure = np.array([0.5, 0.6, 0.8, 0.9, 1.0, 0.7])
    probabilities = np.full((6, 3), 0.0)
    probabilities += ((1 - sure) / 2)[:, None]
    probabilities[np.arange(6), answers] = sure
    every = Judged.of(probabilities, labels)
    assert confusion_matrix(every, 3).tolist() == [[0, 0, 2], [1, 1, 0], [1, 0, 1]]
    first, second = ConfusedPair(0, 2, 2, 1, example=2), ConfusedPair(0, 1, 0, 1, example=3)
    assert confused_pairs(every, 3, 8) == (first, second)  # 1 and 2 never are
    assert first.total == 3
    assert confused_pairs(every, 3, 1) == (first,)
    assert confused_pairs(every, 3, 0) == ()


@settings(deadline=None, max_examples=30)
@given(SEEDS, st.integers(1, 40), st.integers(2, 5))
def test_every_error_is_in_one_pair(seed: int, count: int, classes: int) -> None:
    every = Judged.of(*random_answers(seed, count, classes))
    pairs = confused_pairs(every, classes, classes**2)
    assert sum(pair.total for pair in pairs) == (~every.right).sum()
    for pair in pairs:
        assert {every.labels[pair.example], every.answers[pair.example]} == {pair.first, pair.second}


def test_rounding_above_1_is_forgiven_and_logits_are_not() -> None:
    above = np.nextafter(np.float32(1), np.float32(2))
    answers = Judged.of(np.array([[above, 0.0]], np.float32), np.array([0]))
    assert answers.confidence.tolist() == [1]
    assert reliability(answers, 15).error == 0
    with pytest.raises(UserError, match=r"of sum 1; got values from -1.*not logits"):
        Judged.of(np.array([[3.0, -1.0]]), np.array([0]))


@pytest.mark.parametrize(
    ("labels", "shape", "message"),
    [
        ([-1], (1, 2), "labels must be in 0"),
        ([], (0, 2), "at least one image"),
        ([0], (2, 2), "one row for each image"),
    ],
)
def test_what_cannot_be_judged_is_refused(labels: list[int], shape: tuple[int, int], message: str) -> None:
    with pytest.raises(UserError, match=message):
        Judged.of(np.full(shape, 0.5), np.array(labels, dtype=np.int64))


@pytest.mark.parametrize(("field", "value"), [("bins", 0), ("pairs", -1)])
def test_a_study_without_sense_is_refused(field: str, value: int) -> None:
    with pytest.raises(UserError, match=f"{field} must"):
        TrustStudy(**{field: value})
