"""The loss: the sum of every branch's cross entropy (S3N Eq. 9)."""

from __future__ import annotations

from jaxtyping import Float, Int64
from torch import Tensor
from torch.nn import functional

from foveate.config.branches import Branch
from foveate.config.checks import require
from foveate.config.optimiser import SmoothingOver
from foveate.networks.network import Losses
from foveate.recipes.config import TrainConfig
from foveate.types import BranchLogits


def total_loss(
    losses: Losses,
    labels: Int64[Tensor, " b"],
    config: TrainConfig,
    weight: Float[Tensor, " c"] | None = None,
    added: Float[Tensor, " c"] | None = None,
) -> Float[Tensor, ""]:
    """Return the sum of all that the losses hold; arguments as in `branch_loss`.

    >>> from pathlib import Path
    >>> import torch
    >>> from foveate import BranchLogits, DataConfig, Losses, TrainConfig, total_loss
    >>> config = TrainConfig(data=DataConfig(root=Path("photographs")), label_smoothing=0.0)
    >>> losses = Losses(BranchLogits(torch.zeros(1, 2), joint=torch.zeros(1, 2)))  # or network.losses(images, step)
    >>> total_loss(losses, torch.tensor([1]), config)  # log 2 of each branch
    tensor(1.3863)
    """
    terms = [] if losses.answers is None else [branch_loss(losses.answers, labels, config, weight, added)]
    terms += [
        _cross_entropy(logits, labels, weight, added, _smoothing(logits.shape[1], config)) for logits in losses.further
    ]
    terms += [] if losses.own is None else [losses.own]
    return sum(terms[1:], terms[0])


def branch_loss(
    answers: BranchLogits,
    labels: Int64[Tensor, " b"],
    config: TrainConfig,
    weight: Float[Tensor, " c"] | None = None,
    added: Float[Tensor, " c"] | None = None,
) -> Float[Tensor, ""]:
    """Return the sum of the branches' mean cross entropies, each with the smoothing that the configuration gives it.

    Args:
        answers: Every branch's logits.
        labels: The true classes.
        config: The run's configuration.
        weight: How much each class counts; None: all the same.
        added: To the logits of each image (`TrainConfig.logit_adjustment`); None: nothing.
    """
    terms = [
        _cross_entropy(logits, labels, weight, added, smoothing_of(branch, logits.shape[1], config))
        for branch, logits in answers.present().items()
    ]
    return sum(terms[1:], terms[0])


def _cross_entropy(
    logits: Float[Tensor, "b c"],
    labels: Int64[Tensor, " b"],
    weight: Float[Tensor, " c"] | None,
    added: Float[Tensor, " c"] | None,
    smoothing: float,
) -> Float[Tensor, ""]:
    logits = logits.float() if added is None else logits.float() + added
    return functional.cross_entropy(logits, labels, weight, label_smoothing=smoothing)


def smoothing_of(branch: Branch, classes: int, config: TrainConfig) -> float:
    """Return the share of the target that torch's label smoothing spreads over all classes."""
    if branch in config.network.unsmoothed:
        return 0.0
    return _smoothing(classes, config)


def _smoothing(classes: int, config: TrainConfig) -> float:
    if config.smoothing_over is SmoothingOver.OTHERS and classes > 1:
        return config.label_smoothing * classes / (classes - 1)
    return config.label_smoothing


def check_smoothing(classes: int, config: TrainConfig) -> None:
    """Refuse a share for the other classes that leaves the true one less than each of them.

    Raises:
        UserError: It does.
    """
    require(
        config.smoothing_over is SmoothingOver.ALL or classes < 2 or config.label_smoothing <= 1 - 1 / classes,
        f"label_smoothing over the other classes must be at most 1 - 1/{classes} with {classes} classes",
        f"{config.label_smoothing}; lower it",
    )
