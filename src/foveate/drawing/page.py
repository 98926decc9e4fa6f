"""A page laid out in pixels and drawn by matplotlib: pictures with marks on them, and texts that fit their room."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties, get_font
from matplotlib.patches import Circle, Patch, Rectangle
from matplotlib.transforms import IdentityTransform
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from foveate.files.atomic import atomic_path
from foveate.types import Size

GROUND, CARD, TRACK = "#F3F4F6", "#FFFFFF", "#ECEEF1"
INK, SOFT_INK, PALE_INK = "#1B1F24", "#59616C", "#9BA3AF"

_DPI = 64  # a power of two: a whole number of pixels stays whole on its way through matplotlib's inches
_POINTS = 72 / _DPI
_GROUND_LAYER, _BADGE_LAYER, _TEXT_LAYER = -1, 2, 3  # pictures lie between the first two


class TextStyle(NamedTuple):
    """Size in pixels, weight and colour of a text."""

    size: int
    bold: bool = False
    ink: str = INK

    @property
    def line_height(self) -> int:
        """From one line's top to the next's, in pixels."""
        return round(1.35 * self.size)


class Room(NamedTuple):
    """A box on a page: its edges in pixels from the page's left and top edge."""

    left: float
    top: float
    right: float
    bottom: float

    @property
    def width(self) -> float:
        """Right minus left, in pixels."""
        return self.right - self.left

    @property
    def height(self) -> float:
        """Bottom minus top, in pixels."""
        return self.bottom - self.top

    def letterbox(self, image: Size) -> Room:
        """Return the room in the middle that shows an image whole and in its shape; the thinnest keeps one pixel."""
        scale = min(self.width / image.width, self.height / image.height)
        width, height = (max(1, round(scale * side)) for side in image)
        left, top = self.left + (self.width - width) // 2, self.top + (self.height - height) // 2
        return Room(left, top, left + width, top + height)


class Page:
    """A page of `size` pixels. Places on it are (x, y) in pixels from its top left corner.

    Nothing depends on matplotlib's global settings, and nothing changes them. The font is DejaVu Sans, which matplotlib
    brings along; letters that it lacks, such as Chinese, show as boxes.
    """

    def __init__(self, size: Size) -> None:
        self.size = size
        inches = (size.width / _DPI, size.height / _DPI)
        self._figure = Figure(figsize=inches, dpi=_DPI, facecolor=GROUND, linewidth=0)
        self._figure.set_layout_engine("none")
        self._canvas: Any = FigureCanvasAgg(self._figure)  # which has no types

    def picture(self) -> Image.Image:
        """Draw the page."""
        self._canvas.draw()
        return Image.fromarray(np.asarray(self._canvas.buffer_rgba())).convert("RGB")

    def save(self, path: Path, about: Mapping[str, str] | None = None) -> None:
        """Write the page as a PNG.

        Args:
            path: The PNG.
            about: What it says of itself, by keyword, unseen.

        Raises:
            UserError: The file cannot be written; what was there before is untouched.
        """
        picture, metadata = self.picture(), PngInfo()
        for keyword, text in (about or {}).items():
            metadata.add_itxt(keyword, text)
        with atomic_path(path) as temporary:
            picture.save(temporary, format="PNG", pnginfo=metadata)

    def fill(self, box: Room, colour: str) -> None:
        """Fill a box, behind every picture and above what was filled before."""
        corner = (box.left, self.size.height - box.bottom)
        self._add(Rectangle(corner, box.width, box.height, linewidth=0, facecolor=colour))

    def dot(self, centre: tuple[float, float], radius: float, colour: str) -> None:
        """Draw a filled circle."""
        self._add(Circle((centre[0], self.size.height - centre[1]), radius, linewidth=0, facecolor=colour))

    def badge(self, centre: tuple[float, float], radius: float, letter: str, colour: str) -> None:
        """Draw a filled circle with a white rim above every picture, and a letter in it."""
        x, y = centre[0], self.size.height - centre[1]
        self._add(Circle((x, y), radius + 2, linewidth=0, facecolor="white"), _BADGE_LAYER)
        self._add(Circle((x, y), radius, linewidth=0, facecolor=colour), _BADGE_LAYER)
        style = TextStyle(round(1.2 * radius), bold=True, ink="white")
        corner = (centre[0] - self.length(letter, style) / 2, centre[1] - 0.63 * style.size)
        self.write(corner, letter, style)

    def _add(self, shape: Patch, layer: float = _GROUND_LAYER) -> None:
        shape.set_transform(IdentityTransform())
        shape.set_zorder(layer)
        self._figure.add_artist(shape)

    def panel(self, box: Room, image: Image.Image) -> Axes:
        """Show an image in a box of whole pixels; the axes' unit is the image's own pixel, as in `foveate.types`."""
        width, height = self.size
        axes = self._figure.add_axes(
            (box.left / width, 1 - box.bottom / height, box.width / width, box.height / height)
        )
        axes.set_axis_off()
        axes.set(xlim=(0, image.width), ylim=(image.height, 0))
        fitted = image.convert("RGB").resize((round(box.width), round(box.height)), Image.Resampling.LANCZOS)
        extent = (0, image.width, image.height, 0)
        axes.imshow(np.asarray(fitted), extent=extent, aspect="auto", origin="upper", interpolation="nearest")
        return axes

    def write(
        self, corner: tuple[float, float], lines: str | Sequence[str], style: TextStyle, *, align: str = "left"
    ) -> float:
        """Write lines from a corner down, as they are; return where the next would begin.

        Args:
            corner: Of the text's room: top left, or top right where `align` is "right".
            lines: One line or several; see `fitted` and `wrapped` for texts of unknown length.
            style: Of all lines.
            align: "left" or "right".
        """
        x, top = corner
        for line in [lines] if isinstance(lines, str) else lines:
            self._figure.text(
                x / self.size.width,
                1 - (top + style.size) / self.size.height,
                _printable(line),
                color=style.ink,
                fontproperties=_font(style.size, style.bold),
                horizontalalignment=align,
                verticalalignment="baseline",
                zorder=_TEXT_LAYER,
                parse_math=False,
                usetex=False,
            )
            top += style.line_height
        return top

    def length(self, text: str, style: TextStyle) -> float:
        """Return how long a line becomes, in pixels."""
        if not text:
            return 0.0
        font = _font(style.size, style.bold)
        renderer = self._canvas.get_renderer()
        return float(renderer.get_text_width_height_descent(_printable(text), font, ismath=False)[0])

    def fitted(self, text: str, style: TextStyle, room: float) -> str:
        """Return the text on one line; where it is longer than its room, an ellipsis ends it."""
        text = " ".join(text.split())
        if self.length(text, style) <= room:
            return text
        fitting = max(0, self._fitting(text, style, room, end="…"))
        return f"{text[:fitting].rstrip()}…"

    def wrapped(self, text: str, style: TextStyle, room: float, lines: int) -> list[str]:
        """Break a text into at most so many lines, where a word ends if one does; an ellipsis ends what is too long."""
        text = " ".join(text.split())
        broken: list[str] = []
        while len(broken) < lines - 1 and self.length(text, style) > room:
            fitting = max(1, self._fitting(text, style, room))
            ends = [match.end() for match in re.finditer(r"[\s_/-]+", text[: fitting + 1]) if match.end() <= fitting]
            cut = ends[-1] if ends else fitting
            broken.append(text[:cut].rstrip())
            text = text[cut:].lstrip()
        return [*broken, self.fitted(text, style, room)]

    def _fitting(self, text: str, style: TextStyle, room: float, end: str = "") -> int:
        """Return how many leading characters fit together with `end`, -1 where none does."""
        return bisect_right(range(len(text)), room, key=lambda n: self.length(text[:n] + end, style)) - 1


@cache
def _font(size: int, bold: bool) -> FontProperties:
    return FontProperties(fname=str(_font_file(bold)), size=size * _POINTS)


def _font_file(bold: bool) -> Path:
    name = "DejaVuSans-Bold.ttf" if bold else "DejaVuSans.ttf"
    return Path(matplotlib.get_data_path()) / "fonts" / "ttf" / name


def _printable(text: str) -> str:
    # Matplotlib warns of letters that a font lacks; the regular font lacks none that the bold one has.
    known = _letters()
    return "".join(letter if ord(letter) in known else "\N{WHITE SQUARE}" for letter in text)


@cache
def _letters() -> frozenset[int]:
    return frozenset(get_font(_font_file(bold=False)).get_charmap()) & frozenset(
        get_font(_font_file(bold=True)).get_charmap()
    )
