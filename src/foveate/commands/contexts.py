"""What a command's options say of here and now; light to import (no torch)."""

from __future__ import annotations

from dataclasses import fields
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from foveate.runs.context import RunContext


def context_of(command: Any) -> RunContext:
    """Return the context of a command, a dataclass: its options that are called like the context's fields."""
    from foveate.runs.context import RunContext

    names = {each.name for each in fields(command)} & {each.name for each in fields(RunContext)}
    return RunContext(**{name: getattr(command, name) for name in names})
