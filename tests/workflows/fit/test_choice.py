"""Which method is taken, by hand."""

from __future__ import annotations

import numpy as np
import pytest

from foveate.workflows.fit.choice import Candidate, choose, is_chance, mean_and_error_behind, mean_per_class
from foveate.workflows.fit.config import Prefer


def candidate(name: str, right: int, of: int = 100, gflop: float = 1.0, first: int = 0) -> Candidate:
    """One that answers `right` of the photographs rightly, from the one at `first` on."""
    flags = np.zeros(of, bool)
    flags[first : first + right] = True
    return Candidate(name, flags, gflop)


def test_the_paired_difference_is_that_of_hand() -> None:
    """Of 4 photographs a has three right, b one of these and the fourth: differences 0, 1, 1, -1."""
    a, b = np.array([True, True, True, False]), np.array([True, False, False, True])
    mean, error = mean_and_error_behind(a, b)
    assert mean == pytest.approx(0.25)
    assert error == pytest.approx(np.sqrt(((0.0625 + 2 * 0.5625 + 1.5625) / 3) / 4))
    assert mean_and_error_behind(a[:1], b[:1]) == (0.0, np.inf)


def test_the_best_mean_wins_where_it_is_clear() -> None:
    """90 right against 60 of the same: 30 photographs differ, all in one direction; the error is 4.6 points."""
    choice = choose([candidate("probe", 60), candidate("s3n", 90, gflop=3)], Prefer.ACCURACY)
    assert choice.winner == "s3n"
    assert choice.compared[0].behind == pytest.approx(0.3)
    assert choice.compared[0].standard_error == pytest.approx(np.sqrt(0.3 * 0.7 / 99))
    assert "90.0%" in choice.reason


def test_of_two_within_one_standard_error_the_cheaper_is_taken() -> None:
    """80 and 79 right, of which 78 alike: differences +2, -1 of 100, error sqrt((3 - 0.01) / 99 / 100) = 1.7 points."""
    dear, cheap = candidate("s3n", 80, gflop=3), candidate("plain", 79, first=2)
    choice = choose([cheap, dear], Prefer.ACCURACY)
    assert choice.winner == "plain"
    assert choice.compared[0].standard_error == pytest.approx(np.sqrt((3 - 0.01) / 99 / 100))
    assert "plain is cheaper (1 GFLOP in place of 3)" in choice.reason
    assert choose([candidate("plain", 80), candidate("s3n", 79, gflop=3)], Prefer.ACCURACY).winner == "plain"


def test_speed_takes_one_within_two_standard_errors() -> None:
    """Three photographs more, and no less: 3 points behind, an error of 1.7."""
    both = [candidate("plain", 77), candidate("s3n", 80, gflop=3)]
    assert choose(both, Prefer.ACCURACY).winner == "s3n"
    assert choose(both, Prefer.SPEED).winner == "plain"


@pytest.mark.parametrize("prefer", Prefer)
def test_of_equal_cost_the_one_that_is_right_more_often_is_taken(prefer: Prefer) -> None:
    assert choose([candidate("probe", 79, first=2), candidate("plain", 80)], prefer).winner == "plain"
    assert choose([candidate("probe", 80, first=2), candidate("plain", 80)], prefer).winner == "probe"
    level = [candidate("probe", 78, first=2), candidate("plain", 79, first=2), candidate("s3n", 80, gflop=3)]
    assert choose(level, prefer).winner == "plain"


def test_the_error_of_groups_is_that_of_hand() -> None:
    """Two videos of two photographs; a is right on all of the first: sums of d - 1/2 are 1 and -1, n is 4, G is 2."""
    a, b = np.array([True, True, False, False]), np.zeros(4, bool)
    mean, error = mean_and_error_behind(a, b, np.array([3, 3, 5, 5]))
    assert mean == 0.5
    assert error == pytest.approx(np.sqrt(2 / 1 * 2) / 4)
    assert mean_and_error_behind(a, b, np.arange(4)) == pytest.approx(mean_and_error_behind(a, b))
    assert mean_and_error_behind(a, b, np.zeros(4, int))[1] == np.inf


def test_videos_that_err_as_a_whole_say_less_than_their_frames() -> None:
    """Of 10 videos of 10 frames one is right in the dear method alone: 10 points, an error of 3 by frames, of 10."""
    level = [candidate("plain", 80), candidate("s3n", 90, gflop=3)]
    assert choose(level, Prefer.ACCURACY).winner == "s3n"
    choice = choose(level, Prefer.ACCURACY, np.arange(100) // 10)
    assert choice.compared[0].standard_error == pytest.approx(0.1)
    assert choose(level, Prefer.SPEED, np.arange(100) // 10).winner == "plain"


def test_a_cheaper_backbone_counts_whatever_its_place() -> None:
    """Lite1's probe comes before the plain network of Lite0, and its pass is the dearer one."""
    level = [candidate("probe-lite1", 80, gflop=1.2), candidate("plain", 80, gflop=0.768, first=2)]
    choice = choose(level, Prefer.ACCURACY)
    assert choice.winner == "plain"
    level = [candidate("probe-lite1", 80, gflop=1.2), candidate("plain", 79, gflop=0.768, first=2)]
    assert "plain is cheaper (0.768 GFLOP in place of 1.2)" in choose(level, Prefer.ACCURACY).reason


def test_of_equal_means_the_cheaper_is_taken() -> None:
    equal = [candidate("plain", 50), candidate("s3n", 50, gflop=3, first=50), candidate("zoom", 50, gflop=9)]
    assert choose(equal, Prefer.ACCURACY).winner == "plain"


def test_a_single_photograph_says_nothing_and_the_cheapest_is_taken() -> None:
    pair = [candidate("probe", 0, of=1), candidate("s3n", 1, of=1, gflop=3)]
    assert choose(pair, Prefer.ACCURACY).winner == "probe"


def test_one_candidate_is_the_choice() -> None:
    assert choose([candidate("probe", 10)], Prefer.SPEED).winner == "probe"


def test_the_mean_over_classes_counts_each_alike() -> None:
    right, labels = np.array([True, True, True, False, False]), np.array([0, 0, 0, 0, 7])
    assert mean_per_class(right, labels) == pytest.approx((0.75 + 0) / 2)


@pytest.mark.parametrize(("top1", "chance"), [(0.1, True), (0.16, True), (0.17, False), (0.9, False)])
def test_what_guessing_reaches_is_chance(top1: float, chance: bool) -> None:
    """Of ten equal classes a tenth, with a standard error of 0.03 over 100 photographs."""
    assert is_chance(top1, photographs=100, largest=0.1) == chance
