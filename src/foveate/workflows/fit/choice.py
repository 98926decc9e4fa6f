"""Which of several methods to take, by their answers to the same photographs, none of which they learned from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Int

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
    """Of that difference, over photographs."""
    gflop: float


@dataclass(frozen=True, slots=True)
class Choice:
    """What is taken, and why."""

    winner: str
    reason: str
    compared: tuple[Compared, ...]
    """All candidates in their order."""


def choose(candidates: Sequence[Candidate], prefer: Prefer) -> Choice:
    """Choose between candidates, of which the cheaper to train comes first.

    The best mean wins, but for one that is cheaper and closer to it than the standard error of their paired
    difference; the cheapest of those is taken. Cheaper is whose answer takes fewer operations, of equals
    the earlier one. Of equal means the cheaper one is the best.

    Args:
        candidates: At least one; their photographs are the same, in the same order.
        prefer: With speed it is two standard errors.
    """
    order = sorted(range(len(candidates)), key=lambda each: (candidates[each].gflop, each))
    best = max(order, key=lambda each: candidates[each].right.mean())  # the first of equals: the cheapest
    compared = tuple(_compared(candidates[best], each) for each in candidates)
    near = STANDARD_ERRORS[prefer]
    winner = next(
        each for each in order if each == best or compared[each].behind < near * compared[each].standard_error
    )
    return Choice(candidates[winner].name, _reason(compared[best], compared[winner], near), compared)


def _compared(best: Candidate, other: Candidate) -> Compared:
    behind, error = mean_and_error_behind(best.right, other.right)
    return Compared(other.name, float(other.right.mean()), behind, error, other.gflop)


def mean_and_error_behind(a: Bool[np.ndarray, " n"], b: Bool[np.ndarray, " n"]) -> tuple[float, float]:
    """Return the mean of a - b over photographs, and its standard error; infinite of a single photograph."""
    difference = a.astype(float) - b.astype(float)
    error = difference.std(ddof=1) / np.sqrt(len(difference)) if len(difference) > 1 else np.inf
    return float(difference.mean()), float(error)


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
    if winner.gflop == best.gflop:
        cost = "it comes earlier on the ladder"
    return (
        f"{winner.name} is cheaper ({cost}), and its {100 * winner.behind:.1f} points behind {best.name} are less than "
        f"{near:g} standard error{'s' if near > 1 else ''} ({100 * near * winner.standard_error:.1f})"
    )
