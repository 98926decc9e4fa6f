"""The photographs of a request, read into memory and nowhere else."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from typing import NamedTuple

from starlette.datastructures import UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import ClientDisconnect, Request

from foveate.data.image_files import printable
from foveate.serve.admission import Place
from foveate.serve.config import ServeConfig
from foveate.serve.refusals import Refusal, too_large

FIELD = "photographs"
"""The form's field that holds them."""

_NAME = 200  # characters of a name that are kept
_OVERHEAD = 65536  # bytes of a request beside its photographs
_DRAINED = 64_000_000  # bytes of a refused request that are read, so that its sender hears why


class Upload(NamedTuple):
    """One photograph as it was sent."""

    name: str
    data: bytes


async def read_uploads(request: Request, config: ServeConfig, place: Place, most: int) -> list[Upload]:
    """Return the photographs of a request: those of a form, or the one that is its body.

    Args:
        request: With a form, `multipart/form-data`, or a picture, `image/...` or `application/octet-stream`.
        config: Its limits.
        place: What holds the bytes.
        most: Photographs.

    Raises:
        Refusal: It is too large, too slow, of another type, or damaged, or has no photograph.
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    try:
        async with asyncio.timeout(config.seconds):
            if kind == "multipart/form-data":
                return await _of_form(request, config, place, most)
            if kind.startswith("image/") or kind == "application/octet-stream":
                body = b"".join([chunk async for chunk in _limited(request, config.largest_bytes, config, place)])
                return _checked([Upload("the photograph", body)])
    except TimeoutError:
        raise Refusal(408, "too-slow", f"a request is sent within {config.seconds:g} seconds; try again") from None
    raise Refusal(
        415,
        "unknown-type",
        f"photographs are sent as a form (multipart/form-data, field {FIELD}) or as one picture (image/jpeg and its "
        f"like); got {printable(kind)[:80] or 'no content type'}",
    )


async def drained(request: Request, config: ServeConfig) -> None:
    """Read on what a refused request still sends, for a while, and throw it away."""
    count = 0
    try:
        async with asyncio.timeout(config.seconds):
            async for chunk in request.stream():
                count += len(chunk)
                if count > _DRAINED:
                    return
    except (TimeoutError, ClientDisconnect, RuntimeError):  # RuntimeError: it was read to its end
        return


class _Parser(MultiPartParser):
    """A form whose files stay in memory, each of a limited size."""

    spool_max_size = 0  # never onto a disk
    largest = 0
    megabytes = 0.0

    def on_part_begin(self) -> None:
        super().on_part_begin()
        self._size = 0

    def on_part_data(self, data: bytes, start: int, end: int) -> None:
        self._size += end - start
        if self._size > self.largest:
            raise too_large(self.megabytes, max(self._current_files - 1, 0))
        super().on_part_data(data, start, end)


async def _of_form(request: Request, config: ServeConfig, place: Place, most: int) -> list[Upload]:
    stream = _limited(request, most * config.largest_bytes + _OVERHEAD, config, place)
    parser = _Parser(request.headers, stream, max_files=most, max_fields=8)
    parser.largest, parser.megabytes = config.largest_bytes, config.largest_megabytes
    try:
        form = await parser.parse()
    except MultiPartException as error:
        if parser._current_files > most:
            words = f"a request may have {most} photograph{'s' * (most > 1)}; send fewer"
            raise Refusal(413, "too-many-photographs", words) from error
        raise Refusal(422, "damaged-form", f"a form must be whole: {error.message}; send it again") from error
    files = [each for _, each in form.multi_items() if isinstance(each, UploadFile)]
    uploads = [Upload(_name(each.filename), await each.read()) for each in files]
    await form.close()
    return _checked(uploads)


async def _limited(request: Request, largest: int, config: ServeConfig, place: Place) -> AsyncGenerator[bytes, None]:
    """Yield a request's body, as far as it may be held."""
    said = request.headers.get("content-length", "")
    if said.isdecimal() and int(said) > largest:
        raise too_large(config.largest_megabytes)
    count = 0
    async for chunk in request.stream():
        count += len(chunk)
        if count > largest:
            raise too_large(config.largest_megabytes)
        place.hold(len(chunk))
        yield chunk


def _checked(uploads: list[Upload]) -> list[Upload]:
    if not uploads:
        words = f"a request has at least one photograph, in the form's field {FIELD}; got none"
        raise Refusal(422, "no-photograph", words)
    return uploads


def _name(filename: str | None) -> str:
    """Return the last part of a file's name, as it can be shown."""
    last = (filename or "").replace("\\", "/").rpartition("/")[2]
    return printable(last)[:_NAME] or "the photograph"
