"""A picture of how MA-CNN comes to its answer: the parts it found, the crops it looks at, what each stream answers.

The words are for somebody who has not read the paper.
"""

from __future__ import annotations

from pathlib import Path

from matplotlib.axes import Axes
from PIL import Image

from foveate.drawing.captions import ANSWER_HEIGHT, HEADER, MARGIN, draw_answers, draw_header, verdict
from foveate.drawing.overlays import draw_box, draw_disc, heated_by_cells
from foveate.drawing.page import CARD, SOFT_INK, Page, Room, TextStyle
from foveate.macnn.explanation import MACNNExplanation, Part
from foveate.types import Size

# Told apart with any colour vision (Okabe and Ito).
_COLOURS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#F0E442", "#000000")
_OBJECT_COLOUR = "#FFFFFF"
_NAME = TextStyle(17, bold=True)
_PADDING, _GAP, _STRIPE, _BELOW = 20, 24, 8, 12
_COLUMNS, _PANEL = 4, 400
_WIDTH = 2 * (MARGIN + _PADDING) + _COLUMNS * _PANEL + (_COLUMNS - 1) * _GAP
_NAMED = _NAME.line_height + 10  # a panel's name and the room between them
_FIRST_HEIGHT = 2 * _PADDING + _NAMED + _PANEL + _BELOW + ANSWER_HEIGHT
_PART_HEIGHT = 2 * _PADDING + _NAMED + 2 * (_PANEL + _BELOW) + ANSWER_HEIGHT
_PEAK = 9  # radius of a peak's mark, in pixels of the picture


def parts_picture(explanation: MACNNExplanation, path: Path) -> None:
    """Write a PNG, 1792 pixels wide: the whole view and the decision, then each part's attention, crop and answer.

    Raises:
        UserError: The file cannot be written; what was there before is untouched.
    """
    rows = -(-len(explanation.parts) // _COLUMNS)
    page = Page(Size(_WIDTH, HEADER + _FIRST_HEIGHT + rows * (_GAP + _PART_HEIGHT) + MARGIN))
    draw_header(page, explanation.title, verdict(explanation.answer[0], explanation.truth))
    _draw_whole(page, HEADER, explanation)
    for row in range(rows):
        top = HEADER + _FIRST_HEIGHT + _GAP + row * (_PART_HEIGHT + _GAP)
        page.fill(Room(MARGIN, top, _WIDTH - MARGIN, top + _PART_HEIGHT), CARD)
        for column, part in enumerate(explanation.parts[row * _COLUMNS :][:_COLUMNS]):
            _draw_part(page, _column(column, top), explanation, part, row * _COLUMNS + column)
    page.save(path)


def _draw_whole(page: Page, top: int, explanation: MACNNExplanation) -> None:
    image, truth = explanation.image, explanation.truth
    page.fill(Room(MARGIN, top, _WIDTH - MARGIN, top + _FIRST_HEIGHT), CARD)
    page.fill(Room(MARGIN, top, MARGIN + _STRIPE, top + _FIRST_HEIGHT), SOFT_INK)
    photo, parts, *objects, decision = (_column(column, top) for column in range(4 if explanation.object else 3))
    _draw_name(page, photo, "what it sees first and answers alone")
    page.panel(photo, image)
    draw_answers(page, _under(photo), [explanation.original_answer], truth)
    _draw_name(page, parts, "the parts it found, and their crops")
    axes = page.panel(parts, image)
    for number, part in enumerate(explanation.parts):
        draw_box(axes, part.crop.box, _COLOURS[number])
    for number, part in enumerate(explanation.parts):
        _draw_peak(axes, part, image, _COLOURS[number])
    if explanation.object is not None:
        draw_box(axes, explanation.object.box, _OBJECT_COLOUR)
        _draw_name(page, objects[0], "the box around all parts")
        page.panel(objects[0].letterbox(Size(*explanation.object.view.size)), explanation.object.view)
        draw_answers(page, _under(objects[0]), [explanation.object.answer], truth)
    _draw_name(page, decision, "what it decides")
    draw_answers(page, decision, explanation.answer[:5], truth)


def _draw_part(page: Page, room: Room, explanation: MACNNExplanation, part: Part, number: int) -> None:
    page.dot((room.left + 8, room.top - _NAMED + 11), 7, _COLOURS[number])
    page.write((room.left + 24, room.top - _NAMED), f"part {number + 1}: where its channels respond", _NAME)
    image, least, most = explanation.image, part.attention.min(), part.attention.max()
    heat = (part.attention - least) / (most - least if most > least else 1)
    axes = page.panel(room, heated_by_cells(image, heat))
    _draw_peak(axes, part, image, _COLOURS[number])
    crop = Room(room.left, room.bottom + _BELOW, room.right, room.bottom + _BELOW + room.height)
    page.panel(crop, part.crop.view)
    draw_answers(page, _under(crop), [part.crop.answer], explanation.truth)


def _draw_peak(axes: Axes, part: Part, image: Image.Image, colour: str) -> None:
    draw_disc(axes, part.peak, _PEAK * image.width / _PANEL, colour)


def _draw_name(page: Page, box: Room, name: str) -> None:
    page.write((box.left, box.top - _NAMED), page.fitted(name, _NAME, box.width), _NAME)


def _column(column: int, top: int) -> Room:
    left, below = MARGIN + _PADDING + column * (_PANEL + _GAP), top + _PADDING + _NAMED
    return Room(left, below, left + _PANEL, below + _PANEL)


def _under(box: Room) -> Room:
    return Room(box.left, box.bottom + _BELOW, box.right, box.bottom + _BELOW + ANSWER_HEIGHT)
