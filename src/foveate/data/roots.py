"""Where a data set lies: what can be said of a path before anything else is imported (no torch)."""

from __future__ import annotations

import os
import re
from pathlib import Path

from foveate.config.addresses import is_address
from foveate.errors import UserError
from foveate.files.remote_path import located, look_again

_HALF_CHARACTERS = re.compile("[\ud800-\udfff]")


def existing_root(root: Path) -> Path:
    """Return the folder or list that a data set is read from, here or at an address; ``~`` is the home folder.

    Raises:
        UserError: There is none, it is neither a folder nor a regular file, it is empty, may not be read, the path
            is not UTF-8, so that no run could write it down, or a storage does not answer.
    """
    if is_address(root):
        return _existing_address(located(root))
    try:
        path = Path(root).expanduser()
    except RuntimeError as error:
        raise UserError(f"~ must be the home folder of somebody here; got {root}. Check the path") from error
    if is_not_text(str(path.absolute())):
        raise UserError(f"the path of a data set must be UTF-8; got {shown_path(path.absolute())}. Rename it")
    try:
        exists, folder, file = path.exists(), path.is_dir(), path.is_file()
        empty = folder and next(path.iterdir(), None) is None
    except (OSError, ValueError) as error:  # ValueError: a NUL in the path
        raise UserError(
            f"the data set's folder must be readable; {str(path)[:200]!r} is not ({str(error)[:60]}). Check the path"
        ) from error
    if not exists:
        raise UserError(f"the data set's folder must exist; got {path}. Check the path")
    if empty:
        raise UserError(
            f"the data set's folder must not be empty; got {path}. Make a folder for each class in it, with its "
            "photographs, or unpack an archive there"
        )
    if not folder and not file:
        raise UserError(f"a data set must be a folder or a list in a regular file; {path} is neither. Check the path")
    return path


def _existing_address(root: Path) -> Path:
    """Return the folder or list at an address; what it holds is listed anew.

    Raises:
        UserError: Nothing is there, it is forbidden, or the storage does not answer or cannot be asked.
    """
    look_again()
    try:
        entry_found, empty = root.exists(), root.is_dir() and next(root.iterdir(), None) is None
    except FileNotFoundError:  # a folder that a storage thinks of as one, and cannot list
        entry_found, empty = False, False
    if not entry_found or empty:
        raise UserError(
            f"photographs must lie at the address; nothing does at {root}. Check the bucket and the spelling"
        )
    return root


def is_not_text(name: str) -> bool:
    """Whether a name holds lone surrogates: bytes of a file's name that are not UTF-8, or half a character."""
    return _HALF_CHARACTERS.search(name) is not None


def shown_path(path: Path | str) -> str:
    r"""Return a path that may not be UTF-8 as it can be printed: its odd bytes as ``\xff``."""
    text = os.fspath(path)
    try:
        return text.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    except UnicodeEncodeError:  # half a character, which no file system gave
        return text.encode("utf-8", "backslashreplace").decode()
