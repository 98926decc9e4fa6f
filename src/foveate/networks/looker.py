"""A network that looks in the place of the one that recognises: look with the small, recognise with the large."""

from __future__ import annotations

from typing import NamedTuple

from jaxtyping import Float
from torch import Tensor, nn

from foveate.backbones.backbone import Backbone, Normalisation, pool
from foveate.backbones.own_cnns import OwnCNN
from foveate.networks.first_view import renormalised, shrink


class Look(NamedTuple):
    """What a looker makes of a batch: its last feature map, and its head's answer to the mean of it."""

    features: Float[Tensor, "b d h w"]
    logits: Float[Tensor, "b c"]


class Looker(nn.Module):
    """A trained network that says where another one is to look; it stays as it is, whatever is trained around it.

    It is always in evaluation mode, nothing in it takes a gradient, and it sees images of its own size, normalised as
    its own are.

    Args:
        backbone: What looks; it is frozen.
        input_size: Side of its images in pixels.
    """

    def __init__(self, backbone: Backbone | OwnCNN, input_size: int) -> None:
        super().__init__()
        self.backbone = backbone.requires_grad_(False)
        self.input_size = input_size
        self.eval()

    def train(self, mode: bool = True) -> Looker:
        """Stay in evaluation mode."""
        super().train(False)
        return self

    @property
    def head(self) -> nn.Linear:
        """Its linear head: weight (c, d), bias (c,).

        Raises:
            UserError: Where its features end and its head begins is not known.
        """
        return self.backbone.with_linear_head().classifier

    def inputs(self, images: Float[Tensor, "b 3 Hs Ws"], normalisation: Normalisation) -> Float[Tensor, "b 3 H W"]:
        """Return what it sees of images that are normalised for another network: of its size, normalised for it.

        Args:
            images: Of any size; they are resized, without aliasing.
            normalisation: Theirs.
        """
        return shrink(renormalised(images, normalisation, self.backbone.normalisation), self.input_size)

    def forward(self, images: Float[Tensor, "b 3 Hs Ws"], normalisation: Normalisation) -> Look:
        """Return what it makes of images; arguments as in `inputs`, errors as in `head`."""
        features = self.backbone.with_linear_head()(self.inputs(images, normalisation))
        return Look(features, self.head(pool(features)))
