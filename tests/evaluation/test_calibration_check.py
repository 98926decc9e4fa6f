"""What an evaluation measures of promises, by hand."""

from __future__ import annotations

import numpy as np
import pytest

from foveate.evaluation.calibration_check import CalibrationCheck, MeasuredErrorRate, MeasuredSets, check_calibration
from foveate.evaluation.predictions import PredictionTable
from foveate.report.tables import calibration_markdown


def table(name: str, best: list[float], right: list[bool]) -> PredictionTable:
    """Answers of three classes, the first of which is the best above 0.4; the others share the rest as 2 to 1."""
    sure = np.array(best)
    probabilities = np.stack([sure, (1 - sure) * 2 / 3, (1 - sure) / 3], 1)
    ids = tuple(f"{name}-{index}" for index in range(len(best)))
    return PredictionTable(ids, np.where(right, 0, 1), probabilities, ("wren", "robin", "owl"))


def lines_of(check: CalibrationCheck) -> list[str]:
    return [" ".join(line.split()) for line in calibration_markdown(check, 1.5).splitlines()]


HELD_OUT = table("held-out", [0.91] * 45 + [0.7] * 5, [True] * 45 + [False] * 5)
SPLIT = table("test", [0.95, 0.92, 0.7, 0.39], [True, False, False, True])


def test_by_hand() -> None:
    """The 46th and the 49th highest true probabilities are 0.2; for both error rates 0.91 and more is sure."""
    check = check_calibration(SPLIT.probabilities, SPLIT, HELD_OUT)
    # Sets: {wren}, {wren}, {wren, robin}, {wren, robin, owl}: 0.3 x 2/3 is 0.2, and 0.61 / 3 is more.
    assert check.sets == (MeasuredSets(0.9, 0.75, 1.75), MeasuredSets(0.95, 0.75, 1.75))
    assert check.error_rates == (MeasuredErrorRate(0.05, 0.5, 0.5), MeasuredErrorRate(0.1, 0.5, 0.5))
    (refused,) = check.refused
    assert refused.startswith("an error rate of 0.02 takes at least 114 held-out photographs; got 50")
    assert check.held_out == 50
    assert check.uncalibrated_error == check.calibrated_error == pytest.approx((0.05 + 0.92 + 0.7 + 0.61 * 2 / 3) / 4)


def test_of_nothing_held_out_the_error_alone_is_measured() -> None:
    for held_out in (None, SPLIT):
        check = check_calibration(SPLIT.probabilities, SPLIT, held_out)
        assert (check.held_out, check.sets, check.error_rates, check.refused) == (None, (), (), ())
        markdown = calibration_markdown(check, 1.0)
        assert "Calibration error" in markdown
        assert "temperature" not in markdown
        assert "|" not in markdown


def test_where_no_answer_is_given_none_is_wrong() -> None:
    unsure = table("test", [0.5, 0.6], [True, False])
    check = check_calibration(unsure.probabilities, unsure, HELD_OUT)
    assert check.error_rates[0] == MeasuredErrorRate(0.05, 0.0, None)
    assert ["5", "0.0", "-"] in [line.strip("| ").split(" | ") for line in lines_of(check)]
    assert "at temperature 1.50" in calibration_markdown(check, 1.5)


def test_too_few_for_a_coverage_says_what_the_least_takes() -> None:
    few = table("held-out", [0.9] * 8, [True] * 8)
    check = check_calibration(SPLIT.probabilities, SPLIT, few)
    assert (check.sets, check.error_rates) == ((), ())
    assert [each.split(" held-out")[0] for each in check.refused] == [
        "a coverage of 0.9 takes at least 9",
        "an error rate of 0.1 takes at least 22",
    ]
