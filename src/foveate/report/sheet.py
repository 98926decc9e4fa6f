"""A picture of right and wrong answers: each photograph with its true class and the best of its answer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from PIL import Image

from foveate.drawing.captions import (
    ANSWER_HEIGHT,
    CAPTION,
    CLASS,
    MARGIN,
    RIGHT,
    UNKNOWN,
    WRONG,
    Mark,
    draw_answers,
    draw_header,
    judge,
)
from foveate.drawing.page import CARD, SOFT_INK, Page, Room, TextStyle
from foveate.types import RankedClass, Size

_HEADINGS = {WRONG: "Wrong", RIGHT: "Right", UNKNOWN: "Unjudged"}
_HEADING, _ANSWER = TextStyle(24, bold=True), TextStyle(19, bold=True)

_COLUMNS, _GAP, _PADDING, _STRIPE, _NEUTRAL = 4, 24, 16, 8, "#DFE2E7"
_PHOTO = Size((1600 - 2 * MARGIN - (_COLUMNS - 1) * _GAP) // _COLUMNS, 272)
_SHOWN, _BAR_STEP = 3, 44
_BARS = (_SHOWN - 1) * _BAR_STEP + ANSWER_HEIGHT
_AROUND_CARDS = _HEADING.line_height + 12, MARGIN - _GAP


@dataclass(frozen=True, slots=True)
class SheetAnswer:
    """One photograph, upright, and its answer.

    ``top`` is ordered by falling probability and has at least one class; the sheet shows the first three.
    ``truth`` is None where the true class is not known.

    Raises:
        ValueError: ``top`` is empty.
    """

    image: Image.Image
    truth: str | None
    top: tuple[RankedClass, ...]

    def __post_init__(self) -> None:
        if not self.top:
            raise ValueError("an answer must name at least one class; got none")


def answer_sheet(answers: Sequence[SheetAnswer], path: Path, title: str) -> None:
    """Write a PNG, at most 1600 pixels wide: wrong answers first, then right, then those of unknown truth.

    Meant for a few dozen answers: each row of four adds about 500 pixels of height. Letters that the font
    (DejaVu Sans) lacks, such as Chinese, show as boxes.

    Raises:
        ValueError: There is no answer to show.
        UserError: The file cannot be written; what was there before is untouched.
    """
    if not answers:
        raise ValueError("a sheet must show at least one answer; got none")
    groups = [group for mark in _HEADINGS if (group := [answer for answer in answers if _mark(answer) == mark])]
    columns = min(_COLUMNS, max(2, *map(len, groups)))
    width = 2 * MARGIN + columns * (_PHOTO.width + _GAP) - _GAP
    ruler = Page(Size(width, 1))  # the sheet's height follows from where its texts break
    top = draw_header(ruler, title, _summary(groups), lines=2) + _PADDING
    sections = [[_card(ruler, answer) for answer in group] for group in groups]
    step = Size(_PHOTO.width + _GAP, max(card.height for section in sections for card in section) + _GAP)
    rows = sum(-(-len(section) // columns) for section in sections)
    page = Page(Size(width, round(top) + rows * step.height + len(sections) * sum(_AROUND_CARDS)))
    draw_header(page, title, _summary(groups), lines=2)
    for section in sections:
        top = _draw_section(page, top, section, columns, step)
    page.save(path)


class _Card(NamedTuple):
    """An answer and the lines of its texts."""

    answer: SheetAnswer
    name: list[str]
    truth: list[str]

    @property
    def height(self) -> int:
        """In pixels, as far as its texts need it."""
        texts = len(self.name) * _ANSWER.line_height + len(self.truth) * CAPTION.line_height
        return _PHOTO.height + _STRIPE + texts + _BARS + 3 * _PADDING


def _mark(answer: SheetAnswer) -> Mark:
    return judge(answer.top[0].class_name, answer.truth)


def _summary(groups: Sequence[Sequence[SheetAnswer]]) -> Mark:
    total = sum(map(len, groups))
    parts = ", ".join(f"{len(group)} {_HEADINGS[_mark(group[0])].lower()}" for group in groups)
    return Mark(f"{total} {'answer' if total == 1 else 'answers'} shown: {parts}", SOFT_INK)


def _card(page: Page, answer: SheetAnswer) -> _Card:
    best, truth = answer.top[0], "not known" if answer.truth is None else answer.truth
    room = _PHOTO.width - 2 * _PADDING - page.length(_mark(answer).text, _ANSWER)
    beside = room - page.length(f"{best.probability:.1%}", _ANSWER) - 12
    name = page.wrapped(best.class_name, _ANSWER, beside, lines=2)
    return _Card(answer, name, page.wrapped(f"true class: {truth}", CAPTION, room, lines=2))


def _draw_section(page: Page, top: float, cards: Sequence[_Card], columns: int, step: Size) -> float:
    """Draw a heading and cards that are judged alike; return where the next section begins."""
    mark = _mark(cards[0].answer)
    page.write((MARGIN, top), f"{mark.text}{_HEADINGS[mark]} ({len(cards)})", _HEADING._replace(ink=mark.colour))
    above, below = _AROUND_CARDS
    top += above
    for index, card in enumerate(cards):
        row, column = divmod(index, columns)
        left, upper = MARGIN + column * step.width, top + row * step.height
        _draw_card(page, Room(left, upper, left + _PHOTO.width, upper + step.height - _GAP), card)
    return top + -(-len(cards) // columns) * step.height + below


def _draw_card(page: Page, box: Room, card: _Card) -> None:
    """Draw a photograph, a stripe in the judgement's colour, answer and true class, bars of the best classes."""
    answer, mark = card.answer, _mark(card.answer)
    photo = box._replace(bottom=box.top + _PHOTO.height)
    stripe = box._replace(top=photo.bottom, bottom=photo.bottom + _STRIPE)
    for room, colour in ((box, CARD), (photo, _NEUTRAL), (stripe, mark.colour)):
        page.fill(room, colour)
    page.panel(photo.letterbox(Size(*answer.image.size)), answer.image)
    inner = Room(box.left + _PADDING, stripe.bottom + _PADDING, box.right - _PADDING, box.bottom - _PADDING)
    coloured = _ANSWER._replace(ink=mark.colour)
    page.write((inner.left, inner.top), mark.text, coloured)
    page.write((inner.right, inner.top), f"{answer.top[0].probability:.1%}", coloured, align="right")
    left = inner.left + page.length(mark.text, _ANSWER)
    page.write((left, page.write((left, inner.top), card.name, _ANSWER)), card.truth, CAPTION)
    bars = inner._replace(top=inner.bottom - _BARS)
    draw_answers(page, bars, answer.top[:_SHOWN], answer.truth, best=CLASS, step=_BAR_STEP)
