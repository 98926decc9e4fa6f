"""A model at an address, on this machine: fetched once, checked by its hashes each time."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable
from pathlib import Path

from foveate.errors import UserError
from foveate.files.atomic import atomic_path, new_folder
from foveate.files.byte_cache import cache_folder
from foveate.files.hashes import hash_of_file
from foveate.files.remote_path import RemotePath
from foveate.files.storage import StorageError, answered
from foveate.workflows.storage.file_list import FILE, FileList


def fetched(model: RemotePath) -> Path:
    """Return the folder of a model at an address, in the cache; only what is not there is fetched.

    Raises:
        UserError: There is none, it is not whole, the storage forbids it or does not answer, or a file arrives damaged
            twice.
    """
    above = cache_folder() / "models" / hashlib.sha256(str(model).encode()).hexdigest()[:16]
    try:
        _fetch(model / FILE, above / FILE)
    except FileNotFoundError as error:
        raise _not_whole(model) from error
    files = FileList.read(above / FILE)
    # Another model at the same address is another folder.
    folder = above / hash_of_file(above / FILE)[:8] / (model.name or "model")
    for _ in range(2):
        for name in files.damaged(folder):
            _fetch(model / name, folder / name)
    if damaged := files.damaged(folder):
        raise StorageError(
            f"each file of a model has the hash that its {FILE} lists; {damaged[0]} of {model} has another, also when "
            "it is fetched anew; restore it there from a copy"
        )
    return folder


def copied(model: RemotePath, below: Path, say: Callable[[str], None] = print) -> Path:
    """Return a folder of one's own with a model at an address: made below another, or as an earlier call made it.

    It is called after the model and its hash, so that a newer one is another. What is measured and drawn is written
    there.

    Raises:
        UserError: As `fetched`.
    """
    source = fetched(model)
    target = below / f"{source.name}-{source.parent.name}"
    if target.exists():
        return target
    with new_folder(target) as temporary:
        shutil.copytree(source, temporary, dirs_exist_ok=True)
    say(f"{model} is in {target} now")
    return target


def _fetch(source: RemotePath, target: Path) -> None:
    with atomic_path(target) as temporary:
        answered(source.address, lambda system, path: system.get_file(path, str(temporary)))


def _not_whole(model: RemotePath) -> UserError:
    if any((model / name).exists() for name in ("run.json", "guided_zoom.json", "pool.json")):
        return StorageError(
            f"a model at an address is whole when its {FILE} is there, which is written last; {model} has none: its "
            "upload was interrupted, or it was copied there by other means; give the command that wrote it again, or "
            "copy it to a folder here and name that"
        )
    return UserError(f"a model must lie at the address, as --out writes it; none does at {model}. Check the spelling")
