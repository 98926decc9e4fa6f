"""The columns of a list, whatever file they come from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from foveate.data.datasets.checks import first_few
from foveate.data.records import ArchiveMember
from foveate.errors import UserError

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
    group: str | None = None
    """The column that names groups."""
    class_names: Sequence[str] = ()
    """The name of each label, where the file says so."""
    notes: Sequence[str] = field(default=())

    def place(self, index: int) -> str:
        """Return where a row stands, for a message."""
        return f"row {self.rows[index]} of {self.path}"


def is_list(header: Sequence[str]) -> bool:
    """Whether columns are those of a list of labelled photographs."""
    return "image" in header and ("label" in header or "class_name" in header)


def wanted_columns(header: Sequence[str], group: str | None = None) -> list[str] | None:
    """Return the known columns of a header; None: it is that of no list, or has one of them twice.

    Args:
        header: The names of all columns.
        group: A further one that is known.
    """
    known = dict.fromkeys((*COLUMNS, *([group] if group else ())))
    columns = [name for name in known if name in header]
    return columns if is_list(header) and len(columns) == sum(name in known for name in header) else None


def check_group_column(header: Sequence[str], group: str | None, path: Path) -> None:
    """Refuse a column of groups that a list has not.

    Raises:
        UserError: It has not; the message names those that it has.
    """
    if group is not None and group not in header:
        raise UserError(
            f"group_column must be a column of every list; got {group!r}, and {path} has "
            f"{first_few(header, 12) or 'none'}. Name one of these, or leave it out"
        )
