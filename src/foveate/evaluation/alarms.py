"""Whether doubts are raised where answers are wrong."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float


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
