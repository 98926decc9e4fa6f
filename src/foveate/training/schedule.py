"""The schedule of the learning rate: the papers' steps, one-cycle, cosine."""

from __future__ import annotations

from torch.optim import Optimizer
from torch.optim.lr_scheduler import ConstantLR, CosineAnnealingLR, LRScheduler, MultiStepLR, OneCycleLR

from foveate.config.optimiser import OptimiserConfig, Schedule


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
