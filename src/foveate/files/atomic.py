"""Write a file whole or not at all."""

from __future__ import annotations

import errno
import os
import re
import secrets
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from tempfile import mkdtemp

from foveate.errors import UserError

if sys.platform != "win32":  # where what a killed process left stays
    import fcntl

_NO_ROOM = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_NOT_WRITABLE = {
    errno.EACCES,
    errno.EPERM,
    errno.EROFS,
    errno.EISDIR,
    errno.ENOTDIR,
    errno.EEXIST,
    errno.ENAMETOOLONG,
    errno.EIO,
    errno.ELOOP,
}
_ROOM = "free space or choose another folder"
_ANOTHER = "choose a path that you may write to"
_PARTIAL = re.compile(r"\.partial-[0-9a-f]{12}(\.\w+)?")
_UNWRITTEN = 1  # nanoseconds since 1970: the time of a temporary file that no block has written to


@contextmanager
def atomic_path(target: Path) -> Iterator[Path]:
    """Yield a temporary path beside ``target``; move it there when the block succeeds, remove it when not.

    Whoever reads ``target`` sees the old file or the new one, never a part. The folder is created when it is
    missing. The temporary path is hidden and keeps the target's suffix, from which many writers take their
    format; so a glob for that suffix should skip names that begin with a dot. A full disk is recognised by
    its OSError, also where that is only the context of the error raised (``torch.save`` to an open file);
    libraries that raise nothing of the kind (``torch.save`` and ``safetensors`` given a path) should be given
    an open file, or asked for bytes. The first file that a process writes into a folder removes what killed
    processes left half-written there.

    Raises:
        UserError: The disk is full or ``target`` cannot be written, or it is a device or a pipe, in whose place a file
            would come (``/dev/null``, for all programs of a machine); what was there before is untouched. Other
            errors of the block pass unchanged.
    """
    temporary, begun = target.with_name(f".partial-{secrets.token_hex(6)}{target.suffix}"), False
    try:
        _check_replaceable(target)
        target.parent.mkdir(parents=True, exist_ok=True)
        _remove_leftovers_once(target.parent)
        with _claimed(temporary):
            begun = True
            yield temporary
            _flush_to_disk(temporary)
            temporary.replace(target)
    except Exception as error:
        cause = _system_error(error)
        mend = None if cause is None else mend_of(cause, new=not begun)
        if cause is None or mend is None or not _concerns(cause, temporary, target):
            raise
        reason = os.strerror(cause.errno or 0)
        raise UserError(f"cannot write {target}: {reason}; what was there before is untouched; {mend}") from error
    finally:
        # Where the folder itself is what failed, that first error is the one to report.
        with suppress(OSError):
            temporary.unlink(missing_ok=True)


def _check_replaceable(target: Path) -> None:
    if target.exists() and not target.is_file():
        raise UserError(f"cannot write {target}: it is a folder, a pipe or a device; {_ANOTHER}")


def remove_leftovers(folder: Path, *, below: bool = False) -> None:
    """Remove what killed processes left half-written in a folder; what a living process writes stays.

    Args:
        folder: It need not exist.
        below: Also in all folders below it.
    """
    with suppress(OSError):  # a folder that cannot be listed is not for us to tidy
        for path in folder.rglob(".partial-*") if below else folder.glob(".partial-*"):
            if sys.platform != "win32" and _PARTIAL.fullmatch(path.name):
                with suppress(OSError), path.open("rb") as stream:
                    fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)  # refused while its writer lives
                    path.unlink()


_remove_leftovers_once = cache(remove_leftovers)


@contextmanager
def _claimed(temporary: Path) -> Iterator[None]:
    """Hold a temporary file while it is written, so that others can tell it from what a killed process left.

    The system lets go of it when the process ends, however it ends.
    """
    with temporary.open("xb") as stream:
        os.utime(temporary, ns=(_UNWRITTEN, _UNWRITTEN))
        with suppress(OSError):  # a file system without locks
            if sys.platform != "win32":
                fcntl.flock(stream, fcntl.LOCK_EX)
        yield


def _flush_to_disk(path: Path) -> None:
    with path.open("rb+") as stream:
        if os.fstat(stream.fileno()).st_mtime_ns == _UNWRITTEN:
            raise FileNotFoundError(f"nothing was written: {path}")  # no errno: it is ours, not the disk's
        os.fsync(stream.fileno())


def _system_error(error: BaseException | None) -> OSError | None:
    """Find the OSError that `error` is, or that was being handled when it was raised."""
    while error is not None and not isinstance(error, OSError):
        error = error.__context__
    return error


def check_no_pipe(path: Path) -> None:
    """Refuse to read what is no regular file, such as a pipe, whose end may never come; a folder has its own error.

    Raises:
        UserError: It is a pipe, a device or a socket.
    """
    if path.exists() and not path.is_file() and not path.is_dir():
        raise UserError(f"{path} must be a regular file; it is a pipe or a device; restore it from a copy")


def mend_of(error: OSError, *, new: bool = False) -> str | None:
    """Say what the user can do about a file that cannot be written; None where the error is of another kind.

    Args:
        error: What the system says.
        new: Whether the file was just to be made: of a place that takes none, such as /proc, it says "not found".
    """
    if error.errno in _NO_ROOM:
        return _ROOM
    return _ANOTHER if error.errno in _NOT_WRITABLE or (new and error.errno == errno.ENOENT) else None


def mend_of_any(error: OSError) -> str | None:
    """Say the same of an error that may be one of reading, where it is sure to be the user's to mend."""
    if error.errno in _NO_ROOM:
        return _ROOM
    if isinstance(error, PermissionError):
        return f"check the permissions of {error.filename or 'the file'}"
    return None


def _concerns(error: OSError, temporary: Path, target: Path) -> bool:
    """Tell whether the error is about our own file, not about another that the block reads or writes."""
    if error.filename is None:
        return True
    return Path(os.fsdecode(error.filename)) in (temporary, target, *target.parents)


@contextmanager
def new_folder(target: Path) -> Iterator[Path]:
    """Yield a temporary folder beside `target` that becomes it at the end; where another process was first, its stays.

    Args:
        target: A folder that is not there; the one around it is made.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(mkdtemp(prefix=".partial-", dir=target.parent))
    try:
        yield temporary
        temporary.chmod(0o755)
        temporary.rename(target)
    except OSError:
        if not target.exists():
            raise
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
