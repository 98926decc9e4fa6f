"""How much each class counts in the loss, and what is added to its logits there."""

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


def log_priors(labels: Sequence[int], classes: int) -> torch.Tensor:
    """Return (c,) logarithms of each class's share of the photographs; a class with none counts as if it had one.

    >>> from foveate import log_priors
    >>> log_priors([0, 0, 0, 1], 2)  # log 3/4, log 1/4
    tensor([-0.2877, -1.3863])
    """
    counts = torch.bincount(torch.tensor(labels), minlength=classes).float()
    return (counts.clamp(min=1) / len(labels)).log()
