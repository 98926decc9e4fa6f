"""The hash that a file of our weights carries in its header, and by which it is known again."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import safe_open
from torch import Tensor

from foveate.errors import UserError

HASH = "foveate.sha256"
"""The only entry of its metadata: safetensors writes several in an order that changes from process to process."""


def check_written(path: Path, weights: Mapping[str, Tensor]) -> None:
    """Refuse the weights of a safetensors file that carries a hash, where theirs is another.

    Raises:
        UserError: They have changed since they were written.
    """
    with safe_open(path, framework="pt") as content:
        written = (content.metadata() or {}).get(HASH)
    if written not in (None, hash_of_weights(weights)):
        raise UserError(
            f"weights must be as they were written; {path} has changed since (its SHA-256 is another); restore it from "
            "a copy"
        )


def hash_of_weights(weights: Mapping[str, Tensor]) -> str:
    """Return the SHA-256 of names, types, shapes and numbers, whatever the order of the entries."""
    content = hashlib.sha256()
    for name, tensor in sorted(weights.items()):
        content.update(f"{name}\t{tensor.dtype}\t{tuple(tensor.shape)}\n".encode())
        content.update(tensor.contiguous().flatten().view(torch.uint8).numpy().data)
    return content.hexdigest()
