"""Paths that a person gives: photographs as files, folders or globs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, fields, is_dataclass, replace
from pathlib import Path
from typing import TypeVar, cast, overload

from foveate.config.addresses import is_address, shown_address
from foveate.data.roots import shown_path
from foveate.errors import UserError
from foveate.files.remote_path import RemotePath, located

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Photographs(Sequence[Path]):
    """Paths kept as text: a fifth of what as many `Path`s take, which a million of them feel."""

    names: Sequence[str]

    def __len__(self) -> int:
        """Return how many there are."""
        return len(self.names)

    @overload
    def __getitem__(self, index: int) -> Path: ...
    @overload
    def __getitem__(self, index: slice) -> Photographs: ...
    def __getitem__(self, index: int | slice) -> Path | Photographs:
        """Return one of them, or some."""
        return Photographs(self.names[index]) if isinstance(index, slice) else located(self.names[index])


def find_photographs(patterns: Sequence[str], say: Callable[[str], None] | None = None) -> Photographs:
    """Expand files, folders (searched to any depth) and globs; sorted within each, without repeats.

    Folders are listed as `list_photographs` does.

    Args:
        patterns: As a person wrote them.
        say: Receives what else was passed over in each folder.

    Raises:
        UserError: There are none, or one of them names no photograph.
    """
    from foveate.data.datasets.listing import list_photographs  # which imports torch

    check_named(patterns)
    names: dict[str, None] = {}
    for pattern in patterns:
        path = expanded(Path(pattern))
        if holds(path.is_dir):
            listing = list_photographs(path)
            below = list(map(str, listing.photographs))
            if listing.passed_over is not None and say is not None:
                say(f"{shown_path(path)}: {listing.passed_over}")
        else:
            below = sorted(map(str, _files(path)))
        if not below:
            raise UserError(_nothing(pattern))
        names.update(dict.fromkeys(below))
    return Photographs(list(names))


def check_named(patterns: Sequence[str]) -> None:
    """Refuse patterns of which one names nothing at all; what a folder holds is not looked at.

    Raises:
        UserError: There is no pattern, or one names nothing.
    """
    if not patterns:
        raise UserError("there must be something to look at; got no path; give photographs, folders or globs")
    for pattern in patterns:
        path = expanded(Path(pattern))
        if not pattern or (not holds(path.is_dir) and next(_files(path), None) is None):
            raise UserError(_nothing(pattern))


def expanded(path: Path) -> Path:
    """Put the home folder in the place of ``~``; an address becomes one that can be read (`located`).

    Raises:
        UserError: It is the home folder of nobody here.
    """
    if is_address(path):
        return located(path)
    try:
        return path.expanduser()
    except RuntimeError as error:
        raise UserError(f"~ must be the home folder of somebody here; got {path}. Check the path") from error


def with_home(value: _T) -> _T:
    """Put the home folder in the place of ``~`` in a path, or in every path that a dataclass holds, at any depth.

    Raises:
        UserError: One is the home folder of nobody here.
    """
    if isinstance(value, Path):
        return cast(_T, expanded(value))
    if not is_dataclass(value) or isinstance(value, type):
        return value
    values = {each.name: getattr(value, each.name) for each in fields(value) if each.init}
    changed = {name: entry for name, each in values.items() if (entry := with_home(each)) is not each}
    return replace(value, **changed) if changed else value


def _nothing(pattern: str) -> str:
    path, reason = expanded(Path(pattern)), "names none"
    if pattern and not holds(path.is_dir) and holds(lambda: path.is_symlink() or path.exists()):
        broken = not holds(path.exists)
        reason = "is a link to nothing; restore its target" if broken else "is a pipe or a device; give a file"
    shown = shown_path(shown_address(pattern))[:200]
    return f"each path must be a photograph, a folder of them or a glob; {shown!r} {reason}"


def _files(path: Path) -> Iterator[Path]:
    """Yield the file, or those that match; never a pipe or a device, whose reading may not end."""
    if holds(path.is_file):
        yield path
        return
    if isinstance(path, RemotePath):
        yield from path.matching()
        return
    below = Path(path.anchor)
    try:
        yield from (file for file in below.glob(str(path.relative_to(below))) if holds(file.is_file))
    except (OSError, ValueError):  # a name that is too long; before Python 3.13 a ** that is only a part of a name
        return


def holds(test: Callable[[], bool]) -> bool:
    """Ask a path what it is; one that nothing can be asked of, such as one that is too long, is nothing."""
    try:
        return test()
    except OSError:
        return False
