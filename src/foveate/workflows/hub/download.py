"""A model of the hub on this machine: fetched once, checked by its hashes each time."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from foveate.errors import UserError
from foveate.files.atomic import new_folder
from foveate.workflows.hub.access import api, told
from foveate.workflows.hub.address import HubAddress
from foveate.workflows.hub.manifest import FILE, Manifest


def downloaded(address: HubAddress) -> Path:
    """Return the folder of a model of the hub, in the hub's own cache; only what is not there is fetched.

    Nothing but the files that its `foveate.json` lists is fetched, and that lists no pickle.

    Raises:
        UserError: The hub has no such model, it is no Foveate's, another version wrote it, or it arrives damaged twice.
    """
    with told(address):
        folder = Path(_fetched(address, FILE, address.revision)).parent
        manifest = Manifest.read(folder)
        commit = folder.name
        for name in manifest.files:
            _fetched(address, name, commit)
        for name in manifest.damaged(folder):
            _fetched(address, name, commit, force_download=True)
    damaged = manifest.damaged(folder)
    if damaged:
        raise UserError(
            f"each file of a shared model has the hash that its {FILE} lists; {damaged[0]} of {address} has another, "
            "also when it is fetched anew; load an older @revision, or ask its owner to push it again"
        )
    return folder


def _fetched(address: HubAddress, name: str, revision: str | None, **options: Any) -> str:
    path: str = api().hf_hub_download(address.repository, name, revision=revision, **options)
    return path


def copied(address: HubAddress, folder: Path, say: Callable[[str], None] = print) -> Path:
    """Return a folder of one's own with a model of the hub: made below another one, or as an earlier call made it.

    It is called after the model and its commit, so that a newer one is another. What is measured and drawn is written
    there, as in the folder of a run that was trained here.

    Raises:
        UserError: As `downloaded`.
    """
    source = downloaded(address)
    target = folder / f"{address.repository.replace('/', '-')}-{source.name[:8]}"
    if target.exists():
        return target
    names = [*Manifest.read(source).files, FILE]
    with new_folder(target) as temporary:
        for name in names:
            (temporary / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source / name, temporary / name)
    say(f"{address} is in {target} now")
    return target
