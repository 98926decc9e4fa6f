"""Open one picture file safely: whatever is wrong with it is an `ImageError` that names it."""

from __future__ import annotations

import io
import logging
import os
import re
import stat
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, TypeVar

from PIL import Image, UnidentifiedImageError

from foveate.data.image_kinds import kind_of, prepare_heic
from foveate.data.records import ArchiveMember
from foveate.errors import UserError
from foveate.files.remote_path import RemotePath
from foveate.files.storage import ForbiddenError

_T = TypeVar("_T")
_REASON = 120  # characters of a decoder's own message
_SMALL = 25_000_000  # pixels; 100 MB, which any machine has: what runs out of memory over fewer is damaged
_MEND = "replace it, or leave it out (on_error skip)"
_MEGAPIXEL = 1_000_000
_SPECIAL = (
    (stat.S_ISDIR, "it is a folder"),
    (stat.S_ISFIFO, "it is a named pipe"),
    (stat.S_ISSOCK, "it is a socket"),
    (stat.S_ISCHR, "it is a device"),
    (stat.S_ISBLK, "it is a device"),
)
_PILLOW = re.compile(r"PIL\.|pillow_heif")
_QUIET = logging.NullHandler()
_limit = threading.Lock()


class ImageError(UserError):
    """A photograph that is missing, cannot be decoded, or is too small, too long or too large to be one."""


class NoPictureError(ImageError):
    """What is given as a photograph is of no kind of picture that is read here, such as a text or a drawing in SVG."""


class TooManyPixelsError(ImageError):
    """A photograph with more pixels than are read."""


def with_image(
    source: Path | bytes | ArchiveMember,
    name: str,
    largest_megapixels: int | None,
    use: Callable[[Image.Image], _T],
) -> _T:
    """Open a picture, no pixel decoded yet, and return what `use` makes of it.

    Only a regular file is opened, for a pipe or a device would be waited for, and only one whose name is UTF-8.

    Args:
        source: A path, the encoded bytes, or a member of a shard.
        name: What to call it in an error.
        largest_megapixels: Larger pictures are refused; None: none is.
        use: Decodes, or reads what the header says; it calls Pillow inside `decoding`.

    Raises:
        ImageError: The file is missing, not a picture, or too large; or something went wrong in `use`.
    """
    with _opened(source, name) as stream:
        _hush_pillow()
        kind = _kind(stream, name)
        try:
            return _used(stream, name, kind, largest_megapixels, use)
        except Image.DecompressionBombError:
            # Pillow's own limit is lower, and its plug-ins ask after it too.
            with _limit_of(largest_megapixels):
                try:
                    return _used(stream, name, kind, largest_megapixels, use)
                except Image.DecompressionBombError as error:
                    raise _too_large(name, largest_megapixels) from error


@contextmanager
def decoding(name: str, size: tuple[int, int] = (0, 0), kind: str | None = None) -> Iterator[None]:
    """Turn whatever goes wrong inside Pillow, its plug-ins or their libraries into an `ImageError`.

    A damaged file makes them raise nearly anything. Nothing of Foveate is called in here, so that no error of its own
    is hidden. Too little memory stays a `MemoryError` where a picture of this size, in pixels, may truly need more.
    ``kind`` is what the first bytes tell of.
    """
    try:
        yield
    except Image.DecompressionBombError:
        raise
    except UnidentifiedImageError as error:
        if kind is None:
            raise NoPictureError(_words(name, "it is no picture of a known kind")) from error
        raise _undecodable(name, f"it is a damaged {kind}") from error
    except MemoryError as error:
        if size[0] * size[1] > _SMALL:
            raise
        raise _undecodable(name, "it asks for more memory than there is") from error
    except Exception as error:
        raise _undecodable(name, _reason(error)) from error


def check_megapixels(size: tuple[int, int], name: str, largest_megapixels: int | None) -> None:
    """Raise `ImageError` where a picture has more pixels than are read."""
    if largest_megapixels is not None and size[0] * size[1] > largest_megapixels * _MEGAPIXEL:
        raise _too_large(name, largest_megapixels, size)


def printable(name: str) -> str:
    """Return a name as it can be printed on a line: what is no UTF-8, or moves the cursor, is escaped."""
    try:
        name = os.fsencode(name).decode("utf-8", "backslashreplace")
    except UnicodeEncodeError:  # half a character that stands for no byte
        name = name.encode("utf-8", "backslashreplace").decode()
    return "".join(each if each.isprintable() else each.encode("unicode_escape").decode() for each in name)


def check_name(name: str) -> None:
    """Raise `ImageError` where a name can be written into no list of photographs or answers."""
    try:
        name.encode()
    except UnicodeEncodeError as error:
        raise ImageError(
            f"the name of a photograph must be UTF-8: {printable(name)}; rename it, or leave it out (on_error skip)"
        ) from error


@contextmanager
def _opened(source: Path | bytes | ArchiveMember, name: str) -> Iterator[BinaryIO]:
    try:
        if isinstance(source, RemotePath):
            stream: BinaryIO = io.BytesIO(source.read_bytes())
        elif isinstance(source, Path):
            _check_regular(source, name)
            stream = source.open("rb")
        else:
            stream = io.BytesIO(source.read() if isinstance(source, ArchiveMember) else source)
    except (FileNotFoundError, NotADirectoryError) as error:
        raise ImageError(f"image not found: {name}; restore it, or leave it out (on_error skip)") from error
    except ForbiddenError as error:
        raise ImageError(f"image is forbidden: {name}; ask its owner, or leave it out (on_error skip)") from error
    except UserError:
        raise
    except (OSError, ValueError) as error:  # ValueError: a NUL in the path
        raise _undecodable(name, _reason(error)) from error
    with stream:
        yield stream


def _check_regular(path: Path, name: str) -> None:
    mode = path.stat().st_mode
    if not stat.S_ISREG(mode):
        raise _undecodable(name, next((what for test, what in _SPECIAL if test(mode)), "it is no file"))


def _kind(stream: BinaryIO, name: str) -> str | None:
    """Return the kind that the first bytes tell of, where not every installation reads it; prepare its reading."""
    with decoding(name):
        start = stream.read(64)
    if not start:
        raise _undecodable(name, "it is empty")
    kind = kind_of(start)
    if kind is None:
        return None
    if not kind.readable:
        raise NoPictureError(
            f"image cannot be decoded: {name} (it is {kind.name}); {kind.mend}, or leave it out (on_error skip)"
        )
    if kind.name == "HEIC":
        prepare_heic()
    return kind.name


def _used(
    stream: BinaryIO, name: str, kind: str | None, largest_megapixels: int | None, use: Callable[[Image.Image], _T]
) -> _T:
    with decoding(name, kind=kind):
        image = Image.open(stream)
    with image:
        check_megapixels(image.size, name, largest_megapixels)
        return use(image)


@contextmanager
def _limit_of(largest_megapixels: int | None) -> Iterator[None]:
    """Have Pillow refuse what has more pixels, one thread at a time: its limit belongs to all."""
    with _limit:
        own_limit = Image.MAX_IMAGE_PIXELS
        # It raises above twice its limit.
        raised = None if largest_megapixels is None else largest_megapixels * _MEGAPIXEL // 2
        Image.MAX_IMAGE_PIXELS = raised if own_limit is None or raised is None else max(own_limit, raised)
        try:
            yield
        finally:
            Image.MAX_IMAGE_PIXELS = own_limit


def _hush_pillow() -> None:
    """Have Pillow's own warnings ignored from now on: what they say is an `ImageError` here, or of no matter.

    Filters belong to all threads. One that is set for good needs no restoring, which threads would do to each other.
    """
    hushed = ("ignore", None, Warning, _PILLOW, 0)
    if hushed not in warnings.filters:
        warnings.filterwarnings("ignore", module=_PILLOW.pattern)
        logging.getLogger("PIL").addHandler(_QUIET)


def _reason(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    words = " ".join(str(error).split())[:_REASON]
    return words if isinstance(error, OSError | SyntaxError) and words else f"{type(error).__name__}: {words}"


def _undecodable(name: str, reason: str) -> ImageError:
    return ImageError(_words(name, reason))


def _words(name: str, reason: str) -> str:
    return f"image cannot be decoded: {name} ({reason}); {_MEND}"


def _too_large(name: str, largest_megapixels: int | None, size: tuple[int, int] | None = None) -> ImageError:
    shape = f" is {size[0]}x{size[1]}" if size else " has more"
    return TooManyPixelsError(
        f"an image may have at most {largest_megapixels} megapixels; {name}{shape}; scale it down, raise "
        "largest_megapixels, or leave it out (on_error skip)"
    )
