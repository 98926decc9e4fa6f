"""Train a network with Lightning's Trainer, so that stopping and resuming gives the weights of never stopping."""

from __future__ import annotations

import logging
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

import lightning.pytorch as pl
import torch
from jaxtyping import Float
from lightning.pytorch.callbacks import Callback, EMAWeightAveraging, ModelCheckpoint, TQDMProgressBar
from lightning.pytorch.loggers import CSVLogger, Logger, TensorBoardLogger
from torch import Tensor, nn
from torch.utils.data import DataLoader

from foveate.config.hardware import HardwareConfig, Strategy
from foveate.config.optimiser import Sampling
from foveate.data.loading import Batch, EvaluationViews, TrainingViews, evaluation_loader, training_loader
from foveate.data.records import ImageRecord, labels_of
from foveate.errors import UserError
from foveate.hardware import autocast_dtype, device_of
from foveate.inference.classifier import network_input
from foveate.networks.network import Network
from foveate.recipes.config import TrainConfig
from foveate.training.callbacks import EpochLines, KeptEpochs, TimeLeft
from foveate.training.checkpoints import AtomicCheckpoints, read_checkpoint, resumed_from
from foveate.training.frozen_layers import frozen
from foveate.training.module import TrainingModule

_MONITOR = "validation/top1"
_PRECISIONS: Mapping[torch.dtype, Any] = {
    torch.bfloat16: "bf16-mixed",
    torch.float16: "16-mixed",
    torch.float32: "32-true",
}


def fit(
    network: Network,
    config: TrainConfig,
    train: Sequence[ImageRecord],
    validation: Sequence[ImageRecord],
    folder: Path,
    *,
    loggers: Sequence[Logger] = (),
    say: Callable[[str], None] = print,
) -> dict[str, Any]:
    """Train `network` in place; continue from the checkpoint in `folder` where there is one.

    With validation photographs the weights of the best epoch count (the first of equals), else those of the last.

    Args:
        network: Holds the trained weights afterwards.
        config: The run's configuration.
        train: What is learned from.
        validation: Photographs that choose the epoch; may be empty.
        folder: The run folder; `checkpoints/` and `logs/` are written below it.
        loggers: What is told the numbers of each epoch, beside CSV and TensorBoard.
        say: Receives a line an epoch.

    Returns:
        What was measured: epochs, minutes, the share of them spent waiting for photographs (on the CPU), the last
        training loss, the chosen epoch.

    Raises:
        KeyboardInterrupt: The training was interrupted; what the last epoch saved is kept.
        UserError: A checkpoint cannot be written or read.
    """
    layout = torch.channels_last if config.hardware.channels_last else torch.contiguous_format
    module = TrainingModule(network.to(memory_format=layout), config, labels_of(train))
    lines = EpochLines(say, falls=not config.network.learns_in_phases)
    callbacks: list[Callback] = [lines, TimeLeft(say), KeptEpochs(folder / "epochs", config.keep_epochs)]
    callbacks += [_best_checkpoint(folder)] if validation else []
    trainer = _trainer(config, folder, callbacks, [*_loggers(folder), *loggers])
    last, best = (folder / "checkpoints" / f"{name}.ckpt" for name in ("last", "best"))
    if (resumed := resumed_from(folder)) is not None:
        begin = _resume(resumed, best if validation else None, say)
    else:
        begin = _prepare(network, config, train, say)
    _run(trainer, module, _loaders(config, trainer, train, validation, begin), resumed)
    # From the file in every case: it holds the averaged weights where they are asked for, also after a resume.
    chosen = read_checkpoint(best if validation else last)
    module.load_state_dict(chosen["state_dict"])
    lines.warn()
    spent = lines.spent(with_waiting=device_of(config.hardware).type == "cpu")
    measured = {"chosen_epoch": int(chosen["epoch"]) + 1, **chosen["callbacks"][lines.state_key]["measured"]}
    return {"epochs": config.epochs, **spent, **measured}


def _resume(last: Path, best: Path | None, say: Callable[[str], None]) -> int:
    """Return the epoch that a training goes on with."""
    say(f"resuming from {last}")
    if best is not None:
        read_checkpoint(best)  # now, rather than when all is trained
    return int(read_checkpoint(last)["epoch"]) + 1


def _prepare(network: Network, config: TrainConfig, train: Sequence[ImageRecord], say: Callable[[str], None]) -> int:
    """Give the method a chance to look at the training photographs; those that need none open none. Return epoch 0."""
    device, normalisation = device_of(config.hardware), network.backbone.normalisation

    def batches() -> Iterator[Float[Tensor, "b 3 H W"]]:
        views = EvaluationViews(train, config.transforms)
        for batch in evaluation_loader(views, config.batch_size, workers=config.hardware.workers):
            images = batch.images.flatten(0, 1).to(device)
            yield network_input(images, normalisation, channels_last=config.hardware.channels_last)

    message = network.to(device).prepare(batches())
    if message is not None:
        say(message)
    return 0


def _run(
    trainer: pl.Trainer,
    module: TrainingModule,
    loaders: tuple[DataLoader[Batch], DataLoader[Batch] | None],
    last: Path | None,
) -> None:
    module.train()  # whoever looked at the photographs before left it in evaluation, and Lightning leaves it as it is
    with warnings.catch_warnings(), frozen(module.kept), _frugal(module.network, module.config.hardware):
        # Advice about workers and logging intervals that do not apply: both are chosen by us.
        warnings.filterwarnings("ignore", module="lightning")
        try:
            trainer.fit(module, *loaders, ckpt_path=last, weights_only=True)
        except SystemExit as error:
            # Lightning turns Ctrl-C into an exit; the command line decides how to end.
            raise KeyboardInterrupt from error
    if trainer.interrupted:
        raise KeyboardInterrupt


def _best_checkpoint(folder: Path) -> ModelCheckpoint:
    return ModelCheckpoint(
        folder / "checkpoints",
        "best",
        monitor=_MONITOR,
        mode="max",
        save_on_train_epoch_end=True,
        enable_version_counter=False,
    )


def _trainer(config: TrainConfig, folder: Path, extra: Sequence[Callback], loggers: Sequence[Logger]) -> pl.Trainer:
    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)
    every_epoch = ModelCheckpoint(
        folder / "checkpoints", "last", save_on_train_epoch_end=True, enable_version_counter=False
    )
    # Last among the callbacks, so that it holds the state of the others after the epoch.
    callbacks: list[Callback] = [*extra, every_epoch]
    if config.ema_decay is not None:
        callbacks.insert(0, EMAWeightAveraging(decay=config.ema_decay))
    if progress := sys.stderr.isatty():
        callbacks.append(TQDMProgressBar(leave=False))
    hardware = config.hardware
    device = device_of(hardware).type
    return pl.Trainer(
        accelerator={"cuda": "gpu"}.get(device, device),
        devices=hardware.devices,
        num_nodes=hardware.nodes,
        strategy=_strategy(config),
        precision=_PRECISIONS[autocast_dtype(hardware)],
        accumulate_grad_batches=hardware.accumulate,
        sync_batchnorm=hardware.synchronised,
        max_epochs=config.epochs,
        gradient_clip_val=config.optimiser.gradient_clip,
        callbacks=callbacks,
        logger=loggers,
        plugins=[AtomicCheckpoints()],
        enable_progress_bar=progress,
        enable_model_summary=False,
        num_sanity_val_steps=0,
        log_every_n_steps=10,
        use_distributed_sampler=False,
    )


def _strategy(config: TrainConfig) -> str:
    if config.hardware.strategy is Strategy.FSDP:
        return "fsdp"
    # Phases leave parameters without a gradient, for which several processes must not wait.
    phased = config.hardware.processes > 1 and config.network.learns_in_phases
    return "ddp_find_unused_parameters_true" if phased else "auto"


@contextmanager
def _frugal(network: Network, hardware: HardwareConfig) -> Iterator[None]:
    """Have the backbone compiled, and its activations computed again, where the configuration says so.

    Raises:
        UserError: timm cannot compute the activations of this one again.
    """
    if hardware.checkpointing:
        _checkpoint(network, enable=True)
    if hardware.compile:
        cast(nn.Module, network.backbone).compile()
    try:
        yield
    finally:
        cast(Any, network.backbone)._compiled_call_impl = None  # whoever answers with it meets images of other sizes
        if hardware.checkpointing:
            _checkpoint(network, enable=False)


def _checkpoint(network: Network, *, enable: bool) -> None:
    try:
        cast(Any, network.backbone.network).set_grad_checkpointing(enable=enable)
    except (AttributeError, AssertionError) as error:
        raise UserError(
            "checkpointing computes a backbone's activations again as timm does it; "
            f"{network.backbone.architecture} does not offer it; leave --hardware.checkpointing out, or give "
            "--hardware.accumulate 2 or more"
        ) from error


def _loggers(folder: Path) -> list[Logger]:
    csv = CSVLogger(folder, name="logs")
    return [csv, TensorBoardLogger(folder, name="logs", version=csv.version)]


def _loaders(
    config: TrainConfig,
    trainer: pl.Trainer,
    train: Sequence[ImageRecord],
    validation: Sequence[ImageRecord],
    begin: int,
) -> tuple[DataLoader[Batch], DataLoader[Batch] | None]:
    processes, parts = trainer.world_size, config.hardware.accumulate
    if config.batch_size % (processes * parts):
        of_parts = f" times {parts} parts (accumulate)" if parts > 1 else ""
        raise UserError(f"batch_size must be a multiple of the {processes} devices{of_parts}; got {config.batch_size}")
    share, workers = config.batch_size // (processes * parts), config.hardware.workers
    views = TrainingViews(train, config.transforms, config.seed)
    balanced = labels_of(train) if config.sampling is Sampling.BALANCED else None
    training = training_loader(
        views,
        share,
        workers=workers,
        rank=trainer.global_rank,
        processes=processes,
        epoch=begin,
        balanced=balanced,
    )
    if not validation:
        return training, None
    return training, evaluation_loader(EvaluationViews(validation, config.transforms), share, workers=workers)
