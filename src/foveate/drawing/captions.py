"""What stands beside a picture of an explanation: answers as bars with their marks, the scale of heat, a legend."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from foveate.drawing.names import apart
from foveate.drawing.overlays import heat_scale
from foveate.drawing.page import PALE_INK, SOFT_INK, TRACK, Page, Room, TextStyle
from foveate.types import RankedClass, Size

CAPTION = TextStyle(15, ink=SOFT_INK)
"""Small words beside or below a picture."""
CLASS, _BEST = TextStyle(16), TextStyle(16, bold=True)
_BAR = 9

_TITLE, _SUMMARY, _BELOW_HEADER = TextStyle(34, bold=True), TextStyle(20), 20

MARGIN = 40
"""Around a picture's content, in pixels."""
HEADER = MARGIN + _TITLE.line_height + _SUMMARY.line_height + _BELOW_HEADER
"""From a picture's top to what follows its header, in pixels, where the title has one line."""
ANSWER_HEIGHT = _BEST.line_height + 2 + _BAR
"""Of one answer with its bar, in pixels."""
ANSWER_STEP = 62
"""From one answer's top to the next's, in pixels."""


class Mark(NamedTuple):
    """Something judged, or a tick or a cross alone, and the judgement's colour."""

    text: str
    colour: str


# The colours are told apart with any colour vision (Okabe and Ito).
RIGHT, WRONG = Mark("\N{CHECK MARK} ", "#009E73"), Mark("\N{BALLOT X} ", "#D55E00")
UNKNOWN = Mark("", SOFT_INK)
"""Where the truth is not known."""


class Entry(NamedTuple):
    """One colour of a legend and what it means."""

    colour: str
    words: str


def judge(class_name: str, truth: str | None) -> Mark:
    """Return a tick or a cross with a space behind; no text where the true class is not known."""
    if truth is None:
        return UNKNOWN
    return RIGHT if class_name == truth else WRONG


def verdict(answer: RankedClass, truth: str | None) -> Mark:
    """Say a decision and whether it is right."""
    mark = judge(answer.class_name, truth)
    if truth is None:
        words = "the true class is not known"
    else:
        words = "which is right" if answer.class_name == truth else f"but the true class is {truth}"
    return Mark(f"{mark.text}{answer.class_name} {answer.probability:.1%}, {words}", mark.colour)


def draw_header(page: Page, title: str, summary: Mark, lines: int = 1) -> float:
    """Draw a picture's title in at most so many lines and one line below it; return where what follows begins."""
    room, style = page.size.width - 2 * MARGIN, _SUMMARY._replace(ink=summary.colour)
    below = page.write((MARGIN, MARGIN), page.wrapped(title, _TITLE, room, lines), _TITLE)
    return page.write((MARGIN, below), page.fitted(summary.text, style, room), style) + _BELOW_HEADER


def draw_answers(
    page: Page,
    box: Room,
    answers: Sequence[RankedClass],
    truth: str | None,
    *,
    best: TextStyle = _BEST,
    step: int = ANSWER_STEP,
) -> None:
    """Draw a bar for each answer from the top of a box; the first is judged, and the true class wherever it is."""
    top = box.top
    taken = page.length(f"{WRONG.text}100.0%", best) + 12
    names = apart(page, [answer.class_name for answer in answers], best, box.width - taken)
    for rank, (answer, name) in enumerate(zip(answers, names, strict=True)):
        judged = rank == 0 or answer.class_name == truth
        mark = judge(answer.class_name, truth) if judged else Mark("", PALE_INK)
        style, percentage = best if rank == 0 else CLASS, f"{answer.probability:.1%}"
        page.write((box.left, top), f"{mark.text}{name}", style)
        page.write((box.right, top), percentage, style, align="right")
        bar = top + style.line_height + 2
        page.fill(Room(box.left, bar, box.right, bar + _BAR), TRACK)
        page.fill(Room(box.left, bar, box.left + answer.probability * box.width, bar + _BAR), mark.colour)
        top += step


def draw_scale(page: Page, corner: tuple[float, float], least: str, most: str) -> None:
    """Explain the colours of heat from a top left corner to the right: a word, the colours, another word."""
    (left, top), size = corner, Size(160, 12)
    page.write(corner, least, CAPTION)
    left = round(left + page.length(least, CAPTION)) + 10
    page.panel(Room(left, top + 4, left + size.width, top + 4 + size.height), heat_scale(size))
    page.write((left + size.width + 10, top), most, CAPTION)


def draw_legend(page: Page, corner: tuple[float, float], entries: Sequence[Entry]) -> None:
    """Draw a dot of each colour and its words from a top left corner to the right."""
    left, top = corner
    for colour, words in entries:
        page.dot((left + 7, top + 10), 6, colour)
        page.write((left + 19, top), words, CAPTION)
        left += 19 + page.length(words, CAPTION) + 20
