"""Models that a command line names by hf://user/name: on this machine before the command begins."""

from __future__ import annotations

from dataclasses import fields, is_dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

from foveate.commands.predict import Predict
from foveate.commands.run_folder import RUNS
from foveate.workflows.hub.address import HubAddress

_Command = TypeVar("_Command")
_MODELS = {"run_folder", "models", "network", "folder"}
"""The fields of commands that name runs and Guided Zooms."""
_READERS = (Predict,)
"""They write nothing beside what they ask, and do not show its name."""


def with_hub_models(command: _Command) -> _Command:
    """Return a command whose models lie on this machine.

    For a command that may write into their folder they are copied below `RUNS`; the hub's own cache stays as it is.

    Raises:
        UserError: An address names no model, or as `foveate.workflows.hub.download.downloaded`.
    """
    if not is_dataclass(command) or isinstance(command, type):
        return command
    values = {each.name: getattr(command, each.name) for each in fields(command) if each.name in _MODELS}
    changed = {name: new for name, value in values.items() if (new := _here(value, command)) != value}
    return replace(command, **changed) if changed else command


def _here(value: Any, command: object) -> Any:
    if isinstance(value, tuple):
        return tuple(_here(each, command) for each in value)
    if not isinstance(value, Path) or not HubAddress.is_one(value):
        return value
    from foveate.workflows.hub.download import copied, downloaded

    address = HubAddress.read(value)
    return downloaded(address) if isinstance(command, _READERS) else copied(address, RUNS)
