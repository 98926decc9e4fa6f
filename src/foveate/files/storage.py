"""Questions to a storage, by fsspec: asked again where it did not answer, and said in our words where it does not."""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any, TypeVar

from foveate.config.addresses import shown_address, without_secrets
from foveate.errors import UserError

_T = TypeVar("_T")
CONNECT, READ = 5.0, 8.0
"""Seconds that a connection, and the next bytes of an answer, may take."""
PAUSES = (1.0, 2.0)
"""Seconds before each further try. What does not answer is given up within a minute: HTTP asks twice each time."""
_LIBRARIES = {"adlfs", "aiobotocore", "aiohttp", "azure", "botocore", "gcsfs", "google", "requests", "urllib3"}
"""Whose errors may be those of a connection."""
_LATER = {408, 425, 429, *range(500, 600)}
"""Status of answers that may be another a second later."""
_NO_CREDENTIALS = ("NoCredentialsError", "PartialCredentialsError", "CredentialRetrievalError", "ProfileNotFound")


class StorageError(UserError):
    """A storage that does not answer, cannot be used here, or whose files are not what they should be."""

    def __init__(self, message: str) -> None:
        # From a process that decodes it comes back with the way it took there, line by line.
        super().__init__(message.rpartition(f"{type(self).__name__}: ")[2])


class ForbiddenError(StorageError):
    """What a storage does not allow."""


def answered(address: str, ask: Callable[[Any, str], _T]) -> _T:
    """Return what a storage answers; it is asked again, twice, where it may answer a moment later.

    Args:
        address: Whole, with what it may hold of credentials.
        ask: A call of fsspec: takes its file system, and the address as a path there.

    Raises:
        FileNotFoundError: Nothing is there.
        FileExistsError: Something is there, and that was not to be.
        ForbiddenError: It is forbidden, or there are no credentials.
        StorageError: The storage does not answer, or its protocol's package is not installed.
    """
    for pause in (*PAUSES, None):
        try:
            return ask(*_filesystem(address))
        except UserError:
            raise
        except Exception as error:
            reason = _cause(error)
            if _is_of_this_machine(address, reason):
                raise
            if (refusal := _refusal(address, reason)) is not None:
                raise refusal from error
            if not _is_transient(reason):
                raise
            if pause is None:
                raise _silent(address, reason) from error
            time.sleep(pause)
    raise AssertionError("unreachable")


def _filesystem(address: str) -> tuple[Any, str]:
    """Return the file system of an address, and the address as a path there; fsspec keeps one in each process."""
    protocol = address.partition(":")[0]
    try:
        core = import_module("fsspec.core")
    except ImportError as error:
        raise StorageError(
            f"what lies at an address is read by the package fsspec, which is not installed; got "
            f"{shown_address(address)}; pip install 'foveate[cloud]'"
        ) from error
    try:
        filesystem, path = core.url_to_fs(address, **_options(protocol))
    except ImportError as error:
        raise StorageError(
            f"an address is read by the package of its protocol; that of {protocol}:// is not installed ({error}); "
            "pip install 'foveate[cloud]' for s3:// and https://, else the package that is named here"
        ) from error
    except ValueError as error:
        if "rotocol not known" not in str(error):
            raise
        raise StorageError(
            f"the protocol of an address must be one that fsspec knows, such as s3, gs, az, https, sftp; got "
            f"{shown_address(address)}; check its spelling, or install the package that brings {protocol}://"
        ) from error
    if hasattr(filesystem, "retries"):  # its own, within one of ours
        filesystem.retries = 1
    return filesystem, path


def _options(protocol: str) -> dict[str, Any]:
    """Return how long a storage is waited for; what its owner says in fsspec's own settings goes first."""
    own = import_module("fsspec.config").conf.get(protocol, {})
    if protocol in ("s3", "s3a"):
        waits = {"connect_timeout": CONNECT, "read_timeout": READ, "retries": {"total_max_attempts": 1}}
        return {"config_kwargs": {**waits, "max_pool_connections": 32, **own.get("config_kwargs", {})}}
    if protocol in ("http", "https"):
        timeout = import_module("aiohttp").ClientTimeout(total=None, sock_connect=CONNECT, sock_read=READ)
        return {"client_kwargs": {"timeout": timeout, **own.get("client_kwargs", {})}}
    return {}


def _cause(error: BaseException) -> BaseException:
    """Return what an error is about: fsspec says of HTTP that nothing is there, whatever it was."""
    while isinstance(error, FileNotFoundError) and error.__cause__ is not None and not _is_boto(error.__cause__):
        error = error.__cause__
    return error


def _is_boto(error: BaseException) -> bool:
    return hasattr(error, "response")


def _status(error: BaseException) -> int | None:
    """Return the status of a server's answer; None: it gave none."""
    response = getattr(error, "response", None) or getattr(error.__cause__, "response", None)
    if isinstance(response, dict):
        status = response.get("ResponseMetadata", {}).get("HTTPStatusCode")
    else:
        status = getattr(error, "status", None)
    return status if isinstance(status, int) else None


def _refusal(address: str, error: BaseException) -> OSError | UserError | None:
    """Return the error of an answer that would be the same a second later; None: it may not, or there was none."""
    shown, status, words = shown_address(address), _status(error), _words(address, error)
    if type(error).__name__ in _NO_CREDENTIALS or isinstance(error, PermissionError) or status in (401, 403, 407):
        return ForbiddenError(
            f"a storage must allow what is asked of it; {shown} is forbidden to you ({words}); fsspec takes "
            "credentials from where the protocol's package looks for them (of s3: AWS_PROFILE, AWS_ACCESS_KEY_ID or "
            "~/.aws); set them, or ask its owner"
        )
    if isinstance(error, FileExistsError) or status == 412:
        return FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), shown)
    if isinstance(error, FileNotFoundError | NotADirectoryError | IsADirectoryError) or status in (404, 410):
        return FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), shown)
    if status is not None and 400 <= status < 500 and status not in _LATER:
        return StorageError(f"a storage must take the request; asked for {shown}, it answers {words}. Check it")
    return None


def _is_of_this_machine(address: str, error: BaseException) -> bool:
    """Whether a disk here is full or may not be written, or a file here is at fault: the storage has no part in it."""
    if not isinstance(error, OSError) or address.startswith(("file:", "local:")):
        return False
    if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EROFS):
        return True
    named = error.filename
    if error.errno is None or not isinstance(named, str | os.PathLike):
        return False
    return Path(named).is_absolute() and Path(named).parent.is_dir()


def _is_transient(error: BaseException) -> bool:
    return isinstance(error, OSError | TimeoutError | EOFError) or type(error).__module__.split(".")[0] in _LIBRARIES


def _silent(address: str, error: BaseException) -> UserError:
    tries, words = len(PAUSES) + 1, _words(address, error)
    return StorageError(
        f"a storage must answer; {shown_address(address)} did not, asked {tries} times ({words}); check the "
        "connection and the address, and give the same command again"
    )


def _words(address: str, error: BaseException) -> str:
    first = without_secrets(str(error).replace(address, shown_address(address))).strip().partition("\n")[0]
    return f"{type(error).__name__}: {first}"[:200] if first else type(error).__name__
