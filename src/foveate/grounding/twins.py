"""Why one class and not its twin: contrastive maps of two classes, both ways.

Ordinary maps of two look-alike classes are nearly equal: the same head excites both. What tells the classes apart is
what moves the difference of their logits.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from typing import NamedTuple, cast

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from foveate.errors import UserError
from foveate.grounding.config import GroundingConfig
from foveate.grounding.create import create_grounding, grounding_layer
from foveate.grounding.excitation.backprop import ExcitationBackprop
from foveate.grounding.grad_cam import GradCAM
from foveate.grounding.layer_gradients import LayerGradients
from foveate.grounding.layers import check_classes, check_images
from foveate.networks.network import Network
from foveate.types import SignedMaps


class TwinMaps(NamedTuple):
    """Where the evidence lies that tells two classes apart, in the first view of each image.

    Both maps are in [0, 1], share one scale, of which the most of both is 1, and are nowhere positive together.
    """

    first: Float[Tensor, "b h w"]
    """What speaks for the first class of the pair rather than the second."""
    second: Float[Tensor, "b h w"]
    """What speaks for the second rather than the first."""
    logits: Float[Tensor, "b c"]
    """Of the backbone that is grounded: an S3N's first look."""

    @classmethod
    def of(cls, signed: SignedMaps) -> TwinMaps:
        """Part maps with a sign into both directions; a map of zeros stays one."""
        maps = signed.maps.nan_to_num(0.0, posinf=0.0, neginf=0.0)
        most = maps.abs().amax((1, 2), keepdim=True)
        shares = maps / most.clamp(min=torch.finfo(maps.dtype).tiny)
        return cls(shares.clamp(min=0), (-shares).clamp(min=0), signed.logits)


@dataclass(frozen=True, slots=True)
class TwinEvidence:
    """Why one class and not another in one view; the maps are as in `TwinMaps`, their cells cover the view."""

    first_class: str
    second_class: str
    first: Float[np.ndarray, "h w"]
    """What speaks for the first class rather than the second, in [0, 1]."""
    second: Float[np.ndarray, "h w"]
    """What speaks for the second rather than the first, in [0, 1]."""


class TwinContrast:
    """Says of any network where it sees what tells two classes apart; it stays as it is.

    It is grounded by the contrast of excitation backprop, where its operations allow it; else by what is usual for its
    family, such as AttnLRP for a ViT, or by Grad-CAM; each of the difference of both logits.

    >>> import torch
    >>> from foveate import BackboneConfig, PlainConfig, PlainNetwork, TwinContrast
    >>> backbone = BackboneConfig(architecture="resnet18", weights="none")
    >>> network = PlainNetwork.create(PlainConfig(backbone=backbone), classes=10)
    >>> maps = TwinContrast(network)(torch.randn(2, 3, 96, 96), torch.tensor([[7, 1], [0, 3]]))
    >>> maps.first.shape, maps.second.shape  # why 7 and not 1, why 1 and not 7 in the first image
    (torch.Size([2, 6, 6]), torch.Size([2, 6, 6]))

    What it knows of the network is a copy of its modules, as in `ExcitationBackprop`.
    """

    def __init__(self, network: Network, layer: str | None = None) -> None:
        """Look into the network's backbone.

        Args:
            network: Ours, of any method, such as a classifier's; its first view is grounded.
            layer: Name of the module of the backbone whose output is grounded; None: the last one of stride 16, or
                where the family's usual method looks.

        Raises:
            UserError: There is no such layer, or none of stride 16.
        """
        self._network, self._asked = network, layer
        self._layer = grounding_layer(network.backbone, GroundingConfig(layer=layer))
        self._excitation = ExcitationBackprop(cast(nn.Module, network.backbone.network), self._layer)

    def __call__(self, images: Float[Tensor, "b 3 Hs Ws"], pairs: Tensor) -> TwinMaps:
        """Return both maps of each image.

        Args:
            images: Normalised, of the source size, on the network's device.
            pairs: (b, 2) in int64, two classes of each image.

        Raises:
            UserError: The images are no batch, a class is none of the network's, both of a pair are the same, or
                neither method sees through the network.
        """
        check_images(images)
        check_classes(pairs, len(images))
        if pairs.shape[1] != 2 or (pairs[:, 0] == pairs[:, 1]).any():
            raise UserError(
                f"twin maps are of pairs of two different classes, one pair an image; got {pairs.tolist()}; name two "
                "classes of each image"
            )
        view = self._network.first_view(images)
        # An operation without a rule, or no last linear layer; whatever else is wrong fails again.
        with suppress(UserError):
            return TwinMaps.of(self._excitation.between(view, pairs))
        usual = create_grounding(self._network.backbone, GroundingConfig(layer=self._asked))
        if isinstance(usual, LayerGradients):
            with suppress(UserError):
                return TwinMaps.of(usual.between(view, pairs))
        grad_cam = GradCAM(cast(nn.Module, self._network.backbone.network), self._layer)
        return TwinMaps.of(grad_cam.between(view, pairs))


def twin_maps(
    network: Network, images: Float[Tensor, "b 3 Hs Ws"], first: int, second: int, *, layer: str | None = None
) -> TwinMaps:
    """Return why a network says one class and not another, both ways: a map of each in every image.

    For many calls build `TwinContrast` once; arguments and errors are those of it.

    Args:
        network: Ours, of any method.
        images: Normalised, of the source size, on its device.
        first: Number of a class.
        second: Number of another.
        layer: As in `TwinContrast`.
    """
    pairs = torch.tensor([[first, second]], device=images.device).expand(len(images), -1)
    return TwinContrast(network, layer)(images, pairs)
