"""A folder that one process at a time works in."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from foveate.errors import UserError
from foveate.files.atomic import mend_of, remove_leftovers

LOCK = ".lock"
"""Name of the file in a folder that the process that works in it holds."""
_PATIENCE = 0.5
"""Seconds: a killed process's child lets go of the lock a step after it begins, not at once."""
_NO_LOCKS = {errno.ENOSYS, errno.ENOLCK, errno.ENOTSUP}


@contextmanager
def working_in(folder: Path, saved: Callable[[], bool], *, name: str = LOCK) -> Iterator[None]:
    """Keep other processes out of a folder, and begin by removing what killed ones left half-written in it.

    The lock is the system's: it ends with its process, however that ends, and a killed one blocks nobody. The hidden
    file that carries it goes with it, as does a folder that is new and stays empty. Of an interruption it is noted
    (`KeyboardInterrupt.__notes__`) whether the same call would continue.

    Args:
        folder: It is made where it is missing.
        saved: Whether something is in the folder that the same call would continue from.
        name: Of the hidden file; those who hold different ones work side by side.

    Raises:
        UserError: Another process works there, or the folder cannot be written to.
    """
    new = not folder.exists()
    lock = _acquired(folder, name)
    try:
        remove_leftovers(folder, below=True)
        yield
    except BaseException as error:
        interruption = interruption_behind(error)
        if interruption is not None and saved():
            interruption.add_note("the same command continues where it was saved")
        raise
    finally:
        if lock is not None:
            _release(lock, folder / name)
        if new:
            with suppress(OSError):
                folder.rmdir()


def check_nobody_works_in(folder: Path) -> None:
    """Refuse a folder that a process works in, where that can be told at once.

    Raises:
        UserError: One does.
    """
    if (folder / LOCK).is_file():
        with working_in(folder, lambda: False):
            return


def interruption_behind(error: BaseException | None) -> KeyboardInterrupt | None:
    """Return the Ctrl-C that an error is, or that it was raised on the way out from.

    Ctrl-C inside a library's own code, such as `torch.save`, ends it with another error.
    """
    while error is not None and not isinstance(error, KeyboardInterrupt):
        error = error.__context__
    return error


def _acquired(folder: Path, name: str) -> FileLock | None:
    file = folder / name
    lock = FileLock(file, timeout=_PATIENCE, is_singleton=True, fallback_to_soft=False)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock.acquire()
        if lock.lock_counter == 1:
            file.write_text(f"{os.getpid()}\n", encoding="ascii")
    except Timeout as error:
        raise UserError(
            f"one process at a time works in a folder; another (pid {_holder(file)}) works in {folder}; wait until it "
            "ends, or name another folder"
        ) from error
    except OSError as error:
        if error.errno in _NO_LOCKS:
            return None
        mend = mend_of(error, new=True)
        if mend is None:
            raise
        raise UserError(f"cannot write into {folder}: {os.strerror(error.errno or 0)}; {mend}") from error
    return lock


def _holder(file: Path) -> str:
    with suppress(OSError, ValueError):
        return str(int(file.read_text(encoding="ascii")))
    return "unknown"


def _release(lock: FileLock, file: Path) -> None:
    if lock.lock_counter == 1:  # the outermost of nested calls
        with suppress(OSError):
            file.unlink()
    lock.release()
