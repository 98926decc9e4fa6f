"""McNemar's test: whether two classifiers differ in accuracy on the same photographs."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Int, Int64
from numpy.typing import NDArray
from scipy.stats import binom, binomtest

from foveate.errors import UserError


@dataclass(frozen=True, slots=True)
class PairedTest:
    """Exact McNemar test of two classifiers on the same images.

    ``only_a`` images are answered rightly by a alone, ``only_b`` by b alone; ``difference`` is the accuracy
    of a minus that of b; ``p_value`` is two-sided, 1 where no image, or no group, tells the two apart.
    """

    only_a: int
    only_b: int
    difference: float
    p_value: float


def mcnemar(
    correct_a: NDArray[np.bool_], correct_b: NDArray[np.bool_], groups: Int64[np.ndarray, " n"] | None = None
) -> PairedTest:
    """Test whether two classifiers differ in accuracy, from their right and wrong answers, each (n,).

    Source: McNemar 1947, with the exact binomial distribution of the images on which exactly one is right. Of groups,
    whose images are much alike, the same for whole ones (Fisher's randomisation test): were the two equally good, the
    answers of either to a group might as well be the other's. Groups of one image each give McNemar's p.

    Args:
        correct_a: Whether a is right.
        correct_b: Whether b is.
        groups: The number of each image's group; None: each stands for itself.

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
    if groups is None:
        p_value = float(binomtest(only_a, either).pvalue) if either else 1.0
    else:
        p_value = _exchanged(differences_of_groups(correct_a, correct_b, groups))
    return PairedTest(only_a, only_b, (only_a - only_b) / correct_a.size, p_value)


def differences_of_groups(
    correct_a: NDArray[np.bool_], correct_b: NDArray[np.bool_], groups: Int64[np.ndarray, " n"]
) -> Int64[np.ndarray, " g"]:
    """Return how many more images of each group a answers rightly than b; arguments as in `mcnemar`."""
    return np.bincount(groups, correct_a.astype(float) - correct_b).astype(np.int64)


def _exchanged(differences: Int[np.ndarray, " g"]) -> float:
    """Return how likely a sum at least as far from 0 is where the sign of each group's difference is a coin's."""
    apart = np.abs(differences[differences != 0])
    ones = int((apart == 1).sum())
    chance = np.zeros(2 * ones + 1)  # of each sum from -ones to ones: every other one
    chance[::2] = binom.pmf(np.arange(ones + 1), ones, 0.5)
    for each in apart[apart > 1].tolist():
        chance = (np.pad(chance, (2 * each, 0)) + np.pad(chance, (0, 2 * each))) / 2
    sums = np.arange(len(chance)) - len(chance) // 2
    return min(1.0, float(chance[np.abs(sums) >= abs(int(differences.sum()))].sum()))
