"""What an S3N that looks closer only where its first look is unsure costs, and what it answers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int
from scipy.special import entr

SHARES = (0.0, 0.1, 0.2, 0.3, 0.5, 1.0)
"""Of the photographs, the least sure first."""


@dataclass(frozen=True, slots=True)
class Gated:
    """One threshold."""

    above: float | None
    """Entropy of the first look, in nats, above which a photograph is looked at again; None: all are."""
    share: float
    """Of the photographs, those that are."""
    passes: float
    """Of the network, for one photograph on average."""
    top1: float
    changed: int
    """Answers that differ from those of looking at every photograph again."""


def gate_curve(
    first: Float[np.ndarray, "n c"],
    final: Float[np.ndarray, "n c"],
    labels: Int[np.ndarray, " n"],
    views: int,
    shares: Sequence[float] = SHARES,
) -> tuple[Gated, ...]:
    """Return what thresholds do that leave about these shares of the photographs to look at again.

    Thresholds are rounded up to four digits, and the numbers are those of the rounded ones.

    Args:
        first: Probabilities of the first look.
        final: Probabilities after looking at every photograph again.
        labels: The true classes.
        views: How many passes it takes to look at a photograph again.
        shares: Each in [0, 1]; 1 is all of them.
    """
    entropy = entr(first).sum(1)
    falling = np.append(np.sort(entropy)[::-1], 0.0)
    sure, closer = first.argmax(1), final.argmax(1)
    curve = []
    for share in shares:
        above = None if share >= 1 else float(np.ceil(1e4 * falling[round(share * len(entropy))]) / 1e4)
        asked = np.ones(len(entropy), dtype=bool) if above is None else entropy > above
        answers = np.where(asked, closer, sure)
        passes = 1 + views * float(asked.mean())
        right = float((answers == labels).mean())
        curve.append(Gated(above, float(asked.mean()), passes, right, int((answers != closer).sum())))
    return tuple(curve)
