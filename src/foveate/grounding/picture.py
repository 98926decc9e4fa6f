"""A picture of where a network sees its best classes: the photograph, and a map of each over it.

The words are for somebody who has not read a paper.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from jaxtyping import Float

from foveate.drawing.captions import (
    ANSWER_HEIGHT,
    CAPTION,
    HEADER,
    MARGIN,
    draw_answers,
    draw_header,
    draw_scale,
    verdict,
)
from foveate.drawing.overlays import heated_by_cells
from foveate.drawing.page import CARD, SOFT_INK, Page, Room, TextStyle
from foveate.grounding.explanation import MapsExplanation
from foveate.types import Size

_NAME = TextStyle(17, bold=True)
_PADDING, _GAP, _STRIPE, _BELOW = 20, 24, 8, 12
_COLUMNS, _PANEL = 4, 400
_WIDTH = 2 * (MARGIN + _PADDING) + _COLUMNS * _PANEL + (_COLUMNS - 1) * _GAP
_LINES = 2  # of a panel's name: long names of classes often differ at their end
_NAMED = _LINES * _NAME.line_height + 10  # a panel's name and the room between them
_HEIGHT = 2 * _PADDING + _NAMED + _PANEL + _BELOW + ANSWER_HEIGHT + _BELOW + CAPTION.line_height


def maps_picture(explanation: MapsExplanation, path: Path) -> None:
    """Write a PNG, 1792 pixels wide: the photograph in colour, then a map of each of its best classes over it.

    All maps have one scale.

    Raises:
        UserError: The file cannot be written; what was there before is untouched.
    """
    page = Page(Size(_WIDTH, HEADER + _HEIGHT + MARGIN))
    draw_header(page, explanation.title, verdict(explanation.answer[0], explanation.truth))
    page.fill(Room(MARGIN, HEADER, _WIDTH - MARGIN, HEADER + _HEIGHT), CARD)
    page.fill(Room(MARGIN, HEADER, MARGIN + _STRIPE, HEADER + _HEIGHT), SOFT_INK)
    photo = _column(0)
    _draw_name(page, photo, "what it sees")
    page.panel(photo, explanation.image)
    others = 1 - sum(each.probability for each in explanation.answer[: len(explanation.maps)])
    page.write(_under(photo)[:2], f"all other classes together: {max(others, 0.0):.1%}", CAPTION)
    most = max(float(each.max()) for each in explanation.maps)
    for number, (heat, answer) in enumerate(zip(explanation.maps, explanation.answer, strict=False), start=1):
        room = _column(number)
        _draw_name(page, room, f"where it sees {answer.class_name}")
        page.panel(room, heated_by_cells(explanation.image, _scaled(heat, most)))
        draw_answers(page, _under(room), [answer], explanation.truth if number == 1 else None)
    below = _under(_column(1))
    draw_scale(page, (below.left, below.bottom + _BELOW), "nothing", "most of all")
    page.write((_column(2).left, below.bottom + _BELOW), explanation.words, CAPTION)
    page.save(path)


def _scaled(heat: Float[np.ndarray, "h w"], most: float) -> Float[np.ndarray, "h w"]:
    return heat / most if most > 0 else np.zeros_like(heat)


def _draw_name(page: Page, box: Room, name: str) -> None:
    lines = page.wrapped(name, _NAME, box.width, _LINES)
    page.write((box.left, box.top - _NAMED + (_LINES - len(lines)) * _NAME.line_height), lines, _NAME)


def _column(column: int) -> Room:
    left, top = MARGIN + _PADDING + column * (_PANEL + _GAP), HEADER + _PADDING + _NAMED
    return Room(left, top, left + _PANEL, top + _PANEL)


def _under(box: Room) -> Room:
    return Room(box.left, box.bottom + _BELOW, box.right, box.bottom + _BELOW + ANSWER_HEIGHT)
