"""Files of weights: read, checked, written."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors.torch import save
from torch import Tensor

from foveate.atomic import atomic_path
from foveate.checkpoints import read_checkpoint
from foveate.errors import UserError


def read_state_dict(path: Path) -> dict[str, Tensor]:
    """Read a state dict from a safetensors or torch file, whatever name it is kept under; errors as below."""
    return next(iter(read_state_dicts(path).values()))


def read_state_dicts(path: Path) -> dict[str, dict[str, Tensor]]:
    """Read all state dicts of a file, as `read_checkpoint` does.

    Raises:
        UserError: The file is missing or holds no state dict.
    """
    if not path.exists():
        raise UserError(
            f"weights must be a file, a run's folder, or one of auto, package, hub, none; {path} is none of them"
        )
    return read_checkpoint(path)


def check_finite(weights: Mapping[str, Tensor], path: Path) -> None:
    """Refuse weights that are not all numbers: every answer would be one of chance.

    Raises:
        UserError: One of them is NaN or infinite.
    """
    broken = [name for name, tensor in weights.items() if not torch.isfinite(tensor).all()]
    if broken:
        raise UserError(
            f"weights must be finite; {path} has NaN or infinity in {len(broken)} entries, first {broken[0]!r}; "
            "restore it from a copy, or train anew at a lower learning rate"
        )


def save_weights(path: Path, state_dict: Mapping[str, Tensor]) -> None:
    """Write a state dict as safetensors, whole or not at all."""
    weights = {name: tensor.detach().cpu().contiguous() for name, tensor in state_dict.items()}
    with atomic_path(path) as temporary:
        temporary.write_bytes(save(weights))
