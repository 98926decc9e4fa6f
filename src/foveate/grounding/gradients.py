"""Grounding by gradients: Grad-CAM, and the plain gradient of the pixels."""

from __future__ import annotations

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn
from torch.nn import functional

from foveate.grounding.layers import OutputOf, chosen_classes, is_map, no_map, private_copy, submodule
from foveate.types import Grounded


def class_gradients(
    logits: Float[Tensor, "b c"], classes: Int64[Tensor, "b k"], inputs: Float[Tensor, "b ..."]
) -> Float[Tensor, "b k ..."]:
    """Return the gradient of each asked logit with respect to what the logits were computed from."""
    asked = functional.one_hot(classes.T, logits.shape[1]).to(logits.dtype)
    (gradients,) = torch.autograd.grad(logits, inputs, asked, is_grads_batched=True)
    return gradients.transpose(0, 1)


class GradCAM:
    """Channels of a layer weighted by the class's mean gradient, summed, what speaks against the class left out.

    Selvaraju et al., Grad-CAM (ICCV 2017), Eq. 1 and 2. May be called from several threads.
    """

    def __init__(self, network: nn.Module, layer: str) -> None:
        """Look into a copy of the network's modules; `layer` names the one whose output is weighted.

        Raises:
            UserError: There is no such layer, or the network cannot be copied.
        """
        self._network = private_copy(network)
        self._layer = layer
        self._output = OutputOf(submodule(self._network, layer))

    def __call__(self, images: Float[Tensor, "b 3 H W"], classes: Int64[Tensor, "b k"] | int) -> Grounded:
        """Return one map for each class of each image; arguments and errors as `ExcitationBackprop` has them.

        Raises:
            UserError: Also where the layer gives no feature map; those that do are named.
        """
        with torch.inference_mode(mode=False), torch.enable_grad(), torch.autocast(images.device.type, enabled=False):
            with self._output.kept() as seen:
                logits = self._network(images.clone().requires_grad_())
            output = seen[0] if seen else None
            if not is_map(output, images):
                raise no_map(self._network, self._layer, output, images)
            chosen = chosen_classes(logits, classes)
            weights = class_gradients(logits, chosen, output).mean(dim=(3, 4))
        maps = torch.einsum("bkd,bdhw->bkhw", weights, output.detach()).clamp(min=0)
        return Grounded(logits.detach(), chosen, maps.float())


class InputGradients:
    """The largest absolute gradient of the class's logit over the colours of each pixel (Simonyan et al., 2013)."""

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
