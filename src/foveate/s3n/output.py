"""What S3N sees on its way to an answer."""

from __future__ import annotations

from typing import NamedTuple

from jaxtyping import Float
from torch import Tensor

from foveate.config.branches import Branch
from foveate.s3n.attention import Attention
from foveate.types import BranchLogits


class S3NOutput(NamedTuple):
    """All that the network saw in a batch on its way to the answer.

    ``original`` is the first view; ``response`` R and ``attention`` live on the response grid; ``grids`` and ``views``
    hold the zoomed branches that there are; ``features`` the maps that each branch's head pools, the original's too.
    """

    original: Float[Tensor, "b 3 H W"]
    response: Float[Tensor, "b g g"]
    attention: Attention
    grids: dict[Branch, Float[Tensor, "b H W 2"]]
    views: dict[Branch, Float[Tensor, "b 3 H W"]]
    logits: BranchLogits
    features: dict[Branch, Float[Tensor, "b d _ _"]]
