"""Upright photographs: the orientation that a camera notes in EXIF, applied."""

from __future__ import annotations

from PIL import ExifTags, Image, ImageOps

_ORIENTATION = ExifTags.Base.Orientation


def turn_upright(image: Image.Image) -> Image.Image:
    """Turn or mirror an image as its EXIF orientation says, in place, and return it."""
    ImageOps.exif_transpose(image, in_place=True)
    return image


def upright_copy(image: Image.Image) -> Image.Image:
    """Return an upright copy of an image, which itself stays as it is."""
    return ImageOps.exif_transpose(image)


def size_if_upright(image: Image.Image) -> tuple[int, int] | None:
    """Return width and height where the image need not be turned, read from the header alone; else None."""
    return image.size if image.getexif().get(_ORIENTATION, 1) == 1 else None
