"""Images of one group are much alike: intervals, tests and promises count whole groups."""

from __future__ import annotations

from dataclasses import replace
from itertools import product
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_array_equal
from numpy.typing import NDArray
from scipy.stats import norm
from scipy.stats import t as student

from foveate.config.branches import Branch
from foveate.errors import UserError
from foveate.evaluation.accuracy import measure_accuracy
from foveate.evaluation.bootstrap import Estimate, GroupCounts
from foveate.evaluation.calibration_check import check_calibration, coverage_threshold, error_rate_threshold
from foveate.evaluation.conformal import conformal_threshold
from foveate.evaluation.frequency_groups import frequency_groups
from foveate.evaluation.mcnemar import mcnemar
from foveate.evaluation.paired_difference import _resampled, mean_accuracy, paired_difference
from foveate.evaluation.predictions import PredictionTable, aligned, read_predictions, write_predictions
from foveate.evaluation.view_weights import Difference, better_view, choose_view_weights

Right = NDArray[np.bool_]
SIZES = (1, 7, 2, 5, 3, 9, 1, 4, 6, 2)
GROUPS = np.arange(len(SIZES)).repeat(SIZES)


def answers(labels: NDArray[np.int64], share: float, classes: int, seed: int) -> NDArray[np.float64]:
    """Return probabilities of which a share is right, and all of one group are alike."""
    random = np.random.default_rng(seed)
    right = (random.random(len(SIZES)) < share)[GROUPS[: len(labels)]]
    return np.eye(classes)[np.where(right, labels, (labels + 1) % classes)] * 0.9 + 0.1 / classes


def slow_bootstrap(values: NDArray[np.bool_], resamples: int) -> NDArray[np.float64]:
    """Draw g - 1 groups, one resample after the other; return the share of right images in each."""
    random, shares = np.random.default_rng(7), []
    for _ in range(resamples):
        drawn = random.integers(0, len(SIZES), len(SIZES) - 1)
        shares.append(np.concatenate([values[each == GROUPS] for each in drawn]).mean())
    return np.array(shares)


def test_the_interval_of_groups_is_that_of_a_slow_bootstrap() -> None:
    labels = np.arange(len(GROUPS)) % 7
    probabilities = answers(labels, 0.6, 7, 3)
    found = measure_accuracy(probabilities, labels, GROUPS, resamples=20_000)
    slow = slow_bootstrap(probabilities.argmax(1) == labels, 20_000)
    tail = norm.cdf(student.ppf(0.025, len(SIZES) - 1))  # of ten groups as of Student's t
    expected = tuple(np.quantile(slow, (tail, 1 - tail)))
    assert (found.top1.low, found.top1.high) == pytest.approx(expected, abs=0.02)
    assert (found.groups, found.images) == (10, 40)
    right = (probabilities.argmax(1) == labels)[None]
    mean = mean_accuracy(right, GROUPS, resamples=20_000)
    assert (mean.low, mean.high) == pytest.approx(expected, abs=0.02)
    (spread,) = _resampled([right], 20_000, 0, GROUPS)
    assert spread.std() == pytest.approx(slow.std(), rel=0.03)


def test_the_interval_of_groups_is_wider_where_those_of_one_are_alike() -> None:
    labels = np.arange(len(GROUPS)) % 7
    probabilities = answers(labels, 0.6, 7, 3)
    single, grouped = measure_accuracy(probabilities, labels), measure_accuracy(probabilities, labels, GROUPS)
    assert grouped.top1.value == single.top1.value
    assert grouped.top1.high - grouped.top1.low > 1.5 * (single.top1.high - single.top1.low)
    thirds = (
        frequency_groups(probabilities, labels, np.array([1, 2, 3, 20, 20, 30, 40]), groups)
        for groups in (None, GROUPS)
    )
    one, other = (each[0].mean_per_class for each in thirds)
    assert other.high - other.low > one.high - one.low


def test_repeated_images_say_no_more_than_one_of_each() -> None:
    """Each image five times, in a group of its own: the spread is that of the images themselves."""
    right = np.random.default_rng(1).random((2, 60)) < 0.7
    groups = np.arange(60).repeat(5)
    (once,), (repeated,) = (
        _resampled([each], 40_000, 0, of)
        for each, of in ((right, np.arange(60)), (np.repeat(right, 5, axis=1), groups))
    )
    assert repeated.std() == pytest.approx(once.std(), rel=0.02)
    one, other = right[:1], right[1:]
    difference = paired_difference(np.repeat(one, 5, axis=1), np.repeat(other, 5, axis=1), groups, resamples=20_000)
    single = paired_difference(one, other, resamples=20_000)
    assert (difference.low, difference.high) == pytest.approx((single.low, single.high), abs=0.025)
    assert difference.value == pytest.approx(single.value)


@pytest.mark.parametrize("count", [1, 2, 5])
def test_a_handful_of_groups_says_nothing_of_others(count: int) -> None:
    labels, groups = np.arange(20) % 5, np.arange(20) % count
    right = np.random.default_rng(0).random((2, 20)) < 0.5
    probabilities = np.eye(5)[np.where(right[0], labels, (labels + 1) % 5)]
    found = measure_accuracy(probabilities, labels, groups)
    assert (found.top1.low, found.top1.high) == (0, 1)
    assert (found.mean_per_class.low, found.mean_per_class.high) == (0, 1)
    assert found.top5 == Estimate(1.0, 1.0, 1.0)
    all_right = measure_accuracy(np.eye(7)[np.arange(21) % 7], np.arange(21) % 7, np.arange(21) % count)
    assert (all_right.top1.low, all_right.top1.high) == (0, 1)
    difference = paired_difference(right[:1], right[1:], groups)
    assert (difference.low, difference.high) == (-1, 1)
    assert difference.value == paired_difference(right[:1], right[1:]).value


@pytest.mark.parametrize("number", [6, 10, 30])
def test_the_interval_over_groups_holds_the_true_accuracy_about_19_times_in_20(number: int) -> None:
    """Groups of ten, in each of which photographs are right with a chance of its own; 70% over all groups."""
    random, covered = np.random.default_rng(number), 0
    for _ in range(300):
        right = random.random((number, 10)) < random.beta(3.5, 1.5, (number, 1))
        found = mean_accuracy(right.reshape(1, -1), np.arange(number).repeat(10), resamples=400)
        covered += found.low <= 0.7 <= found.high
    assert 0.87 <= covered / 300 <= 1  # shares lie askew: a few in a hundred less than asked


def test_groups_that_are_alike_are_told_once() -> None:
    cells, groups = np.array([0, 1, 1, 0, 2, 2, 1, 0]), np.array([7, 7, 3, 3, 5, 9, 4, 4])
    found = GroupCounts.of(cells, groups, 4)
    assert sorted(zip(found.alike.tolist(), found.kinds.toarray().tolist(), strict=True)) == [
        (2, [0, 0, 1, 0]),
        (3, [1, 1, 0, 0]),
    ]
    assert found.number == 5


def test_all_right_is_said_of_groups() -> None:
    """12 groups of 12 are 73.5 to 100%, by Clopper and Pearson, however many images each has."""
    labels, groups = np.arange(600) % 6, np.arange(600) % 12
    found = measure_accuracy(np.eye(6)[labels], labels, groups)
    assert found.top1.low == pytest.approx(0.7354, abs=1e-4)
    assert found.top1.high == 1


def test_a_top_5_of_all_leaves_top_1_its_interval() -> None:
    labels = np.arange(300) % 10
    probabilities = np.eye(10)[labels] + np.where(
        np.arange(300)[:, None] % 30 == 0, np.eye(10)[(labels + 1) % 10] * 2, 0
    )
    found = measure_accuracy(probabilities, labels, np.arange(300) // 10)
    assert found.top5.value == 1
    assert found.top1.value == pytest.approx(29 / 30)
    assert found.top1.low > 0.9
    assert found.top5.low >= found.top3.low >= found.top1.low


def test_the_order_of_images_changes_no_interval_of_groups() -> None:
    labels, order = np.arange(len(GROUPS)) % 7, np.random.default_rng(4).permutation(len(GROUPS))
    probabilities = answers(labels, 0.6, 7, 3)
    renamed = np.random.default_rng(5).permutation(len(SIZES))[GROUPS]
    found = measure_accuracy(probabilities, labels, GROUPS)
    assert measure_accuracy(probabilities[order], labels[order], renamed[order]) == found


def test_mcnemar_of_groups_by_hand() -> None:
    """Differences of 2, 1 and -1: of the eight sums of their signs, 4 2 2 0 0 -2 -2 -4, six are as far from 0 as 2."""
    a = np.array([1, 1, 1, 0, 1, 0], dtype=bool)
    b = np.array([0, 0, 0, 0, 0, 1], dtype=bool)
    b[4] = True
    groups = np.array([0, 0, 1, 1, 2, 2])
    test = mcnemar(a, b, groups)
    assert (test.only_a, test.only_b) == (3, 1)
    assert test.difference == pytest.approx(2 / 6)
    assert test.p_value == pytest.approx(6 / 8)
    assert Difference.of(a, b, groups).standard_error == pytest.approx(np.sqrt(4 + 1 + 1) / 6)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.booleans(), st.booleans(), st.integers(0, 7)), min_size=1, max_size=40))
def test_mcnemar_of_groups_is_that_of_all_signs(images: list[tuple[bool, bool, int]]) -> None:
    a, b = (np.array([each[side] for each in images]) for side in (0, 1))
    groups = np.array([each[2] for each in images])
    differences = np.bincount(groups, a.astype(float) - b)
    sums = [abs(np.dot(signs, differences)) for signs in product((-1, 1), repeat=len(differences))]
    expected = np.mean(np.array(sums) >= abs(differences.sum()))
    test = mcnemar(a, b, groups)
    assert test.p_value == pytest.approx(expected)
    alone = mcnemar(a, b, np.arange(len(a)))
    assert alone.p_value == pytest.approx(mcnemar(a, b).p_value)
    assert Difference.of(a, b, np.arange(len(a))) == Difference.of(a, b)


def test_a_view_that_is_better_in_one_group_of_five_is_not_better() -> None:
    """Of one photograph the view alone is right. Five of it, in one group, say no more."""
    labels = np.zeros(60, dtype=np.int64)
    right = {Branch.ORIGINAL: np.ones(60, dtype=bool), Branch.JOINT: np.arange(60) >= 5}
    answered = {branch: np.where(each[:, None], (0.9, 0.1), (0.1, 0.9)) for branch, each in right.items()}
    groups = np.arange(60) // 5
    assert choose_view_weights(answered, labels).weights == {Branch.ORIGINAL: 1.0}
    assert choose_view_weights(answered, labels, groups).weights is None
    single, grouped = (better_view(answered, answered[Branch.JOINT], labels, each) for each in (None, groups))
    assert single is not None
    assert grouped is not None
    assert single.difference.beyond_one_error
    assert not grouped.difference.beyond_one_error
    few = choose_view_weights(answered, labels, np.arange(60) % 4)
    assert "fitted" not in [each.name for each in few.tried]


def held_out(groups: NDArray[np.int64] | None) -> PredictionTable:
    random = np.random.default_rng(2)
    probabilities = random.dirichlet((4.0, 1.0, 1.0), 120)
    return PredictionTable(
        tuple(map(str, range(120))), np.zeros(120, np.int64), probabilities, tuple("abc"), {}, groups
    )


def test_promises_rest_on_one_image_of_each_group() -> None:
    groups = np.random.default_rng(5).integers(0, 30, 120)
    table = held_out(groups)
    one = table.independent
    assert sorted(groups[[int(each) for each in one.ids]]) == list(range(30))
    assert one.groups is None
    assert_array_equal(one.probabilities, table.probabilities[[int(each) for each in one.ids]])
    assert coverage_threshold(table, 0.9) == conformal_threshold(one.probabilities, one.labels, 0.9)
    alone = held_out(None)
    assert alone.independent is alone
    with pytest.raises(UserError, match=r"takes at least 39 held-out groups of photographs; got 30; hold out more"):
        coverage_threshold(table, 0.975)
    with pytest.raises(UserError, match=r"takes at least 45 held-out groups of photographs; got 30"):
        error_rate_threshold(table, 0.05)
    with pytest.raises(UserError, match=r"30 held-out groups of photographs; got 0.1; .* or add groups of photographs"):
        error_rate_threshold(replace(table, labels=np.ones(120, np.int64)), 0.1)
    other = replace(alone, ids=tuple(f"test {each}" for each in alone.ids))
    check = check_calibration(other.probabilities, other, table)
    assert (check.held_out, check.counted) == (30, "groups of photographs")


def test_groups_are_kept_with_the_answers(tmp_path: Path) -> None:
    groups = np.random.default_rng(5).integers(0, 30, 120)
    write_predictions(tmp_path / "grouped.parquet", held_out(groups))
    write_predictions(tmp_path / "single.parquet", held_out(None))
    read, single = (read_predictions(tmp_path / f"{name}.parquet") for name in ("grouped", "single"))
    assert read.groups is not None
    assert read.groups.dtype == np.int64
    assert_array_equal(read.groups, groups)
    assert single.groups is None
    order = np.random.default_rng(6).permutation(120)
    mixed = replace(
        read,
        ids=tuple(read.ids[row] for row in order),
        labels=read.labels[order],
        probabilities=read.probabilities[order],
        groups=groups[order],
    )
    back = aligned(read, mixed)
    assert back.groups is not None
    assert_array_equal(back.groups, groups)
