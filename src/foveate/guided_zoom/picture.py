"""The picture of how a Guided Zoom comes to its answer: a row for each class, a group of tiles for each round.

The words are for somebody who has not read the paper.
"""

from __future__ import annotations

from pathlib import Path

from PIL import Image

from foveate.drawing.captions import CAPTION, HEADER, MARGIN, draw_header, draw_scale, judge, verdict
from foveate.drawing.overlays import draw_box, draw_disc, heated_by_cells
from foveate.drawing.page import CARD, INK, PALE_INK, SOFT_INK, TRACK, Page, Room, TextStyle
from foveate.guided_zoom.config import Rule, Scores
from foveate.guided_zoom.explanation import ClassEvidence, ExplainedRound, ZoomExplanation
from foveate.guided_zoom.reasons import reason, term_name
from foveate.types import Size

# Told apart with any colour vision (Okabe and Ito); the first answer is grey.
_ROUNDS = ("#0072B2", "#E69F00", "#CC79A7", "#56B4E9")

_REASON, _NAME, _NUMBERS = TextStyle(18), TextStyle(24, bold=True), TextStyle(18, ink=SOFT_INK)
_GROUP, _NUMBER, _VALUE = TextStyle(17, bold=True), TextStyle(14, bold=True, ink="white"), TextStyle(16, bold=True)

_PADDING, _GAP, _STRIPE, _BAR = 20, 24, 8, 9
_MAP, _TILE, _TILE_GAP = 300, 154, 10
_GROUP_WIDTH = 3 * _TILE + 2 * _TILE_GAP
_PANELS = _PADDING + _NAME.line_height + 14
_TILES = _GROUP.line_height + 8 + CAPTION.line_height + 4
_SCALE = CAPTION.line_height + 12
_CARD = _PANELS + _MAP + _SCALE + 3 + CAPTION.line_height + _BAR + 8 + _PADDING
_REASON_LINES = 3
_DISC, _APART = 10, 24  # radius of a number's disc, and from one to the next


def zoom_picture(explanation: ZoomExplanation, path: Path) -> None:
    """Write a PNG, 1888 pixels wide for three rounds: what was decided and why, then a row for each class.

    Raises:
        UserError: The file cannot be written; what was there before is untouched.
    """
    classes, rounds = explanation.classes, len(explanation.classes[0].rounds)
    width = 2 * (MARGIN + _PADDING) + _MAP + rounds * (_GAP + _GROUP_WIDTH)
    ruler = Page(Size(width, 1))  # the picture's height follows from where the reason breaks
    lines = ruler.wrapped(reason(explanation), _REASON, width - 2 * MARGIN, _REASON_LINES)
    top = HEADER - 8 + len(lines) * _REASON.line_height + 20
    page = Page(Size(width, top + len(classes) * (_CARD + _GAP) - _GAP + MARGIN))
    draw_header(page, explanation.title, verdict(explanation.answer, explanation.truth))
    page.write((MARGIN, HEADER - 8), lines, _REASON)
    for row, each in enumerate(classes):
        _draw_class(page, top + row * (_CARD + _GAP), explanation, each)
    page.save(path)


def _draw_class(page: Page, top: int, explanation: ZoomExplanation, each: ClassEvidence) -> None:
    left, right = MARGIN + _PADDING, page.size.width - MARGIN - _PADDING
    chosen, mark = each is explanation.classes[explanation.chosen], judge(each.class_name, explanation.truth)
    marked = chosen or each.class_name == explanation.truth
    colour = mark.colour if marked and mark.text else INK if chosen else PALE_INK
    page.fill(Room(MARGIN, top, right + _PADDING, top + _CARD), CARD)
    page.fill(Room(MARGIN, top, MARGIN + _STRIPE, top + _CARD), colour)
    name = page.fitted(f"{mark.text if marked else ''}{each.class_name}", _NAME, (right - left) / 2)
    page.write((left, top + _PADDING), name, _NAME._replace(ink=colour) if marked else _NAME)
    beside = left + page.length(name, _NAME) + 14
    numbers = (
        f"{'chosen: ' if chosen else ''}first answer {each.probability:.1%}, after the evidence {each.refined:.1%}"
    )
    page.write((beside, top + _PADDING + _NAME.size - _NUMBERS.size), numbers, _NUMBERS)
    where = Room(left, top + _PANELS, left + _MAP, top + _PANELS + _MAP)
    _draw_map(page, where, explanation.image, each)
    for number, evidence in enumerate(each.rounds):
        start = where.right + _GAP + number * (_GROUP_WIDTH + _GAP)
        _draw_round(page, Room(start, where.top, start + _GROUP_WIDTH, where.bottom), number, evidence)
    _draw_score(page, Room(left, where.bottom + _SCALE, right, top + _CARD - _PADDING), explanation, each)


def _draw_map(page: Page, room: Room, view: Image.Image, each: ClassEvidence) -> None:
    """Draw where the network sees the class, and the patches of all rounds, numbered at their peaks."""
    axes = page.panel(room, heated_by_cells(view, each.rounds[0].heat))
    unit = view.width / room.width
    for number, evidence in reversed(list(enumerate(each.rounds))):  # the first round on top
        draw_box(axes, evidence.box, _colour(number))
    taken: list[tuple[int, int]] = []
    for number, evidence in enumerate(each.rounds):
        x, y = (round(place / unit) for place in evidence.place)
        inward = _APART if x < room.width / 2 else -_APART
        while any(max(abs(x - left), abs(y - top)) < _APART for left, top in taken):
            x += inward  # beside an earlier number, so that both can be read
        taken.append((x, y))
        draw_disc(axes, (x * unit, y * unit), _DISC * unit, _colour(number))
        text = str(number + 1)
        left, top = room.left + x - page.length(text, _NUMBER) / 2, room.top + y - 0.63 * _NUMBER.size
        page.write((left, top), text, _NUMBER)
    draw_scale(page, (room.left, room.bottom + 8), "least", "most")


def _draw_round(page: Page, room: Room, number: int, evidence: ExplainedRound) -> None:
    """Draw what was left to see, the patch, and what of the pool looks most like it."""
    page.dot((room.left + 8, room.top + 12), 7, _colour(number))
    page.write((room.left + 24, room.top), f"evidence {number + 1}", _GROUP)
    top = room.top + _TILES
    tiles = [
        Room(left, top, left + _TILE, top + _TILE)
        for left in (room.left + column * (_TILE + _TILE_GAP) for column in range(3))
    ]
    heated = heated_by_cells(evidence.erased, evidence.heat)
    erased = " and ".join(str(each + 1) for each in range(number))
    names = (f"without {erased}" if erased else "where it looks", "the patch", "nearest in training")
    pictures = (heated, evidence.patch, evidence.nearest[0].picture if evidence.nearest else None)
    for tile, name, picture in zip(tiles, names, pictures, strict=True):
        page.write((tile.left, tile.top - CAPTION.line_height - 4), page.fitted(name, CAPTION, _TILE), CAPTION)
        page.fill(tile, TRACK)
        if picture is not None:
            page.panel(tile.letterbox(Size(*picture.size)), picture)
    if not evidence.found:
        page.write((tiles[0].left, top + _TILE + 10), ["no peak: the middle", "stands in"], CAPTION)
    _draw_likeness(page, tiles[1]._replace(top=top + _TILE + 10), evidence)
    _draw_nearest(page, tiles[2]._replace(top=top + _TILE + 10), evidence)


def _draw_likeness(page: Page, room: Room, evidence: ExplainedRound) -> None:
    """Draw how probable the class is to the Evidence CNN, which sees the patch alone."""
    page.write(room[:2], "this class", CAPTION)
    page.write((room.right, room.top), f"{evidence.probability:.1%}", _VALUE, align="right")
    top = room.top + _VALUE.line_height + 2
    page.fill(Room(room.left, top, room.right, top + _BAR), TRACK)
    page.fill(Room(room.left, top, room.left + evidence.probability * room.width, top + _BAR), SOFT_INK)


def _draw_nearest(page: Page, room: Room, evidence: ExplainedRound) -> None:
    if not evidence.nearest:
        page.write(room[:2], ["none of this class", "in the pool"], CAPTION)
        return
    near = evidence.nearest[0]
    page.write(room[:2], "distance", CAPTION)
    page.write((room.right, room.top), f"{near.distance:.2f}", _VALUE, align="right")
    name = page.wrapped(near.id.rpartition("/")[2], CAPTION, room.width, lines=3)
    page.write((room.left, room.top + _VALUE.line_height + 2), name, CAPTION)


def _draw_score(page: Page, room: Room, explanation: ZoomExplanation, each: ClassEvidence) -> None:
    """Draw the weighted terms of a class's score, in words and as a bar that the best score fills."""
    config, own = explanation.config, each.terms[0]
    joint = " + " if config.rule is Rule.SUM else ", "
    terms = joint.join(f"{term:.3f} {term_name(index)}" for index, term in enumerate((own, *each.terms[1:])))
    words = (
        f"score {each.score:.3f} = {terms}"
        if config.rule is Rule.SUM
        else f"score {each.score:.3f}, the largest of {terms}"
    )
    page.write(room[:2], page.fitted(words, CAPTION, room.width), CAPTION)
    if config.scores is Scores.LOGITS:
        return  # which may be negative
    top = room.top + CAPTION.line_height + 3
    page.fill(Room(room.left, top, room.right, top + _BAR), TRACK)
    best = max(other.score for other in explanation.classes)
    left = room.left
    for index, term in enumerate(each.terms):
        if config.rule is Rule.SUM or index == each.terms.index(max(each.terms)):
            right = left + term / (best or 1.0) * room.width
            page.fill(Room(left, top, right, top + _BAR), SOFT_INK if index == 0 else _colour(index - 1))
            left = right


def _colour(number: int) -> str:
    return _ROUNDS[number % len(_ROUNDS)]
