"""Train a method whose head is solved for at once: a probe on frozen features."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path

import torch

from foveate.data.records import ImageRecord, labels_of
from foveate.networks.network import Network, Solved
from foveate.recipes.config import TrainConfig
from foveate.training.frozen_features import KeptFeatures


def solve(
    network: Network,
    config: TrainConfig,
    train: Sequence[ImageRecord],
    folder: Path,
    *,
    say: Callable[[str], None] = print,
) -> Solved:
    """Fit the heads of `network` in place, on features that are kept in `features/` in the run folder.

    Args:
        network: Its backbone stays as it is.
        config: The run's configuration.
        train: Training photographs.
        folder: The run folder.
        say: Receives lines of progress.

    Returns:
        What was measured: minutes, the strength that was chosen, its cross-validated accuracy and loss, and those of
        the nearest class mean and the nearest neighbours; and its answers out of fold.
    """
    began = time.perf_counter()
    frozen = KeptFeatures(network, train, config.transforms, config.hardware, folder / "features", say)
    solved = network.solve(frozen, torch.tensor(labels_of(train)), config.seed)
    say(", ".join(f"{name} {value:.4g}" for name, value in solved.measured.items()))
    minutes = round((time.perf_counter() - began) / 60, 2)
    return solved._replace(measured={"minutes": minutes, **solved.measured})
