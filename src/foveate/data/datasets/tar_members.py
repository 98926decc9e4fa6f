"""Uncompressed tar files, which must be whole: a reader that streams would take the first half for everything."""

from __future__ import annotations

import tarfile
from collections.abc import Iterator
from pathlib import Path

from foveate.data.roots import is_not_text, shown_path
from foveate.errors import UserError

_END = 2 * tarfile.BLOCKSIZE
"""Zero bytes that end a tar file; more may follow, and nothing else."""
_AT_A_TIME = 2**20


def members_of(shard: Path) -> Iterator[tarfile.TarInfo]:
    """Yield the files of a tar file, which is known to be whole only when all of them are there.

    Raises:
        UserError: It is compressed, cut or damaged, something follows its end, a member is a link or has holes, or a
            name is not UTF-8.
    """
    try:
        with shard.open("rb") as stream, tarfile.open(fileobj=stream, mode="r:", encoding="utf-8") as archive:
            end = 0
            for member in archive:
                if member.size < 0 or member.offset_data < end:
                    raise _not_whole(shard, f"damaged at byte {end}")
                end = archive.offset
                if not member.isdir():
                    yield _checked(shard, member)
            end = archive.offset
    except (tarfile.TarError, ValueError, OverflowError) as error:
        # What damaged headers make the parser of their numbers and texts raise; our own errors are among them.
        if isinstance(error, UserError):
            raise
        raise _not_whole(shard, str(error)) from error
    _check_end(shard, end)


def _checked(shard: Path, member: tarfile.TarInfo) -> tarfile.TarInfo:
    if is_not_text(member.name):
        raise UserError(
            f"names in a shard must be UTF-8; {shard} has {shown_path(member.name)}. Rename the file and write it again"
        )
    if not member.isreg() or member.sparse is not None:
        raise UserError(
            f"members of a shard must be files; {shard} has {member.name} as a link, a device or a file with holes. "
            "Write it again (tar --dereference --hard-dereference)"
        )
    return member


def _check_end(shard: Path, end: int) -> None:
    """Refuse a file that does not end after its last member, with zeros."""
    size = shard.stat().st_size
    with shard.open("rb") as stream:
        stream.seek(end)
        first = stream.read(_END)
        if len(first) < _END and not any(first):
            raise _not_whole(shard, f"cut: its {size} bytes have no end")
        while first:
            if any(first):
                raise _not_whole(shard, f"damaged, or two in one: byte {end} begins no member and is not the end")
            first = stream.read(_AT_A_TIME)


def _not_whole(shard: Path, reason: str) -> UserError:
    return UserError(
        f"shards must be whole, uncompressed tar files; {shard} is not ({reason}). "
        "Unpack it to .tar if it is compressed, else copy it again"
    )
