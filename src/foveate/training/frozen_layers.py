"""The first layers of a backbone, kept as they were pretrained while the others learn."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from torch import nn

from foveate.errors import UserError


def first_layers(network: nn.Module, stride: int) -> list[nn.Module]:
    """Return the modules up to the last feature map that is at most `stride` times smaller than the view.

    Args:
        network: Timm's, or one that says as much of its feature maps; its modules stand in the order in which they
            compute.
        stride: In pixels; 0: none. A transformer whose blocks all have one stride has no layers below it.

    Raises:
        UserError: It has no feature map of that stride or below, or does not say which module makes it; or all its
            blocks would be kept.
    """
    if not stride:
        return []
    feature_maps: Sequence[Mapping[str, Any]] = getattr(network, "feature_info", ())
    strides = {int(each["reduction"]) for each in feature_maps}
    if len(strides) == 1 and stride < min(strides):
        return []
    if len(strides) == 1:
        raise UserError(
            f"frozen_stride keeps the layers up to a stride; got {stride}, and all blocks of this backbone have stride "
            f"{min(strides)}; give 0, and every layer learns, train a probe, or give lora_rank"
        )
    named = {name for name, _ in network.named_modules()}
    ends = [name for each in feature_maps if each["reduction"] <= stride and (name := str(each["module"])) in named]
    if not ends:
        raise UserError(
            f"frozen_stride must be the stride of a feature map that the backbone names a module for, or above; got "
            f"{stride}, and there is none; give 0, and every layer learns"
        )
    return layers_up_to(network, ends[-1])


def layers_up_to(network: nn.Module, name: str) -> list[nn.Module]:
    """Return the modules before a named one, it and what it is made of; none that has a part after it."""
    named = list(network.named_modules())
    last = max(place for place, (each, _) in enumerate(named) if f"{each}.".startswith(f"{name}."))
    return [module for place, (_, module) in enumerate(named) if place + len(list(module.modules())) <= last + 1]


@contextmanager
def frozen(layers: Sequence[nn.Module]) -> Iterator[None]:
    """Keep the parameters of some layers from learning; afterwards they may again."""
    learning = [each for layer in layers for each in layer.parameters(recurse=False) if each.requires_grad]
    for each in learning:
        each.requires_grad = False
    try:
        yield
    finally:
        for each in learning:
            each.requires_grad = True
