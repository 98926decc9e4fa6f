"""The columns of a list, whatever file they come from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from foveate.data.records import ArchiveMember

TEXTS, EDGES = ("image", "class_name", "split"), ("left", "top", "right", "bottom")
COLUMNS = (*TEXTS, "label", *EDGES)
"""What a list may say of a photograph; other columns are passed over."""


@dataclass(frozen=True, slots=True)
class Columns:
    """The known columns of a list; values are as the file has them, None where there is nothing."""

    path: Path
    values: dict[str, list[Any]]
    rows: Sequence[int]
    """The number of each row: the line in an editor, of a CSV; else from 1."""
    images: Sequence[ArchiveMember] = ()
    """The photographs, where the file holds them; ``image`` then has their names."""
    class_names: Sequence[str] = ()
    """The name of each label, where the file says so."""
    notes: Sequence[str] = field(default=())

    def place(self, index: int) -> str:
        """Return where a row stands, for a message."""
        return f"row {self.rows[index]} of {self.path}"


def is_list(header: Sequence[str]) -> bool:
    """Whether columns are those of a list of labelled photographs."""
    return "image" in header and ("label" in header or "class_name" in header)


def wanted_columns(header: Sequence[str]) -> list[str] | None:
    """Return the known columns of a header; None: it is that of no list, or has one of them twice."""
    columns = [name for name in COLUMNS if name in header]
    return columns if is_list(header) and len(columns) == sum(name in COLUMNS for name in header) else None
