"""SGD, with a group of parameters for each learning rate."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import nn
from torch.optim import SGD

from foveate.config.optimiser import OptimiserConfig
from foveate.networks.network import ParameterGroup


def build_optimiser(network: nn.Module, others: Sequence[ParameterGroup], config: OptimiserConfig) -> SGD:
    """Return SGD with one group for the pretrained parameters of `network`, and then the `others` in their order."""
    named = {id(parameter) for group in others for parameter in group.parameters}
    pretrained = [parameter for parameter in network.parameters() if id(parameter) not in named]
    groups: list[dict[str, Any]] = [{"params": pretrained, "lr": config.learning_rate}]
    for group in others:
        rate = config.new_learning_rate if group.new else config.learning_rate
        decay = config.weight_decay if group.decays else 0.0
        groups.append({"params": list(group.parameters), "lr": rate * group.factor, "weight_decay": decay})
    return SGD(groups, momentum=config.momentum, weight_decay=config.weight_decay, foreach=True)
