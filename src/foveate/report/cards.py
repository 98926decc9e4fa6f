"""A sheet of photographs on cards, in sections: up to four cards side by side, all of one height."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple, Protocol

from PIL import Image

from foveate.drawing.captions import MARGIN, Mark, draw_header
from foveate.drawing.page import CARD, Page, Room, TextStyle
from foveate.types import Size

_COLUMNS, _GAP, _STRIPE, _NEUTRAL = 4, 24, 8, "#DFE2E7"
_PHOTO = Size((1600 - 2 * MARGIN - (_COLUMNS - 1) * _GAP) // _COLUMNS, 272)
_HEADING = TextStyle(24, bold=True)
_AROUND_CARDS = _HEADING.line_height + 12, MARGIN - _GAP

PADDING = 16
"""Around a card's texts, in pixels."""
TEXT_WIDTH = _PHOTO.width - 2 * PADDING
"""Of a card's texts, in pixels."""


class Card(Protocol):
    """A photograph, the colour of the stripe below it, and texts below that."""

    @property
    def image(self) -> Image.Image:
        """The photograph, upright."""
        ...

    @property
    def colour(self) -> str:
        """Of the stripe."""
        ...

    def text_height(self, page: Page) -> float:
        """Return how high its texts become, in pixels; `page` measures them."""
        ...

    def write(self, page: Page, room: Room) -> None:
        """Write its texts into a room as wide as `TEXT_WIDTH`."""
        ...


class Section(NamedTuple):
    """A heading, and the cards below it."""

    heading: Mark
    cards: Sequence[Card]


def card_sheet(
    sections: Sequence[Section], path: Path, title: str, summary: Mark, about: Mapping[str, str] | None = None
) -> None:
    """Write a PNG, at most 1600 pixels wide; sections without cards are left out; `about` as in `Page.save`.

    Raises:
        ValueError: There is no card.
        UserError: The file cannot be written; what was there before is untouched.
    """
    sections = [each for each in sections if each.cards]
    if not sections:
        raise ValueError("a sheet must show at least one answer; got none")
    columns = min(_COLUMNS, max(2, *(len(each.cards) for each in sections)))
    width = 2 * MARGIN + columns * (_PHOTO.width + _GAP) - _GAP
    ruler = Page(Size(width, 1))  # the sheet's height follows from where its texts break
    top = draw_header(ruler, title, summary, lines=2) + PADDING
    texts = max(card.text_height(ruler) for each in sections for card in each.cards)
    step = Size(_PHOTO.width + _GAP, round(_PHOTO.height + _STRIPE + texts + 2 * PADDING) + _GAP)
    rows = sum(-(-len(each.cards) // columns) for each in sections)
    page = Page(Size(width, round(top) + rows * step.height + len(sections) * sum(_AROUND_CARDS)))
    draw_header(page, title, summary, lines=2)
    for section in sections:
        top = _draw_section(page, top, section, columns, step)
    page.save(path, about)


def _draw_section(page: Page, top: float, section: Section, columns: int, step: Size) -> float:
    """Draw a heading and its cards; return where the next section begins."""
    heading, cards = section
    page.write((MARGIN, top), heading.text, _HEADING._replace(ink=heading.colour))
    above, below = _AROUND_CARDS
    top += above
    for index, card in enumerate(cards):
        row, column = divmod(index, columns)
        left, upper = MARGIN + column * step.width, top + row * step.height
        _draw_card(page, Room(left, upper, left + _PHOTO.width, upper + step.height - _GAP), card)
    return top + -(-len(cards) // columns) * step.height + below


def _draw_card(page: Page, box: Room, card: Card) -> None:
    photo = box._replace(bottom=box.top + _PHOTO.height)
    stripe = box._replace(top=photo.bottom, bottom=photo.bottom + _STRIPE)
    for room, colour in ((box, CARD), (photo, _NEUTRAL), (stripe, card.colour)):
        page.fill(room, colour)
    page.panel(photo.letterbox(Size(*card.image.size)), card.image)
    card.write(page, Room(box.left + PADDING, stripe.bottom + PADDING, box.right - PADDING, box.bottom - PADDING))
