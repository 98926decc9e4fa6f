"""What can be said about files and boxes without opening a photograph."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

from foveate.data.roots import is_not_text
from foveate.errors import UserError
from foveate.types import Box

_SHOWN = 80
_PLAIN = (int, float, str, type(None))


def first_few(items: Sequence[str], few: int = 5) -> str:
    """Join the first few items for a message and count the rest."""
    rest = len(items) - few
    return ", ".join(items[:few]) + (f" and {rest} more" if rest > 0 else "")


def shown(value: object) -> str:
    """Return a value as a message shows it: long ones cut, and never bytes."""
    if isinstance(value, bytes):
        return f"{len(value)} bytes"
    if isinstance(value, dict) or (isinstance(value, list) and not all(isinstance(each, _PLAIN) for each in value)):
        return f"a {type(value).__name__} of {len(value)}"
    if isinstance(value, int) and value.bit_length() > _SHOWN:
        return f"a number of {value.bit_length()} bits"
    if isinstance(value, str):
        text, rest = (ascii if is_not_text(value[:_SHOWN]) else repr)(value[:_SHOWN]), len(value) - _SHOWN
    else:
        text, rest = repr(value)[:_SHOWN], len(repr(value)) - _SHOWN
    return f"{text} and {rest} characters more" if rest > 0 else text


def require_files(root: Path, *names: str) -> None:
    """Raise `UserError` naming the files of an archive that are not below its root."""
    absent = [name for name in names if not (root / name).exists()]
    if absent:
        raise UserError(
            f"{root} must hold the archive's files as its authors packed them; missing: {first_few(absent)}. "
            "Unpack the archive again, or give the folder that holds them"
        )


def checked_box(edges: object, where: str) -> Box:
    """Return the box of four numbers, left, top, right, bottom; `UserError` unless it encloses an area."""
    if isinstance(edges, list | tuple) and len(edges) == 4 and all(isinstance(edge, float | int) for edge in edges):
        box = Box(*map(float, edges))
        if all(map(math.isfinite, box)) and box.left < box.right and box.top < box.bottom:
            return box
    raise UserError(
        f"a box must be four numbers, left < right and top < bottom, in pixels; got {shown(edges)} for {where}. "
        "Correct it, or give no box"
    )
