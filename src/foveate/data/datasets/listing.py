"""Which files below a folder are photographs, and what else lies there and is passed over; nothing is opened."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path
from typing import NamedTuple

from foveate.data.datasets.checks import first_few
from foveate.data.image_kinds import IMAGE_SUFFIXES, why_unreadable
from foveate.data.roots import shown_path
from foveate.errors import UserError
from foveate.files.remote_path import Entry, RemotePath

_SYSTEM_FOLDERS = {"@eadir", "#recycle", "@recycle", "#snapshot", "@tmp", "__macosx", "__pycache__", "lost+found"}
_SYSTEM_FOLDERS |= {"$recycle.bin", "recycler", "recycled", "system volume information"}
_SYSTEM_FILES = {"thumbs.db", "ehthumbs.db", "desktop.ini", "icon\r"}
_KINDS_NAMED = 8
_LOOSE = "loose pictures beside class folders"
EXCLUDE = "--data.exclude NAME; with `foveate data` --exclude NAME"
"""The option that leaves folders out, for messages."""


@dataclass(frozen=True, slots=True)
class PassedOver:
    """What a listing met and did not take."""

    files: Counter[str] = field(default_factory=Counter)
    """How many of each kind, such as ``.heic``."""
    folders: Counter[str] = field(default_factory=Counter)
    """How many pictures are in each folder that was not entered."""

    def add_file(self, name: str) -> None:
        """Count a file that is no photograph, or hidden; what systems leave behind is not counted."""
        hidden, suffix = name.startswith("."), Path(name).suffix.lower()
        if hidden and name.lower().endswith(IMAGE_SUFFIXES):
            self.files["hidden"] += 1
        elif not hidden and name.lower() not in _SYSTEM_FILES:
            self.files[shown_path(suffix) if suffix not in ("", ".") else "without an ending"] += 1

    def add_files(self, folder: Path, *, unlabelled: bool = False) -> int:
        """Count what lies beside class folders, but for pictures where these are told apart; return their number."""
        names = [entry.name for entry in entries_of(folder) if _is_file(entry)]
        loose = sum(map(is_image_name, names))
        for name in names:
            if not is_image_name(name):
                self.add_file(name)
        if loose and not unlabelled:
            self.files[_LOOSE] += loose
        return loose

    def add_folder(self, folder: Path) -> None:
        """Count the pictures of a folder that is not entered; one without pictures, or a link, is not named."""
        if folder.is_symlink():  # it may lead to the whole disk
            return
        if count := sum(name.lower().endswith(IMAGE_SUFFIXES) for name in _names_below(folder)):
            self.folders[shown_path(folder.name)] += count

    def line(self) -> str | None:
        """Return one line such as ``passed over: 2 .heic, 3 without an ending, @eaDir (5)``; None: nothing was."""
        kinds = [f"{count} {kind}{_mend(kind)}" for kind, count in self.files.most_common()]
        kinds += [f"{name} ({count})" for name, count in self.folders.most_common()]
        return f"passed over: {first_few(kinds, _KINDS_NAMED)}" if kinds else None


class Photograph(NamedTuple):
    """A file that is called a photograph, and which file that is in truth."""

    path: Path
    real: str
    """Its path without links."""
    inode: int | None
    """Its number in the folder's file system; None: it is a link."""


class Listing(NamedTuple):
    """The photographs below a folder, and what was passed over, in words."""

    photographs: tuple[Path, ...]
    passed_over: str | None


def list_photographs(folder: Path, exclude: Sequence[str] = ()) -> Listing:
    """Return the photographs below a folder, at any depth, sorted by their paths.

    Hidden files, what systems leave behind (``@eaDir``, ``__MACOSX``, ``._x``, ``Thumbs.db``) and folders in `exclude`
    are passed over. Links are followed, each folder once, and none that leads above the folder.

    Raises:
        UserError: A folder cannot be read.
    """
    passed_over = PassedOver()
    photographs = photographs_below(folder, Folders(folder, exclude, passed_over))
    return Listing(tuple(each.path for each in photographs), passed_over.line())


@dataclass(frozen=True, slots=True)
class Folders:
    """How folders of a data set are entered.

    Args:
        root: The data set's folder.
        exclude: Names of folders that are left out, or their paths below the root; ``*`` and ``?`` as in a shell.
        passed_over: Counts what is not taken.
        matched: Which of `exclude` a folder was called.
    """

    root: Path
    exclude: Sequence[str] = ()
    passed_over: PassedOver = field(default_factory=PassedOver)
    matched: set[str] = field(default_factory=set)

    def inside(self, folder: Path, *, count: bool = False) -> list[Path]:
        """Return the folders in one that are neither hidden, left out nor a system's, sorted by name.

        The pictures in the others are counted where that is asked for.
        """
        folders = []
        for entry in entries_of(folder):
            if _is_folder(entry):
                if self.takes(path := folder / entry.name):
                    folders.append(path)
                elif count:
                    self.passed_over.add_folder(path)
        return folders

    def takes(self, folder: Path) -> bool:
        """Whether a folder is entered."""
        name = folder.name
        if is_of_system(name):
            return False
        below = folder.relative_to(self.root).as_posix()
        left_out = [each for each in self.exclude if fnmatchcase(name, each) or fnmatchcase(below, each.strip("/"))]
        self.matched.update(left_out)
        return not left_out


def photographs_below(folder: Path, folders: Folders) -> list[Photograph]:
    """Return the photographs of a class, or of a whole folder, sorted by path, each folder entered once.

    Raises:
        UserError: A folder cannot be read, or a link leads to a folder that holds this one, and so perhaps other
            classes.
    """
    photographs: list[Photograph] = []
    entered: set[str] = set()
    top, waiting = os.path.realpath(folder), [folder]
    while waiting:
        place = waiting.pop()
        real = os.path.realpath(place)
        if real in entered:
            continue
        if place != folder and Path(real) in Path(top).parents:
            if folder == folders.root:  # no class is at stake
                folders.passed_over.files["links to a folder above"] += 1
                continue
            raise UserError(
                f"a link in a data set must not lead to a folder above it, whose photographs have other classes; "
                f"{shown_path(place)} leads to {shown_path(real)}. Remove the link, or leave it out ({EXCLUDE})"
            )
        entered.add(real)
        for entry in entries_of(place):
            path = place / entry.name
            if _is_folder(entry):
                if folders.takes(path):
                    waiting.append(path)
                else:
                    folders.passed_over.add_folder(path)
            elif is_image_name(entry.name):
                link = entry.is_symlink()
                true_path = os.path.realpath(path) if link else f"{real}{os.sep}{entry.name}"
                photographs.append(Photograph(path, true_path, None if link else entry.inode()))
            else:
                folders.passed_over.add_file(entry.name)
    return sorted(photographs, key=lambda each: each.path.as_posix())


def is_image_name(name: str) -> bool:
    """Whether a file is called a photograph: a known ending, and not hidden."""
    return not name.startswith(".") and name.lower().endswith(IMAGE_SUFFIXES)


def is_of_system(folder: str) -> bool:
    """Whether any part of a folder's path is hidden, or left behind by a system."""
    parts = folder.split("/")
    return any(
        (part.startswith(".") and part not in (".", "..")) or part.casefold() in _SYSTEM_FOLDERS for part in parts
    )


def entries_of(folder: Path) -> Sequence[os.DirEntry[str] | Entry]:
    """Return what lies in a folder, sorted by name.

    Raises:
        UserError: It cannot be read.
    """
    try:
        if isinstance(folder, RemotePath):
            return folder.entries()
        with os.scandir(folder) as entries:
            return sorted(entries, key=lambda entry: entry.name)
    except OSError as error:
        raise UserError(
            f"the folders of a data set must be readable; {shown_path(folder)} is not ({error.strerror}). Allow it, or "
            f"leave it out ({EXCLUDE})"
        ) from error


def _names_below(folder: Path) -> Iterator[str]:
    """Yield the names of the files below a folder, at any depth; what cannot be read is left out."""
    if not isinstance(folder, RemotePath):
        yield from (file for _, _, files in os.walk(folder) for file in files)
        return
    for entry in folder.entries():
        yield from _names_below(folder / entry.name) if entry.folder else [entry.name]


def _is_file(entry: os.DirEntry[str] | Entry) -> bool:
    try:
        return entry.is_file()
    except OSError:  # a link that leads back to itself
        return False


def _is_folder(entry: os.DirEntry[str] | Entry) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link that leads back to itself
        return False


def _mend(kind: str) -> str:
    mend = why_unreadable(kind)
    return f" ({mend})" if mend else ""
