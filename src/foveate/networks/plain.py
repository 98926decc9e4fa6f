"""The fine-tuned baseline of both papers."""

from __future__ import annotations

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn

from foveate.backbones.backbone import Backbone, create_backbone, pool
from foveate.backbones.class_maps import at_places
from foveate.config.branches import Branch
from foveate.config.networks import PlainConfig
from foveate.networks.branch_maps import BranchMaps, maps_of
from foveate.networks.first_view import lattice
from foveate.networks.network import Network, ParameterGroup, TrainingStep
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

    def forward(self, images: Float[Tensor, "b 3 H W"], step: TrainingStep | None = None) -> BranchLogits:
        """Return the logits of normalised images."""
        features = self.backbone(images)
        return BranchLogits(self.backbone.classifier(self.dropout(pool(features))))

    @property
    def decides_by_backbone(self) -> bool:
        """True: there is no head but the backbone's."""
        return True

    def check_class_maps(self) -> None:
        """Allow them: the head is linear, on averaged features."""

    def branch_maps(self, images: Float[Tensor, "b 3 H W"], classes: Int64[Tensor, " b"], places: int) -> BranchMaps:
        """Return the answer, and where it sees a class; arguments as in `Network.branch_maps`."""
        features, head = self.backbone(images), self.backbone.classifier
        logits = BranchLogits(head(pool(features)))
        with torch.autocast(images.device.type, enabled=False):
            maps = maps_of(features, head.weight, classes)
            everywhere = lattice(places, maps).expand(len(images), -1, -1, -1)
            return BranchMaps(logits, {Branch.ORIGINAL: at_places(maps, everywhere, images.shape[-1])[:, 0]})

    def parameter_groups(self) -> list[ParameterGroup]:
        """Return the head's parameters, which start random."""
        return [ParameterGroup(list(self.backbone.classifier.parameters()))]
