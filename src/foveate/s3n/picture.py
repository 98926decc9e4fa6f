"""Pictures of how S3N comes to its answer: what it sees, where it looks again, what it decides (Figures 1, 2 and 4).

The words are for somebody who has not read the paper.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes

from foveate.config.branches import Branch
from foveate.drawing.captions import (
    ANSWER_HEIGHT,
    CAPTION,
    HEADER,
    MARGIN,
    Entry,
    Mark,
    draw_answers,
    draw_header,
    draw_legend,
    draw_scale,
    verdict,
)
from foveate.drawing.overlays import (
    Slice,
    cell_places,
    dimmed,
    draw_grid,
    draw_peaks,
    grid_lines,
    heated,
    relative_pull,
)
from foveate.drawing.page import CARD, PALE_INK, SOFT_INK, TRACK, Page, Room, TextStyle
from foveate.s3n.explanation import S3NExplanation, ZoomedView
from foveate.types import Size


class _ViewWords(NamedTuple):
    """A view in plain words; the colours are told apart with any colour vision (Okabe and Ito).

    ``lead`` is about peaks; ``dense`` stands in its place where a whole map draws the zoom.
    """

    heading: str
    lead: str
    dense: str
    colour: str


_VIEW_WORDS = {
    Branch.DISCRIMINATIVE.value: _ViewWords(
        "Look closer",
        "the strongest peaks attract the most pixels: what decides is enlarged",
        "what stands out the most attracts the most pixels, and is enlarged",
        "#0072B2",
    ),
    Branch.COMPLEMENTARY.value: _ViewWords(
        "Look around",
        "the weaker peaks attract more, and all reach further: more of the surroundings is enlarged",
        "what stands out the least attracts the most pixels: the surroundings are enlarged",
        "#E69F00",
    ),
}

_HEADING, _LEAD, _NAME = TextStyle(24, bold=True), TextStyle(18, ink=SOFT_INK), TextStyle(17, bold=True)
_PADDING, _GAP, _STRIPE = 20, 24, 8
_ABOVE, _BELOW = 10, 12  # between a panel and its words; a peak's marker may reach over the panel's border

_PANEL = 400
_WIDTH = 2 * MARGIN + 2 * _PADDING + 4 * _PANEL + 3 * _GAP
_PANEL_TOP = _PADDING + _HEADING.line_height + 12 + _NAME.line_height + _ABOVE
_CARD_HEIGHT = _PANEL_TOP + _PANEL + _BELOW + ANSWER_HEIGHT + _PADDING


def explanation_picture(explanation: S3NExplanation, path: Path) -> None:
    """Write a PNG, 1792 pixels wide: a row for the first view and the decision, then one for each zoomed view.

    Raises:
        UserError: The file cannot be written; what was there before is untouched.
    """
    rows = 1 + len(explanation.zoomed)
    page = Page(Size(_WIDTH, HEADER + rows * (_CARD_HEIGHT + _GAP) - _GAP + MARGIN))
    draw_header(page, explanation.title, verdict(explanation.answer[0], explanation.truth))
    _draw_first_view(page, HEADER, explanation)
    for row, view in enumerate(explanation.zoomed, start=1):
        _draw_zoomed_view(page, HEADER + row * (_CARD_HEIGHT + _GAP), explanation, view)
    page.save(path)


def _draw_first_view(page: Page, top: int, explanation: S3NExplanation) -> None:
    lead = "at the whole photograph" + (", for places that are worth another look" if explanation.zoomed else "")
    photo, response, drawing, decision = _draw_card(page, top, "First look", lead, SOFT_INK)
    image, truth = explanation.image, explanation.truth
    _draw_name(page, photo, "what it sees first and answers alone")
    page.panel(photo, image)
    draw_answers(page, _under(photo), [explanation.original_answer], truth)
    whose = "the looker's classes" if explanation.by_looker else "the predicted classes"
    _draw_name(page, response, f"where {whose} respond")
    page.panel(response, heated(image, explanation.response))
    draw_scale(page, _under(response)[:2], "least: 0", "1: most")
    _draw_drawing(page, drawing, explanation)
    _draw_name(page, decision, "what it decides")
    draw_answers(page, decision, explanation.answer[:5], truth)


def _draw_drawing(page: Page, room: Room, explanation: S3NExplanation) -> None:
    """Draw what draws the zoom: peaks, or a whole map."""
    image, dense = explanation.image, explanation.dense
    if dense is not None:
        _draw_name(page, room, "what draws the zoom: all of this")
        page.panel(room, heated(image, dense))
        draw_scale(page, _under(room)[:2], "least: 0", "1: most")
        return
    _draw_name(page, room, "peaks: the stronger, the larger")
    _draw_divided_peaks(page.panel(room, image), explanation, _PANEL)
    if explanation.peaks.any():
        draw_legend(page, _under(room)[:2], _legend(explanation))
    else:
        page.write(_under(room)[:2], "none: no place stands out", CAPTION)


def _draw_zoomed_view(page: Page, top: int, explanation: S3NExplanation, view: ZoomedView) -> None:
    words, image = _VIEW_WORDS[view.name], explanation.image
    lead = words.lead if explanation.dense is None else words.dense
    counting, pull, grid, answer = _draw_card(page, top, words.heading, lead, words.colour)
    _draw_counting(page, counting, explanation, view)
    _draw_name(page, pull, "where its pixels are pulled to")
    page.panel(pull, heated(image, relative_pull(view.attention)))
    draw_scale(page, _under(pull)[:2], "no pull", "strongest")
    _draw_name(page, grid, "where its pixels are taken from")
    draw_grid(page.panel(grid, dimmed(image)), grid_lines(view.grid, Size(*image.size)))
    page.write(_under(grid)[:2], "the denser the lines, the more is enlarged", CAPTION)
    _draw_name(page, answer, "what it sees and answers alone")
    page.panel(answer, view.view)
    draw_answers(page, _under(answer), [view.answer], explanation.truth)


def _draw_counting(page: Page, room: Room, explanation: S3NExplanation, view: ZoomedView) -> None:
    """Draw how much each peak counts in a view, or each place."""
    if explanation.dense is not None:
        _draw_name(page, room, "how much each place counts")
        page.panel(room, heated(explanation.image, view.weights))
        draw_scale(page, _under(room)[:2], "nothing", "fully")
        return
    _draw_name(page, room, "peaks: the more they count, the larger")
    _draw_one_set(page.panel(room, explanation.image), explanation, view)
    page.write(_under(room)[:2], f"{np.count_nonzero(view.weights)} of {explanation.peaks.sum()} peaks", CAPTION)


def _draw_card(page: Page, top: int, heading: str, lead: str, colour: str) -> list[Room]:
    """Draw a row's ground and heading; return the room of its four panels."""
    left, right = MARGIN + _PADDING, page.size.width - MARGIN - _PADDING
    page.fill(Room(MARGIN, top, right + _PADDING, top + _CARD_HEIGHT), CARD)
    page.fill(Room(MARGIN, top, MARGIN + _STRIPE, top + _CARD_HEIGHT), colour)
    page.write((left, top + _PADDING), heading, _HEADING)
    beside = left + page.length(heading, _HEADING) + 14
    fitted = page.fitted(lead, _LEAD, right - beside)
    page.write((beside, top + _PADDING + _HEADING.size - _LEAD.size), fitted, _LEAD)
    return [_square(left + column * (_PANEL + _GAP), top + _PANEL_TOP, _PANEL) for column in range(4)]


def _square(left: int, top: int, side: int) -> Room:
    return Room(left, top, left + side, top + side)


def _under(box: Room) -> Room:
    return Room(box.left, box.bottom + _BELOW, box.right, box.bottom + _BELOW + ANSWER_HEIGHT)


def _draw_name(page: Page, box: Room, name: str) -> None:
    page.write((box.left, box.top - _ABOVE - _NAME.line_height), page.fitted(name, _NAME, box.width), _NAME)


def _draw_divided_peaks(axes: Axes, explanation: S3NExplanation, panel: int) -> None:
    """Draw every peak: its colours by how much it counts in either view, its area by its response."""
    image, peaks = explanation.image, explanation.peaks
    shares = [(_VIEW_WORDS[view.name].colour, view.weights[peaks]) for view in explanation.zoomed]
    slices = [
        [Slice(colour, float(share[peak])) for colour, share in shares if share[peak] > 0] or [Slice(PALE_INK, 1.0)]
        for peak in range(np.count_nonzero(peaks))
    ]
    draw_peaks(axes, cell_places(peaks, Size(*image.size)), explanation.response[peaks], slices, image.width / panel)


def _draw_one_set(axes: Axes, explanation: S3NExplanation, view: ZoomedView) -> None:
    """Draw the peaks that count in a view, their area by how much."""
    image, counting = explanation.image, view.weights > 0
    weights = view.weights[counting]
    slices = [[Slice(_VIEW_WORDS[view.name].colour, 1.0)]] * len(weights)
    draw_peaks(axes, cell_places(counting, Size(*image.size)), weights, slices, image.width / _PANEL)


def _legend(explanation: S3NExplanation) -> list[Entry]:
    entries = [
        Entry(_VIEW_WORDS[view.name].colour, _VIEW_WORDS[view.name].heading.lower()) for view in explanation.zoomed
    ]
    used = sum((view.weights for view in explanation.zoomed), np.zeros(explanation.peaks.shape))
    return [*entries, Entry(PALE_INK, "not used")] if (explanation.peaks & (used == 0)).any() else entries


_SMALL_PANEL, _LABELS, _DECISIONS, _NAMES, _ROW_GAP = 300, 150, 400, 44, 12

_LABEL = TextStyle(20, bold=True)


def evidence_picture(rows: Sequence[tuple[str, S3NExplanation]], path: Path) -> None:
    """Write a PNG, at most 1666 pixels wide, of how the evidence changes, as while a network learns (Figure 4).

    Args:
        rows: A label, such as "epoch 5", and what was seen then; from top to bottom.
        path: The file.

    Raises:
        ValueError: There is no row.
        UserError: The file cannot be written; what was there before is untouched.
    """
    if not rows:
        raise ValueError("a picture of evidence must have at least one row; got none")
    present = {view.name for _, explanation in rows for view in explanation.zoomed}
    names = [name for name in _VIEW_WORDS if name in present]
    step = _SMALL_PANEL + 2 * _PADDING + _ROW_GAP
    width = 2 * (MARGIN + _PADDING) + _LABELS + (1 + len(names)) * (_SMALL_PANEL + _GAP) + _GAP + _DECISIONS
    page = Page(Size(width, HEADER + _NAMES + len(rows) * step - _ROW_GAP + MARGIN))
    photographs = {(explanation.title, _truth(explanation.truth)) for _, explanation in rows}
    several = len(photographs) > 1
    title, summary = ("Where it looks, and what it decides", f"{len(rows)} looks") if several else photographs.pop()
    draw_header(page, title, Mark(summary, SOFT_INK))
    _draw_columns(page, names)
    for row, (label, explanation) in enumerate(rows):
        top = HEADER + _NAMES + row * step
        page.fill(Room(MARGIN, top, width - MARGIN, top + step - _ROW_GAP), CARD)
        beside, *rooms = _columns(top + _PADDING, len(names))
        _draw_label(page, beside, label, explanation if several else None)
        _draw_evidence(page, rooms, explanation, names)
    page.save(path)


def _truth(truth: str | None) -> str:
    return "the true class is not known" if truth is None else f"the true class is {truth}"


def _columns(top: int, zoomed: int) -> list[Room]:
    """Return the room of a row's label, its pictures and its decision."""
    left = MARGIN + _PADDING
    pictures = left + _LABELS + _GAP
    lefts = [pictures + column * (_SMALL_PANEL + _GAP) for column in range(2 + zoomed)]
    label, decision = (left, left + _LABELS), (lefts[-1], lefts[-1] + _DECISIONS)
    rooms = [label, *((each, each + _SMALL_PANEL) for each in lefts[:-1]), decision]
    return [Room(first, top, last, top + _SMALL_PANEL) for first, last in rooms]


def _draw_columns(page: Page, names: Sequence[str]) -> None:
    _, response, *views, decision = _columns(HEADER, len(names))
    page.write((response.left, HEADER), "where it looks", _NAME)
    for room, words in zip(views, (_VIEW_WORDS[name] for name in names), strict=True):
        page.dot((room.left + 8, HEADER + 11), 7, words.colour)
        page.write((room.left + 24, HEADER), words.heading.lower(), _NAME)
    page.write((decision.left, HEADER), "what it decides", _NAME)


def _draw_label(page: Page, room: Room, label: str, explanation: S3NExplanation | None) -> None:
    """Draw a row's label, and which photograph it shows where the rows differ in that."""
    below = page.write(room[:2], page.wrapped(label, _LABEL, room.width, lines=4), _LABEL)
    if explanation is not None:
        words = f"{explanation.title}: {_truth(explanation.truth)}"
        page.write((room.left, below + 8), page.wrapped(words, CAPTION, room.width, lines=8), CAPTION)


def _draw_evidence(page: Page, rooms: Sequence[Room], explanation: S3NExplanation, names: Sequence[str]) -> None:
    response, *views, decision = rooms
    drawing = explanation.response if explanation.dense is None else explanation.dense
    axes = page.panel(response, heated(explanation.image, drawing))
    _draw_divided_peaks(axes, explanation, _SMALL_PANEL)
    present = {view.name: view.view for view in explanation.zoomed}
    for view, name in zip(views, names, strict=True):
        if name in present:
            page.panel(view, present[name])
        else:
            page.fill(view, TRACK)
            page.write((view.left + 16, view.top + 12), "not looked", CAPTION)
    draw_answers(page, decision, explanation.answer[:4], explanation.truth)
