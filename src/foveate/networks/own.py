"""A network that was trained elsewhere."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor, nn

from foveate.backbones.backbone import Backbone, Normalisation
from foveate.backbones.own_cnns import OwnCNN, create_own_cnn, seen_as_cnn
from foveate.config.networks import OwnConfig
from foveate.networks.network import Network, ParameterGroup, TrainingStep
from foveate.types import BranchLogits


class OwnNetwork(Network):
    """Any module from images to logits, asked as it is.

    >>> import torch, torchvision
    >>> from foveate import OwnNetwork
    >>> network = OwnNetwork.of(torchvision.models.resnet18(num_classes=10), classes=10)
    >>> network(torch.randn(2, 3, 96, 96)).decision.shape
    torch.Size([2, 10])
    """

    def __init__(self, backbone: Backbone | OwnCNN) -> None:
        super().__init__()
        self.backbone = backbone

    @classmethod
    def create(cls, config: OwnConfig, classes: int, side: int | None = None) -> OwnNetwork:
        """Build it, its weights about to be loaded; arguments and errors as `create_own_cnn` has them."""
        return cls(create_own_cnn(config, classes, side))

    @classmethod
    def of(cls, network: nn.Module, classes: int, normalisation: Normalisation | None = None) -> OwnNetwork:
        """Take in a module, such as torchvision's or your own; arguments as `seen_as_cnn` has them."""
        return cls(seen_as_cnn(network, type(network).__name__, classes=classes, normalisation=normalisation))

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
