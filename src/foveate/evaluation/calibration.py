"""Calibration: whether probabilities mean what they say (Guo et al., ICML 2017), and what of answers is judged."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int
from numpy.typing import NDArray
from scipy.special import entr

from foveate.errors import UserError
from foveate.evaluation.accuracy import truth_ranks

BINS = 15
"""Of confidence, where nothing else is asked for: as Guo et al. have them."""


class Judged(NamedTuple):
    """Answers of one network or method to the same n photographs, and whether they are right."""

    confidence: Float[np.ndarray, " n"]
    """Probability of the answer, in [0, 1]."""
    right: Bool[np.ndarray, " n"]
    entropy: Float[np.ndarray, " n"]
    """Of all classes' probabilities, in nats."""
    answers: Int[np.ndarray, " n"]
    labels: Int[np.ndarray, " n"]

    @classmethod
    def of(cls, probabilities: NDArray[np.floating], labels: NDArray[np.integer]) -> Judged:
        """Judge the most probable class of each photograph, of equal ones the first; (n, c) and (n,).

        Raises:
            UserError: There is no photograph, shapes disagree, a label is unknown, or probabilities are none.
        """
        ranks = truth_ranks(probabilities, labels)
        values = probabilities.astype(np.float64)
        # Float32 sums, and a refined answer put the smallest step above the others, leave [0, 1] by rounding.
        if values.min() < 0 or np.abs(values.sum(1) - 1).max() > 1e-3:
            raise UserError(
                "confidence is read off probabilities, each photograph's at least 0 and of sum 1; got values from "
                f"{values.min():.3g} and sums from {values.sum(1).min():.3g} to {values.sum(1).max():.3g}; give the "
                "answers' probabilities, not logits"
            )
        return cls(values.max(1).clip(0, 1), ranks == 0, entr(values).sum(1), values.argmax(1), labels)


class Reliability(NamedTuple):
    """How right answers are in bins of their confidence, from 0 to 1."""

    counts: Int[np.ndarray, " k"]
    confidence: Float[np.ndarray, " k"]
    """Mean in each bin; NaN where it is empty."""
    accuracy: Float[np.ndarray, " k"]
    """Share of right answers in each bin; NaN where it is empty."""

    @property
    def error(self) -> float:
        """The expected calibration error: mean distance of accuracy and confidence, a bin by its answers."""
        apart = np.nan_to_num(np.abs(self.accuracy - self.confidence))
        return float((self.counts * apart).sum() / self.counts.sum())


def reliability(judged: Judged, bins: int) -> Reliability:
    """Sort answers into bins of equal width (Guo et al., On Calibration of Modern Neural Networks, ICML 2017, Eq. 3).

    A bin holds its lower edge, the last one 1 as well.
    """
    edges = np.linspace(0, 1, bins + 1)
    place = np.searchsorted(edges[1:-1], judged.confidence, side="right")
    counts = np.bincount(place, minlength=bins)
    sums = (np.bincount(place, weights, minlength=bins) for weights in (judged.confidence, judged.right))
    confidence, accuracy = (np.divide(each, counts, np.full(bins, np.nan), where=counts > 0) for each in sums)
    return Reliability(counts, confidence, accuracy)
