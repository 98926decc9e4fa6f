"""How sure an answer must be for an error rate: those that are less sure are not given.

The lowest confidence counts whose held-out answers, those at or above it, are wrong at most at the rate, with 90%
confidence: by the upper bound of Clopper and Pearson (Geifman and El-Yaniv, Selective Classification for Deep Neural
Networks, NeurIPS 2017, Lemma 3.1; we do not divide the remaining 10% among the thresholds, whose answers are mostly the
same). So about nine of ten networks keep the rate, on photographs like the held-out ones; where the rate is close to
the least that a network reaches, about three of four of those that are given a threshold (docs/log.md, 2026-11-28). As
with conformal sets, what else was fitted to these photographs, and answers out of fold, make this about so, not
exactly.
"""

from __future__ import annotations

import math

import numpy as np
from jaxtyping import Float
from scipy.stats import beta

from foveate.config.checks import require
from foveate.errors import UserError
from foveate.evaluation.calibration import Judged

CONFIDENCE = 0.9
"""That the rate is kept."""


def least_answers(rate: float) -> int:
    """Return how many held-out answers, all right, an error rate takes: the smallest n with (1 - rate)^n <= 10%.

    Raises:
        UserError: The rate is not between 0 and 1.
    """
    require(0 < rate < 1, "error_rate must be a fraction between 0 and 1, 0.02 for 2%", rate)
    return math.ceil(math.log(1 - CONFIDENCE) / math.log1p(-rate))


def confidence_threshold(judged: Judged, rate: float, counted: str = "photographs") -> float:
    """Return the lowest confidence whose answers are wrong at most at the rate; 0 where all held-out ones may be given.

    Args:
        judged: Held-out answers.
        rate: The share of wrong answers among those that are given, in (0, 1).
        counted: What an error calls the photographs.

    Raises:
        UserError: The rate is not between 0 and 1, the photographs are too few for it, or the network is never so sure.
    """
    needed, photographs = least_answers(rate), len(judged.right)
    if photographs < needed:
        raise UserError(
            f"an error rate of {rate:g} takes at least {needed} held-out {counted}; got {photographs}; hold out "
            f"more, or ask for at least {_lowest(judged)}"
        )
    confidence, bounds = _bounds(judged)
    passing = np.flatnonzero(bounds <= rate)
    if not len(passing):
        raise UserError(
            f"an error rate must be one that this network reaches where it is surest, {_lowest(judged)} on its "
            f"{photographs} held-out {counted}; got {rate:g}; ask for that or more, or add {counted}"
        )
    last = int(passing[-1])
    return 0.0 if last == len(confidence) - 1 else float(confidence[last])


def _bounds(judged: Judged) -> tuple[Float[np.ndarray, " k"], Float[np.ndarray, " k"]]:
    """Return every confidence that answers have, falling, and the bound of the error where it is the threshold."""
    confidence, group, counts = np.unique(-judged.confidence, return_inverse=True, return_counts=True)
    answered, wrong = np.cumsum(counts), np.cumsum(np.bincount(group, ~judged.right))
    right = answered - wrong
    return -confidence, np.where(right > 0, beta.ppf(CONFIDENCE, 1 + wrong, np.maximum(right, 1)), 1.0)


def _lowest(judged: Judged) -> float:
    """Return the lowest rate that some threshold has, rounded up to four digits."""
    return math.ceil(1e4 * float(_bounds(judged)[1].min())) / 1e4
