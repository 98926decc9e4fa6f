"""Whether probabilities mean what they say, and whether doubts are raised where answers are wrong."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from numpy.typing import NDArray
from scipy.special import entr
from torchmetrics.functional.classification import multiclass_confusion_matrix

from foveate.errors import UserError
from foveate.evaluation.accuracy import truth_ranks


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
        kept = probabilities.astype(np.float64)
        # Float32 sums, and a refined answer put the smallest step above the others, leave [0, 1] by rounding.
        if kept.min() < 0 or np.abs(kept.sum(1) - 1).max() > 1e-3:
            raise UserError(
                "confidence is read off probabilities, each photograph's at least 0 and of sum 1; got values from "
                f"{kept.min():.3g} and sums from {kept.sum(1).min():.3g} to {kept.sum(1).max():.3g}; give the answers' "
                "probabilities, not logits"
            )
        return cls(kept.max(1).clip(0, 1), ranks == 0, entr(kept).sum(1), kept.argmax(1), labels)


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


class RiskCoverage(NamedTuple):
    """The share of wrong answers among the surest ones, for each number of them."""

    coverage: Float[np.ndarray, " n"]
    """Share of the photographs that are answered: 1/n to 1."""
    risk: Float[np.ndarray, " n"]

    @property
    def area(self) -> float:
        """AURC, the mean risk over all coverages: Geifman et al., Bias-Reduced Uncertainty Estimation (ICLR 2019)."""
        return float(self.risk.mean())

    @property
    def excess(self) -> float:
        """The area above that of an order with every right answer first: what better doubts could still gain."""
        count = len(self.risk)
        wrong = round(float(self.risk[-1]) * count)
        best = np.arange(1, count + 1) - (count - wrong)
        return self.area - float((best.clip(min=0) / np.arange(1, count + 1)).mean())


def risk_coverage(judged: Judged) -> RiskCoverage:
    """Answer ever more photographs, the surest first; equally sure ones count as their mean in any order."""
    order = np.argsort(-judged.confidence, kind="stable")
    _, group, sizes = np.unique(-judged.confidence[order], return_inverse=True, return_counts=True)
    wrong = np.bincount(group, ~judged.right[order]) / sizes
    count = np.arange(1, len(order) + 1)
    return RiskCoverage(count / len(order), np.cumsum(wrong[group]) / count)


@dataclass(frozen=True, slots=True)
class Alarm:
    """How well something that is raised for some answers tells which are wrong; None where there is nothing to share.

    ``precision``: share of wrong answers where it is raised; ``recall``: share of the wrong answers for which it is.
    """

    raised: int
    precision: float | None
    recall: float | None
    accuracy_raised: float | None
    accuracy_silent: float | None


def alarm(raised: Bool[np.ndarray, " n"], right: Bool[np.ndarray, " n"]) -> Alarm:
    """Compare an alarm with the errors."""
    wrong_raised = _share(~right, raised)
    return Alarm(
        raised=int(raised.sum()),
        precision=wrong_raised,
        recall=_share(raised, ~right),
        accuracy_raised=None if wrong_raised is None else 1 - wrong_raised,
        accuracy_silent=_share(right, ~raised),
    )


def _share(what: Bool[np.ndarray, " n"], among: Bool[np.ndarray, " n"]) -> float | None:
    return float(what[among].mean()) if among.any() else None


def highest(values: Float[np.ndarray, " n"], count: int) -> Bool[np.ndarray, " n"]:
    """Raise an alarm for the highest values, so many of them; of equal ones the first."""
    raised = np.zeros(len(values), dtype=bool)
    raised[np.argsort(-values, kind="stable")[:count]] = True
    return raised


class ConfusedPair(NamedTuple):
    """Two classes that are taken for each other: how often each way, and the surest such photograph."""

    first: int
    second: int
    first_as_second: int
    second_as_first: int
    example: int

    @property
    def total(self) -> int:
        """How often either is taken for the other."""
        return self.first_as_second + self.second_as_first


def confusion_matrix(judged: Judged, classes: int) -> Int[np.ndarray, "c c"]:
    """Count photographs by true class (rows) and answer (columns)."""
    answers, labels = (torch.from_numpy(each.astype(np.int64)) for each in (judged.answers, judged.labels))
    counted: Int[np.ndarray, "c c"] = multiclass_confusion_matrix(answers, labels, classes).numpy()
    return counted


def confused_pairs(judged: Judged, classes: int, count: int) -> tuple[ConfusedPair, ...]:
    """Return the pairs of classes that are most often taken for each other; of equal ones the first classes'."""
    matrix = confusion_matrix(judged, classes)
    first, second = np.triu_indices(classes, 1)
    both = matrix[first, second] + matrix[second, first]
    best = np.argsort(-both, kind="stable")[:count]
    return tuple(
        ConfusedPair(a, b, int(matrix[a, b]), int(matrix[b, a]), _surest(judged, a, b))
        for a, b in zip(first[best].tolist(), second[best].tolist(), strict=True)
        if matrix[a, b] + matrix[b, a] > 0
    )


def _surest(judged: Judged, first: int, second: int) -> int:
    one = (judged.labels == first) & (judged.answers == second)
    other = (judged.labels == second) & (judged.answers == first)
    return int(np.where(one | other, judged.confidence, -1).argmax())
