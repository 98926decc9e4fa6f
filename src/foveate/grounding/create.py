"""Which way evidence is found: every method behind one call."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import cast

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn

from foveate.backbones.backbone import Backbone, pool
from foveate.backbones.class_maps import class_maps
from foveate.backbones.own_cnns import OwnCNN
from foveate.errors import UserError
from foveate.grounding.attn_lrp import AttnLRP
from foveate.grounding.config import GroundingConfig, GroundingMethod
from foveate.grounding.excitation.backprop import ExcitationBackprop
from foveate.grounding.grad_cam import FinerCAM, GradCAM, GradientTimesActivation
from foveate.grounding.gradients import InputGradients, Rivals
from foveate.grounding.layers import chosen_classes, layer_of_stride, layers_to_propose, private_copy, submodule
from foveate.grounding.places import last_places
from foveate.grounding.rise import RISE
from foveate.grounding.rollout import AttentionRollout
from foveate.grounding.usual import usual_groundings
from foveate.types import Grounded, Grounding


class ClassMaps:
    """The head's weights on the last feature map (S3N Eq. 1), what speaks against the class left out.

    >>> import torch
    >>> from foveate import BackboneConfig, ClassMaps, create_backbone
    >>> class_maps = ClassMaps(create_backbone(BackboneConfig(architecture="resnet18", weights="none"), classes=10))
    >>> class_maps(torch.randn(2, 3, 96, 96), 3).maps.shape
    torch.Size([2, 3, 3, 3])
    """

    def __init__(self, backbone: Backbone) -> None:
        self._backbone = cast(Backbone, private_copy(backbone))

    @torch.no_grad()
    def __call__(self, images: Float[Tensor, "b 3 H W"], classes: Int64[Tensor, "b k"] | int) -> Grounded:
        """Return one map for each class of each image; arguments and errors as `ExcitationBackprop` has them."""
        with torch.autocast(images.device.type, enabled=False):
            features = self._backbone.features(images)
            logits = self._backbone.classifier(pool(features))
        chosen = chosen_classes(logits, classes)
        return Grounded(
            logits, chosen, class_maps(features, self._backbone.classifier.weight, chosen).clamp(min=0).float()
        )


def _excitation(backbone: Backbone | OwnCNN, config: GroundingConfig, *, contrast: bool) -> ExcitationBackprop:
    return ExcitationBackprop(cast(nn.Module, backbone.network), grounding_layer(backbone, config), contrast=contrast)


def _at_layer(
    method: Callable[[nn.Module, str], Grounding],
) -> Callable[[Backbone | OwnCNN, GroundingConfig, torch.dtype], Grounding]:
    def create(backbone: Backbone | OwnCNN, config: GroundingConfig, _: torch.dtype) -> Grounding:
        return method(cast(nn.Module, backbone.network), grounding_layer(backbone, config))

    return create


def _rise(backbone: Backbone | OwnCNN, config: GroundingConfig, dtype: torch.dtype) -> RISE:
    return RISE(
        cast(nn.Module, backbone.network),
        masks=config.masks,
        cells=config.mask_cells,
        keep=config.mask_keep,
        seed=config.seed,
        dtype=dtype,
    )


GROUNDINGS: dict[str, Callable[[Backbone | OwnCNN, GroundingConfig, torch.dtype], Grounding]] = {
    GroundingMethod.EB: lambda backbone, config, _: _excitation(backbone, config, contrast=False),
    GroundingMethod.CEB: lambda backbone, config, _: _excitation(backbone, config, contrast=True),
    GroundingMethod.GRAD_CAM: _at_layer(GradCAM),
    GroundingMethod.FINER_CAM: _at_layer(FinerCAM),
    GroundingMethod.GRADIENT_ACTIVATION: _at_layer(GradientTimesActivation),
    GroundingMethod.ATTN_LRP: _at_layer(AttnLRP),
    GroundingMethod.ATTN_LRP_RIVALS: _at_layer(partial(AttnLRP, target=Rivals(strength=1.0))),
    GroundingMethod.ROLLOUT: lambda backbone, _, __: AttentionRollout(cast(nn.Module, backbone.network)),
    GroundingMethod.CLASS_MAPS: lambda backbone, config, _: ClassMaps(backbone.with_linear_head()),
    GroundingMethod.GRADIENTS: lambda backbone, config, _: InputGradients(cast(nn.Module, backbone.network)),
    GroundingMethod.RISE: _rise,
}
"""By their names, from what is grounded, how, and the type of many passes; one of your own is one more entry."""


def create_grounding(
    backbone: Backbone | OwnCNN, config: GroundingConfig, *, dtype: torch.dtype = torch.float32
) -> Grounding:
    """Make the method that a configuration names, for a network in evaluation mode.

    Args:
        backbone: What is grounded; it stays as it is.
        config: The method, and where in the network it looks; where it names none, that of the network's family.
        dtype: Of RISE's many passes; the others compute in float32.

    Raises:
        UserError: The layer is none of the network's, none is given and none found, or class maps are asked of a
            network whose head they cannot rest on.
    """
    if config.layer is not None:
        # A method that needs none takes no mistyped one either.
        submodule(cast(nn.Module, backbone.network), config.layer)
    config = next(usual_groundings(backbone, config))
    assert config.method  # chosen
    return GROUNDINGS[config.method](backbone, config, dtype)


def grounding_layer(backbone: Backbone | OwnCNN, config: GroundingConfig) -> str:
    """Return the name of the layer that is grounded: the configuration's, or the last one of stride 16.

    A transformer says how many tokens it has that are of no place (timm's `num_prefix_tokens`), and what its logits
    rest on last is then found by passing noise; so it is too where images of two sizes do not find a layer.

    Raises:
        UserError: None is given and none found.
    """
    network = cast(nn.Module, backbone.network)
    if config.layer is not None:
        return config.layer
    if hasattr(network, "num_prefix_tokens"):
        return last_places(network)
    if backbone.stride16 is not None:
        return backbone.stride16
    try:
        return layer_of_stride(network, 16)
    except Exception as error:
        # Whatever a network raises that takes no image of the sizes tried.
        return _layer_of_noise(network, backbone.architecture, error)


def _layer_of_noise(network: nn.Module, architecture: str, reason: Exception) -> str:
    for stride in (16, None):
        with suppress(Exception):  # what it raises here it raised before, of other sizes
            return last_places(network, stride)
    if isinstance(reason, UserError):
        raise reason
    there = ", ".join(layers_to_propose(network))
    named = f"such as {there}" if there else "if one gives a feature map or tokens"
    raise UserError(
        "a layer of stride 16 is found by images of two sizes; "
        f"{architecture} answers with {type(reason).__name__}; name a layer (--pool.grounding.layer), "
        f"{named}, or take the method rise (--pool.grounding.method), which needs none"
    ) from reason
