"""A picture of right and wrong answers: each photograph with its true class and the best of its answer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from foveate.drawing.captions import (
    ANSWER_HEIGHT,
    CAPTION,
    CLASS,
    RIGHT,
    UNKNOWN,
    WRONG,
    Mark,
    draw_answers,
    judge,
)
from foveate.drawing.names import wrapped_name
from foveate.drawing.page import SOFT_INK, Page, Room, TextStyle
from foveate.report.cards import PADDING, TEXT_WIDTH, Section, card_sheet
from foveate.types import RankedClass

_HEADINGS = {WRONG: "Wrong", RIGHT: "Right", UNKNOWN: "Unjudged"}
_ANSWER = TextStyle(19, bold=True)
_SHOWN, _BAR_STEP = 3, 44
_BARS = (_SHOWN - 1) * _BAR_STEP + ANSWER_HEIGHT


@dataclass(frozen=True, slots=True)
class SheetAnswer:
    """One photograph, upright, and its answer.

    ``top`` is ordered by falling probability and has at least one class; the sheet shows the first three.
    ``truth`` is None where the true class is not known, ``name`` that of the photograph's file; empty: it is not shown.

    Raises:
        ValueError: ``top`` is empty.
    """

    image: Image.Image
    truth: str | None
    top: tuple[RankedClass, ...]
    name: str = ""

    def __post_init__(self) -> None:
        if not self.top:
            raise ValueError("an answer must name at least one class; got none")


def answer_sheet(
    answers: Sequence[SheetAnswer],
    path: Path,
    title: str,
    summary: str | None = None,
    about: Mapping[str, str] | None = None,
) -> None:
    """Write a PNG, at most 1600 pixels wide: wrong answers first, then right, then those of unknown truth.

    Meant for a few dozen answers: each row of four adds about 500 pixels of height. Letters that the font
    (DejaVu Sans) lacks, such as Chinese, show as boxes.

    Args:
        answers: In any order; within right and wrong theirs stays.
        path: The PNG.
        title: The heading.
        summary: A line below it; None: how many are shown.
        about: What the PNG says of itself, by keyword, unseen.

    Raises:
        ValueError: There is no answer to show.
        UserError: The file cannot be written; what was there before is untouched.
    """
    cards = [_AnswerCard(each.image, each) for each in answers]
    groups = {mark: group for mark in _HEADINGS if (group := [card for card in cards if card.mark == mark])}
    sections = [
        Section(Mark(f"{mark.text}{_HEADINGS[mark]} ({len(group)})", mark.colour), group)
        for mark, group in groups.items()
    ]
    counts = ", ".join(f"{len(group)} {_HEADINGS[mark].lower()}" for mark, group in groups.items())
    shown = f"{len(cards)} {'answer' if len(cards) == 1 else 'answers'} shown: {counts}"
    card_sheet(sections, path, title, Mark(shown if summary is None else summary, SOFT_INK), about)


@dataclass(frozen=True)
class _AnswerCard:
    """A photograph, its answer judged, the true class, bars of the best classes."""

    image: Image.Image
    answer: SheetAnswer

    @property
    def mark(self) -> Mark:
        return judge(self.answer.top[0].class_name, self.answer.truth)

    @property
    def colour(self) -> str:
        return self.mark.colour

    def text_height(self, page: Page) -> float:
        name, below = self._lines(page)
        return len(name) * _ANSWER.line_height + len(below) * CAPTION.line_height + _BARS + PADDING

    def write(self, page: Page, room: Room) -> None:
        (name, below), coloured = self._lines(page), _ANSWER._replace(ink=self.colour)
        page.write((room.left, room.top), self.mark.text, coloured)
        probability = f"{self.answer.top[0].probability:.1%}"
        page.write((room.right, room.top), probability, coloured, align="right")
        left = room.left + page.length(self.mark.text, _ANSWER)
        page.write((left, page.write((left, room.top), name, _ANSWER)), below, CAPTION)
        bars = room._replace(top=room.bottom - _BARS)
        draw_answers(page, bars, self.answer.top[:_SHOWN], self.answer.truth, best=CLASS, step=_BAR_STEP)

    def _lines(self, page: Page) -> tuple[list[str], list[str]]:
        """Return the lines of the answer's name, and those of the true class and of the file below it."""
        best, truth = self.answer.top[0], "not known" if self.answer.truth is None else self.answer.truth
        room = TEXT_WIDTH - page.length(self.mark.text, _ANSWER)
        beside = room - page.length(f"{best.probability:.1%}", _ANSWER) - 12
        name = wrapped_name(page, best.class_name, _ANSWER, beside, 2)
        file = page.wrapped(self.answer.name, CAPTION, room, lines=2) if self.answer.name else []
        return name, [*wrapped_name(page, f"true class: {truth}", CAPTION, room, 2), *file]
