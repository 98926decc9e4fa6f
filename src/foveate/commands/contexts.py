"""Options of every command that works with a run: what `foveate.RunContext` says; light to import (no torch)."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from foveate.config.data import OnError
from foveate.config.hardware import HardwareConfig

if TYPE_CHECKING:
    from foveate.runs.context import RunContext


@dataclass(frozen=True, kw_only=True)
class RunOptions:
    """Of a command that looks at a run's data set."""

    root: Path | None = None
    """Where the data set lies now, if it has moved since the training."""
    on_error: OnError | None = None
    """What to do about photographs that cannot be read; None: as the training did."""
    hardware: HardwareConfig = field(default_factory=HardwareConfig)


@dataclass(frozen=True, kw_only=True)
class MeasurementOptions(RunOptions):
    """Of a command that measures."""

    results: Path | None = None
    """A file of JSON lines to which the measurement's rows are added."""


def context_of(command: Any) -> RunContext:
    """Return the context of a command, a dataclass: its options that are called like the context's fields."""
    from foveate.runs.context import RunContext

    names = {each.name for each in fields(command)} & {each.name for each in fields(RunContext)}
    return RunContext(**{name: getattr(command, name) for name in names})
