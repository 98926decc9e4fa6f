"""Files of weights: read, checked, written."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors.torch import load_file, save
from torch import Tensor

from foveate.backbones.foreign_weights import read_foreign_weights
from foveate.backbones.weight_hashes import HASH, check_written, hash_of_weights
from foveate.errors import UserError
from foveate.files.atomic import atomic_path, check_no_pipe


def read_state_dict(path: Path) -> dict[str, Tensor]:
    """Read a state dict from a safetensors or torch file, whatever name it is kept under; errors as below."""
    return next(iter(read_state_dicts(path).values()))


def read_state_dicts(path: Path) -> dict[str, dict[str, Tensor]]:
    """Read all state dicts of a file, as `read_foreign_weights` does.

    Raises:
        UserError: The file is missing, holds no state dict, or is ours and has changed since it was written.
    """
    if not path.exists():
        raise UserError(
            f"weights must be a file, a run's folder, or one of auto, package, hub, none; {path} is none of them"
        )
    return read_foreign_weights(path)


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
    """Write a state dict as safetensors, whole or not at all, and in its header the hash by which it is known."""
    weights = {name: tensor.detach().cpu().contiguous() for name, tensor in state_dict.items()}
    with atomic_path(path) as temporary:
        temporary.write_bytes(save(weights, metadata={HASH: hash_of_weights(weights)}))


def load_weights(path: Path) -> dict[str, Tensor]:
    """Read what `save_weights` wrote, or any safetensors file; a file with a hash must be the one that was written.

    Raises:
        UserError: It has changed since.
        Exception: What safetensors raises for a file that it cannot read.
    """
    check_no_pipe(path)
    weights = load_file(path)
    check_written(path, weights)
    return weights
