"""The entropy gate: which answers are unsure enough to look again."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float
from torch import Tensor


def unsure(probabilities: Float[Tensor, "b c"], threshold: float | None) -> Bool[Tensor, " b"]:
    """Say which answers are unsure: those whose entropy in nats is above the threshold; None: all."""
    if threshold is None:
        return probabilities.new_ones(len(probabilities), dtype=torch.bool)
    entropy: Tensor = torch.special.entr(probabilities).sum(-1)
    return entropy > threshold
