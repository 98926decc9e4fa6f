"""Photographs decoded a batch ahead of the network, on all processors."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from io import IOBase
from itertools import islice
from os import PathLike
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import UInt8
from PIL import Image
from torch import Tensor

from foveate.config.checks import require
from foveate.data.images import ImageError
from foveate.data.photographs import Photograph, name_of
from foveate.errors import UserError
from foveate.hardware import processors

Pixels = tuple[np.ndarray, ...]
"""What a model looks at of one photograph: for each size, (v, H, W, 3)."""


class Decoded(NamedTuple):
    """What a model looks at of one photograph: a few hundred kilobytes, however large that is."""

    pixels: Pixels
    warning: str | None
    """That it is nearly blank."""


_Submitted = list[tuple[str, Future[Decoded]]]


def stacked(pixels: Sequence[Pixels]) -> list[UInt8[Tensor, "b v H W 3"]]:
    """Return the pixels of a batch, for each size."""
    return [torch.from_numpy(np.stack(size)) for size in zip(*pixels, strict=True)]


class Remarks(NamedTuple):
    """Who is told what of photographs, in words that name them."""

    unreadable: Callable[[str], None] | None = None
    doubtful: Callable[[str], None] | None = None


def decoded_batches(
    photographs: Iterable[Photograph], batch_size: int, decode: Callable[[Photograph], Decoded], remarks: Remarks
) -> Iterator[tuple[list[str], list[Pixels]]]:
    """Yield the names and pixels of each batch in which a photograph can be read, while the next one is decoded.

    Raises:
        UserError: It is one photograph in place of several, or one cannot be read and nobody is told.
    """
    _check_several(photographs, batch_size)
    with _workers() as pool:
        this: _Submitted = []
        for following in _submitted(photographs, batch_size, lambda each: pool.submit(decode, each)):
            readable = _readable(this, remarks)
            this = following
            if readable:
                names, pixels = zip(*readable, strict=True)
                yield list(names), list(pixels)


@contextmanager
def _workers() -> Iterator[ThreadPoolExecutor]:
    """Yield threads for all processors; what waits is not begun any more where the block fails or is left."""
    pool = ThreadPoolExecutor(processors())
    try:
        yield pool
    finally:
        pool.shutdown(cancel_futures=True)


def _check_several(photographs: Iterable[Photograph], batch_size: int) -> None:
    require(batch_size >= 1, "batch_size must be at least 1", batch_size)
    one = isinstance(photographs, PathLike | str | bytes | bytearray | memoryview | Image.Image | IOBase)
    if one or (isinstance(photographs, np.ndarray) and photographs.ndim != 4 and photographs.dtype.kind not in "OU"):
        raise UserError(
            f"many photographs are asked about at a time; got one {type(photographs).__name__}; put it in a list, or "
            "take `predict`"
        )


def _submitted(
    photographs: Iterable[Photograph], batch_size: int, submit: Callable[[Photograph], Future[Decoded]]
) -> Iterator[_Submitted]:
    """Yield batches whose decoding has begun, each when it is asked for, and an empty one at the end."""
    waiting = iter(photographs)
    while batch := list(islice(waiting, batch_size)):
        yield [(name_of(each), submit(each)) for each in batch]
    yield []


def _readable(batch: _Submitted, remarks: Remarks) -> list[tuple[str, Pixels]]:
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
