"""Read a photograph of any common kind as upright 8-bit RGB, or say what is wrong with it."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
from PIL import ExifTags, Image, ImageOps

from foveate.config import TestViews
from foveate.data.records import ArchiveMember, ImageSource, Patch
from foveate.data.transforms import evaluation_geometries
from foveate.errors import UserError
from foveate.types import Size

SMALLEST_SIDE = 8
"""Pixels; a picture with a shorter side carries nothing to recognise and is refused."""

LARGEST_ASPECT = 50.0
"""Longer side over shorter side; beyond it a picture is a strip, not a photograph, and is refused."""

_ORIENTATION = ExifTags.Base.Orientation


class ImageError(UserError):
    """A photograph that is missing, cannot be decoded, or is too small or too long to be one."""


def read_image(source: ImageSource, name: str | None = None) -> Image.Image:
    """Decode `source` to an upright RGB image with 8 bits a channel.

    EXIF orientation is applied. Greyscale, CMYK, YCCK and palette images are converted; 16-bit greyscale is scaled
    to 8 bits; transparency is laid over white; of an animation the first frame counts.

    Args:
        source: A path, the encoded bytes, a member of a shard, or a patch of one of these.
        name: What to call the image in an error, when `source` is not a path.

    Raises:
        ImageError: The file is missing, truncated, not an image, or its shape is not that of a photograph.
    """
    if isinstance(source, Patch):
        return _patch(source, read_image(source.photograph, name))
    name = str(source) if isinstance(source, Path) else name or "the image given as bytes"
    try:
        with Image.open(_stream(source)) as image:
            return upright_rgb(image, name)
    except FileNotFoundError as error:
        raise ImageError(f"image not found: {name}; restore it, or leave it out (on-error skip)") from error
    except (Image.DecompressionBombWarning, Image.DecompressionBombError) as error:
        raise _too_large(name) from error
    except ImageError:
        raise
    except (OSError, SyntaxError, ValueError, EOFError, IndexError) as error:
        raise ImageError(
            f"image cannot be decoded: {name} ({error}); replace it, or leave it out (on-error skip)"
        ) from error


def upright_size(source: ImageSource, name: str | None = None) -> Size:
    """Return the size of what `read_image` returns; of an upright photograph only the header is read.

    Args:
        source: As `read_image` takes it; an image that it can decode.
        name: As there.
    """
    if not isinstance(source, Patch):
        with Image.open(_stream(source)) as image:
            if image.getexif().get(_ORIENTATION, 1) == 1:
                return Size(*image.size)
    return Size(*read_image(source, name).size)


def _patch(patch: Patch, photograph: Image.Image) -> Image.Image:
    left, top, right, bottom = patch.box
    (view,) = evaluation_geometries(Size(*photograph.size), patch.transforms, TestViews.CENTRE)
    pixels = view.crop(float(left), float(top), Size(right - left, bottom - top)).pixels(photograph)
    square = patch.stretched
    return pixels if square is None else pixels.resize((square, square), Image.Resampling.BILINEAR)


def upright_rgb(image: Image.Image, name: str) -> Image.Image:
    """Turn an opened image as `read_image` does, with the same errors about its shape."""
    _check_shape(image.size, name)
    return to_rgb(ImageOps.exif_transpose(image))


def _stream(source: Path | bytes | ArchiveMember) -> Path | io.BytesIO:
    if isinstance(source, Path):
        return source
    return io.BytesIO(source.read() if isinstance(source, ArchiveMember) else source)


def _too_large(name: str) -> ImageError:
    return ImageError(f"an image may have at most {Image.MAX_IMAGE_PIXELS} pixels: {name}; scale it down")


def _check_shape(size: tuple[int, int], name: str) -> None:
    # Up to twice its limit Pillow only warns. Warning filters belong to all threads, so they are left alone here.
    if Image.MAX_IMAGE_PIXELS is not None and size[0] * size[1] > Image.MAX_IMAGE_PIXELS:
        raise _too_large(name)
    short, long = sorted(size)
    if short < SMALLEST_SIDE or long > LARGEST_ASPECT * short:
        raise ImageError(
            f"an image must be at least {SMALLEST_SIDE} pixels on each side and at most {LARGEST_ASPECT:.0f} times "
            f"as long as wide; {name} is {size[0]}x{size[1]}; remove it, or leave it out (on-error skip)"
        )


def to_rgb(image: Image.Image) -> Image.Image:
    """Convert an image of any mode to 8-bit RGB, by the rules of `read_image`."""
    if image.mode in {"I", "F"} or image.mode.startswith("I;16"):
        return _wide_grey_to_rgb(image)
    if image.has_transparency_data:
        rgba = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", rgba.size, "white"), rgba).convert("RGB")
    return image.convert("RGB")


def _wide_grey_to_rgb(image: Image.Image) -> Image.Image:
    """16-bit integers span 0..65535; floating-point images span 0..1 when nothing in them exceeds 1, else 0..255."""
    values = np.asarray(image, dtype=np.float32)
    white = 65535.0 if image.mode != "F" else 1.0 if values.max() <= 1.0 else 255.0
    values = values * (255.0 / white)
    return Image.fromarray(np.clip(values + 0.5, 0, 255).astype(np.uint8)).convert("RGB")
