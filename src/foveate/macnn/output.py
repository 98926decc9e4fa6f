"""What MA-CNN sees on its way to an answer."""

from __future__ import annotations

from typing import NamedTuple

from jaxtyping import Float
from torch import Tensor

from foveate.config.branches import Branch
from foveate.macnn.grouping import PartAttention
from foveate.types import BranchLogits


class MACNNOutput(NamedTuple):
    """All that the network saw in a batch on its way to the answer.

    ``boxes`` are (left, top, right, bottom) in fractions of the view's side; ``boxes`` and ``views`` hold the streams
    but that of the whole image.
    """

    original: Float[Tensor, "b 3 H W"]
    features: Float[Tensor, "b d h w"]
    attention: PartAttention
    boxes: dict[Branch, Float[Tensor, "b 4"]]
    views: dict[Branch, Float[Tensor, "b 3 s s"]]
    logits: BranchLogits
