"""What a resumed training continues from: written whole or not at all, and known again by its hash."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import Any, BinaryIO

import torch
from lightning.pytorch.plugins.io import TorchCheckpointIO
from typing_extensions import override

from foveate.errors import UserError
from foveate.files.atomic import atomic_path, check_no_pipe

_SEAL = b"foveate.sha256:"
_BLOCK = 1 << 20


class AtomicCheckpoints(TorchCheckpointIO):
    """Checkpoints that are written whole or not at all: a full disk costs the new one, never the old one."""

    @override
    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any | None = None) -> None:
        with atomic_path(Path(path)) as temporary:
            with temporary.open("wb") as stream:
                torch.save(checkpoint, stream)
            _seal(temporary)

    @override
    def load_checkpoint(self, path: Any, map_location: Any = None, weights_only: bool | None = None) -> dict[str, Any]:
        return read_checkpoint(Path(path))


def resumed_from(folder: Path) -> Path | None:
    """Return the checkpoint that a training in a run folder continues from; None where it begins.

    One of the best epoch alone is none: the training was stopped before it had written that of the last.
    """
    last = folder / "checkpoints" / "last.ckpt"
    return last if last.exists() else None


def read_checkpoint(path: Path) -> dict[str, Any]:
    """Read a checkpoint of an unfinished training.

    Raises:
        UserError: It is missing or damaged, or the system cannot read it.
    """
    check_no_pipe(path)
    try:
        _check_seal(path)
        with path.open("rb") as stream:
            return _loaded(stream, path)
    except FileNotFoundError as error:
        raise _damaged(path, "it is missing") from error
    except OSError as error:
        reason = os.strerror(error.errno or 0)
        raise UserError(
            f"a training resumes from its checkpoint; {path} cannot be read ({reason}); check its permissions and the "
            "disk, and give the same command again"
        ) from error


def _loaded(stream: BinaryIO, path: Path) -> dict[str, Any]:
    try:
        content: dict[str, Any] = torch.load(stream, map_location="cpu", weights_only=True)
    except (MemoryError, OSError):
        raise
    except Exception as error:
        # Torch raises half a dozen unrelated errors for a damaged file.
        raise _damaged(path, str(error)) from error
    return content


def _damaged(path: Path, what: str) -> UserError:
    return UserError(
        f"a training resumes from a whole checkpoint; {path} cannot be read ({what}); remove {path.parent} to start "
        "this training over"
    )


def _seal(path: Path) -> None:
    """Append the hash of a checkpoint to it: as the comment of the zip archive that it is, which torch passes over."""
    with path.open("rb+") as stream:
        seal = _SEAL + _hash_before(stream, path.stat().st_size).encode()
        stream.seek(-2, os.SEEK_END)  # where the archive says how long its comment is
        stream.write(len(seal).to_bytes(2, "little") + seal)


def _check_seal(path: Path) -> None:
    """Refuse a checkpoint that has changed since it was written; one from before there were seals has none."""
    length = len(_SEAL) + 64
    with path.open("rb") as stream:
        size = path.stat().st_size - length
        stream.seek(max(size, 0))
        seal = stream.read()
        if seal.startswith(_SEAL) and seal[len(_SEAL) :].decode("latin-1") != _hash_before(stream, size):
            raise _damaged(path, "it has changed since it was written: its SHA-256 is another")


def _hash_before(stream: BinaryIO, end: int) -> str:
    """Return the hash of a file up to the length of its comment, the last two bytes before `end`."""
    stream.seek(0)
    content, left = hashlib.sha256(), end - 2
    while left > 0 and (block := stream.read(min(left, _BLOCK))):
        content.update(block)
        left -= len(block)
    return content.hexdigest()
