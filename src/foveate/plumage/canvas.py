"""What every painter uses: colours, frames of reference, smooth curves, soft noise and an enlarged sheet."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from PIL import Image, ImageColor, ImageDraw

Rgb = tuple[int, int, int]
"""Red, green and blue in 0..255."""
Point = Float[np.ndarray, " 2"]
"""x, y."""
Points = Float[np.ndarray, "n 2"]
"""x, y of each."""


def rgb(code: str) -> Rgb:
    """The colour of a code such as ``#c98a4b``."""
    red, green, blue = ImageColor.getrgb(code)[:3]
    return red, green, blue


def mix(first: Rgb, second: Rgb, share: float) -> Rgb:
    """``share`` of the second colour in the first; 0 gives the first, 1 the second."""
    red, green, blue = (round(a + (b - a) * share) for a, b in zip(first, second, strict=True))
    return red, green, blue


def lighten(colour: Rgb, amount: float) -> Rgb:
    """Towards white for a positive amount, towards black for a negative one; -1 to 1."""
    return mix(colour, (255, 255, 255) if amount > 0 else (0, 0, 0), abs(amount))


@dataclass(frozen=True, slots=True)
class Frame:
    """A part's own axes (x forward, y down, in body lengths) and where they lie in the picture, in pixels."""

    matrix: Float[np.ndarray, "2 2"]
    origin: Point

    def __call__(self, points: Points | Sequence[tuple[float, float]]) -> Points:
        """Points of this frame, in pixels of the picture."""
        placed: Points = np.asarray(points, dtype=np.float64) @ self.matrix.T + self.origin
        return placed

    def at(self, x: float, y: float) -> tuple[float, float]:
        """One point of this frame, in pixels of the picture."""
        placed = self([(x, y)])[0]
        return float(placed[0]), float(placed[1])

    def child(
        self, origin: tuple[float, float], angle: float = 0.0, stretch: tuple[float, float] = (1.0, 1.0)
    ) -> Frame:
        """A frame at ``origin``, turned by ``angle`` (radians, from x towards y) and stretched along its own axes."""
        cosine, sine = np.cos(angle), np.sin(angle)
        turn = np.array([[cosine, -sine], [sine, cosine]]) * np.array(stretch)
        return Frame(self.matrix @ turn, self([origin])[0])

    @property
    def unit(self) -> float:
        """Pixels in one body length."""
        return float(np.sqrt(abs(np.linalg.det(self.matrix))))


class Sheet:
    """A Pillow image that is drawn on in pixels of the picture, enlarged ``zoom`` times, from ``corner`` on."""

    def __init__(self, image: Image.Image, zoom: float, corner: tuple[float, float] = (0.0, 0.0)) -> None:
        self.image = image
        self.zoom = zoom
        self.corner = np.array(corner)
        self._draw = ImageDraw.Draw(image)

    def polygon(self, points: Points, colour: Rgb | int) -> None:
        """Fill the polygon."""
        self._draw.polygon(self._place(points), fill=colour)

    def polygons(self, outlines: Float[np.ndarray, "n k 2"], colours: Sequence[Rgb | int]) -> None:
        """Fill many polygons of k corners, in order."""
        placed = ((outlines - self.corner) * self.zoom).reshape(len(outlines), -1).tolist()
        for outline, colour in zip(placed, colours, strict=True):
            self._draw.polygon(outline, fill=colour)

    def strokes(self, ends: Float[np.ndarray, "n 2 2"], colours: Sequence[int], width: float) -> None:
        """Draw many straight lines, ``width`` pixels of the picture wide."""
        placed = ((ends - self.corner) * self.zoom).reshape(len(ends), 4).tolist()
        thick = max(1, round(width * self.zoom))
        for end, colour in zip(placed, colours, strict=True):
            self._draw.line(end, fill=colour, width=thick)

    def line(self, points: Points, colour: Rgb | int, width: float) -> None:
        """Draw a line through the points, ``width`` pixels of the picture wide."""
        self._draw.line(self._place(points), fill=colour, width=max(1, round(width * self.zoom)), joint="curve")

    def disc(self, centre: tuple[float, float], radius: float, colour: Rgb | int) -> None:
        """Fill a disc."""
        x, y = self._place(np.array([centre]))
        reach = radius * self.zoom
        self._draw.ellipse((x - reach, y - reach, x + reach, y + reach), fill=colour)

    def _place(self, points: Points) -> list[float]:
        placed: list[float] = ((points - self.corner) * self.zoom).ravel().tolist()
        return placed


def curve(
    points: Points | Sequence[tuple[float, float]], steps: int = 8, *, closed: bool = False
) -> Float[np.ndarray, "m 2"]:
    """Catmull-Rom curve through the points, ``steps`` to a span."""
    knots = np.asarray(points, dtype=np.float64)
    if closed:
        knots = np.concatenate([knots[-1:], knots, knots[:2]])
    else:
        knots = np.concatenate([2 * knots[:1] - knots[1:2], knots, 2 * knots[-1:] - knots[-2:-1]])
    p0, p1, p2, p3 = (knots[i : len(knots) - 3 + i, None] for i in range(4))
    t = np.linspace(0.0, 1.0, steps, endpoint=False)[:, None]
    spans = 0.5 * (2 * p1 + (p2 - p0) * t + (2 * p0 - 5 * p1 + 4 * p2 - p3) * t**2 + (3 * (p1 - p2) + p3 - p0) * t**3)
    smooth = spans.reshape(-1, 2)
    return smooth if closed else np.concatenate([smooth, knots[-2:-1]])


def soft_noise(rng: np.random.Generator, width: int, height: int, cells: int) -> Float[np.ndarray, "height width"]:
    """Smooth noise about 0 with a standard deviation near 1, ``cells`` hills along the longer side."""
    longer = max(width, height)
    grid = (max(2, round(cells * height / longer) + 1), max(2, round(cells * width / longer) + 1))
    coarse = Image.fromarray(rng.standard_normal(grid, dtype=np.float32))
    return np.asarray(coarse.resize((width, height), Image.Resampling.BICUBIC))
