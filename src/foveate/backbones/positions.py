"""Weights as timm's own code brings them into an architecture: positions interpolated, foreign names changed."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Mapping

from torch import Tensor, nn


def as_timm_has_them(module: nn.Module, weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return weights as timm changes them for a network of its own; as they are where it has nothing to change.

    Args:
        module: The network; its positions are for the number of patches that it was built for.
        weights: A state dict, which may be of another number of patches, or named as an architecture's authors did.
    """
    change = getattr(sys.modules[type(module).__module__], "checkpoint_filter_fn", None)
    if change is None:
        return dict(weights)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch's advice to programmers
            return dict(change(dict(weights), module))
    except (AssertionError, AttributeError, IndexError, KeyError, RuntimeError, ValueError, TypeError):
        return dict(weights)  # of another architecture after all
