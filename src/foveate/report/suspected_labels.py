"""A picture of photographs whose label is suspected, each beside a typical one of its class and of the likelier one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from foveate.drawing.captions import CAPTION, MARGIN, RIGHT, WRONG, Mark, draw_header
from foveate.drawing.page import CARD, SOFT_INK, Page, Room, TextStyle
from foveate.types import Size

_PHOTO, _GAP, _PADDING = Size(300, 225), 16, 16
_CLASS = TextStyle(19, bold=True)
_ROW = _PHOTO.height + 2 * _CLASS.line_height + CAPTION.line_height + 3 * _PADDING
_WIDTH = 2 * MARGIN + 2 * _PADDING + 3 * _PHOTO.width + 2 * _GAP


@dataclass(frozen=True)
class Suspect:
    """A photograph whose label is suspected; all photographs are upright."""

    image: Image.Image
    name: str
    class_name: str
    """Of the label."""
    suggested: str
    """The likelier class."""
    score: float
    """How much likelier, in [0, 1]."""
    typical: Image.Image | None
    """A photograph of the label's class; None: there is none."""
    typical_suggested: Image.Image | None
    """One of the likelier class."""


def suspect_sheet(suspects: Sequence[Suspect], path: Path, title: str) -> None:
    """Write a PNG, a row for each suspect: the photograph, its class, the likelier class.

    Letters that the font (DejaVu Sans) lacks, such as Chinese, show as boxes.

    Raises:
        ValueError: There is no suspect.
        UserError: The file cannot be written; what was there before is untouched.
    """
    if not suspects:
        raise ValueError("a sheet must show at least one suspect; got none")
    summary = Mark(
        "Suspected labels, the surest first: the photograph, a typical one of its label, of the likelier", SOFT_INK
    )
    top = draw_header(Page(Size(_WIDTH, 1)), title, summary, lines=2)
    page = Page(Size(_WIDTH, round(top) + len(suspects) * (_ROW + _GAP) + MARGIN - _GAP))
    top = draw_header(page, title, summary, lines=2)
    for suspect in suspects:
        _draw(page, top, suspect)
        top += _ROW + _GAP
    page.save(path)


def _draw(page: Page, top: float, suspect: Suspect) -> None:
    page.fill(Room(MARGIN, top, _WIDTH - MARGIN, top + _ROW), CARD)
    columns = (
        (
            suspect.image,
            f"labelled {suspect.class_name}",
            f"score {suspect.score:.2f}   {suspect.name.rpartition('/')[2]}",
            WRONG.colour,
        ),
        (suspect.typical, suspect.class_name, "typical of the label", SOFT_INK),
        (suspect.typical_suggested, suspect.suggested, "typical of the likelier class", RIGHT.colour),
    )
    left = float(MARGIN + _PADDING)
    for image, name, words, colour in columns:
        room = Room(left, top + _PADDING, left + _PHOTO.width, top + _PADDING + _PHOTO.height)
        if image is not None:
            page.panel(_fitted(room, image), image)
        below = page.write(
            (left, room.bottom + _PADDING),
            page.wrapped(name, _CLASS, _PHOTO.width, lines=2),
            _CLASS._replace(ink=colour),
        )
        page.write((left, below), page.fitted(words, CAPTION, _PHOTO.width), CAPTION)
        left += _PHOTO.width + _GAP


def _fitted(room: Room, image: Image.Image) -> Room:
    """Return the largest box of the image's shape in the middle of a room, in whole pixels."""
    scale = min(room.width / image.width, room.height / image.height)
    width, height = max(1, round(scale * image.width)), max(1, round(scale * image.height))
    left, top = round(room.left + (room.width - width) / 2), round(room.top + (room.height - height) / 2)
    return Room(left, top, left + width, top + height)
