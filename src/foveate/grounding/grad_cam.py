"""Grad-CAM (Selvaraju et al., ICCV 2017), Finer-CAM (CVPR 2025) and gradient times activation."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn

from foveate.grounding.gradients import Rivals
from foveate.grounding.layer_gradients import LayerGradients


class GradCAM(LayerGradients):
    """Channels of a layer weighted by the class's mean gradient, summed, what speaks against the class left out.

    Selvaraju et al., Grad-CAM (ICCV 2017), Eq. 1 and 2. May be called from several threads.

    >>> import torch, torchvision
    >>> from foveate import GradCAM
    >>> grad_cam = GradCAM(torchvision.models.resnet18(num_classes=10), "layer4")
    >>> grad_cam(torch.randn(2, 3, 96, 96), torch.tensor([[7], [0]])).maps.shape  # class 7 of one image, 0 of the other
    torch.Size([2, 1, 3, 3])
    """

    def _maps(
        self, activations: Float[Tensor, "b d h w"], gradients: Float[Tensor, "b k d h w"]
    ) -> Float[Tensor, "b k h w"]:
        return torch.einsum("bkd,bdhw->bkhw", gradients.mean(dim=(3, 4)), activations)


class FinerCAM(GradCAM):
    """Grad-CAM of a class against its nearest rivals: what tells it from them, and not what all of them show.

    Zhang et al., Finer-CAM (CVPR 2025): Grad-CAM of the logit less a share of the mean of its rivals' (`Rivals`).
    """

    def __init__(self, network: nn.Module, layer: str, *, rivals: Rivals | None = None) -> None:
        """Look into a copy of the network's modules.

        Args:
            network: From images to logits; it stays as it is.
            layer: Names the module whose output is weighted.
            rivals: How many, and how strongly; None: 3, whose mean counts 0.6.

        Raises:
            UserError: As `GradCAM`.
        """
        super().__init__(network, layer, target=rivals or Rivals())


class GradientTimesActivation(LayerGradients):
    """Each activation of a layer times its own gradient, summed over the channels.

    Where the logit is linear in the layer, less its bias, that is what each place adds to it. Unlike Grad-CAM it does
    not average gradients over places, which at a transformer's tokens differ from place to place.
    """

    def _maps(
        self, activations: Float[Tensor, "b d h w"], gradients: Float[Tensor, "b k d h w"]
    ) -> Float[Tensor, "b k h w"]:
        return torch.einsum("bkdhw,bdhw->bkhw", gradients, activations)
