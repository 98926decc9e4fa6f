"""Which way evidence is found: every method behind one call."""

from __future__ import annotations

from typing import cast

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn

from foveate.backbones.backbone import Backbone, pool
from foveate.backbones.class_maps import class_maps
from foveate.backbones.own_cnns import OwnCNN
from foveate.errors import UserError
from foveate.grounding.config import GroundingConfig, GroundingMethod
from foveate.grounding.excitation.backprop import ExcitationBackprop
from foveate.grounding.grad_cam import GradCAM
from foveate.grounding.gradients import InputGradients
from foveate.grounding.layers import chosen_classes, layer_of_stride, layers_to_propose, private_copy, submodule
from foveate.grounding.rise import RISE
from foveate.types import Grounded, Grounding


class ClassMaps:
    """The head's weights on the last feature map (S3N Eq. 1), what speaks against the class left out."""

    def __init__(self, backbone: Backbone) -> None:
        self._backbone = cast(Backbone, private_copy(backbone))

    @torch.no_grad()
    def __call__(self, images: Float[Tensor, "b 3 H W"], classes: Int64[Tensor, "b k"] | int) -> Grounded:
        """Return one map for each class of each image; arguments and errors as `ExcitationBackprop` has them."""
        with torch.autocast(images.device.type, enabled=False):
            features = self._backbone.network.forward_features(images)
            logits = self._backbone.classifier(pool(features))
        chosen = chosen_classes(logits, classes)
        return Grounded(
            logits, chosen, class_maps(features, self._backbone.classifier.weight, chosen).clamp(min=0).float()
        )


def create_grounding(
    backbone: Backbone | OwnCNN, config: GroundingConfig, *, dtype: torch.dtype = torch.float32
) -> Grounding:
    """Make the method that a configuration names, for a network in evaluation mode.

    Args:
        backbone: What is grounded; it stays as it is.
        config: The method, and where in the network it looks.
        dtype: Of RISE's many passes; the others compute in float32.

    Raises:
        UserError: The layer is none of the network's, none is given and none found, or class maps are asked of a
            network whose head they cannot rest on.
    """
    network = cast(nn.Module, backbone.network)
    if config.layer is not None:
        submodule(network, config.layer)  # a method that needs none takes no mistyped one either
    match config.method:
        case GroundingMethod.CEB | GroundingMethod.EB:
            return ExcitationBackprop(network, _layer(backbone, config), contrast=config.method is GroundingMethod.CEB)
        case GroundingMethod.GRAD_CAM:
            return GradCAM(network, _layer(backbone, config))
        case GroundingMethod.CLASS_MAPS:
            return ClassMaps(backbone.with_linear_head())
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


def _layer(backbone: Backbone | OwnCNN, config: GroundingConfig) -> str:
    if config.layer is not None:
        return config.layer
    if backbone.stride16 is not None:
        return backbone.stride16
    try:
        return layer_of_stride(backbone.network, 16)
    except UserError:
        raise
    except Exception as error:
        # Whatever a network raises that takes no image of the sizes tried.
        there = ", ".join(layers_to_propose(backbone.network))
        named = f"such as {there}" if there else "if one gives a feature map (b, d, h, w)"
        raise UserError(
            "a layer of stride 16 is found by images of two sizes; "
            f"{backbone.architecture} answers with {type(error).__name__}; name a layer with --pool.grounding.layer, "
            f"{named}, or take --pool.grounding.method rise, which needs none"
        ) from error
