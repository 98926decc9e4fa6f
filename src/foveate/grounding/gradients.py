"""Grounding by gradients: of a class's logit, down to any layer, and down to the pixels (Simonyan et al., 2013)."""

from __future__ import annotations

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn
from torch.nn import functional

from foveate.grounding.layers import chosen_classes, private_copy
from foveate.types import Grounded


def class_gradients(
    logits: Float[Tensor, "b c"], classes: Int64[Tensor, "b k"], inputs: Float[Tensor, "b ..."]
) -> Float[Tensor, "b k ..."]:
    """Return the gradient of each asked logit with respect to what the logits were computed from."""
    chosen = functional.one_hot(classes.T, logits.shape[1]).to(logits.dtype)
    (gradients,) = torch.autograd.grad(logits, inputs, chosen, is_grads_batched=True)
    return gradients.transpose(0, 1)


class InputGradients:
    """The largest absolute gradient of the class's logit over the colours of each pixel (Simonyan et al., 2013).

    >>> import torch, torchvision
    >>> from foveate import InputGradients
    >>> gradients = InputGradients(torchvision.models.resnet18(num_classes=10))
    >>> gradients(torch.randn(2, 3, 96, 96), 1).maps.shape  # of each image's best class, a cell for each pixel
    torch.Size([2, 1, 96, 96])
    """

    def __init__(self, network: nn.Module) -> None:
        """Look into a copy of the network's modules."""
        self._network = private_copy(network)

    def __call__(self, images: Float[Tensor, "b 3 H W"], classes: Int64[Tensor, "b k"] | int) -> Grounded:
        """Return one map for each class of each image, a cell for each pixel."""
        with torch.inference_mode(mode=False), torch.enable_grad(), torch.autocast(images.device.type, enabled=False):
            pixels = images.clone().requires_grad_()
            logits = self._network(pixels)
            chosen = chosen_classes(logits, classes)
            maps = class_gradients(logits, chosen, pixels).abs().amax(dim=2)
        return Grounded(logits.detach(), chosen, maps.float())
