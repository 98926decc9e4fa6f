"""Models that a command line names by hf://user/name or s3://bucket/run: on this machine before the command begins."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import fields, is_dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

from foveate.commands.check import Check
from foveate.commands.fit import Fit
from foveate.commands.predict import Predict
from foveate.commands.run_folder import RUNS
from foveate.commands.train import Train
from foveate.config.addresses import is_address
from foveate.files.remote_path import RemotePath, located
from foveate.files.storage import ForbiddenError
from foveate.workflows.hub.address import HubAddress
from foveate.workflows.storage.file_list import FILE

_Command = TypeVar("_Command")
_MODELS = {"run_folder", "models", "network", "folder", "pool_folder", "looker", "runs"}
"""The fields of commands that name runs, Guided Zooms and pools."""
_OF_PHOTOGRAPHS = (Check, Fit, Train)
"""Their `folder` is one of photographs, which are read where they lie."""
_READERS = (Predict,)
"""They write nothing beside what they ask, and do not show its name."""


def with_models_here(command: _Command) -> _Command:
    """Return a command whose models lie on this machine.

    For a command that may write into their folder they are copied below `RUNS`; the caches stay as they are.

    Raises:
        UserError: An address names no model, or as `foveate.workflows.hub.download.downloaded` and
            `foveate.workflows.storage.download.fetched`.
    """
    if not is_dataclass(command) or isinstance(command, type):
        return command
    names = _MODELS - ({"folder"} if isinstance(command, _OF_PHOTOGRAPHS) else set())
    values = {each.name: getattr(command, each.name) for each in fields(command) if each.name in names}
    changed = {name: new for name, value in values.items() if (new := _here(value, command)) != value}
    if isinstance(command, Train):
        changed |= _of_training(command)
    return replace(command, **changed) if changed else command


def _of_training(command: Train) -> dict[str, Any]:
    """Return the fields of a training that name a pool or a run at an address, with what is here of them."""
    config, folder = command.config, command.folder
    if config.network.looks_by is not None:
        looker = _here(Path(config.network.looks_by), command)
        config = replace(config, network=config.network.with_looker(str(looker)))
    if folder is not None and _is_pool(folder):
        folder = _here(folder, command)
    elif _is_pool(config.data.root):
        config = replace(config, data=replace(config.data, root=_here(config.data.root, command)))
    return {"config": config, "folder": folder}


def _is_pool(folder: Path) -> bool:
    """Whether an evidence pool lies at an address."""
    if not isinstance(place := located(folder), RemotePath):
        return False
    with suppress(ForbiddenError):  # as some say of what is not there
        return (place / "pool.json").is_file()
    return False


def _here(value: Any, command: object) -> Any:
    if isinstance(value, tuple):
        return tuple(_here(each, command) for each in value)
    if not isinstance(value, Path):
        return value
    if (members := _members(value)) is not None:
        return Path("+".join(str(_here(Path(each), command)) for each in members))
    if HubAddress.is_one(value):
        from foveate.workflows.hub import download as of_hub

        address = HubAddress.read(value)
        return of_hub.downloaded(address) if isinstance(command, _READERS) else of_hub.copied(address, RUNS)
    if isinstance(place := located(value), RemotePath):
        from foveate.workflows.storage import download as of_storage

        return of_storage.fetched(place) if isinstance(command, _READERS) else of_storage.copied(place, RUNS)
    return value


def _members(value: Path) -> list[str] | None:
    """Return the members of an ensemble of which one is at an address; None: it is none."""
    place = located(value)
    names = (place.address if isinstance(place, RemotePath) else str(value)).split("+")
    if len(names) < 2 or not all(names) or not any(map(is_address, names)):
        return None
    alone = not any(map(is_address, names[1:])) and isinstance(place, RemotePath) and (place / FILE).is_file()
    return None if alone else names
