"""Which of several methods to take, by their answers to the same photographs, none of which they learned from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Int, Int64

from foveate.workflows.fit.config import Prefer

STANDARD_ERRORS = {Prefer.ACCURACY: 1.0, Prefer.SPEED: 2.0}
"""How many standard errors of the paired difference a cheaper candidate may lie below the best one."""


@dataclass(frozen=True, slots=True, eq=False)
class Candidate:
    """A way to answer, and which of n held-out photographs it answered rightly."""

    name: str
    right: Bool[np.ndarray, " n"]
    gflop: float
    """Of one answer, in thousand millions of floating point operations."""


@dataclass(frozen=True, slots=True)
class Compared:
    """A candidate beside the best one."""

    name: str
    top1: float
    behind: float
    """By how much the best one's top-1 is above; both in [0, 1]."""
    standard_error: float
    """Of that difference, over photographs, or over groups of them."""
    gflop: float


@dataclass(frozen=True, slots=True)
class Choice:
    """What is taken, and why."""

    winner: str
    reason: str
    compared: tuple[Compared, ...]
    """All candidates in their order."""


def choose(candidates: Sequence[Candidate], prefer: Prefer, groups: Int64[np.ndarray, " n"] | None = None) -> Choice:
    """Choose between candidates, of which the cheaper to train comes first.

    The best mean wins, but for one whose answer takes fewer operations and which is closer to it than the standard
    error of their paired difference; the cheapest of those is taken. Of answers that take as many operations the one
    that is right more often is the better choice, and of equal means the cheaper one, then the earlier.

    Args:
        candidates: At least one; their photographs are the same, in the same order.
        prefer: With speed it is two standard errors.
        groups: The number of each photograph's group, of which photographs are much alike; None: each stands for
            itself.
    """
    means = [float(each.right.mean()) for each in candidates]
    order = sorted(range(len(candidates)), key=lambda each: (candidates[each].gflop, -means[each], each))
    best = max(order, key=lambda each: means[each])  # the first of equals: the cheapest
    compared = tuple(_compared(candidates[best], each, groups) for each in candidates)
    near, cost = STANDARD_ERRORS[prefer], candidates[best].gflop
    close = (each for each in order if compared[each].behind < near * compared[each].standard_error)
    winner = next((each for each in close if candidates[each].gflop < cost), best)
    return Choice(candidates[winner].name, _reason(compared[best], compared[winner], near), compared)


def _compared(best: Candidate, other: Candidate, groups: Int64[np.ndarray, " n"] | None) -> Compared:
    behind, error = mean_and_error_behind(best.right, other.right, groups)
    return Compared(other.name, float(other.right.mean()), behind, error, other.gflop)


def mean_and_error_behind(
    a: Bool[np.ndarray, " n"], b: Bool[np.ndarray, " n"], groups: Int64[np.ndarray, " n"] | None = None
) -> tuple[float, float]:
    """Return the mean of a - b over photographs, and its standard error; infinite of a single photograph or group.

    Of groups it is that of a mean over clusters (Liang and Zeger, Biometrika 1986): those of one group may all
    err together. Where each stands for itself, that is the ordinary one. Arguments as in `choose`.
    """
    difference = a.astype(float) - b.astype(float)
    mean = float(difference.mean())
    of_each = difference - mean if groups is None else np.bincount(groups, difference - mean)
    count = len(of_each) if groups is None else len(np.unique(groups))
    error = np.sqrt(count / (count - 1) * (of_each**2).sum()) / len(difference) if count > 1 else np.inf
    return mean, float(error)


def is_chance(top1: float, photographs: int, largest: float) -> bool:
    """Say whether naming the largest class always may be as good: within two standard errors above its share.

    Args:
        top1: In [0, 1].
        photographs: On which it was measured.
        largest: Share of the photographs that the largest class has.
    """
    return top1 <= largest + 2 * float(np.sqrt(largest * (1 - largest) / photographs))


def mean_per_class(right: Bool[np.ndarray, " n"], labels: Int[np.ndarray, " n"]) -> float:
    """Return the mean over classes of each one's share of right answers."""
    return float(np.mean([right[labels == label].mean() for label in np.unique(labels)]))


def _reason(best: Compared, winner: Compared, near: float) -> str:
    if winner.name == best.name:
        return f"{best.name} is right on more of the held-out photographs than any other ({100 * best.top1:.1f}%)"
    cost = f"{winner.gflop:.3g} GFLOP in place of {best.gflop:.3g}"
    return (
        f"{winner.name} is cheaper ({cost}), and its {100 * winner.behind:.1f} points behind {best.name} are less than "
        f"{near:g} standard error{'s' if near > 1 else ''} ({100 * near * winner.standard_error:.1f})"
    )
