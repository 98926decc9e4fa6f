"""Whether calibrated answers, conformal sets and error rates keep on a split what held-out answers promise."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import NamedTuple, TypeVar

import numpy as np
from jaxtyping import Float

from foveate.errors import UserError
from foveate.evaluation.calibration import BINS, Judged, reliability
from foveate.evaluation.conformal import conformal_sets, conformal_threshold
from foveate.evaluation.error_rate import confidence_threshold
from foveate.evaluation.predictions import PredictionTable

_Measured = TypeVar("_Measured")

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
    """So many held-out photographs, or groups of them, the rest was fitted to.

    None: there are none, or they are the split's own.
    """
    sets: tuple[MeasuredSets, ...] = ()
    error_rates: tuple[MeasuredErrorRate, ...] = ()
    refused: tuple[str, ...] = ()
    """Why larger coverages and lower error rates are not offered."""
    counted: str = "photographs"
    """What `held_out` counts, in words."""


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
    sets, no_coverage = _offered(COVERAGES, lambda coverage: _sets(table, held_out, coverage))
    rates, no_rate = _offered(ERROR_RATES, lambda rate: _error_rate(judged, held_out, rate))
    refused = (*no_coverage[:1], *no_rate[-1:])  # the least that was asked for: what asks for more is refused as well
    count = len(held_out.independent.ids)
    return CalibrationCheck(errors[0], errors[1], count, sets, rates, refused, held_out.counted)


def coverage_threshold(held_out: PredictionTable, coverage: float) -> float:
    """Return the threshold of a coverage (`conformal_threshold`), by one photograph of each group, drawn at random.

    Those of one group are much alike. What is promised is then of a photograph of another group, whichever it is: each
    group counts as much, however many photographs it has. Errors as there.
    """
    one = held_out.independent
    return conformal_threshold(one.probabilities, one.labels, coverage, held_out.counted)


def error_rate_threshold(held_out: PredictionTable, rate: float) -> float:
    """Return the threshold of an error rate (`confidence_threshold`), as `coverage_threshold` that of a coverage."""
    one = held_out.independent
    return confidence_threshold(Judged.of(one.probabilities, one.labels), rate, held_out.counted)


def _offered(asked: Iterable[float], measure: Callable[[float], _Measured]) -> tuple[tuple[_Measured, ...], list[str]]:
    """Measure what held-out answers allow, and say why they do not allow the rest."""
    measured, refused = [], []
    for each in asked:
        try:
            measured.append(measure(each))
        except UserError as error:
            refused.append(str(error))
    return tuple(measured), refused


def _sets(table: PredictionTable, held_out: PredictionTable, coverage: float) -> MeasuredSets:
    sets = conformal_sets(table.probabilities, coverage_threshold(held_out, coverage))
    covered = sets[np.arange(len(sets)), table.labels]
    return MeasuredSets(coverage, float(covered.mean()), float(sets.sum(1).mean()))


def _error_rate(judged: Judged, held_out: PredictionTable, rate: float) -> MeasuredErrorRate:
    kept = judged.confidence >= error_rate_threshold(held_out, rate)
    error = float((~judged.right[kept]).mean()) if kept.any() else None
    return MeasuredErrorRate(rate, float(kept.mean()), error)
