"""The pixels of a photograph as they were decoded: at its own scale, or a JPEG at a half, a quarter or an eighth of it.

A camera's photograph has far more pixels than a network sees, and libjpeg leaves out most of the work of those that are
not asked for (its scaled inverse cosine transform). Coordinates stay those of the whole photograph: only what renders a
view knows at which scale the pixels were read.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from PIL import ExifTags, Image

from foveate.data.geometry import Geometry
from foveate.types import Box, Size

LEAST = 2.0
"""Decoded pixels a side for each pixel of a view: so many are left at reduced scale."""

_SLACK = 1e-6  # of rounding, where there are exactly as many
_REDUCTIONS = (8, 4, 2)  # what libjpeg does without arithmetic of its own
_REDUCIBLE = {"JPEG", "MPO"}
_ORIENTATION = ExifTags.Base.Orientation
# Which side of the upright photograph is the right one of the file (r), and which the lower one (b), where these come
# to lie at the left or at the top; elsewhere what overhangs there is behind the last pixel and moves nothing.
_LEFT, _TOP = {2: "r", 3: "r", 6: "b", 7: "b"}, {3: "b", 4: "b", 7: "r", 8: "r"}


class Header(NamedTuple):
    """What a picture's first bytes say of its shape, no pixel decoded yet."""

    size: Size
    """Of the pixels as they lie in the file."""
    orientation: int
    """As EXIF counts it, 1 to 8; 1: upright."""

    @classmethod
    def of(cls, image: Image.Image) -> Header:
        """Read it from an opened picture."""
        orientation = image.getexif().get(_ORIENTATION, 1)
        return cls(Size(*image.size), orientation if orientation in range(2, 9) else 1)

    @property
    def upright(self) -> Size:
        """Width and height once the picture is turned upright."""
        return Size(self.size.height, self.size.width) if self.orientation >= 5 else self.size

    def overhang(self, reduction: int) -> tuple[float, float]:
        """Return by how many pixels the first one at reduced scale reaches over the upright photograph: left and top.

        A side is rounded up to whole pixels of the reduced scale at its end in the file, which turning upright may make
        its beginning.
        """
        beyond = {"r": -self.size.width % reduction, "b": -self.size.height % reduction}
        left, top = (beyond.get(side.get(self.orientation, ""), 0) for side in (_LEFT, _TOP))
        return float(left), float(top)


@dataclass(frozen=True, slots=True)
class Raster:
    """Upright 8-bit RGB pixels of a photograph, and how they lie in it."""

    image: Image.Image
    source: Size
    """Of the whole photograph, upright: what boxes, points and geometries are of."""
    reduction: int = 1
    """Pixels a side of the photograph for each of `image`."""
    overhang: tuple[float, float] = (0.0, 0.0)
    """As `Header.overhang` returns it."""

    @classmethod
    def whole(cls, image: Image.Image) -> Raster:
        """A photograph that was decoded as it is."""
        return cls(image, Size(*image.size))

    def view(self, geometry: Geometry) -> Image.Image:
        """Render a view, as `Geometry.pixels` does of the whole photograph.

        Raises:
            UserError: The geometry was built for a photograph of another size.
        """
        if self.reduction == 1:
            return geometry.pixels(self.image)
        geometry.check_source(self.source)
        (left, top), window = self.overhang, geometry.seen
        moved = (window.left + left, window.top + top, window.right + left, window.bottom + top)
        return geometry.rendered(self.image, Box(*(side / self.reduction for side in moved)))


class Views(NamedTuple):
    """Views of one photograph."""

    raster: Raster
    geometries: Sequence[Geometry]

    def pictures(self) -> list[Image.Image]:
        """Render each."""
        return [self.raster.view(geometry) for geometry in self.geometries]


def reduction_for(geometries: Sequence[Geometry]) -> int:
    """Return the coarsest scale that leaves each view `LEAST` pixels a side for each of its own: 8, 4, 2 or 1."""
    if not geometries:
        return 1
    finest = max(abs(scale) for geometry in geometries for scale in geometry.scale)
    enough = (each for each in _REDUCTIONS if LEAST * finest * each <= 1 + _SLACK)
    return next(enough, 1)


def can_be_reduced(image: Image.Image) -> bool:
    """Whether an opened picture's kind can be decoded at reduced scale: a JPEG, also one of several pictures."""
    return image.format in _REDUCIBLE


def reduce(image: Image.Image, reduction: int) -> int:
    """Have an opened picture decoded at reduced scale, where it can be; return the scale that it will have."""
    if reduction == 1 or not can_be_reduced(image):
        return 1
    image.draft(None, (image.width // reduction, image.height // reduction))
    return reduction
