"""Where each of a network's views sees a class, all in the first view's coordinates (S3N, section 4.2)."""

from __future__ import annotations

from typing import NamedTuple

from jaxtyping import Float, Int64
from torch import Tensor

from foveate.backbones.class_maps import class_maps
from foveate.config.branches import Branch
from foveate.types import BranchLogits


class BranchMaps(NamedTuple):
    """Every branch's answer, and its map of one class at y x y places of the first view.

    The places are those of `foveate.networks.first_view.lattice`; NaN where a branch's view does not show a place. The
    joint map is the sum of the maps of the branches that the network decides from; a view that does not show a place
    adds nothing there.
    """

    logits: BranchLogits
    maps: dict[Branch, Float[Tensor, "b y y"]]


def maps_of(
    features: Float[Tensor, "b d h w"], weight: Float[Tensor, "c d"], classes: Int64[Tensor, " b"]
) -> Float[Tensor, "b 1 h w"]:
    """Return the class map of one class of each image, in float32."""
    return class_maps(features.float(), weight.float(), classes[:, None])
