"""The list of a folder's files at an address, with their hashes: written last, so that what has one is whole."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from foveate._version import __version__
from foveate.errors import UserError
from foveate.files.documents import read_json, structured, unstructured, write_json
from foveate.files.hashes import hash_of_file

SCHEMA_VERSION = 1
FILE = "foveate-files.json"
_LEFT_HERE = ("checkpoints",)
"""Folders that a finished run does without."""


@dataclass(frozen=True, kw_only=True)
class FileList:
    """What `foveate-files.json` holds.

    Raises:
        UserError: It lists a file outside its folder, or a hidden one.
    """

    foveate: str
    """Version of what wrote it."""
    files: dict[str, str]
    """SHA-256 of each file, by its path in the folder."""

    def __post_init__(self) -> None:
        for name in self.files:
            path = PurePosixPath(name)
            hidden = any(part.startswith(".") for part in path.parts)
            if path.is_absolute() or hidden or "\\" in name or ":" in name or str(path) != name:
                raise UserError(
                    f"files of a model lie in its folder; its list has {ascii(name)[:200]}; use it only after asking "
                    "whoever wrote it"
                )

    @classmethod
    def of(cls, folder: Path) -> FileList:
        """Return that of a folder as it is; hidden files and checkpoints are left out."""
        names = (each.relative_to(folder) for each in sorted(folder.rglob("*")) if each.is_file())
        taken = [each for each in names if not _is_left_here(each)]
        return cls(foveate=__version__, files={each.as_posix(): hash_of_file(folder / each) for each in taken})

    def write(self, file: Path) -> None:
        """Write it."""
        write_json(file, unstructured(self), SCHEMA_VERSION)

    @classmethod
    def read(cls, file: Path) -> FileList:
        """Read it.

        Raises:
            UserError: It is damaged, of another version, or lists what cannot be.
        """
        return structured(read_json(file, SCHEMA_VERSION), cls, file, "a folder at an address")

    def damaged(self, folder: Path) -> tuple[str, ...]:
        """Name the files of a folder that are missing, or not those that are listed."""
        return tuple(
            name
            for name, value in self.files.items()
            if not (folder / name).is_file() or hash_of_file(folder / name) != value
        )


def _is_left_here(name: Path) -> bool:
    return any(part.startswith(".") for part in name.parts) or name.parts[0] in _LEFT_HERE or name.as_posix() == FILE
