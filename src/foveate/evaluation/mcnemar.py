"""McNemar's test: whether two classifiers differ in accuracy on the same photographs."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binomtest

from foveate.errors import UserError


@dataclass(frozen=True, slots=True)
class PairedTest:
    """Exact McNemar test of two classifiers on the same images.

    ``only_a`` images are answered rightly by a alone, ``only_b`` by b alone; ``difference`` is the accuracy
    of a minus that of b; ``p_value`` is two-sided, 1 where no image tells the two apart.
    """

    only_a: int
    only_b: int
    difference: float
    p_value: float


def mcnemar(correct_a: NDArray[np.bool_], correct_b: NDArray[np.bool_]) -> PairedTest:
    """Test whether two classifiers differ in accuracy, from their right and wrong answers, each (n,).

    Source: McNemar 1947, with the exact binomial distribution of the images on which exactly one is right.

    Raises:
        UserError: The arrays are empty or of different shape.
    """
    if correct_a.ndim != 1 or correct_a.shape != correct_b.shape or not correct_a.size:
        raise UserError(
            "a paired test needs two arrays of the same n > 0 images, in the same order; "
            f"got {correct_a.shape} and {correct_b.shape}: align the two prediction tables first"
        )
    only_a = int((correct_a & ~correct_b).sum())
    only_b = int((correct_b & ~correct_a).sum())
    either = only_a + only_b
    p_value = float(binomtest(only_a, either).pvalue) if either else 1.0
    return PairedTest(only_a, only_b, (only_a - only_b) / correct_a.size, p_value)
