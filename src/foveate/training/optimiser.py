"""SGD in two groups, and the papers' schedules."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import nn
from torch.optim import SGD, Optimizer
from torch.optim.lr_scheduler import ConstantLR, CosineAnnealingLR, LRScheduler, MultiStepLR, OneCycleLR

from foveate.config.optimiser import OptimiserConfig, Schedule
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


def build_schedule(optimiser: Optimizer, config: OptimiserConfig, steps: int) -> LRScheduler:
    """Return the schedule of a training of `steps` steps; it is moved once a step.

    One-cycle rises from 1/25 of the peak over the first 30% and falls along a cosine; the momentum stays as set.
    """
    if config.schedule is Schedule.ONE_CYCLE:
        peaks = [float(group["lr"]) for group in optimiser.param_groups]
        return OneCycleLR(optimiser, peaks, total_steps=max(steps, 2), cycle_momentum=False)
    if config.schedule is Schedule.STEP:
        milestones = [round(share * steps) for share in config.milestones]
        return MultiStepLR(optimiser, milestones, gamma=config.factor)
    if config.schedule is Schedule.COSINE:
        return CosineAnnealingLR(optimiser, steps)
    return ConstantLR(optimiser, factor=1.0)


def class_weights(labels: Sequence[int], classes: int) -> torch.Tensor:
    """Return (c,) weights inverse to each class's frequency, whose mean over the photographs is 1.

    A class with no photograph gets weight 0.
    """
    counts = torch.bincount(torch.tensor(labels), minlength=classes).float()
    present = counts > 0
    return torch.where(present, len(labels) / (present.sum() * counts.clamp(min=1)), 0.0)
