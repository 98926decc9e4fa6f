"""The fine-tuned baseline of both papers."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor, nn

from foveate.backbones import Backbone, create_backbone, pool
from foveate.config import PlainConfig
from foveate.methods.network import Moment, Network, ParameterGroup
from foveate.types import BranchLogits


class PlainNetwork(Network):
    """Backbone, global average pooling, linear head; trained as a whole."""

    backbone: Backbone

    def __init__(self, backbone: Backbone, dropout: float = 0.0) -> None:
        super().__init__()
        self.backbone = backbone
        self.dropout = nn.Dropout(dropout)

    @classmethod
    def create(cls, config: PlainConfig, classes: int, *, pretrained: bool = True) -> PlainNetwork:
        """Build it from its configuration; `pretrained` as in `create_backbone`."""
        return cls(create_backbone(config.backbone, classes, pretrained=pretrained), config.dropout)

    def forward(self, images: Float[Tensor, "b 3 H W"], moment: Moment | None = None) -> BranchLogits:
        """Return the logits of normalised images."""
        features = self.backbone(images)
        return BranchLogits(self.backbone.classifier(self.dropout(pool(features))))

    def parameter_groups(self) -> list[ParameterGroup]:
        """Return the head's parameters, which start random."""
        return [ParameterGroup(list(self.backbone.classifier.parameters()))]
