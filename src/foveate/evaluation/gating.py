"""What zooming only where the first view is unsure costs, and what it answers: thresholds of the entropy compared."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int
from scipy.special import entr

SHARES = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 1.0)
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
    changed: int | None
    """Answers unlike those of looking at every photograph again; None where that was not done."""


def at_threshold(
    first: Float[np.ndarray, "n c"],
    final: Float[np.ndarray, "n c"],
    labels: Int[np.ndarray, " n"],
    views: int,
    above: float | None,
) -> Gated:
    """Return what one threshold does; arguments as in `gate_curve`."""
    gated = np.ones(len(labels), dtype=bool) if above is None else entr(first).sum(1) > above
    closer = final.argmax(1)
    answers = np.where(gated, closer, first.argmax(1))
    share, right = float(gated.mean()), float((answers == labels).mean())
    return Gated(above, share, 1 + views * share, right, int((answers != closer).sum()))


def gate_curve(
    first: Float[np.ndarray, "n c"],
    final: Float[np.ndarray, "n c"],
    labels: Int[np.ndarray, " n"],
    views: int,
    shares: Sequence[float] = SHARES,
) -> tuple[Gated, ...]:
    """Return what thresholds do that leave about these shares of the photographs to look at again.

    Thresholds are rounded up to four decimals, and the numbers are those of the rounded ones.

    Args:
        first: Probabilities of the first look.
        final: Probabilities after looking at every photograph again.
        labels: The true classes.
        views: How many passes it takes to look at a photograph again.
        shares: Each in [0, 1]; 1 is all of them.

    Raises:
        ValueError: A share is out of range.
    """
    if not all(0 <= share <= 1 for share in shares):
        raise ValueError(f"shares must be in [0, 1]; got {list(shares)}")
    falling = np.append(np.sort(entr(first).sum(1))[::-1], 0.0)
    places = (round(share * len(labels)) for share in shares)
    thresholds = (float(np.ceil(1e4 * falling[place]) / 1e4) for place in places)
    limits = (None if share == 1 else above for share, above in zip(shares, thresholds, strict=True))
    return tuple(at_threshold(first, final, labels, views, above) for above in limits)
