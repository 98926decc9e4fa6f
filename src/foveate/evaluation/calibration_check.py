"""Whether calibrated answers, conformal sets and error rates keep on a split what held-out answers promise."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from foveate.errors import UserError
from foveate.evaluation.calibration import BINS, Judged, reliability
from foveate.evaluation.conformal import conformal_sets, conformal_threshold
from foveate.evaluation.error_rate import confidence_threshold
from foveate.evaluation.predictions import PredictionTable

COVERAGES = (0.9, 0.95)
ERROR_RATES = (0.02, 0.05, 0.1)
"""What is measured of a split."""


class MeasuredSets(NamedTuple):
    """Conformal sets of a coverage."""

    asked: float
    covered: float
    """Share of the photographs whose set holds the true class."""
    mean_size: float
    """Classes in a set."""


class MeasuredErrorRate(NamedTuple):
    """The answers that are given at an error rate."""

    asked: float
    kept: float
    """Share of the photographs whose answer is given."""
    error: float | None
    """Share of wrong ones among them; None where there are none."""


@dataclass(frozen=True, slots=True)
class CalibrationCheck:
    """What was measured of n photographs of a split."""

    uncalibrated_error: float
    """Expected calibration error of the answers as the network gives them (`evaluation.calibration`)."""
    calibrated_error: float
    held_out: int | None
    """So many held-out photographs the rest was fitted to; None: there are none, or they are the split's own."""
    sets: tuple[MeasuredSets, ...] = ()
    error_rates: tuple[MeasuredErrorRate, ...] = ()
    refused: tuple[str, ...] = ()
    """Why some coverages and error rates are not offered."""


def check_calibration(
    before: Float[np.ndarray, "n c"], table: PredictionTable, held_out: PredictionTable | None
) -> CalibrationCheck:
    """Measure a split.

    Args:
        before: The probabilities of its photographs, not calibrated.
        table: The same answers, calibrated.
        held_out: Calibrated held-out answers; None: there are none.
    """
    judged = Judged.of(table.probabilities, table.labels)
    errors = [reliability(each, BINS).error for each in (Judged.of(before, table.labels), judged)]
    if held_out is None or set(held_out.ids) & set(table.ids):
        return CalibrationCheck(errors[0], errors[1], None)
    sets, rates, refused = [], [], []
    for coverage in COVERAGES:
        try:
            sets.append(_sets(table, conformal_threshold(held_out.probabilities, held_out.labels, coverage), coverage))
        except UserError as error:
            refused.append(str(error))
    for rate in ERROR_RATES:
        try:
            threshold = confidence_threshold(Judged.of(held_out.probabilities, held_out.labels), rate)
            rates.append(_error_rate(judged, threshold, rate))
        except UserError as error:
            refused.append(str(error))
    return CalibrationCheck(errors[0], errors[1], len(held_out.ids), tuple(sets), tuple(rates), tuple(refused))


def _sets(table: PredictionTable, threshold: float, coverage: float) -> MeasuredSets:
    sets = conformal_sets(table.probabilities, threshold)
    covered = sets[np.arange(len(sets)), table.labels]
    return MeasuredSets(coverage, float(covered.mean()), float(sets.sum(1).mean()))


def _error_rate(judged: Judged, threshold: float, rate: float) -> MeasuredErrorRate:
    kept = judged.confidence >= threshold
    error = float((~judged.right[kept]).mean()) if kept.any() else None
    return MeasuredErrorRate(rate, float(kept.mean()), error)
