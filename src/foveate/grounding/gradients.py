"""Grounding by gradients: of a class's logit, down to any layer, and down to the pixels (Simonyan et al., 2013)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn
from torch.nn import functional

from foveate.errors import UserError
from foveate.grounding.layers import chosen_classes, private_copy
from foveate.types import Grounded

Target = Callable[[Float[Tensor, "b c"], Int64[Tensor, "b k"]], Float[Tensor, "b k c"]]
"""Says what is grounded in place of a class's logit: weights of all logits, given these and the classes."""


def alone(logits: Float[Tensor, "b c"], classes: Int64[Tensor, "b k"]) -> Float[Tensor, "b k c"]:
    """Return the weights of each class's own logit: 1 for it, 0 for the others."""
    return functional.one_hot(classes, logits.shape[1]).to(logits.dtype)


@dataclass(frozen=True, slots=True)
class Rivals:
    """A class against those that are nearest to it: its logit less a share of the mean of theirs.

    Zhang et al., Finer-CAM (CVPR 2025), section 3: what look-alike classes share cancels. The nearest are those whose
    logits differ least from the class's, as in the authors' code; of equal ones the first.

    Attributes:
        count: How many classes are compared with; fewer where there are no more.
        strength: Share of their mean that is subtracted (gamma); 0: the class alone.
    """

    count: int = 3
    strength: float = 0.6

    def __post_init__(self) -> None:
        if self.count < 1 or not 0 <= self.strength <= 1:
            raise UserError(
                "rivals must be one class or more, and their strength in [0, 1]; "
                f"got {self.count} and {self.strength}; name others"
            )

    def __call__(self, logits: Float[Tensor, "b c"], classes: Int64[Tensor, "b k"]) -> Float[Tensor, "b k c"]:
        """Return the weights of all logits that this comes to."""
        own = alone(logits, classes)
        count = min(self.count, logits.shape[1] - 1)
        if not count:
            return own
        distances = (logits.detach()[:, None] - logits.detach().gather(1, classes)[..., None]).abs()
        nearest = distances.masked_fill(own.bool(), torch.inf).argsort(dim=2, stable=True)[..., :count]
        return own.scatter(2, nearest, -self.strength / count)


def class_gradients(
    logits: Float[Tensor, "b c"], weights: Float[Tensor, "b k c"], inputs: Float[Tensor, "b ..."]
) -> Float[Tensor, "b k ..."]:
    """Return the gradients of weighted sums of logits with respect to what the logits were computed from.

    Raises:
        UserError: They were not computed from it.
    """
    try:
        (gradients,) = torch.autograd.grad(logits, inputs, weights.transpose(0, 1), is_grads_batched=True)
    except RuntimeError as error:
        if "not have been used in the graph" not in str(error):
            raise
        raise UserError(
            "gradients go from the logits to what they were computed from; the layer is not between the images and "
            "the logits; name another"
        ) from None
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
            maps = class_gradients(logits, alone(logits, chosen), pixels).abs().amax(dim=2)
        return Grounded(logits.detach(), chosen, maps.float())
