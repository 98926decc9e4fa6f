"""Heads that are solved for at once, as probes on frozen features: all of a training, or what it begins with."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Int64
from torch import Tensor

from foveate.config.engine import EngineConfig
from foveate.data.records import ImageRecord, groups_of, labels_of
from foveate.errors import UserError
from foveate.files.documents import read_json, write_json
from foveate.networks.network import Network, Solved
from foveate.recipes.config import TrainConfig
from foveate.training.frozen_features import KeptFeatures
from foveate.training.measured_words import held_out_words

_FOLDER, _MEASURED = "features", "measured.json"
_OF_STEPS = (
    *("epochs", "steps", "batch_size", "label_smoothing", "smoothing_over", "class_weights", "ema_decay"),
    *("keep_epochs", "frozen_stride", "lora_rank", "sampling", "logit_adjustment"),
)
_OF_DEVICES = ("devices", "nodes", "strategy", "accumulate", "checkpointing", "compile", "synchronised")
_OF_TRAINING_VIEWS = ("train_crop", "smallest_area", "aspect_jitter", "flip")


def check_solved(config: TrainConfig) -> None:
    """Refuse what has no effect where heads are solved for, and nothing else is trained.

    Raises:
        UserError: Something was given that says how steps or training views are made.
    """
    for name, value in _without_effect(config):
        raise UserError(
            f"{name} has no effect where heads are solved for on frozen features, in no steps and on the test view and "
            f"its mirror image; got {value}; leave it out"
        )


def _without_effect(config: TrainConfig) -> Iterator[tuple[str, object]]:
    """Yield the name and the value of each field that is not as it is where nothing is given."""
    usual = TrainConfig(data=config.data)
    parts = {
        "": (config, usual, _OF_STEPS),
        "optimiser.": (config.optimiser, usual.optimiser, [each.name for each in fields(config.optimiser)]),
        "transforms.": (config.transforms, usual.transforms, _OF_TRAINING_VIEWS),
        "hardware.": (config.hardware, usual.hardware, _OF_DEVICES),
    }
    for prefix, (given, default, names) in parts.items():
        for name in names:
            if getattr(given, name) != getattr(default, name):
                yield prefix + name, getattr(given, name)


def solve(
    network: Network,
    config: TrainConfig,
    train: Sequence[ImageRecord],
    folder: Path,
    *,
    engine: EngineConfig | None = None,
    say: Callable[[str], None] = print,
) -> Solved:
    """Fit the heads of `network` in place, on features that are kept in `features/` in the run folder.

    Args:
        network: Its backbone stays as it is.
        config: The run's configuration.
        train: Training photographs.
        folder: The run folder.
        engine: Who computes the features; None: this process.
        say: Receives lines of progress.

    Returns:
        What was measured: minutes, the strength that was chosen, its cross-validated accuracy and loss, and those of
        the nearest class mean and the nearest neighbours; and its answers out of fold.
    """
    began = time.perf_counter()
    engine = engine or EngineConfig()
    frozen = KeptFeatures(network, train, config.transforms, config.hardware, folder / _FOLDER, say, engine)
    solved = network.solve(frozen, torch.tensor(labels_of(train)), config.seed, group_numbers(train))
    if words := held_out_words(solved.measured):
        say(words)
    measured = {"minutes": round((time.perf_counter() - began) / 60, 2), **solved.measured}
    write_json(folder / _FOLDER / _MEASURED, measured)
    return solved._replace(measured=measured)


def group_numbers(records: Sequence[ImageRecord]) -> Int64[Tensor, " n"] | None:
    """Return the number of each photograph's group; None: each stands for itself."""
    groups = groups_of(records)
    return None if groups is None else torch.from_numpy(groups)


def with_head_start(metrics: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Return what a training measured together with what its heads began as: their minutes count too.

    Args:
        metrics: Of the epochs.
        folder: The run folder.
    """
    file = folder / _FOLDER / _MEASURED
    if not file.exists():
        return metrics
    begun = read_json(file)
    minutes = round(metrics["minutes"] + begun.pop("minutes"), 2)
    return {**metrics, "minutes": minutes, **{f"head start/{name}": value for name, value in begun.items()}}
