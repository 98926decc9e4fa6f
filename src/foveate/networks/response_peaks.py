"""Where a network's attention rests."""

from __future__ import annotations

from typing import NamedTuple

from jaxtyping import Bool, Float
from torch import Tensor

from foveate.types import BranchLogits


class ResponsePeaks(NamedTuple):
    """The response of a batch's predicted classes, its peaks, and the answers, on a grid over the first view."""

    response: Float[Tensor, "b g g"]
    peaks: Bool[Tensor, "b g g"]
    logits: BranchLogits
