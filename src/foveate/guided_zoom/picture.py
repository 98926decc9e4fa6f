"""The picture of how a Guided Zoom comes to its answer.

It shows the photograph, what tells the two best classes apart, and a row for each class.
The words are for somebody who has not read the paper.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from string import ascii_uppercase

from PIL import Image

from foveate.drawing.captions import CAPTION, HEADER, MARGIN, WRONG, draw_header, draw_scale, judge, verdict
from foveate.drawing.names import apart, wrapped_name
from foveate.drawing.overlays import draw_box, heated_by_cells
from foveate.drawing.page import CARD, INK, PALE_INK, SOFT_INK, TRACK, Page, Room, TextStyle
from foveate.guided_zoom.config import Rule, Scores
from foveate.guided_zoom.explanation import ClassEvidence, ExplainedRound, ZoomExplanation
from foveate.guided_zoom.reasons import reason, remarks, term_name
from foveate.types import Size

# Told apart with any colour vision (Okabe and Ito); the first answer is grey.
_PATCHES = ("#0072B2", "#E69F00", "#CC79A7", "#56B4E9", "#F0E442", "#000000")

_REASON, _REMARK = TextStyle(18), TextStyle(17, ink=SOFT_INK)
_NAME, _NUMBERS, _HEADING = TextStyle(22, bold=True), TextStyle(16, ink=SOFT_INK), TextStyle(17, bold=True)
_VALUE = TextStyle(16, bold=True)

_PADDING, _GAP, _STRIPE, _BAR = 20, 24, 8, 9
_INSIDE, _TILE, _TILE_GAP, _WORDS = 1400, 168, 12, 250
_GROUP = 2 * _TILE + _TILE_GAP
_HEADINGS = 2 * _HEADING.line_height + 10
_ABOVE, _BELOW = CAPTION.line_height + 5, 10 + _VALUE.line_height + 2 + 2 * CAPTION.line_height
_CARD = _PADDING + _ABOVE + _TILE + _BELOW + _PADDING
_DISC = 12
_REASON_LINES, _REMARK_LINES = 3, 2


@dataclass(frozen=True)
class _Places:
    """The different patches of an explanation, each with a letter: nearly equal ones are one."""

    patches: tuple[ExplainedRound, ...]

    @classmethod
    def of(cls, explanation: ZoomExplanation) -> _Places:
        patches: list[ExplainedRound] = []
        for evidence in (each for one in explanation.shown_classes for each in one.rounds):
            if not any(evidence.at_place_of(other) for other in patches):
                patches.append(evidence)
        return cls(tuple(patches))

    def number(self, evidence: ExplainedRound) -> int:
        """Return which patch it is, counted from 0."""
        return next(number for number, other in enumerate(self.patches) if evidence.at_place_of(other))

    def colour(self, evidence: ExplainedRound) -> str:
        return _PATCHES[self.number(evidence) % len(_PATCHES)]

    def letter(self, evidence: ExplainedRound) -> str:
        return ascii_uppercase[self.number(evidence) % len(ascii_uppercase)]

    def is_first(self, evidence: ExplainedRound) -> bool:
        """Whether it is the one that stands for all that are nearly equal."""
        return self.patches[self.number(evidence)] is evidence


@dataclass(frozen=True)
class _Layout:
    """Where the cards of classes stand: side by side where two fit."""

    width: int
    columns: int
    card: int
    """Width of one card, in pixels."""
    panel: int
    """Side of the pictures above the cards, in pixels."""
    panels: int

    @classmethod
    def of(cls, explanation: ZoomExplanation) -> _Layout:
        maps = 0 if explanation.maps_alike else _TILE + _GAP
        needed = 2 * _PADDING + _WORDS + maps + len(explanation.classes[0].rounds) * (_GAP + _GROUP)
        columns = 2 if 2 * needed + _GAP <= _INSIDE and len(explanation.classes) > 1 else 1
        inside = max(_INSIDE, needed)
        panels = 1 + explanation.maps_alike + 2 * (explanation.twins is not None)
        panel = min(440, (inside - 2 * _PADDING - (panels - 1) * _GAP) // panels)
        return cls(inside + 2 * MARGIN, columns, (inside - (columns - 1) * _GAP) // columns, panel, panels)

    @property
    def first_card(self) -> int:
        """Height of the card with the photograph."""
        return _PADDING + _HEADINGS + self.panel + 10 + CAPTION.line_height + _PADDING

    def height(self, classes: int) -> int:
        """Return how high all cards of classes are together."""
        return -(-classes // self.columns) * (_CARD + _GAP) - _GAP

    def room(self, number: int, top: int) -> Room:
        """Return the card of a class."""
        row, column = divmod(number, self.columns)
        left, upper = MARGIN + column * (self.card + _GAP), top + row * (_CARD + _GAP)
        return Room(left, upper, left + self.card, upper + _CARD)


def zoom_picture(explanation: ZoomExplanation, path: Path) -> None:
    """Write a PNG, at least 1480 pixels wide: what was decided and why, the photograph, then a card for each class.

    Raises:
        UserError: The file cannot be written; what was there before is untouched.
    """
    layout, places, classes = _Layout.of(explanation), _Places.of(explanation), explanation.shown_classes
    ruler, room = Page(Size(layout.width, 1)), layout.width - 2 * MARGIN
    lines = ruler.wrapped(reason(explanation), _REASON, room, _REASON_LINES)
    said = [ruler.wrapped(each, _REMARK, room - 24, _REMARK_LINES) for each in remarks(explanation)]
    words = len(lines) * _REASON.line_height + sum(8 + len(each) * _REMARK.line_height for each in said)
    top = HEADER - 8 + words + 20  # which follows from where the texts break
    cards = top + layout.first_card + _GAP
    page = Page(Size(layout.width, cards + layout.height(len(classes)) + MARGIN))
    draw_header(page, explanation.title, verdict(explanation.answer, explanation.truth))
    below = page.write((MARGIN, HEADER - 8), lines, _REASON)
    for each in said:
        page.dot((MARGIN + 7, below + 20), 6, WRONG.colour)
        below = page.write((MARGIN + 24, below + 8), each, _REMARK)
    _draw_photograph(page, top, explanation, places, layout)
    for number, evidence in enumerate(classes):
        _draw_class(page, layout.room(number, cards), explanation, evidence, places)
    page.save(path)


def _draw_photograph(page: Page, top: int, explanation: ZoomExplanation, places: _Places, layout: _Layout) -> None:
    """Draw the photograph in colour with its patches, and what tells the chosen class and its rival apart."""
    page.fill(Room(MARGIN, top, page.size.width - MARGIN, top + layout.first_card), CARD)
    upper = top + _PADDING + _HEADINGS
    lefts = (MARGIN + _PADDING + column * (layout.panel + _GAP) for column in range(layout.panels))
    photo, *rooms = (Room(left, upper, left + layout.panel, upper + layout.panel) for left in lefts)
    _draw_heading(page, photo, ["the photograph, and the", "patches it looks at again"])
    _draw_patches(page, photo, explanation.image, places)
    if explanation.maps_alike:
        room = rooms.pop(0)
        _draw_heading(page, room, ["where it sees these classes,", "nearly the same for all"])
        page.panel(room, heated_by_cells(explanation.image, explanation.classes[0].rounds[0].heat))
        draw_scale(page, (room.left, room.bottom + 10), "least", "most")
    twins = explanation.twins
    if twins is None:
        return
    names = apart(
        page, (twins.first_class, twins.second_class), _HEADING, layout.panel - page.length("and not ", _HEADING)
    )
    for room, heat, (ours, other) in zip(rooms, (twins.first, twins.second), (names, names[::-1]), strict=True):
        _draw_heading(page, room, [f"why {ours}", f"and not {other}"])
        page.panel(room, heated_by_cells(explanation.image, heat))
    draw_scale(page, (rooms[0].left, rooms[0].bottom + 10), "nothing", "most of both")


def _draw_heading(page: Page, room: Room, lines: list[str]) -> None:
    page.write((room.left, room.top - _HEADINGS), lines, _HEADING)


def _draw_patches(page: Page, room: Room, view: Image.Image, places: _Places) -> None:
    axes, unit = page.panel(room, view), view.width / room.width
    for evidence in reversed(places.patches):  # the first on top
        draw_box(axes, evidence.box, places.colour(evidence))
    taken: list[tuple[float, float]] = []
    for evidence in places.patches:
        x, y = room.left + evidence.box.left / unit + _DISC + 2, room.top + evidence.box.top / unit + _DISC + 2
        while any(max(abs(x - left), abs(y - top)) < 2 * _DISC for left, top in taken):
            x += 2 * _DISC + 2  # beside another letter, so that both can be read
        taken.append((x, y))
        page.badge((x, y), _DISC, places.letter(evidence), places.colour(evidence))


def _draw_class(page: Page, card: Room, explanation: ZoomExplanation, each: ClassEvidence, places: _Places) -> None:
    chosen, mark = each is explanation.classes[explanation.chosen], judge(each.class_name, explanation.truth)
    marked = chosen or each.class_name == explanation.truth
    colour = mark.colour if marked and mark.text else INK if chosen else PALE_INK
    page.fill(card, CARD)
    page.fill(card._replace(right=card.left + _STRIPE), colour)
    left, right, top = card.left + _PADDING, card.right - _PADDING, card.top + _PADDING
    tiles = len(each.rounds) * (_GAP + _GROUP) + (0 if explanation.maps_alike else _GAP + _TILE)
    words = right - left - tiles
    style = _NAME._replace(ink=colour) if marked else _NAME
    name = wrapped_name(page, f"{mark.text if marked else ''}{each.class_name}", style, words, 3)
    below = page.write((left, top), name, style) + 6
    if chosen:
        below = page.write((left, below), "chosen", _NUMBERS._replace(bold=True, ink=colour))
    numbers = [f"first answer {each.probability:.1%}", f"after the evidence {each.refined:.1%}"]
    below = page.write((left, below), numbers, _NUMBERS) + 8
    _draw_score(page, Room(left, below, left + words, card.bottom - _PADDING), explanation, each, places)
    tile = Room(left + words + _GAP, top + _ABOVE, left + words + _GAP + _TILE, top + _ABOVE + _TILE)
    if not explanation.maps_alike:
        _caption(page, tile, "where it is seen")
        page.panel(tile, heated_by_cells(explanation.image, each.rounds[0].heat))
        tile = tile._replace(left=tile.right + _GAP, right=tile.right + _GAP + _TILE)
    for number, evidence in enumerate(each.rounds):
        start = tile.left + number * (_GAP + _GROUP)
        _draw_round(page, tile._replace(left=start, right=start + _TILE), number, evidence, places)


def _draw_round(page: Page, tile: Room, number: int, evidence: ExplainedRound, places: _Places) -> None:
    """Draw the patch, how probable the class is to who sees it alone, and what of the pool looks most like it."""
    if evidence.off_object:
        _caption(page, tile, f"{number + 1}: off the object", WRONG.colour)
    else:
        _caption(page, tile, term_name(number + 1))
    page.fill(tile, TRACK)
    if places.is_first(evidence):
        page.panel(tile.letterbox(Size(*evidence.patch.size)), evidence.patch)
    else:
        page.write((tile.left + 12, tile.top + 2 * _DISC + 20), [f"patch {places.letter(evidence)} again"], CAPTION)
    badge = (tile.left + _DISC + 6, tile.top + _DISC + 6)
    page.badge(badge, _DISC, places.letter(evidence), places.colour(evidence))
    below = tile._replace(top=tile.bottom + 10)
    _draw_likeness(page, below, evidence, places.colour(evidence))
    if not evidence.found:
        page.write((tile.left, below.top + _VALUE.line_height + _BAR + 4), "no peak: the middle", CAPTION)
    nearest = tile._replace(left=tile.right + _TILE_GAP, right=tile.right + _TILE_GAP + _TILE)
    _draw_nearest(page, nearest, evidence)


def _caption(page: Page, tile: Room, words: str, colour: str = SOFT_INK) -> None:
    style = CAPTION._replace(ink=colour)
    page.write((tile.left, tile.top - _ABOVE), page.fitted(words, style, tile.width), style)


def _draw_likeness(page: Page, room: Room, evidence: ExplainedRound, colour: str) -> None:
    """Draw how probable the class is to the Evidence CNN, which sees the patch alone."""
    page.write(room[:2], "this class", CAPTION)
    page.write((room.right, room.top), f"{evidence.probability:.1%}", _VALUE, align="right")
    top = room.top + _VALUE.line_height + 2
    page.fill(Room(room.left, top, room.right, top + _BAR), TRACK)
    page.fill(Room(room.left, top, room.left + evidence.probability * room.width, top + _BAR), colour)


def _draw_nearest(page: Page, tile: Room, evidence: ExplainedRound) -> None:
    _caption(page, tile, "nearest in training")
    page.fill(tile, TRACK)
    if not evidence.nearest:
        page.write((tile.left + 12, tile.top + 12), ["none of this", "class is here"], CAPTION)
        return
    near = evidence.nearest[0]
    page.panel(tile.letterbox(Size(*near.picture.size)), near.picture)
    top = tile.bottom + 10
    page.write((tile.left, top), "distance", CAPTION)
    page.write((tile.right, top), f"{near.distance:.2f}", _VALUE, align="right")
    photograph = near.id.rpartition("#")[0] or near.id
    name = page.wrapped(photograph.rpartition("/")[2], CAPTION, tile.width, lines=2)
    page.write((tile.left, top + _VALUE.line_height + 2), name, CAPTION)


def _draw_score(page: Page, room: Room, explanation: ZoomExplanation, each: ClassEvidence, places: _Places) -> None:
    """Draw the weighted terms of a class's score, in words and as a bar that the best score fills."""
    config = explanation.config
    terms = [f"{term:.3f} {term_name(index)}" for index, term in enumerate(each.terms)]
    added = config.rule is Rule.SUM
    words = f"score {each.score:.3f}{' =' if added else ', the largest of'} {(' + ' if added else ', ').join(terms)}"
    below = page.write(room[:2], page.wrapped(words, CAPTION, room.width, 4), CAPTION)
    if config.scores is Scores.LOGITS:
        return  # which may be negative
    top = below + 4
    page.fill(Room(room.left, top, room.right, top + _BAR), TRACK)
    best = max(other.score for other in explanation.classes)
    left = room.left
    for index, term in enumerate(each.terms):
        if added or index == each.terms.index(max(each.terms)):
            right = left + term / (best or 1.0) * room.width
            page.fill(Room(left, top, right, top + _BAR), _term_colour(index, each, places))
            left = right


def _term_colour(index: int, each: ClassEvidence, places: _Places) -> str:
    return SOFT_INK if index == 0 else places.colour(each.rounds[index - 1])
