"""Which way evidence is found: every method behind one call."""

from __future__ import annotations

from typing import cast

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn

from foveate.backbones import Backbone, pool
from foveate.config import GroundingConfig, GroundingMethod
from foveate.response.class_maps import class_maps
from foveate.response.excitation import ExcitationBackprop
from foveate.response.gradients import GradCAM, InputGradients
from foveate.response.layers import chosen_classes, private_copy
from foveate.response.rise import RISE
from foveate.types import Grounded, Grounding


class ClassMaps:
    """The head's weights on the last feature map (S3N Eq. 1), what speaks against the class left out."""

    def __init__(self, backbone: Backbone) -> None:
        self._backbone = cast(Backbone, private_copy(backbone))

    @torch.no_grad()
    def __call__(self, images: Float[Tensor, "b 3 H W"], classes: Int64[Tensor, "b k"] | int) -> Grounded:
        """Return one map for each class of each image; arguments and errors as `ExcitationBackprop` has them."""
        with torch.autocast(images.device.type, enabled=False):
            features = self._backbone(images)
            logits = self._backbone.classifier(pool(features))
        chosen = chosen_classes(logits, classes)
        return Grounded(
            logits, chosen, class_maps(features, self._backbone.classifier.weight, chosen).clamp(min=0).float()
        )


def create_grounding(backbone: Backbone, config: GroundingConfig, *, dtype: torch.dtype = torch.float32) -> Grounding:
    """Make the method that a configuration names, for a network in evaluation mode.

    Args:
        backbone: What is grounded; it stays as it is.
        config: The method, and where in the network it looks.
        dtype: Of RISE's many passes; the others compute in float32.

    Raises:
        UserError: The layer is none of the network's.
    """
    network, layer = cast(nn.Module, backbone.network), config.layer or backbone.stride16
    match config.method:
        case GroundingMethod.CEB | GroundingMethod.EB:
            return ExcitationBackprop(network, layer, contrast=config.method is GroundingMethod.CEB)
        case GroundingMethod.GRAD_CAM:
            return GradCAM(network, layer)
        case GroundingMethod.CLASS_MAPS:
            return ClassMaps(backbone)
        case GroundingMethod.GRADIENTS:
            return InputGradients(network)
        case GroundingMethod.RISE:
            return RISE(
                network,
                masks=config.masks,
                cells=config.mask_cells,
                keep=config.mask_keep,
                seed=config.seed,
                dtype=dtype,
            )
