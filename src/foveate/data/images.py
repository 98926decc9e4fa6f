"""Read a photograph of any common kind as upright 8-bit RGB, or say what is wrong with it."""

from __future__ import annotations

from pathlib import Path

from PIL import Image

from foveate.config.data import LARGEST_MEGAPIXELS, TestViews
from foveate.data.exif import size_if_upright, turn_upright, upright_copy
from foveate.data.image_files import ImageError, check_megapixels, check_name, decoding, printable, with_image
from foveate.data.image_values import blank_warning, to_rgb
from foveate.data.records import ImageSource, Patch
from foveate.data.transforms import evaluation_geometries
from foveate.types import Size

__all__ = ["ImageError", "blank_warning", "read_image", "to_rgb", "upright_rgb", "upright_size"]

SMALLEST_SIDE = 8
"""Pixels; a picture with a shorter side carries nothing to recognise and is refused."""

LARGEST_ASPECT = 50.0
"""Longer side over shorter side; beyond it a picture is a strip, not a photograph, and is refused."""


def read_image(
    source: ImageSource, name: str | None = None, *, largest_megapixels: int | None = LARGEST_MEGAPIXELS
) -> Image.Image:
    """Decode `source` to an upright RGB image with 8 bits a channel.

    EXIF orientation is applied. Greyscale, CMYK, YCCK and palette images are converted; 16-bit greyscale is scaled
    to 8 bits; transparency is laid over white; of an animation the first frame counts. Pillow's own warnings are
    ignored in this process from the first picture on.

    Args:
        source: A path, the encoded bytes, a member of a shard, or a patch of one of these.
        name: What to call the image in an error, when `source` is not a path.
        largest_megapixels: A picture with more is refused, for it may be made to fill the memory. None: none is, for
            what was checked before, as the photograph of a patch was.

    Raises:
        ImageError: The file is missing, truncated, not an image, or its shape is not that of a photograph.
    """
    if isinstance(source, Patch):
        return _patch(source, read_image(source.photograph, name, largest_megapixels=None))
    name = _name(source, name)
    return _photograph(with_image(source, name, largest_megapixels, turn_upright), name)


def upright_size(
    source: ImageSource, name: str | None = None, *, largest_megapixels: int | None = LARGEST_MEGAPIXELS
) -> Size:
    """Return the size of what `read_image` returns; of an upright photograph only the header is read.

    Args:
        source: As `read_image` takes it; an image of any number of pixels that it can decode.
        name: As there.
        largest_megapixels: As there.

    Raises:
        ImageError: As there.
    """
    if not isinstance(source, Patch):
        size = with_image(source, _name(source, name), largest_megapixels, size_if_upright)
        if size is not None:
            return Size(*size)
    return Size(*read_image(source, name, largest_megapixels=largest_megapixels).size)


def upright_rgb(image: Image.Image, name: str, *, largest_megapixels: int | None = LARGEST_MEGAPIXELS) -> Image.Image:
    """Turn an opened image as `read_image` does, with the same errors; the image itself stays as it is."""
    check_megapixels(image.size, name, largest_megapixels)
    with decoding(name, image.size):
        upright = upright_copy(image)
    return _photograph(upright, name)


def _name(source: ImageSource, name: str | None) -> str:
    name = str(source) if isinstance(source, Path) else name or "the image given as bytes"
    check_name(name)
    return printable(name)


def _photograph(image: Image.Image, name: str) -> Image.Image:
    _check_shape(image.size, name)
    return to_rgb(image, name)


def _check_shape(size: tuple[int, int], name: str) -> None:
    short, long = sorted(size)
    if short < SMALLEST_SIDE or long > LARGEST_ASPECT * short:
        raise ImageError(
            f"an image must be at least {SMALLEST_SIDE} pixels on each side and at most {LARGEST_ASPECT:.0f} times "
            f"as long as wide; {name} is {size[0]}x{size[1]}; remove it, or leave it out (on_error skip)"
        )


def _patch(patch: Patch, photograph: Image.Image) -> Image.Image:
    left, top, right, bottom = patch.box
    (view,) = evaluation_geometries(Size(*photograph.size), patch.transforms, TestViews.CENTRE)
    pixels = view.crop(float(left), float(top), Size(right - left, bottom - top)).pixels(photograph)
    square = patch.stretched
    return pixels if square is None else pixels.resize((square, square), Image.Resampling.BILINEAR)
