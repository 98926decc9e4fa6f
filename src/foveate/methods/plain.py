"""The fine-tuned baseline of both papers."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor, nn

from foveate.backbones import Backbone, create_backbone, pool
from foveate.config import PlainConfig


class PlainNetwork(nn.Module):
    """Backbone, global average pooling, linear head; trained as a whole."""

    def __init__(self, backbone: Backbone, dropout: float = 0.0) -> None:
        super().__init__()
        self.backbone = backbone
        self.dropout = nn.Dropout(dropout)

    @classmethod
    def create(cls, config: PlainConfig, classes: int, *, pretrained: bool = True) -> PlainNetwork:
        """Build it from its configuration; `pretrained` as in `create_backbone`."""
        return cls(create_backbone(config.backbone, classes, pretrained=pretrained), config.dropout)

    def forward(self, images: Float[Tensor, "b 3 H W"]) -> Float[Tensor, "b c"]:
        """Return the logits of normalised images."""
        features = self.backbone(images)
        logits: Tensor = self.backbone.classifier(self.dropout(pool(features)))
        return logits

    def new_parameters(self) -> list[nn.Parameter]:
        """Return the parameters that start random and learn at the rate of new layers: the head's."""
        return list(self.backbone.classifier.parameters())
