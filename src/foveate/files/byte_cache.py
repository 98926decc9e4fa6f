"""What was fetched from elsewhere, kept on this machine up to a size: what was used longest ago goes first."""

from __future__ import annotations

import hashlib
import math
import os
import random
import secrets
import time
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import NamedTuple

from foveate.errors import UserError

FOLDER, SIZE = "FOVEATE_CACHE", "FOVEATE_CACHE_GB"
"""Variables of the environment: where it lies, and how many gigabytes (10^9 bytes) it may hold."""
USUAL_SIZE = 20.0
_DIGEST = 32  # bytes
_SHARE, _LEFT = 20, 0.9
"""It is counted each time that a twentieth of its size was written; above its size, a tenth of it is made free."""


class Kept(NamedTuple):
    """An entry: its bytes, the version that they are of, and when that was last asked for."""

    content: bytes
    version: bytes
    asked: float
    """Seconds since 1970."""


def cache_folder() -> Path:
    """Return where everything lies that was fetched from elsewhere."""
    folder = os.environ.get(FOLDER)
    usual = Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache") / "foveate"
    return Path(folder or usual).expanduser().absolute()


def cache_size() -> int:
    """Return how many bytes may be kept.

    Raises:
        UserError: The environment says something else than a number, 0 or more.
    """
    words = os.environ.get(SIZE) or str(USUAL_SIZE)
    try:
        size = float(words)
    except ValueError:
        size = math.nan
    if not 0 <= size < math.inf:
        raise UserError(f"{SIZE} must be a number of gigabytes, 0 for no cache; got {words[:80]!r}. Correct it")
    return int(1e9 * size)


@dataclass
class ByteCache:
    """Bytes by a key, in a folder that several processes may use.

    Each entry is a file: the SHA-256 of its version, that of its content, its content. A damaged one is none. Its time
    of change says when its version was asked for, its time of access when it was used.

    Args:
        folder: It is made where it is missing.
        size: How many bytes it may hold; each process may write a twentieth more before it counts.
    """

    folder: Path
    size: int
    _written: float = field(init=False)

    def __post_init__(self) -> None:
        self._written = random.uniform(0, self.size / _SHARE)  # many short processes count now and then, too

    def get(self, key: str) -> Kept | None:
        """Return an entry, and note its use; None: it is not there, or damaged."""
        file = self._file(key)
        try:
            raw, state = file.read_bytes(), file.stat()
        except OSError:
            return None
        version, digest, content = raw[:_DIGEST], raw[_DIGEST : 2 * _DIGEST], raw[2 * _DIGEST :]
        if hashlib.sha256(content).digest() != digest:
            return None
        with suppress(OSError):
            os.utime(file, ns=(time.time_ns(), state.st_mtime_ns))
        return Kept(content, version, state.st_mtime)

    def confirm(self, key: str) -> None:
        """Note that an entry's version was asked for, and is the same."""
        with suppress(OSError):
            os.utime(self._file(key))

    def put(self, key: str, version: bytes, content: bytes) -> None:
        """Keep bytes, where they fit; a full disk only keeps none.

        Args:
            key: Whatever names them.
            version: 32 bytes that change when what lies there does.
            content: The bytes.
        """
        if len(content) > self.size / 2:
            return
        file = self._file(key)
        temporary = file.with_name(f".partial-{secrets.token_hex(6)}")
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            temporary.write_bytes(version + hashlib.sha256(content).digest() + content)
            temporary.replace(file)
        except OSError:
            with suppress(OSError):
                temporary.unlink(missing_ok=True)
            return
        self._written += len(content)
        if self._written > self.size / _SHARE:
            self._written = 0
            self.shrink()

    def shrink(self) -> None:
        """Remove what was used longest ago, where there is more than the size."""
        entries = []
        for file in self.folder.glob("??/*"):
            with suppress(OSError):
                state = file.stat()
                entries.append((state.st_atime_ns, state.st_size, file))
        total = sum(size for _, size, _ in entries)
        if total <= self.size:
            return
        for _, size, file in sorted(entries):
            with suppress(OSError):
                file.unlink()
                total -= size
            if total <= _LEFT * self.size:
                return

    def _file(self, key: str) -> Path:
        name = hashlib.sha256(key.encode(errors="surrogatepass")).hexdigest()
        return self.folder / name[:2] / name[2:]


@cache
def byte_cache(folder: Path, size: int) -> ByteCache:
    """Return this process's cache in a folder."""
    return ByteCache(folder, size)
