"""SGD in two groups, and the papers' schedules."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn
from torch.optim import SGD, Optimizer
from torch.optim.lr_scheduler import ConstantLR, CosineAnnealingLR, LRScheduler, MultiStepLR, OneCycleLR

from foveate.config import OptimiserConfig, Schedule


def build_optimiser(network: nn.Module, new: Sequence[nn.Parameter], config: OptimiserConfig) -> SGD:
    """Return SGD with one group for the pretrained parameters of `network` and one for the `new` ones."""
    new_ids = {id(parameter) for parameter in new}
    pretrained = [parameter for parameter in network.parameters() if id(parameter) not in new_ids]
    groups = [
        {"params": pretrained, "lr": config.learning_rate},
        {"params": list(new), "lr": config.new_learning_rate},
    ]
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
