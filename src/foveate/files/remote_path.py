"""A path to what lies elsewhere: it is asked and read like any other, through fsspec and a cache on this machine.

Whoever holds a `Path` need not know which kind it is. `located` makes it; fsspec is imported when it is first asked.
"""

from __future__ import annotations

import errno
import hashlib
import io
import os
import re
import stat
import sys
import time
from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any
from urllib.parse import unquote

from typing_extensions import override

from foveate.config.addresses import address_of, is_address, shown_address, user_of, without_signature
from foveate.errors import UserError
from foveate.files.byte_cache import ByteCache, byte_cache, cache_folder, cache_size
from foveate.files.storage import answered

if sys.platform == "win32":
    from pathlib import WindowsPath as _HostPath
else:
    from pathlib import PosixPath as _HostPath

BLOCK = 2**20
"""Bytes of a file that are fetched together where it is read from many places, as a shard is."""
_ORIGIN = re.compile(r"[^/]*//[^/?#]*")
_VERSIONS = ("ETag", "etag", "md5Hash", "Content-MD5", "VersionId", "Last-Modified", "LastModified", "mtime", "created")
"""What storages say of a file by which a changed one is known; the first that is there counts, with the size."""
_began = time.time()
"""What was asked for since then is not asked for again."""
_whole: dict[str, str] = {}
"""Addresses with their credentials, in this process alone, by what may be written down of them."""
_origins: dict[str, str] = {}
"""Their protocols, users and hosts, by their protocols and hosts."""


@dataclass(frozen=True, slots=True)
class Entry:
    """What lies at an address; the methods are those of `os.DirEntry`."""

    name: str
    folder: bool
    size: int | None
    """In bytes; None: the storage does not say."""
    version: bytes | None
    """32 bytes that change when the content does; None: the storage does not say."""

    def is_dir(self) -> bool:
        """Whether others lie below it."""
        return self.folder

    def is_file(self) -> bool:
        """Whether it has bytes."""
        return not self.folder

    def is_symlink(self) -> bool:
        """Say no: storages have none."""
        return False

    def inode(self) -> None:
        """Return no number."""


_listings: dict[str, dict[str, Entry]] = {}
"""Entries of folders that were listed, by the folder's address and their names."""


class RemotePath(_HostPath):
    """An address such as ``s3://bucket/birds``, for reading alone.

    As text it is what may be written down: without ``user:password@`` and signatures, which stay in this process and
    those that it hands the path to. What is read is kept in a cache and asked after once in each process.
    """

    __slots__ = ()

    @override
    def __str__(self) -> str:
        return address_of(super().__str__())

    @override
    def __fspath__(self) -> str:
        return str(self)

    @override
    def __reduce__(self) -> tuple[Any, ...]:
        return located, (self.address,)

    @property
    def address(self) -> str:
        """Whole, with its credentials: for fsspec, never for people."""
        text = str(self)
        origin = _ORIGIN.match(text)
        if text in _whole or origin is None:
            return _whole.get(text, text)
        return _origins.get(origin.group(), origin.group()) + text[origin.end() :]

    @override
    def expanduser(self) -> RemotePath:
        return self

    @override
    def absolute(self) -> RemotePath:
        return self

    @override
    def resolve(self, strict: bool = False) -> RemotePath:
        return self

    @override
    def exists(self, *, follow_symlinks: bool = True) -> bool:
        return self._entry() is not None

    @override
    def is_dir(self, *, follow_symlinks: bool = True) -> bool:
        return (entry := self._entry()) is not None and entry.folder

    @override
    def is_file(self, *, follow_symlinks: bool = True) -> bool:
        return (entry := self._entry()) is not None and not entry.folder

    @override
    def is_symlink(self) -> bool:
        return False

    @override
    def samefile(self, other_path: str | os.PathLike[str]) -> bool:
        return str(self) == os.fspath(other_path)

    @override
    def stat(self, *, follow_symlinks: bool = True) -> os.stat_result:
        entry = self._there()
        kind = stat.S_IFDIR if entry.folder else stat.S_IFREG
        size = len(self.read_bytes()) if entry.size is None and not entry.folder else entry.size
        return os.stat_result((kind | 0o444, 0, 0, 1, 0, 0, size or 0, 0, 0, 0))

    @override
    def iterdir(self) -> Generator[RemotePath, None, None]:
        return (self / entry.name for entry in self.entries())

    def entries(self) -> list[Entry]:
        """Return what lies in the folder, sorted by name; a folder is listed once in a process, or since `look_again`.

        Raises:
            OSError: There is no such folder, or it is forbidden.
            StorageError: The storage does not answer.
        """
        key = str(self)
        if key not in _listings:
            found = (_entry_of(each) for each in answered(self.address, lambda system, path: system.ls(path, True)))
            name = self.name
            _listings[key] = {each.name: each for each in found if each.name and (each.folder or each.name != name)}
        return sorted(_listings[key].values(), key=lambda each: each.name)

    def matching(self) -> list[RemotePath]:
        """Return the files whose addresses match this one, in which ``*``, ``?`` and ``**`` stand for any text."""
        scheme, _, rest = str(self).partition("://")
        host, _, below = rest.partition("/")

        def ask(system: Any, path: str) -> list[str]:
            found = sorted(system.glob(path))
            if path.lstrip("/") == below:  # without the host, as sftp has it
                return [f"://{host}/{each.lstrip('/')}" for each in found]
            return [str(system.unstrip_protocol(each)).partition(":")[2] for each in found]

        places = [f"{scheme}:{place.removeprefix(':')}" for place in answered(self.address, ask)]
        return [path for place in places if (path := RemotePath(shown_address(place))).is_file()]

    @override
    def open(  # type: ignore[override]
        self,
        mode: str = "r",
        buffering: int = -1,
        encoding: str | None = None,
        errors: str | None = None,
        newline: str | None = None,
    ) -> IO[Any]:
        """Open it for reading, a block at a time; text is wrapped around that as `open` does."""
        if not set(mode) <= set("rbt"):
            raise self._unwritable()
        stream = io.BufferedReader(_Blocks(self), BLOCK)
        return stream if "b" in mode else io.TextIOWrapper(stream, encoding, errors, newline)

    @override
    def mkdir(self, mode: int = 0o777, parents: bool = False, exist_ok: bool = False) -> None:
        raise self._unwritable()

    @override
    def touch(self, mode: int = 0o666, exist_ok: bool = True) -> None:
        raise self._unwritable()

    @override
    def unlink(self, missing_ok: bool = False) -> None:
        raise self._unwritable()

    def _unwritable(self) -> UserError:
        return UserError(f"an address is written to by --out alone; {self} cannot be; name a path on this machine")

    @override
    def read_bytes(self) -> bytes:
        return self._fetched(None, None)

    def read_range(self, offset: int, length: int) -> bytes:
        """Return some of its bytes: out of the blocks that are kept, else these alone."""
        first, last = offset // BLOCK, (offset + length - 1) // BLOCK
        blocks = [self._kept(number * BLOCK, (number + 1) * BLOCK) for number in range(first, last + 1)]
        if all(block is not None for block in blocks):
            start = offset - first * BLOCK
            return b"".join(block for block in blocks if block is not None)[start : start + length]
        return self._fetched(offset, offset + length)

    def _entry(self) -> Entry | None:
        listed = _listings.get(str(self.parent))
        if listed is not None:
            return listed.get(self.name)
        if len(self.parts) > 3 and self.parent._is_known_to_miss():
            return None
        try:
            return self._asked()
        except FileNotFoundError:
            return None

    def _asked(self) -> Entry:
        return _entry_of(answered(self.address, lambda system, path: system.info(path)))

    def _is_known_to_miss(self) -> bool:
        listed = _listings.get(str(self.parent))
        return listed is not None and self.name not in listed

    def _there(self) -> Entry:
        entry = self._entry()
        if entry is None:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(self))
        return self._asked() if entry.size is None and not entry.folder else entry  # a page of HTTP has names alone

    def _key(self, start: int | None, end: int | None) -> str:
        return f"{self}\n{start}:{end}"

    def _kept(self, start: int | None, end: int | None) -> bytes | None:
        """Return bytes that are kept and were asked after in this process."""
        kept = _cache().get(self._key(start, end))
        return kept.content if kept is not None and kept.asked >= _began else None

    def _fetched(self, start: int | None, end: int | None) -> bytes:
        cache, key = _cache(), self._key(start, end)
        kept = cache.get(key)
        if kept is not None and kept.asked >= _began:
            return kept.content
        version = self._there().version if cache.size else None
        if kept is not None and kept.version == version:
            cache.confirm(key)
            return kept.content
        content: bytes = answered(self.address, lambda system, path: system.cat_file(path, start=start, end=end))
        if start is not None and end is not None and len(content) > end - start:  # a server that knows no ranges
            content = content[start:end]
        # Without a version it is good until this process ends: nobody else takes it for the present one.
        cache.put(key, os.urandom(32) if version is None else version, content)
        return content


class _Blocks(io.RawIOBase):
    """A remote file as a stream that can be sought in."""

    def __init__(self, path: RemotePath) -> None:
        self._path, self._place, size = path, 0, path._there().size
        self._content = path.read_bytes() if size is None else None
        """Whole, where the storage does not say how many bytes there are."""
        self._size = len(self._content) if self._content is not None else size or 0

    @override
    def readable(self) -> bool:
        return True

    @override
    def seekable(self) -> bool:
        return True

    @override
    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._place, os.SEEK_END: self._size}[whence]
        self._place = max(0, base + offset)
        return self._place

    @override
    def readinto(self, buffer: Any) -> int:
        if self._place >= self._size:
            return 0
        start = self._place // BLOCK * BLOCK
        if self._content is None:
            block = self._path._fetched(start, min(start + BLOCK, self._size))
        else:
            block = self._content[start : start + BLOCK]
        piece = block[self._place - start : self._place - start + len(buffer)]
        buffer[: len(piece)] = piece
        self._place += len(piece)
        return len(piece)


def located(path: Path | str) -> Path:
    """Return a path that is asked and read where it lies: of an address a `RemotePath`, else the path itself."""
    if isinstance(path, RemotePath) or not is_address(path):
        return Path(path) if isinstance(path, str) else path
    whole, shown = address_of(path), shown_address(path)
    if shown != whole:
        _remember(shown, whole)
    return RemotePath(shown)


def _remember(shown: str, whole: str) -> None:
    """Keep an address with what is not shown of it.

    Raises:
        UserError: Another looks the same, and differs in its user, or in more than a fresh signature.
    """
    found, user = _ORIGIN.match(shown), user_of(whole)
    origin = "" if found is None else found.group()
    scheme, mark, host = origin.partition("://")
    if user:
        before = _origins.setdefault(origin, scheme + mark + user + host)
        same = before == scheme + mark + user + host
    else:
        whole = _origins.get(origin, origin) + whole[len(origin) :]
        same = True
    if not same or without_signature(_whole.get(shown, whole)) != without_signature(whole):
        raise UserError(
            f"addresses are told apart by what may be written down of them; two that are {shown} differ in their user, "
            "or in parameters that may be secret; use one of them, call the parameter id, or rename the files"
        )
    _whole[shown] = whole


def with_credentials(path: str) -> str:
    """Return a path as another process can locate it: an address with its credentials, never for people."""
    place = located(path)
    return place.address if isinstance(place, RemotePath) else path


def look_again() -> None:
    """Forget what folders held: the next question lists them anew."""
    _listings.clear()


def source(path: Path) -> Path | IO[bytes]:
    """Return what a library reads a file from: its path, or of an address an open file."""
    return path.open("rb") if isinstance(path, RemotePath) else path


def read_range(path: Path, offset: int, length: int) -> bytes:
    """Return some bytes of a file."""
    if isinstance(path, RemotePath):
        return path.read_range(offset, length)
    with path.open("rb") as stream:
        stream.seek(offset)
        return stream.read(length)


def _cache() -> ByteCache:
    return byte_cache(cache_folder() / "bytes", cache_size())


def _name_of(path: str) -> str:
    """Return the last name of a path in a storage; in a page of HTTP it is quoted, but for what a link cannot hold."""
    name = path.rstrip("/").rpartition("/")[2]
    plain = unquote(name) if path.startswith(("http://", "https://")) else name
    return name if set(plain) & set("?#%/") else plain


def _entry_of(info: dict[str, Any]) -> Entry:
    """Return what fsspec says of something; a page of HTTP that links to others is a folder."""
    folder = info["type"] == "directory" or info.get("mimetype") == "text/html"
    name, size = _name_of(info["name"]), info.get("size")
    said = next((f"{each} {info[each]}" for each in _VERSIONS if info.get(each)), None)
    version = None if said is None or folder else hashlib.sha256(f"{said} {size}".encode()).digest()
    return Entry(name, folder, size, version)
