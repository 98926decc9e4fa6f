"""A photograph in whatever form a caller has it: a path, bytes, an open file, a Pillow image or an array."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from os import PathLike
from pathlib import Path
from typing import IO, Any, BinaryIO, TypeGuard

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from foveate.config.addresses import is_address
from foveate.config.data import LARGEST_MEGAPIXELS
from foveate.data.geometry import Geometry
from foveate.data.images import ImageError, read_views, upright_rgb
from foveate.data.raster import Raster, Views
from foveate.errors import UserError
from foveate.files.remote_path import located
from foveate.types import Size

Pixels = UInt8[np.ndarray, "H W 3"] | UInt8[np.ndarray, "H W 4"] | UInt8[np.ndarray, "H W"]
"""Decoded ones: RGB, RGBA or grey."""

Photograph = PathLike[str] | str | bytes | bytearray | memoryview | BinaryIO | Image.Image | Pixels
"""A path, the bytes of a file, an open file, or what another library decoded."""

_FORMS = "a path, encoded bytes, a binary file object, a Pillow image or a uint8 array (H, W, 3) in RGB"


def read_photograph(photograph: Photograph, *, largest_megapixels: int | None = LARGEST_MEGAPIXELS) -> Image.Image:
    """Return a photograph as upright 8-bit RGB, by the rules of `read_image`.

    Args:
        photograph: A path; the bytes of a file; a file object opened in binary mode, which is read from its start; a
            Pillow image; or pixels in 0..255, channels last: RGB, RGB and opacity, or grey.
        largest_megapixels: A photograph with more is refused; None: none is.

    Raises:
        ImageError: It is missing, cannot be decoded, or its shape is not that of a photograph.
        UserError: It is of another form; the message says how to turn it into one of these.
    """
    return read_photograph_views(photograph, lambda _: (), largest_megapixels=largest_megapixels).raster.image


def read_photograph_views(
    photograph: Photograph,
    views: Callable[[Size], Sequence[Geometry]],
    *,
    largest_megapixels: int | None = LARGEST_MEGAPIXELS,
) -> Views:
    """Read what views of a photograph need, by the rules of `read_views`; what is decoded already is taken whole.

    Args:
        photograph: As `read_photograph` takes it.
        views: As `read_views` takes them.
        largest_megapixels: As `read_photograph` takes it.

    Raises:
        ImageError: As `read_photograph`.
        UserError: As `read_photograph`.
    """
    if isinstance(photograph, Image.Image):
        whole = upright_rgb(photograph, "the Pillow image", largest_megapixels=largest_megapixels)
        return Views(Raster.whole(whole), views(Size(*whole.size)))
    if isinstance(photograph, np.ndarray):
        whole = upright_rgb(_of_array(photograph), "the array", largest_megapixels=largest_megapixels)
        return Views(Raster.whole(whole), views(Size(*whole.size)))
    source = located(Path(photograph)) if isinstance(photograph, str | PathLike) else _encoded(photograph)
    return read_views(source, views, largest_megapixels=largest_megapixels)


def name_of(photograph: Photograph) -> str:
    """Return what an answer calls a photograph: its path, or "image"."""
    if not isinstance(photograph, str | PathLike):
        return "image"
    name = str(photograph)
    return str(located(name)) if is_address(name) else name


def _of_array(pixels: np.ndarray) -> Image.Image:
    shape = pixels.shape
    if pixels.dtype != np.uint8:
        scale = (
            "; of values in 0..1: (255 * array).round().astype('uint8')"
            if np.issubdtype(pixels.dtype, np.floating)
            else ""
        )
        raise UserError(f"an array of pixels must be uint8, 0 to 255; got {pixels.dtype}{scale}")
    if pixels.ndim == 4:
        raise UserError(f"predict takes one photograph (H, W, 3); got an array {shape}; give it to predict_many")
    if pixels.ndim not in {2, 3} or (pixels.ndim == 3 and shape[2] not in {3, 4}):
        mend = "; give array.transpose(1, 2, 0)" if pixels.ndim == 3 and shape[0] in {3, 4} else ""
        raise UserError(f"an array of pixels must be (H, W, 3), (H, W, 4) or (H, W); got {shape}{mend}")
    if 0 in shape:
        raise ImageError(f"an image must have pixels; the array is {shape}; leave it out")
    return Image.fromarray(np.ascontiguousarray(pixels))


def _encoded(photograph: object) -> bytes:
    if isinstance(photograph, bytes | bytearray | memoryview):
        return bytes(photograph)
    if isinstance(photograph, list | tuple):
        raise UserError(f"predict takes one photograph; got a {type(photograph).__name__}; give it to predict_many")
    if not _is_file(photograph):
        raise UserError(f"a photograph must be {_FORMS}; got {type(photograph).__name__}{_mend(photograph)}")
    try:
        if photograph.seekable():
            photograph.seek(0)
        data = photograph.read()
    except (OSError, ValueError) as error:  # ValueError: it is closed
        raise ImageError(f"the file object cannot be read ({error}); open it again") from error
    if not isinstance(data, bytes):
        raise UserError("a file object must be opened in binary mode; got text; open it with 'rb'")
    return data


def _is_file(photograph: object) -> TypeGuard[IO[Any]]:
    return all(callable(getattr(photograph, name, None)) for name in ("read", "seek", "seekable"))


def _mend(photograph: object) -> str:
    if type(photograph).__module__.partition(".")[0] == "torch":
        return "; of a uint8 (3, H, W): give tensor.permute(1, 2, 0).cpu().numpy()"
    return ""
