"""Grad-CAM (Selvaraju et al., ICCV 2017)."""

from __future__ import annotations

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn

from foveate.grounding.gradients import class_gradients
from foveate.grounding.layers import OutputOf, chosen_classes, is_map, no_map, private_copy, submodule
from foveate.types import Grounded, SignedMaps


class GradCAM:
    """Channels of a layer weighted by the class's mean gradient, summed, what speaks against the class left out.

    Selvaraju et al., Grad-CAM (ICCV 2017), Eq. 1 and 2. May be called from several threads.

    >>> import torch, torchvision
    >>> from foveate import GradCAM
    >>> grad_cam = GradCAM(torchvision.models.resnet18(num_classes=10), "layer4")
    >>> grad_cam(torch.randn(2, 3, 96, 96), torch.tensor([[7], [0]])).maps.shape  # class 7 of one image, 0 of the other
    torch.Size([2, 1, 3, 3])
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
        logits, chosen, maps = self._signed(images, classes)
        return Grounded(logits, chosen, maps.clamp(min=0))

    def between(self, images: Float[Tensor, "b 3 H W"], pairs: Int64[Tensor, "b 2"]) -> SignedMaps:
        """Return where two classes of each image differ: Grad-CAM of the difference of their logits, with its sign.

        Args:
            images: Normalised.
            pairs: What speaks for the first class and against the second is positive.

        Raises:
            UserError: As `__call__`.
        """
        logits, _, maps = self._signed(images, pairs)
        return SignedMaps(logits, maps[:, 0] - maps[:, 1])

    def _signed(self, images: Float[Tensor, "b 3 H W"], classes: Int64[Tensor, "b k"] | int) -> Grounded:
        with torch.inference_mode(mode=False), torch.enable_grad(), torch.autocast(images.device.type, enabled=False):
            with self._output.kept() as outputs:
                logits = self._network(images.clone().requires_grad_())
            output = outputs[0] if outputs else None
            if not is_map(output, images):
                raise no_map(self._network, self._layer, output, images)
            chosen = chosen_classes(logits, classes)
            weights = class_gradients(logits, chosen, output).mean(dim=(3, 4))
        return Grounded(logits.detach(), chosen, torch.einsum("bkd,bdhw->bkhw", weights, output.detach()).float())
