"""Risk by coverage: how often answers are wrong where only the surest are given (selective classification)."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from foveate.evaluation.calibration import Judged


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
