"""Photographs decoded a batch at a time, by all processors, while the network looks at the batch before."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from io import IOBase
from itertools import islice
from os import PathLike
from typing import NamedTuple

import numpy as np
from PIL import Image

from foveate.config.checks import require
from foveate.data.images import ImageError
from foveate.data.photographs import Photograph, name_of
from foveate.errors import UserError
from foveate.hardware import processors


class Decoded(NamedTuple):
    """What a model looks at of one photograph: a few hundred kilobytes, however large that is."""

    pixels: tuple[np.ndarray, ...]
    """For each size, (v, H, W, 3)."""
    warning: str | None
    """That it is nearly blank."""


Submitted = list[tuple[str, Future[Decoded]]]


class Remarks(NamedTuple):
    """Who is told what of photographs, in words that name them."""

    unreadable: Callable[[str], None] | None = None
    doubtful: Callable[[str], None] | None = None


@contextmanager
def workers() -> Iterator[ThreadPoolExecutor]:
    """Yield threads for all processors; what waits is not begun any more where the block fails or is left."""
    pool = ThreadPoolExecutor(processors())
    try:
        yield pool
    finally:
        pool.shutdown(cancel_futures=True)


def check_several(photographs: Iterable[Photograph], batch_size: int) -> None:
    """Refuse one photograph where several are asked about, and a batch of none.

    Raises:
        UserError: It is one, or the batch is.
    """
    require(batch_size >= 1, "batch_size must be at least 1", batch_size)
    one = isinstance(photographs, PathLike | str | bytes | bytearray | memoryview | Image.Image | IOBase)
    if one or (isinstance(photographs, np.ndarray) and photographs.ndim != 4 and photographs.dtype.kind not in "OU"):
        raise UserError(
            f"many photographs are asked about at a time; got one {type(photographs).__name__}; put it in a list, or "
            "take `predict`"
        )


def submitted(
    photographs: Iterable[Photograph], batch_size: int, submit: Callable[[Photograph], Future[Decoded]]
) -> Iterator[Submitted]:
    """Yield batches whose decoding has begun, each when it is asked for, and an empty one at the end."""
    waiting = iter(photographs)
    while batch := list(islice(waiting, batch_size)):
        yield [(name_of(each), submit(each)) for each in batch]
    yield []


def readable(batch: Submitted, remarks: Remarks) -> list[tuple[str, tuple[np.ndarray, ...]]]:
    """Wait for a batch; leave out what cannot be read, where somebody is told."""
    readable = []
    for name, future in batch:
        try:
            pixels, warning = future.result()
        except ImageError as error:
            if remarks.unreadable is None:
                raise
            remarks.unreadable(str(error))
            continue
        if warning is not None and remarks.doubtful is not None:
            remarks.doubtful(warning)
        readable.append((name, pixels))
    return readable
