"""How much each class counts in the loss."""

from __future__ import annotations

from collections.abc import Sequence

import torch


def class_weights(labels: Sequence[int], classes: int) -> torch.Tensor:
    """Return (c,) weights inverse to each class's frequency, whose mean over the photographs is 1.

    A class with no photograph gets weight 0.
    """
    counts = torch.bincount(torch.tensor(labels), minlength=classes).float()
    present = counts > 0
    return torch.where(present, len(labels) / (present.sum() * counts.clamp(min=1)), 0.0)
