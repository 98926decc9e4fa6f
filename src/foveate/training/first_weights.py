"""The weights that a training begins with, averaged with those that it leaves (WiSE-FT, CVPR 2022, Eq. 1)."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import torch
from torch import Tensor, nn

from foveate.backbones.weights import load_weights, save_weights
from foveate.errors import UserError

FIRST = Path("checkpoints/first.safetensors")
"""In the run folder."""


def keep_first_weights(network: nn.Module, folder: Path) -> None:
    """Keep the weights before the first step in a run folder, for the end of a training that may be interrupted."""
    (folder / FIRST).parent.mkdir(parents=True, exist_ok=True)
    save_weights(folder / FIRST, network.state_dict())


@torch.no_grad()
def mix_with_first_weights(network: nn.Module, folder: Path, share: float, mixed: float = 0.0) -> None:
    """Overwrite every weight, and every statistic of a batch norm, with a mean of what it was and what it is.

    Counts, which are no numbers to average, stay as they are.

    Args:
        network: Trained.
        folder: The run folder, where `keep_first_weights` kept what it began with.
        share: Of the first weights, in [0, 1).
        mixed: The share of them that its weights have already, in [0, 1).

    Raises:
        UserError: The file is missing or damaged.
    """
    values = {name: value for name, value in network.state_dict().items() if value.is_floating_point()}
    for name, first in _first_weights(folder, values).items():
        values[name].lerp_(first.to(values[name]), (share - mixed) / (1 - mixed))


def _first_weights(folder: Path, names: Iterable[str]) -> dict[str, Tensor]:
    try:
        weights = load_weights(folder / FIRST)
        return {name: weights[name] for name in names}
    except (UserError, MemoryError):
        raise
    except Exception as error:  # safetensors raises several unrelated ones
        raise UserError(
            f"{folder / FIRST} must hold the weights that the training began with ({str(error)[:200]}); restore it "
            "from a copy, or train anew"
        ) from error
