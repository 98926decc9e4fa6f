"""Where each of a network's views sees a class, all in the first view's coordinates (S3N, section 4.2)."""

from __future__ import annotations

from typing import NamedTuple

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from foveate.backbones import pool
from foveate.config import Branch
from foveate.errors import UserError
from foveate.methods.network import Network
from foveate.methods.plain import PlainNetwork
from foveate.methods.s3n import S3N
from foveate.response.class_maps import at_places, class_maps
from foveate.types import BranchLogits
from foveate.zoom.sampler import invert, lattice


class BranchMaps(NamedTuple):
    """Every branch's answer, and its map of one class at y x y places of the first view.

    The places are those of `foveate.zoom.sampler.lattice`; NaN where a branch's view does not show a place. The joint
    map is the sum of the maps of the branches that the network decides from; a view that does not show a place adds
    nothing there.
    """

    logits: BranchLogits
    maps: dict[Branch, Float[Tensor, "b y y"]]


def branch_maps(
    network: Network, images: Float[Tensor, "b 3 Hs Ws"], classes: Int64[Tensor, " b"], places: int
) -> BranchMaps:
    """Return what each branch answers, and where it sees a class.

    A zoomed view's map is carried to the first view through the inverse of its sampling grid.

    Args:
        network: A plain one or S3N.
        images: Normalised, of the source size.
        classes: The class of each image whose maps are asked for.
        places: y, along each side of the first view.

    Raises:
        UserError: The network is of a method whose class maps are not known.
    """
    if isinstance(network, S3N):
        return _of_s3n(network, images, classes, places)
    backbone = with_class_maps(network).backbone
    features = backbone(images)
    logits = BranchLogits(backbone.classifier(pool(features)))
    with torch.autocast(images.device.type, enabled=False):
        maps = _class_maps(features, backbone.classifier.weight, classes)
        everywhere = lattice(places, maps).expand(len(images), -1, -1, -1)
        return BranchMaps(logits, {Branch.ORIGINAL: at_places(maps, everywhere, images.shape[-1])[:, 0]})


def with_class_maps(network: Network) -> PlainNetwork | S3N:
    """Return the network if it is one that `branch_maps` takes.

    Raises:
        UserError: The network is of a method whose class maps are not known.
    """
    if not isinstance(network, PlainNetwork | S3N):
        raise UserError(
            "an object is localised by class maps, which rest on a linear head on averaged features; got a "
            f"{type(network).__name__}; localise a run of a plain network or of S3N"
        )
    return network


def _of_s3n(network: S3N, images: Float[Tensor, "b 3 Hs Ws"], classes: Int64[Tensor, " b"], places: int) -> BranchMaps:
    look = network.look(images)
    maps: dict[Branch, Float[Tensor, "b y y"]] = {}
    with torch.autocast(images.device.type, enabled=False):
        for branch, features in look.features.items():
            own = _class_maps(features, network.head_weight(branch), classes)
            if branch in look.grids:
                there, shown = invert(look.grids[branch], places)
            else:
                there = lattice(places, own).expand(len(images), -1, -1, -1)
                shown = torch.ones(there.shape[:-1], dtype=torch.bool, device=there.device)
            maps[branch] = at_places(own, there, network.input_size)[:, 0].masked_fill(~shown, torch.nan)
        if look.logits.joint is not None:
            added = torch.stack([maps[branch] for branch in network.fusion.decides_from])
            maps[Branch.JOINT] = added.nansum(0).masked_fill(added.isnan().all(0), torch.nan)
    return BranchMaps(look.logits, maps)


def _class_maps(
    features: Float[Tensor, "b d h w"], weight: Float[Tensor, "c d"], classes: Int64[Tensor, " b"]
) -> Float[Tensor, "b 1 h w"]:
    return class_maps(features.float(), weight.float(), classes[:, None])
