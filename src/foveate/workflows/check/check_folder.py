"""The folder that a check writes into; light to import (no torch)."""

from __future__ import annotations

from itertools import count
from pathlib import Path

from foveate.errors import UserError
from foveate.files.free_folders import is_free


def default_folder(root: Path) -> Path:
    """Return `check` below the current folder or, with a number, the first after it that is new or empty.

    Where the current folder is that of the photographs or below it, it is NAME-check beside the photographs' folder
    NAME: whatever lies among them may be taken for a class.
    """
    first = root.with_name(f"{root.name}-check") if _is_among(Path(), root) else Path("check")
    names = (first if number == 1 else first.with_name(f"{first.name}-{number}") for number in count(1))
    return next(path for path in names if is_free(path))


def check_new(out: Path, root: Path) -> None:
    """Refuse a folder that holds something, for its lists may have been edited, or that is among the photographs.

    Raises:
        UserError: It does, or is.
    """
    if _is_among(out, root):
        raise UserError(
            f"a check writes beside the photographs, for among them its pictures would be a class; {out} is in {root}; "
            f"name another with --out, such as {root}-check"
        )
    if not is_free(out):
        raise UserError(f"a check needs a new or empty folder; {out} holds other files; name another with --out")


def _is_among(path: Path, root: Path) -> bool:
    return root.is_dir() and path.resolve().is_relative_to(root)
