"""A picture of the photographs on which one of two models is right and the other is not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from PIL import Image

from foveate.drawing.captions import CAPTION, RIGHT, WRONG, Mark, judge
from foveate.drawing.names import wrapped_name
from foveate.drawing.page import SOFT_INK, Page, Room, TextStyle
from foveate.report.cards import PADDING, TEXT_WIDTH, Section, card_sheet
from foveate.types import RankedClass

_TRUTH, _ANSWER = TextStyle(19, bold=True), TextStyle(16)


class ModelAnswer(NamedTuple):
    """What one of the two answers."""

    name: str
    """Of the model, and of how many seeds are right, where there are several."""
    best: RankedClass


@dataclass(frozen=True)
class Disagreement:
    """One photograph, upright, its name and true class, and both answers: the better one first."""

    image: Image.Image
    name: str
    truth: str
    better: ModelAnswer
    worse: ModelAnswer


@dataclass(frozen=True)
class DisagreementSection:
    """The photographs that one of the two answers better."""

    words: str
    """What they have in common."""
    count: int
    """How many there are; not all need be shown."""
    shown: Sequence[Disagreement]
    gained: bool
    """Whether the better one is the one that is compared with the first."""


def disagreement_sheet(sections: Sequence[DisagreementSection], path: Path, title: str) -> None:
    """Write a PNG, at most 1600 pixels wide, of cards in sections.

    Raises:
        ValueError: There is no photograph to show.
        UserError: The file cannot be written; what was there before is untouched.
    """
    summary = Mark("The true class of each photograph, its name, and what the two answer", SOFT_INK)
    card_sheet([_section(each) for each in sections], path, title, summary)


def _section(section: DisagreementSection) -> Section:
    colour = RIGHT.colour if section.gained else WRONG.colour
    shown = "" if len(section.shown) == section.count else f", {len(section.shown)} shown"
    heading = Mark(f"{section.words} ({section.count}{shown})", colour)
    return Section(heading, [_Card(each.image, each, colour) for each in section.shown])


@dataclass(frozen=True)
class _Card:
    """A photograph, its true class, and both answers below each other, each judged."""

    image: Image.Image
    disagreement: Disagreement
    colour: str

    def text_height(self, page: Page) -> float:
        truth, *answers = self._lines(page)
        lines = sum(CAPTION.line_height + len(each) * _ANSWER.line_height + PADDING / 2 for each in answers)
        return len(truth) * _TRUTH.line_height + CAPTION.line_height + PADDING / 2 + lines

    def write(self, page: Page, room: Room) -> None:
        truth, *answers = self._lines(page)
        top = page.write((room.left, room.top), truth, _TRUTH)
        name = page.fitted(self.disagreement.name, CAPTION, TEXT_WIDTH)
        top = page.write((room.left, top), name, CAPTION) + PADDING / 2
        for answer, lines in zip((self.disagreement.better, self.disagreement.worse), answers, strict=True):
            top = page.write((room.left, top), page.fitted(answer.name, CAPTION, TEXT_WIDTH), CAPTION)
            mark = judge(answer.best.class_name, self.disagreement.truth)
            style = _ANSWER._replace(ink=mark.colour)
            page.write((room.left, top), mark.text, style)
            page.write((room.right, top), _percentage(answer), style, align="right")
            top = page.write((room.left + page.length(mark.text, style), top), lines, style) + PADDING / 2

    def _lines(self, page: Page) -> tuple[list[str], ...]:
        """Return the lines of the true class, and of each answer's."""
        truth = wrapped_name(page, self.disagreement.truth, _TRUTH, TEXT_WIDTH, 2)
        return (truth, *(_answer_lines(page, each) for each in (self.disagreement.better, self.disagreement.worse)))


def _answer_lines(page: Page, answer: ModelAnswer) -> list[str]:
    taken = sum(page.length(text, _ANSWER) for text in (RIGHT.text, _percentage(answer)))
    return wrapped_name(page, answer.best.class_name, _ANSWER, TEXT_WIDTH - taken - 12, 2)


def _percentage(answer: ModelAnswer) -> str:
    return f"{answer.best.probability:.1%}"
