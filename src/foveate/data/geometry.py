"""Resize, crop and flip as one invertible map for pixels, points and boxes.

Every view that a network sees of a photograph, in training, at test time or as a patch, is an axis-aligned window of
it, resized and perhaps mirrored. One object holds that map, so that what is found in the view (a peak, a box) can be
carried back to the photograph, and annotations can be carried into the view.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from PIL import Image

from foveate.errors import UserError
from foveate.types import Box, Size

_EDGE = 1e-6  # relative rounding that a chain of maps may add at an edge


@dataclass(frozen=True, slots=True)
class Geometry:
    """Map from a photograph of `source` pixels to a view of `output` pixels: ``view = scale * photograph + shift``.

    Built by chaining from `identity`; each step speaks in pixels of the view so far. A mirrored view has a negative
    horizontal scale. Coordinates are continuous (x, y), see `foveate.types`.
    """

    source: Size
    output: Size
    scale: tuple[float, float]
    shift: tuple[float, float]

    @classmethod
    def identity(cls, source: Size) -> Geometry:
        """The view that is the photograph itself."""
        return cls(source, source, (1.0, 1.0), (0.0, 0.0))

    def view(self, box: Box, output: Size) -> Geometry:
        """Look at `box` of the current view only, resized to `output` pixels.

        Raises:
            UserError: The box is empty or reaches outside the current view.
        """
        slack = _EDGE * max(self.output)
        inside = (
            -slack <= box.left < box.right <= self.output.width + slack
            and -slack <= box.top < box.bottom <= self.output.height + slack
        )
        if not inside or min(output) < 1:
            raise UserError(
                f"a crop must be a non-empty box inside the view of {self.output.width}x{self.output.height} pixels "
                f"with an output of at least 1x1; got {tuple(box)} to {tuple(output)}; clip it first"
            )
        zoom = (output.width / box.width, output.height / box.height)
        return Geometry(
            self.source,
            output,
            (self.scale[0] * zoom[0], self.scale[1] * zoom[1]),
            ((self.shift[0] - box.left) * zoom[0], (self.shift[1] - box.top) * zoom[1]),
        )

    def resize(self, output: Size) -> Geometry:
        """Resize the current view to `output` pixels, changing its aspect ratio where the two differ."""
        return self.view(Box(0.0, 0.0, *map(float, self.output)), output)

    def crop(self, left: float, top: float, output: Size) -> Geometry:
        """Cut `output` pixels out of the current view, their top-left corner at (left, top)."""
        return self.view(Box(float(left), float(top), float(left + output.width), float(top + output.height)), output)

    def centre_crop(self, output: Size) -> Geometry:
        """Cut `output` pixels out of the middle of the current view, to whole pixels."""
        left, top = (float((have - want) // 2) for have, want in zip(self.output, output, strict=True))
        return self.crop(left, top, output)

    def flip(self) -> Geometry:
        """Mirror the current view left to right."""
        shift = (float(self.output.width) - self.shift[0], self.shift[1])
        return Geometry(self.source, self.output, (-self.scale[0], self.scale[1]), shift)

    @property
    def flipped(self) -> bool:
        """Whether the view is mirrored."""
        return self.scale[0] < 0

    @property
    def window(self) -> Box:
        """The part of the photograph that the view shows, in pixels of the photograph."""
        return self.box_back(Box(0.0, 0.0, *map(float, self.output)))

    def points(self, points: Float[np.ndarray, "n 2"]) -> Float[np.ndarray, "n 2"]:
        """Carry (x, y) points of the photograph into the view; they may fall outside it."""
        moved: Float[np.ndarray, "n 2"] = points * np.array(self.scale) + np.array(self.shift)
        return moved

    def points_back(self, points: Float[np.ndarray, "n 2"]) -> Float[np.ndarray, "n 2"]:
        """Carry (x, y) points of the view back to the photograph."""
        moved: Float[np.ndarray, "n 2"] = (points - np.array(self.shift)) / np.array(self.scale)
        return moved

    def box(self, box: Box) -> Box:
        """Carry a box of the photograph into the view; it is not clipped."""
        return _box_of(self.points(_corners(box)))

    def box_back(self, box: Box) -> Box:
        """Carry a box of the view back to the photograph."""
        return _box_of(self.points_back(_corners(box)))

    @property
    def seen(self) -> Box:
        """The window without what rounding adds to it beyond the photograph."""
        window = self.window
        return Box(
            max(window.left, 0.0),
            max(window.top, 0.0),
            min(window.right, float(self.source.width)),
            min(window.bottom, float(self.source.height)),
        )

    def pixels(self, image: Image.Image) -> Image.Image:
        """Render the view in one resampling (bilinear, antialiased when it shrinks).

        Raises:
            UserError: `image` does not have the size that this map was built for.
        """
        self.check_source(Size(*image.size))
        return self.rendered(image, self.seen)

    def check_source(self, size: Size) -> None:
        """Raise `UserError` where a photograph does not have the size that this map was built for."""
        if size != self.source:
            raise UserError(
                f"a geometry serves the image size it was built for, {tuple(self.source)}; got {tuple(size)}; "
                "build one for this image"
            )

    def rendered(self, image: Image.Image, box: Box) -> Image.Image:
        """Render the view from the pixels in which `box`, in pixels of `image`, is what it sees."""
        view = image.resize(self.output, Image.Resampling.BILINEAR, box=(box.left, box.top, box.right, box.bottom))
        return view.transpose(Image.Transpose.FLIP_LEFT_RIGHT) if self.flipped else view


def _corners(box: Box) -> Float[np.ndarray, "2 2"]:
    return np.array([[box.left, box.top], [box.right, box.bottom]], dtype=np.float64)


def _box_of(corners: Float[np.ndarray, "2 2"]) -> Box:
    (left, top), (right, bottom) = corners.min(axis=0), corners.max(axis=0)
    return Box(float(left), float(top), float(right), float(bottom))
