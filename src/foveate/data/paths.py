"""Paths that a person gives: photographs as files, folders or globs; and paths as words."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import overload

from foveate.data.image_kinds import IMAGE_SUFFIXES, why_unreadable
from foveate.errors import UserError

_NAMED = 6  # kinds of passed-over files that are named one by one


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
        return Photographs(self.names[index]) if isinstance(index, slice) else Path(self.names[index])


def find_photographs(patterns: Sequence[str], say: Callable[[str], None] | None = None) -> Photographs:
    """Expand files, folders (searched to any depth) and globs; sorted within each, without repeats.

    Hidden files in a folder are passed over, such as the ``._`` files that macOS writes beside photographs. Links to
    folders are followed, each folder once.

    Args:
        patterns: As a person wrote them.
        say: Receives what else was passed over in each folder.

    Raises:
        UserError: There are none, or one of them names no photograph.
    """
    check_named(patterns)
    names: dict[str, None] = {}
    for pattern in patterns:
        path = expanded(Path(pattern))
        if _holds(path.is_dir):
            below, passed_over = _below(path)
            if passed_over is not None and say is not None:
                say(f"{printable(path)}: {passed_over}")
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
        if not pattern or (not _holds(path.is_dir) and next(_files(path), None) is None):
            raise UserError(_nothing(pattern))


def expanded(path: Path) -> Path:
    """Put the home folder in the place of ``~``.

    Raises:
        UserError: It is the home folder of nobody here.
    """
    try:
        return path.expanduser()
    except RuntimeError as error:
        raise UserError(f"~ must be the home folder of somebody here; got {path}. Check the path") from error


def printable(path: Path | str) -> str:
    r"""Return a path as text that any file and terminal takes; bytes that are no UTF-8 are written as ``\xe9``."""
    text = str(path)
    try:
        return text.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    except UnicodeEncodeError:  # half a character, which no file system gave
        return text.encode("utf-8", "backslashreplace").decode()


def _nothing(pattern: str) -> str:
    return f"each path must be a photograph, a folder of them or a glob; {printable(pattern)!r} names none"


def _files(path: Path) -> Iterator[Path]:
    """Yield the file, or those that match; never a pipe or a device, whose reading may not end."""
    if _holds(path.is_file):
        yield path
        return
    below = Path(path.anchor)
    try:
        yield from (file for file in below.glob(str(path.relative_to(below))) if _holds(file.is_file))
    except (OSError, ValueError):  # a name that is too long; before Python 3.13 a ** that is only a part of a name
        return


def _below(folder: Path) -> tuple[list[str], str | None]:
    """Return the photographs in a folder, sorted, and in words what else lies there; None: nothing."""
    found: list[Path] = []
    passed_over: Counter[str] = Counter()
    seen: set[str] = set()
    for place, folders, files in os.walk(folder, followlinks=True):
        true_place = os.path.realpath(place)
        if true_place in seen:  # a link back to a folder above would be walked for ever
            folders.clear()
            continue
        seen.add(true_place)
        for name in files:
            kind = _kind(Path(place, name))
            if kind is None:
                found.append(Path(place, name))
            elif kind:
                passed_over[kind] += 1
    return list(map(str, sorted(found))), _listed(passed_over) if passed_over else None


def _kind(path: Path) -> str | None:
    """Return what a file is that is passed over, nothing where it is hidden; None: it is a photograph."""
    if path.name.startswith("."):
        return ""
    if not _holds(path.is_file):
        return "without content (a pipe, a device, or a link that leads nowhere)"
    suffix = path.suffix.lower()
    return None if suffix in IMAGE_SUFFIXES else printable(suffix) or "without an ending"


def _holds(test: Callable[[], bool]) -> bool:
    """Ask a path what it is; one that nothing can be asked of, such as one that is too long, is nothing."""
    try:
        return test()
    except OSError:
        return False


def _listed(counts: Counter[str]) -> str:
    ordered = sorted(counts.items(), key=lambda each: (-each[1], each[0]))
    kinds = [f"{count} {kind}{_mend(kind)}" for kind, count in ordered[:_NAMED]]
    others = sum(count for _, count in ordered[_NAMED:])
    return f"passed over: {', '.join(kinds)}" + (f", {others} others" if others else "")


def _mend(suffix: str) -> str:
    mend = why_unreadable(suffix)
    return "" if mend is None else f" ({mend})"
