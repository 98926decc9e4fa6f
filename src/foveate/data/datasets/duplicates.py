"""Duplicate photographs: the same file under several paths, whatever links lead to it."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from foveate.data.datasets.assembly import Row
from foveate.data.datasets.checks import first_few
from foveate.errors import UserError


def check_one_class_each(rows: Sequence[Row], class_names: Mapping[int, str], where: str) -> None:
    """Refuse a photograph that is listed under several paths: it would count twice, or in two classes.

    Raises:
        UserError: There is one.
    """
    places = _Places()
    owners: dict[str, Row] = {}
    torn: list[str] = []
    for row in rows:
        if isinstance(row.image, Path):
            owner = owners.setdefault(places.real(row.image), row)
            if owner.id != row.id:
                names = (class_names[owner.class_id], class_names[row.class_id])
                torn.append(f"{owner.id} ({names[0]!r}, {owner.split}) = {row.id} ({names[1]!r}, {row.split})")
    if torn:
        raise UserError(
            f"a photograph must be listed once; {where} lists by several paths {first_few(torn, 3)}. "
            "Remove the wrong rows"
        )


class _Places:
    """Resolves paths; each folder is resolved and listed once, which costs far less than asking after each file."""

    def __init__(self) -> None:
        self._folders: dict[str, tuple[str, frozenset[str]]] = {}

    def real(self, path: Path) -> str:
        folder, name = os.path.split(path)
        if folder not in self._folders:
            self._folders[folder] = (os.path.realpath(folder), _links_in(folder))
        place, links = self._folders[folder]
        return os.path.realpath(path) if name in links or name == ".." else f"{place}{os.sep}{name}"


def _links_in(folder: str) -> frozenset[str]:
    try:
        with os.scandir(folder or ".") as entries:
            return frozenset(entry.name for entry in entries if entry.is_symlink())
    except OSError:  # there is no such folder: a photograph that is not there is named elsewhere
        return frozenset()
