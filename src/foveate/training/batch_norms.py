"""Batch norms whose running statistics are of the views that a training learns from, before heads are fitted on them.

In training a batch norm normalises by the statistics of its batch. A head that was fitted on features of other
statistics, those of ImageNet, meets features there that it was not fitted to: its loss begins at many times the one it
was fitted to, and the first steps undo the backbone (docs/log.md, 2026-11-29).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch.nn.modules.batchnorm import _BatchNorm

from foveate.config.optimiser import Sampling
from foveate.data.loading import Batch, TrainingViews, training_loader
from foveate.data.records import ImageRecord, labels_of
from foveate.hardware import autocast_dtype, device_of
from foveate.networks.network import Network
from foveate.progress import progress
from foveate.recipes.config import TrainConfig
from foveate.training.module import TrainingModule

_MOST_BATCHES = 64  # statistics of a thousand views are steady


@torch.no_grad()
def adapt_batch_norms(
    network: Network, config: TrainConfig, train: Sequence[ImageRecord], say: Callable[[str], None] = print
) -> None:
    """Set the running statistics of batch norms to their mean over batches of training views; no weight changes.

    Those of layers that the training keeps as they begin (`TrainConfig.frozen_stride`) stay. Without batch norms no
    photograph is opened. Source: Li et al., "Revisiting batch normalization for practical domain adaptation", ICLR
    workshop 2017.

    Args:
        network: Passes the views of the first epoch, at most 64 batches of them; it is in evaluation afterwards.
        config: The run's configuration, its epochs counted.
        train: Training photographs.
        say: Receives lines of progress.
    """
    device, dtype = device_of(config.hardware), autocast_dtype(config.hardware)
    module = TrainingModule(network, config, labels_of(train)).to(device)
    norms = _learning_norms(module)
    if not norms:
        return
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # each batch counts the same
    module.train()
    views = TrainingViews(train, config.transforms, config.seed)
    balanced = labels_of(train) if config.sampling is Sampling.BALANCED else None
    loader = training_loader(views, config.batch_size, workers=config.hardware.workers, balanced=balanced)
    batches = min(len(loader), _MOST_BATCHES)
    passes = torch.autocast(device.type, dtype, enabled=dtype is not torch.float32)
    with progress("batch norms", batches, say) as advance, passes:
        for count, batch in zip(range(1, batches + 1), loader, strict=False):
            module.losses(Batch(*(each.to(device) for each in batch)))
            advance(count)
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
    network.eval()


def _learning_norms(module: TrainingModule) -> list[_BatchNorm]:
    """Return the batch norms whose statistics a training changes."""
    kept = {id(part) for layer in module.kept for part in layer.modules()}
    return [
        each
        for each in module.network.modules()
        if isinstance(each, _BatchNorm) and each.track_running_stats and id(each) not in kept
    ]
