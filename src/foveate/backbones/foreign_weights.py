"""Files of weights that other programs wrote: told apart by their first bytes, never run, searched for state dicts."""

from __future__ import annotations

import pickle
import re
import sys
import warnings
import zipfile
from argparse import Namespace
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from foveate.backbones.weight_hashes import check_written
from foveate.errors import UserError

_USUAL = ("state_dict", "model_state_dict", "model")
_AVERAGED = {"ema", "swa", "average", "averaged"}
_DATA = {"argparse", "collections", "datetime", "decimal", "enum", "fractions", "pathlib", "types", "uuid", "zoneinfo"}
_PLAIN = {"list", "dict", "tuple", "frozenset", "int", "float", "str", "bytes", "bool", "slice", "range", "object"}
_DEEPEST = 4  # mappings inside mappings
_HEAD = 512  # bytes
_LONGEST_HEADER = 100_000_000  # bytes; the format's own limit
_LEGACY = pickle.dumps(0x1950A86A20F9469CFC6C, protocol=2)  # what torch.save began with before 2020
_SHOWN = 60  # characters of a name in a message
_MEND = "save the state dict alone: torch.save(model.state_dict(), ...)"


class _Unknown:
    """What stands for an object of a class that is not torch's: none is ever made, and no code of theirs runs."""

    def __new__(cls, *_: object, **__: object) -> _Unknown:
        return super().__new__(cls)

    def __init__(self, *_: object, **__: object) -> None:
        """Take whatever its class would have taken."""

    def __setstate__(self, state: object) -> None:
        """Forget it."""


def read_foreign_weights(path: Path) -> dict[str, dict[str, Tensor]]:
    """Return every state dict in a safetensors or torch file by its place in there, the likeliest first.

    A place is made of the keys on the way, joined by dots; that of a file's own content is empty. Weights that a
    training averaged (EMA) come last.

    Raises:
        UserError: The file is none, is damaged, holds no state dict, or carries our hash and has changed since.
    """
    head = _head_of(path)
    if _is_safetensors(head):
        return {"": _read_safetensors(path)}
    _check_kind(head, path)
    content = _read_torch(path)
    places = dict(_state_dicts(content, ()))
    if not places:
        raise UserError(f"{path} must hold a state dict (names to tensors); got {_described(content)}; {_MEND}")
    return dict(sorted(places.items(), key=lambda item: _rank(*item)))


def is_averaged(place: str) -> bool:
    """Say whether weights at a place, such as ``state_dict_ema``, are a training's moving average."""
    words = re.split(r"[^a-z]+", re.sub(r"(?<=[a-z])(?=[A-Z])", "_", place).lower())
    return not _AVERAGED.isdisjoint(words)


def shortened(name: str) -> str:
    """Return a name out of a file as a message shows it."""
    return repr(name if len(name) <= _SHOWN else f"{name[:_SHOWN]}...")


def _rank(place: str, weights: Mapping[str, Tensor]) -> tuple[bool, int, int, int]:
    usual = _USUAL.index(place) if place in _USUAL else len(_USUAL)
    return is_averaged(place), usual, place.count("."), -sum(each.numel() for each in weights.values())


def _state_dicts(content: object, keys: tuple[str, ...]) -> Iterator[tuple[str, dict[str, Tensor]]]:
    """Find what has names for keys and tensors for values, outside of what optimisers keep."""
    if not isinstance(content, Mapping) or not all(isinstance(key, str) for key in content):
        return
    tensors = {name: each for name, each in content.items() if isinstance(each, Tensor)}
    if 2 * len(tensors) > len(content):  # the others are counters and the like
        yield ".".join(keys), tensors
    elif len(keys) < _DEEPEST:
        for name, each in content.items():
            if not name.lower().startswith(("optim", "sched", "lr_sched", "scaler", "loss", "callbacks")):
                yield from _state_dicts(each, (*keys, name))


def check_is_file(path: Path) -> None:
    """Refuse what is no file.

    Raises:
        UserError: It is a folder, a device, or not there.
    """
    if path.is_dir():
        raise UserError(f"a checkpoint must be a file of weights; {path} is a folder; name the file in it")
    if not path.is_file():
        raise UserError(f"a checkpoint must be a file of weights; {path} is none; check the path")


def _head_of(path: Path) -> bytes:
    check_is_file(path)
    try:
        with path.open("rb") as stream:
            return stream.read(_HEAD)
    except OSError as error:
        raise UserError(f"weights cannot be read from {path}: {error.strerror}; check its permissions") from error


def _is_safetensors(head: bytes) -> bool:
    """Say whether a file begins with the length of a JSON object, and then that."""
    return len(head) > 8 and head[8:9] == b"{" and int.from_bytes(head[:8], "little") <= _LONGEST_HEADER


def _read_safetensors(path: Path) -> dict[str, Tensor]:
    try:
        weights = load_file(path)
    except SafetensorError as error:
        raise _cut(path) from error
    if not weights:
        raise UserError(f"{path} must hold a state dict (names to tensors); it holds no tensor; name another file")
    check_written(path, weights)
    return weights


def _check_kind(head: bytes, path: Path) -> None:
    """Refuse what torch.save did not write."""
    text = head.removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    if not head:
        what = "is empty; download or copy it again"
    elif text.startswith(b"version https://git-lfs"):
        what = "is a pointer of Git LFS, not the file itself; fetch that with `git lfs pull`, or download it"
    elif text.startswith(b"<"):
        what = "is a web page, not the file itself; open the address in a browser, and download what it offers"
    elif text.startswith((b"{", b"[")):
        what = "is JSON, such as an index or settings; name the file of weights beside it"
    elif head.startswith(b"PK"):
        return _check_archive(path)
    elif head.startswith(_LEGACY):
        return None
    elif head.startswith(b"\x80"):
        what = f"is a pickle that torch.save did not write, and a pickle may run any program; {_MEND}"
    else:
        what = "is of another format or damaged; save it again as safetensors"
    raise UserError(f"weights cannot be read from {path}: it {what}")


def _check_archive(path: Path) -> None:
    try:
        with zipfile.ZipFile(path) as archive:
            names = {name.rpartition("/")[2] for name in archive.namelist()}
    except (zipfile.BadZipFile, OSError, ValueError) as error:
        raise _cut(path) from error
    if "constants.pkl" in names:
        raise UserError(
            f"weights cannot be read from {path}: it is a TorchScript archive; save its weights alone: "
            "torch.save(torch.jit.load(...).state_dict(), ...)"
        )
    if "data.pkl" not in names:
        raise UserError(
            f"weights cannot be read from {path}: it is a zip archive that torch.save did not write; unpack it, and "
            "name the file of weights in it"
        )


def _read_torch(path: Path) -> Any:
    try:
        with warnings.catch_warnings(), torch.serialization.safe_globals([Namespace, *_unknown(path)]):
            warnings.simplefilter("ignore")  # torch's advice to programmers
            with path.open("rb") as stream:  # of a path's suffix torch makes something of its own
                return torch.load(stream, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise UserError(
            f"weights cannot be read from {path}: it holds objects that are no tensors, or is damaged; {_MEND}"
        ) from error
    except MemoryError:
        raise
    except Exception as error:
        # Torch raises half a dozen unrelated errors for a damaged file.
        raise _cut(path) from error


def _unknown(path: Path) -> list[type[_Unknown]]:
    """Return a stand-in for every class that a file names and torch does not allow.

    Raises:
        UnpicklingError: The file names a function that only a program to be run would.
    """
    with path.open("rb") as stream:
        try:
            names = torch.serialization.get_unsafe_globals_in_checkpoint(stream)
        except ValueError:  # a file of before 2020 cannot be asked
            return []
    parts = [(module, name) for module, _, name in (each.rpartition(".") for each in names)]
    for module, name in parts:
        package = module.partition(".")[0]
        plain = name in _PLAIN if module == "builtins" else package in _DATA
        if package in sys.stdlib_module_names and not plain:
            raise pickle.UnpicklingError(f"{module}.{name}")
    return [type(name, (_Unknown,), {"__module__": module}) for module, name in parts]


def _cut(path: Path) -> UserError:
    return UserError(f"weights cannot be read from {path}: it is cut off or damaged; download or copy it again")


def _described(content: object) -> str:
    """Say in a few words what a file holds."""
    if not isinstance(content, Mapping):
        kind = type(content)
        return f"a whole {kind.__name__} of {kind.__module__}" if isinstance(content, _Unknown) else kind.__name__
    entries = [f"{shortened(str(key))} ({type(each).__name__})" for key, each in list(content.items())[:3]]
    more = ", ..." if len(content) > 3 else ""
    return f"{type(content).__name__} of {', '.join(entries)}{more}" if entries else "nothing"
