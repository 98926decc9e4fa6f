"""Read a photograph of any common kind as upright 8-bit RGB, or say what is wrong with it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from PIL import Image

from foveate.config.data import LARGEST_MEGAPIXELS, TestViews
from foveate.data.exif import size_if_upright, turn_upright, upright_copy
from foveate.data.geometry import Geometry
from foveate.data.image_files import ImageError, check_megapixels, check_name, decoding, printable, with_image
from foveate.data.image_values import blank_warning, to_rgb
from foveate.data.raster import LEAST, Header, Raster, Views, can_be_reduced, reduce, reduction_for
from foveate.data.records import ImageSource, Patch
from foveate.data.transforms import evaluation_geometries
from foveate.types import Size

__all__ = [
    "ImageError",
    "blank_warning",
    "read_image",
    "read_thumbnail",
    "read_views",
    "to_rgb",
    "upright_raster",
    "upright_rgb",
    "upright_size",
]

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
    return read_views(source, _whole, name, largest_megapixels=largest_megapixels).raster.image


def read_views(
    source: ImageSource,
    views: Callable[[Size], Sequence[Geometry]],
    name: str | None = None,
    *,
    largest_megapixels: int | None = LARGEST_MEGAPIXELS,
) -> Views:
    """Decode what views of a photograph need: a JPEG much larger than they are at reduced scale, all else whole.

    The views differ by a few grey levels at edges from those of the whole photograph (docs/performance.md says by how
    much, and what becomes of the answers); geometries, and so boxes and points, are the same.

    Args:
        source: As `read_image` takes it.
        views: Makes them for the size of the upright photograph; of none the whole photograph is decoded.
        name: As there.
        largest_megapixels: As there.

    Raises:
        ImageError: As there.
    """
    if isinstance(source, Patch):
        raster = Raster.whole(_patch(source, name))
        return Views(raster, views(raster.source))
    name = _name(source, name)

    return with_image(source, name, largest_megapixels, lambda image: _views(image, views, name))


def read_thumbnail(
    source: ImageSource, side: int, name: str | None = None, *, largest_megapixels: int | None = LARGEST_MEGAPIXELS
) -> Image.Image:
    """Read the whole of a file, and return the photograph, perhaps smaller: `side` pixels a side if it has them.

    Args:
        source: As `read_image` takes it.
        side: Pixels of width and height that are needed.
        name: As there.
        largest_megapixels: As there.

    Raises:
        ImageError: As there.
    """
    output = Size(max(1, round(side / LEAST)), max(1, round(side / LEAST)))

    def small(size: Size) -> tuple[Geometry, ...]:
        return (Geometry.identity(size).resize(output),)

    return read_views(source, small, name, largest_megapixels=largest_megapixels).raster.image


def _views(image: Image.Image, views: Callable[[Size], Sequence[Geometry]], name: str) -> Views:
    """Decode an opened picture; what is no JPEG is turned first, for only then its size is sure."""
    with decoding(name, image.size):
        header = Header.of(image) if can_be_reduced(image) else Header(Size(*turn_upright(image).size), 1)
    _check_shape(header.upright, name)
    geometries = views(header.upright)
    with decoding(name, image.size):
        reduction = reduce(image, reduction_for(geometries))
        turn_upright(image)
    return Views(Raster(to_rgb(image, name), header.upright, reduction, header.overhang(reduction)), geometries)


def _known(image: Image.Image, name: str) -> Size | None:
    """Return the upright size as far as the header tells it."""
    with decoding(name, image.size):
        if can_be_reduced(image):
            return Header.of(image).upright
        size = size_if_upright(image)
    return None if size is None else Size(*size)


def _whole(_: Size) -> tuple[Geometry, ...]:
    return ()


def upright_size(
    source: ImageSource, name: str | None = None, *, largest_megapixels: int | None = LARGEST_MEGAPIXELS
) -> Size:
    """Return the size of what `read_image` returns; of a JPEG, and of what is upright, only the header.

    Args:
        source: As `read_image` takes it; an image of any number of pixels that it can decode.
        name: As there.
        largest_megapixels: As there.

    Raises:
        ImageError: As there.
    """
    if not isinstance(source, Patch):
        size = with_image(source, name := _name(source, name), largest_megapixels, lambda image: _known(image, name))
        if size is not None:
            return size
    return Size(*read_image(source, name, largest_megapixels=largest_megapixels).size)


def upright_rgb(image: Image.Image, name: str, *, largest_megapixels: int | None = LARGEST_MEGAPIXELS) -> Image.Image:
    """Turn an opened image as `read_image` does, with the same errors; the image itself stays as it is."""
    check_megapixels(image.size, name, largest_megapixels)
    with decoding(name, image.size):
        upright = upright_copy(image)
    return _photograph(upright, name)


def upright_raster(image: Image.Image | Raster, name: str) -> Raster:
    """Return an image of any size as `upright_rgb` turns it; what was decoded by `read_views` is returned itself.

    Raises:
        ImageError: As `read_image`.
    """
    return image if isinstance(image, Raster) else Raster.whole(upright_rgb(image, name, largest_megapixels=None))


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


def _patch(patch: Patch, name: str | None) -> Image.Image:
    left, top, right, bottom = patch.box

    def view(size: Size) -> tuple[Geometry, ...]:
        (whole,) = evaluation_geometries(size, patch.transforms, TestViews.CENTRE)
        return (whole.crop(float(left), float(top), Size(right - left, bottom - top)),)

    (pixels,) = read_views(patch.photograph, view, name, largest_megapixels=None).pictures()
    square = patch.stretched
    return pixels if square is None else pixels.resize((square, square), Image.Resampling.BILINEAR)
