"""Low-rank updates of a backbone's weights, learned in place of the weights themselves (LoRA: Hu et al., ICLR 2022)."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, cast

from torch import nn

from foveate.errors import UserError
from foveate.networks.network import Network

_SCALE = 2  # of what an update adds, over its rank


def check_low_rank(network: Network, rank: int) -> None:
    """Refuse updates that cannot be learned.

    Raises:
        UserError: The package peft is not installed, or the backbone has no linear layer but its head.
    """
    if rank:
        _peft()
        _targets(network)


@contextmanager
def low_rank_updates(network: Network, rank: int) -> Iterator[None]:
    """Inside this context, learn updates of the backbone's linear layers; afterwards they are part of its weights.

    Heads, and whatever else a method adds, learn as ever. The network is the same before and after: its weights are
    saved and loaded under the same names, and peft is not needed to use it.

    Args:
        network: Changed in place.
        rank: Of each update; 0: nothing is changed, and the weights themselves learn.

    Raises:
        UserError: As `check_low_rank`.
    """
    if not rank:
        yield
        return
    peft, backbone = _peft(), cast(nn.Module, network.backbone.network)
    learning = [each for each in backbone.parameters() if each.requires_grad]
    heads = [each for group in network.parameter_groups() for each in group.parameters if each.requires_grad]
    config = peft.LoraConfig(r=rank, lora_alpha=_SCALE * rank, target_modules=_targets(network))
    peft.inject_adapter_in_model(config, backbone)
    for each in heads:
        each.requires_grad = True
    yield
    for name, layer in list(backbone.named_modules()):
        if isinstance(layer, peft.tuners.lora.LoraLayer):
            layer.merge()
            backbone.set_submodule(name, layer.get_base_layer())
    for each in learning:
        each.requires_grad = True


def _targets(network: Network) -> list[str]:
    backbone = cast(nn.Module, network.backbone.network)
    own = {id(each) for group in network.parameter_groups() for each in group.parameters}
    names = [
        name
        for name, each in backbone.named_modules()
        if isinstance(each, nn.Linear) and each.weight.requires_grad and id(each.weight) not in own
    ]
    if not names:
        raise UserError(
            f"lora_rank is for backbones of linear layers, such as transformers and ConvNeXt; "
            f"{network.backbone.architecture} has none but its head; give --lora-rank 0, or --frozen-stride 4"
        )
    return names


def _peft() -> Any:
    try:
        return importlib.import_module("peft")
    except ImportError as error:
        raise UserError(
            "lora_rank needs the package peft; it is not installed; pip install peft, or give --lora-rank 0"
        ) from error
