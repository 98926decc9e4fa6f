"""One training step, one validation step, and what the optimiser does: what Lightning's Trainer needs to know."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from typing import Any, cast

import lightning.pytorch as pl
import numpy as np
import torch
from jaxtyping import Float
from lightning.pytorch.utilities.types import OptimizerLRScheduler
from torch import Tensor, nn
from torch.nn import functional

from foveate.backbones.single_values import SingleValues
from foveate.data.loading import Batch
from foveate.inference.classifier import network_input
from foveate.networks.draws import draw_keys
from foveate.networks.network import Losses, Network, TrainingStep
from foveate.recipes.config import TrainConfig
from foveate.training.class_weights import class_weights, log_priors
from foveate.training.depthwise import FastDepthwiseGradients
from foveate.training.frozen_layers import first_layers
from foveate.training.losses import total_loss
from foveate.training.optimiser import build_optimiser
from foveate.training.schedule import build_schedule
from foveate.types import BranchLogits

_STREAMS, _NOISE = 16, 2  # stream of random numbers, beside those of data/loading.py


class TrainingModule(pl.LightningModule):
    """The network with its loss.

    Args:
        network: What is trained; afterwards it holds the trained weights.
        config: The run's configuration.
        labels: The label of each training photograph, for what rests on the frequencies of classes.
    """

    def __init__(self, network: Network, config: TrainConfig, labels: Sequence[int]) -> None:
        super().__init__()
        self.network = network
        self.config = config
        self.kept = first_layers(cast(nn.Module, network.backbone.network), config.frozen_stride)
        classes = network.backbone.classes
        self.weight: Tensor | None
        self.register_buffer(
            "weight", class_weights(labels, classes) if config.class_weights else None, persistent=False
        )
        self.added: Tensor | None
        added = config.logit_adjustment * log_priors(labels, classes) if config.logit_adjustment else None
        self.register_buffer("added", added, persistent=False)

    def train(self, mode: bool = True) -> TrainingModule:
        """Switch to training or evaluation, all but the layers that are kept: their batch norms do not learn either."""
        super().train(mode)
        for layer in self.kept:
            layer.eval()
        return self

    def on_train_epoch_start(self) -> None:
        """Make what is random inside the network (dropout) a function of seed, epoch and process."""
        stream = np.random.SeedSequence([self.config.seed, _NOISE, self.current_epoch, self.global_rank])
        torch.manual_seed(int(stream.generate_state(1, np.uint64)[0]))

    def training_step(self, batch: Batch) -> Tensor:
        """Return the loss of one batch, and log it."""
        losses, loss = self.losses(batch)
        for name, value in {"loss": loss.detach(), **losses.measured}.items():
            self.log(f"train/{name}", value, on_step=False, on_epoch=True, batch_size=len(batch.labels), sync_dist=True)
        return loss

    def losses(self, batch: Batch) -> tuple[Losses, Tensor]:
        """Return what one batch is learned from, and the sum of it."""
        with self._modes(batch):
            losses = self.network.losses(self._inputs(batch), self._step(batch))
            return losses, total_loss(losses, batch.labels, self.config, self.weight, self.added)

    def validation_step(self, batch: Batch) -> None:
        """Measure top-1 accuracy and the plain cross entropy."""
        answers: BranchLogits = self.network(self._inputs(batch))
        logits = answers.decision.float()
        top1 = (logits.argmax(-1) == batch.labels).float().mean()
        loss = functional.cross_entropy(logits, batch.labels)
        options: dict[str, Any] = {"batch_size": len(batch.labels), "sync_dist": True}
        self.log("validation/top1", top1, **options)
        self.log("validation/loss", loss, **options)

    def _modes(self, batch: Batch) -> ExitStack:
        modes = ExitStack()
        if self.device.type == "cpu":
            modes.enter_context(FastDepthwiseGradients())
        if len(batch.labels) == 1:
            modes.enter_context(SingleValues())
        return modes

    def _step(self, batch: Batch) -> TrainingStep:
        seed = self.config.seed * _STREAMS + _NOISE
        keys = draw_keys(seed, self.current_epoch, batch.position)
        return TrainingStep(self.current_epoch / self.config.epochs, keys, self.current_epoch)

    def _inputs(self, batch: Batch) -> Float[Tensor, "b 3 H W"]:
        normalisation = self.network.backbone.normalisation
        layout = self.config.hardware.channels_last
        return network_input(batch.images.flatten(0, 1), normalisation, channels_last=layout)

    def configure_optimizers(self) -> OptimizerLRScheduler:
        """Return SGD and its schedule."""
        config = self.config.optimiser
        optimiser = build_optimiser(self.network, self.network.parameter_groups(), config)
        schedule = build_schedule(optimiser, config, int(self.trainer.estimated_stepping_batches))
        return {"optimizer": optimiser, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}
