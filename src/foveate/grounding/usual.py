"""How a network is grounded where nothing is said: chosen by its family, and that by how its features lie."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from enum import StrEnum
from typing import Any, NamedTuple, cast

from torch import nn

from foveate.backbones.backbone import Backbone
from foveate.backbones.feature_layout import Order
from foveate.backbones.own_cnns import OwnCNN
from foveate.grounding.config import GroundingConfig, GroundingMethod


class Family(StrEnum):
    """What a network's last features are."""

    MAP = "feature map"
    """A feature map whose mean its head takes: ResNet, EfficientNet, VGG, and what is taken as it is."""
    NORMED_MAP = "normalised feature map"
    """A feature map whose mean is normalised before the head: ConvNeXt."""
    CHANNELS_LAST = "channels last"
    """Places first, channels last: Swin."""
    TOKENS = "tokens"
    """Tokens of patches: ViT, DINO, EVA, SigLIP."""


class Usual(NamedTuple):
    """A method, and where it looks: ``layer`` names a module, given a network; None: the method's own choice."""

    method: GroundingMethod
    layer: Callable[[Backbone | OwnCNN], str | None] = lambda _: None


def first_block(backbone: Backbone | OwnCNN) -> str | None:
    """Return the name of the first block that makes tokens, as timm lists them; None: it lists none."""
    blocks: Any = getattr(backbone.network, "feature_info", None)
    return None if not blocks else str(blocks[0]["module"])


USUAL: Mapping[Family, Usual] = {
    Family.MAP: Usual(GroundingMethod.EB),
    Family.NORMED_MAP: Usual(GroundingMethod.ATTN_LRP),
    Family.CHANNELS_LAST: Usual(GroundingMethod.ATTN_LRP),
    Family.TOKENS: Usual(GroundingMethod.ATTN_LRP, first_block),
}
"""What Guided Zoom grounds each family by: the one place that says so."""
OTHERWISE = (Usual(GroundingMethod.CLASS_MAPS), Usual(GroundingMethod.ATTN_LRP))
"""What is tried in turn where that cannot see through a network."""


def family_of(backbone: Backbone | OwnCNN) -> Family:
    """Return a network's family, by what it says of its features; one that says nothing is taken for a CNN."""
    if hasattr(cast(nn.Module, backbone.network), "num_prefix_tokens"):
        return Family.TOKENS
    layout = backbone.layout
    if layout is None:
        return Family.MAP
    if layout.order is not Order.CHANNELS_FIRST:
        return Family.CHANNELS_LAST if layout.order is Order.CHANNELS_LAST else Family.TOKENS
    return Family.MAP if layout.norm is None else Family.NORMED_MAP


def usual_groundings(backbone: Backbone | OwnCNN, config: GroundingConfig) -> Iterator[GroundingConfig]:
    """Yield what a network is grounded by where no method is said: its family's, then what is tried after it.

    Args:
        backbone: What is grounded.
        config: Where its method is said, it is the only one. A layer that is said stays.
    """
    if config.method:
        yield config
        return
    for method, layer in dict.fromkeys((USUAL[family_of(backbone)], *OTHERWISE)):
        yield replace(config, method=method, layer=config.layer or layer(backbone))
