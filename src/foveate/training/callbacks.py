"""What is done beside the steps of a training: a line for each epoch, and the weights of chosen epochs."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
from lightning.pytorch.callbacks import Callback
from typing_extensions import override

from foveate.backbones.weights import save_weights
from foveate.data.loading import Batch
from foveate.errors import UserError
from foveate.progress import Expectation
from foveate.training.measured_words import epoch_words

_LOST = 10.0
"""A training whose loss is so many times that of its first epoch has lost what it had learned."""
_MEND = "lower optimiser.learning_rate or new_learning_rate, or set a smaller optimiser.gradient_clip"


class EpochLines(Callback):
    """One line an epoch, so that a log of a long training can be read; the time spent, and how much of it waiting."""

    def __init__(self, say: Callable[[str], None], *, falls: bool = True) -> None:
        self.say = say
        self.falls = falls
        """Whether the loss is the same in every epoch, so that it must fall: not where a training has phases."""
        self.seconds = 0.0
        self.waited = 0.0
        """Of these seconds, those between two steps: the network waited for photographs. On a GPU, which still computes
        when a step returns, they say nothing."""
        self.measured: dict[str, float] = {}
        self.first_loss: float | None = None
        """Mean loss of the first epoch; None: not known."""
        self._began = self._idle_since = 0.0

    @override
    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._began = self._idle_since = time.perf_counter()

    @override
    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Batch, batch_idx: int
    ) -> None:
        self.waited += time.perf_counter() - self._idle_since

    @override
    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Batch, batch_idx: int
    ) -> None:
        self._idle_since = time.perf_counter()

    @override
    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        spent = time.perf_counter() - self._began
        self.seconds += spent
        self.measured = {name: float(value) for name, value in sorted(trainer.callback_metrics.items())}
        loss, epoch = self.measured["train/loss"], trainer.current_epoch + 1
        if not math.isfinite(loss):
            raise UserError(f"the training loss must stay finite; it is {loss} in epoch {epoch}; {_MEND}")
        if self.falls:
            self._check_falls(loss, epoch)
        self.say(f"epoch {trainer.current_epoch + 1}/{trainer.max_epochs}: {epoch_words(self.measured)}, {spent:.0f} s")

    def _check_falls(self, loss: float, epoch: int) -> None:
        if self.first_loss is None:
            self.first_loss = loss
        if 0 < _LOST * self.first_loss < loss:
            raise UserError(
                f"the training loss must fall; it is {loss:.3g} in epoch {epoch} and was {self.first_loss:.3g} in the "
                f"first: too large a step has destroyed what was learned; {_MEND}"
            )

    def warn(self) -> None:
        """Say it if a training ended with a higher loss than that of its first epoch."""
        loss = self.measured["train/loss"]
        if self.falls and self.first_loss is not None and loss > self.first_loss:
            self.say(
                f"warning: the training loss rose from {self.first_loss:.3g} in the first epoch to {loss:.3g} in the "
                f"last: it has learned little, or lost it again; {_MEND}"
            )

    def spent(self, *, with_waiting: bool) -> dict[str, float]:
        """Return the minutes that the training took and, where it can be said, the share of them spent waiting."""
        minutes = {"minutes": round(self.seconds / 60, 2)}
        return minutes | ({"waiting": round(self.waited / max(self.seconds, 1e-9), 4)} if with_waiting else {})

    @override
    def state_dict(self) -> dict[str, Any]:
        kept = {"seconds": self.seconds, "waited": self.waited, "measured": self.measured}
        return kept | {"first_loss": self.first_loss}

    @override
    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.seconds, self.measured = state_dict["seconds"], state_dict["measured"]
        self.waited = state_dict.get("waited", 0.0)  # unknown of what was trained before it was measured
        self.first_loss = state_dict.get("first_loss")  # the same


class TimeLeft(Callback):
    """Says how long the training still takes, once its pace is known, and then every minute."""

    def __init__(self, say: Callable[[str], None]) -> None:
        self.say = say
        self._expectation: Expectation | None = None

    @override
    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Batch, batch_idx: int
    ) -> None:
        batches, epochs = int(trainer.num_training_batches), trainer.max_epochs or 0
        done = trainer.current_epoch * batches + batch_idx
        if self._expectation is None:
            self._expectation = Expectation("training, in batches", epochs * batches, self.say, done=done)
        self._expectation.advance(done + 1)


class KeptEpochs(Callback):
    """The weights after chosen epochs, to see later what the network looked at by then.

    They are those of the epoch's checkpoint: the averaged ones where they are averaged, as at the training's end.
    """

    def __init__(self, folder: Path, epochs: Sequence[int]) -> None:
        self.folder = folder
        self.epochs = frozenset(epochs)

    @override
    def on_save_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        epoch = int(checkpoint["epoch"]) + 1
        if epoch in self.epochs and trainer.is_global_zero:
            weights = {name.removeprefix("network."): tensor for name, tensor in checkpoint["state_dict"].items()}
            save_weights(self.folder / f"epoch-{epoch:03d}.safetensors", weights)
