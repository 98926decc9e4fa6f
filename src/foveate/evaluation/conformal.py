"""Conformal sets: classes that hold the true one as often as is asked for (split conformal prediction).

The least ambiguous ones: every class at least as probable as some threshold (Sadinle, Lei and Wasserman, Least
Ambiguous Set-Valued Classifiers with Bounded Error Levels, JASA 2019). For photographs like the held-out ones, whatever
the network, a set holds the true class with at least the probability that is asked for: over photographs and held-out
samples together, not for each class or each sample by itself.

That is exact where nothing else was fitted to the held-out photographs. Here a temperature is, and sometimes weights of
views or the epoch, and out-of-fold answers are those of other heads or networks than the one that answers: the promise
is then kept about, not exactly. It is one of centre views.
"""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
from jaxtyping import Bool
from numpy.typing import NDArray

from foveate.config.checks import require
from foveate.errors import UserError
from foveate.evaluation.accuracy import truth_ranks


def least_photographs(coverage: float) -> int:
    """Return how many held-out photographs a coverage takes: the smallest n with ceil((n + 1) coverage) <= n.

    Raises:
        UserError: The coverage is not between 0 and 1.
    """
    exact = _exact(coverage)
    return math.ceil(exact / (1 - exact))


def conformal_threshold(
    probabilities: NDArray[np.floating], labels: NDArray[np.integer], coverage: float, counted: str = "photographs"
) -> float:
    """Return the probability from which on a class is in the set.

    It is the ceil((n + 1) coverage)-th highest of the probabilities that the true classes have.

    Args:
        probabilities: (n, c), held-out answers.
        labels: (n,), in 0..c-1.
        coverage: How often a set is to hold the true class, in (0, 1).
        counted: What an error calls them.

    Raises:
        UserError: The coverage is not between 0 and 1, the photographs are too few for it, or as in `measure_accuracy`.
    """
    needed = least_photographs(coverage)
    if len(labels) < needed:
        raise UserError(
            f"a coverage of {coverage:g} takes at least {needed} held-out {counted}; got {len(labels)}; hold out "
            f"more, or ask for at most {_largest_coverage(len(labels)):.4g}"
        )
    truth_ranks(probabilities, labels)  # checks both
    true = np.sort(probabilities[np.arange(len(labels)), labels])[::-1]
    return float(true[math.ceil((len(labels) + 1) * _exact(coverage)) - 1])


def conformal_sets(probabilities: NDArray[np.floating], threshold: float) -> Bool[np.ndarray, "n c"]:
    """Return which classes are in the set of each photograph; the most probable one always is.

    Args:
        probabilities: (n, c).
        threshold: As `conformal_threshold` returns it.
    """
    sets = probabilities >= threshold
    sets[np.arange(len(sets)), probabilities.argmax(1)] = True
    return sets


def _exact(coverage: float) -> Fraction:
    """Return it as it is written: 0.95 is 19/20, which no float is."""
    require(0 < coverage < 1, "coverage must be a fraction between 0 and 1, 0.95 for 95%", coverage)
    return Fraction(str(float(coverage)))


def _largest_coverage(photographs: int) -> float:
    """Return the largest coverage for which so many photographs are enough, rounded down to four digits."""
    return math.floor(1e4 * Fraction(photographs, photographs + 1)) / 1e4
