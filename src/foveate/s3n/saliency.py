"""Saliency: where a photograph is worth another look, whatever its class (Recasens et al., 2018, "Learning to zoom").

The class-agnostic attention that S3N compares with (Table 3).
"""

from __future__ import annotations

from copy import deepcopy
from typing import Protocol, runtime_checkable

from jaxtyping import Float
from torch import Tensor, nn

from foveate.backbones.backbone import Backbone
from foveate.errors import UserError
from foveate.s3n.config import CellPlacement
from foveate.s3n.response_grid import on_grid

_STRIDE = 8  # of the ResNet-18's layers that the paper takes


@runtime_checkable
class _Stages(Protocol):
    """What most of timm's networks offer: to run, or to keep, the stages up to one of their feature maps alone."""

    def forward_intermediates(
        self, images: Tensor, *, indices: list[int], stop_early: bool, intermediates_only: bool
    ) -> list[Tensor]:
        """Return some feature maps."""

    def prune_intermediate_layers(self, indices: list[int], *, prune_norm: bool, prune_head: bool) -> list[int]:
        """Remove what comes after them."""


class SaliencyNetwork(nn.Module):
    """The backbone's first layers, a copy that learns for itself, and one 1x1 convolution, which starts at zero.

    At first no place is more salient than another, so the zoom it draws starts from the identity.

    Args:
        backbone: Whose layers, with the weights that they have now, are copied down to the last map of stride 8.
        placement: Where the cells of that map lie in the photograph.

    Raises:
        UserError: The backbone has no map of stride 8, or timm cannot run its layers down to there alone.
    """

    def __init__(self, backbone: Backbone, placement: CellPlacement) -> None:
        super().__init__()
        self.placement = placement
        last = backbone.stage(_STRIDE)
        layers = deepcopy(backbone.network)
        if not isinstance(layers, _Stages):
            raise UserError(
                "a saliency network is made of a backbone's first stages, which timm must offer; "
                f"{backbone.architecture!r} has none; take another backbone, "
                "such as tf_efficientnet_lite0, resnet50 or densenet121"
            )
        layers.prune_intermediate_layers([last.number], prune_norm=True, prune_head=True)
        self.stage = last.number
        self.layers = layers
        self.head = nn.Conv2d(last.channels, 1, 1, bias=False)  # a bias would add the same everywhere
        nn.init.zeros_(self.head.weight)

    def forward(self, images: Float[Tensor, "b 3 H W"], cells: int) -> Float[Tensor, "b g g"]:
        """Return a softmax over places, relative to its largest value: in (0, 1], float32, 1 somewhere in each map.

        Args:
            images: Normalised.
            cells: g, the side of the map to return.
        """
        scores = self.head(self.features(images)).float()
        scores = on_grid(scores, cells, self.placement)[:, 0]
        return (scores - scores.amax(dim=(1, 2), keepdim=True)).exp()

    def features(self, images: Float[Tensor, "b 3 H W"]) -> Float[Tensor, "b d h w"]:
        """Return the last map of stride 8."""
        (features,) = self.layers.forward_intermediates(
            images, indices=[self.stage], stop_early=True, intermediates_only=True
        )
        return features
