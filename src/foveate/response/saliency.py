"""Saliency: where a photograph is worth another look, whatever its class (Recasens et al., 2018, "Learning to zoom").

The class-agnostic attention that S3N compares with (Table 3).
"""

from __future__ import annotations

from copy import deepcopy

from jaxtyping import Float
from timm.models import create_feature_extractor
from torch import Tensor, nn

from foveate.backbones import Backbone
from foveate.config import CellPlacement
from foveate.response.class_maps import on_grid

_STRIDE = 8  # of the ResNet-18's layers that the paper takes


class SaliencyNetwork(nn.Module):
    """The backbone's first layers, a copy that learns for itself, and one 1x1 convolution, which starts at zero.

    At first no place is more salient than another, so the zoom it draws starts from the identity.

    Args:
        backbone: Whose layers, with the weights that they have now, are copied down to the last map of stride 8.
        placement: Where the cells of that map lie in the photograph.

    Raises:
        UserError: The backbone has no map of stride 8.
    """

    def __init__(self, backbone: Backbone, placement: CellPlacement) -> None:
        super().__init__()
        self.placement = placement
        last = backbone.stage(_STRIDE)
        copied = deepcopy(backbone.get_submodule("network"))
        self.layers = create_feature_extractor(copied, {last.module: "features"})
        self.head = nn.Conv2d(last.channels, 1, 1, bias=False)  # a bias would add the same everywhere
        nn.init.zeros_(self.head.weight)

    def forward(self, images: Float[Tensor, "b 3 H W"], cells: int) -> Float[Tensor, "b g g"]:
        """Return a softmax over places, relative to its largest value: in (0, 1], float32, 1 somewhere in each map.

        Args:
            images: Normalised.
            cells: g, the side of the map to return.
        """
        scores = self.head(self.layers(images)["features"]).float()
        scores = on_grid(scores, cells, self.placement)[:, 0]
        return (scores - scores.amax(dim=(1, 2), keepdim=True)).exp()
