"""A network that was trained elsewhere."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor

from foveate.backbones.backbone import Backbone
from foveate.backbones.own_cnns import OwnCNN, create_own_cnn
from foveate.config.networks import OwnConfig
from foveate.networks.network import Network, ParameterGroup, TrainingStep
from foveate.types import BranchLogits


class OwnNetwork(Network):
    """The library's module, asked as it is."""

    def __init__(self, backbone: Backbone | OwnCNN) -> None:
        super().__init__()
        self.backbone = backbone

    @classmethod
    def create(cls, config: OwnConfig, classes: int, side: int | None = None) -> OwnNetwork:
        """Build it, its weights about to be loaded; arguments and errors as `create_own_cnn` has them."""
        return cls(create_own_cnn(config, classes, side))

    def forward(self, images: Float[Tensor, "b 3 H W"], step: TrainingStep | None = None) -> BranchLogits:
        """Return the logits of normalised images."""
        return BranchLogits(self.backbone.logits(images))

    @property
    def decides_by_backbone(self) -> bool:
        """True: there is nothing but the library's module."""
        return True

    def parameter_groups(self) -> list[ParameterGroup]:
        """Return none: it is not trained here."""
        return []
