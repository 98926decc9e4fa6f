"""Pictures of how S3N comes to its answer: what it sees, where it looks again, and what it decides (Figures 1, 2, 4)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float
from matplotlib.axes import Axes
from PIL import Image

from foveate.atomic import atomic_path
from foveate.config import Branch
from foveate.report.overlays import Slice, cell_places, draw_grid, draw_peaks, grid_lines, heat_scale, heated
from foveate.report.page import CARD, PALE_INK, SOFT_INK, TRACK, Page, TextStyle
from foveate.types import Box, RankedClass, Size

_BLUE, _ORANGE, _GREEN, _VERMILION = "#0072B2", "#E69F00", "#009E73", "#D55E00"  # Okabe and Ito: for any colour vision

_MARGIN, _PADDING, _GAP = 40, 20, 24
_SHOWN = 5

_TITLE, _SUMMARY, _HEADING = TextStyle(34, bold=True), TextStyle(20, ink=SOFT_INK), TextStyle(24, bold=True)
_LEAD, _PANEL_TITLE = TextStyle(18, ink=SOFT_INK), TextStyle(17, bold=True)
_CAPTION, _CLASS, _BEST = TextStyle(15, ink=SOFT_INK), TextStyle(16), TextStyle(17, bold=True)
_BAR = 9
_BAR_ROW = 62


class _Set(NamedTuple):
    """One of the two sets of peaks and the view that enlarges it, in words for somebody who has not read the paper."""

    heading: str
    lead: str
    colour: str


_SETS = {
    Branch.DISCRIMINATIVE.value: _Set(
        "Look closer", "the strongest peaks attract the most pixels: what decides is enlarged", _BLUE
    ),
    Branch.COMPLEMENTARY.value: _Set(
        "Look elsewhere", "the weaker peaks attract more: what the closer look leaves out is enlarged", _ORANGE
    ),
}
_FIRST_LEAD = "at the whole photograph, for the places that are worth another look"
_NO_PEAK = "none: no place stands out"


@dataclass(frozen=True, slots=True)
class ZoomedView:
    """One zoomed branch.

    Args:
        name: "discriminative" or "complementary".
        weights: How much each cell's peak counts in this view, in [0, 1]; 0 where there is none.
        attention: Q, the sampling map, greater than 0.
        grid: (x, y) in [-1, 1], as `grid_sample` takes it with ``align_corners=True``: where in the image each pixel
            of the view is taken from.
        view: The image seen through the grid.
        answer: This branch's own best class.

    Raises:
        ValueError: There is no such branch.
    """

    name: str
    weights: Float[np.ndarray, "g g"]
    attention: Float[np.ndarray, "g g"]
    grid: Float[np.ndarray, "H W 2"]
    view: Image.Image
    answer: RankedClass

    def __post_init__(self) -> None:
        if self.name not in _SETS:
            raise ValueError(f"a zoomed view must be one of {', '.join(_SETS)}; got {self.name!r}")


@dataclass(frozen=True, slots=True)
class Explanation:
    """How the network came to its answer for one photograph.

    Args:
        title: For example the file's name.
        image: The first view, square.
        response: R in [0, 1]; cells are ordered (row, column).
        peaks: T, the cells that are peaks of the response.
        zoomed: The zoomed views; none for a network that looks once.
        answer: The decision: its best classes by falling probability, at least one.
        original_answer: What the first view alone says.
        truth: The true class; None where it is not known.

    Raises:
        ValueError: The image is not square, the maps are not of one square grid of at least 2 cells a side, two zoomed
            views have one name, or there is no answer.
    """

    title: str
    image: Image.Image
    response: Float[np.ndarray, "g g"]
    peaks: Bool[np.ndarray, "g g"]
    zoomed: tuple[ZoomedView, ...]
    answer: tuple[RankedClass, ...]
    original_answer: RankedClass
    truth: str | None = None

    def __post_init__(self) -> None:
        if self.image.width != self.image.height:
            raise ValueError(f"the first view must be square; got {self.image.width}x{self.image.height} pixels")
        maps = [self.response, self.peaks, *(each for view in self.zoomed for each in (view.weights, view.attention))]
        shapes = {each.shape for each in maps}
        if shapes != {(len(self.response),) * 2} or len(self.response) < 2:
            raise ValueError(f"maps must share one square grid of at least 2 cells a side; got {sorted(shapes)}")
        names = [view.name for view in self.zoomed]
        if len(set(names)) < len(names):
            raise ValueError(f"zoomed views must have different names; got {', '.join(names)}")
        if not self.answer:
            raise ValueError("an answer must name at least one class; got none")

    @property
    def right(self) -> bool:
        """Whether the decision is the true class; False where that is not known."""
        return self.answer[0].class_name == self.truth

    def mark(self, class_name: str) -> _Mark:
        """Judge a class."""
        if self.truth is None:
            return _Mark("", SOFT_INK)
        return _Mark("\N{CHECK MARK} ", _GREEN) if class_name == self.truth else _Mark("\N{BALLOT X} ", _VERMILION)


class _Mark(NamedTuple):
    text: str
    colour: str


def explanation_picture(explanation: Explanation, path: Path) -> None:
    """Write a PNG of 1760 pixels' width: a row for the first view and the decision, then one for each zoomed view.

    Raises:
        UserError: The file cannot be written; what was there before is untouched.
    """
    rows = 1 + len(explanation.zoomed)
    page = Page(Size(_WIDTH, _HEADER + rows * (_CARD_HEIGHT + _GAP) - _GAP + _MARGIN))
    _draw_header(page, explanation)
    _draw_first_view(page, _HEADER, explanation)
    for row, view in enumerate(explanation.zoomed, start=1):
        _draw_zoomed_view(page, _HEADER + row * (_CARD_HEIGHT + _GAP), explanation, view)
    _save(page, path)


_PANEL, _STRIPE, _BELOW = 392, 8, 10
_WIDTH = 2 * _MARGIN + 2 * _PADDING + 4 * _PANEL + 3 * _GAP
_HEADER = _MARGIN + _TITLE.line_height + _SUMMARY.line_height + _PADDING
_PANEL_TOP = _PADDING + _HEADING.line_height + 10 + _PANEL_TITLE.line_height + 4
_CARD_HEIGHT = _PANEL_TOP + _PANEL + _BELOW + _BEST.line_height + 2 + _BAR + _PADDING


def _save(page: Page, path: Path) -> None:
    picture = page.picture()
    with atomic_path(path) as temporary:
        picture.save(temporary, format="PNG")


def _draw_header(page: Page, explanation: Explanation) -> None:
    room = _WIDTH - 2 * _MARGIN
    below = page.write((_MARGIN, _MARGIN), page.fitted(explanation.title, _TITLE, room), _TITLE)
    answer, mark = explanation.answer[0], explanation.mark(explanation.answer[0].class_name)
    style = _SUMMARY._replace(ink=mark.colour)
    summary = f"{mark.text}{answer.class_name} {answer.probability:.1%}, {_judgement(explanation)}"
    page.write((_MARGIN, below), page.fitted(summary, style, room), style)


def _judgement(explanation: Explanation) -> str:
    if explanation.truth is None:
        return "the true class is not known"
    return "which is right" if explanation.right else f"but the true class is {explanation.truth}"


def _draw_card(page: Page, top: float, heading: str, lead: str, colour: str) -> list[Box]:
    """Draw a row's ground and heading; return the room of its four panels."""
    left, right = _MARGIN + _PADDING, _WIDTH - _MARGIN - _PADDING
    page.fill(Box(_MARGIN, top, _WIDTH - _MARGIN, top + _CARD_HEIGHT), CARD)
    page.fill(Box(_MARGIN, top, _MARGIN + _STRIPE, top + _CARD_HEIGHT), colour)
    page.write((left, top + _PADDING), heading, _HEADING)
    beside = left + page.length(heading, _HEADING) + 14
    page.write(
        (beside, top + _PADDING + _HEADING.size - _LEAD.size), page.fitted(lead, _LEAD, right - beside), _LEAD
    )
    lefts = [left + column * (_PANEL + _GAP) for column in range(4)]
    return [Box(x, top + _PANEL_TOP, x + _PANEL, top + _PANEL_TOP + _PANEL) for x in lefts]


def _draw_first_view(page: Page, top: float, explanation: Explanation) -> None:
    photo, where, peaks, decision = _draw_card(page, top, "First look", _FIRST_LEAD, SOFT_INK)
    image = explanation.image
    _entitle(page, photo, "what it sees first, and what it answers alone")
    page.panel(photo, image)
    _draw_answers(page, _under(photo), [explanation.original_answer], explanation)
    _entitle(page, where, "where the predicted classes respond")
    page.panel(where, heated(image, explanation.response))
    _draw_scale(page, where, "least: 0", "1: most")
    _entitle(page, peaks, "peaks: larger where the response is stronger")
    _draw_divided_peaks(page.panel(peaks, image), explanation)
    _draw_legend(page, (peaks.left, peaks.bottom + _BELOW), explanation)
    _entitle(page, decision, "what it decides from all its looks" if explanation.zoomed else "what it decides")
    _draw_answers(page, decision, explanation.answer[:_SHOWN], explanation)


def _draw_zoomed_view(page: Page, top: float, explanation: Explanation, view: ZoomedView) -> None:
    words, image = _SETS[view.name], explanation.image
    peaks, attention, taken, seen = _draw_card(page, top, words.heading, words.lead, words.colour)
    _entitle(page, peaks, "peaks: larger where they count more", "" if view.weights.any() else _NO_PEAK)
    _draw_set_of_peaks(page.panel(peaks, image), explanation, view)
    _entitle(page, attention, "how much each place attracts")
    page.panel(attention, heated(image, view.attention / view.attention.max()))
    _draw_scale(page, attention, "nothing", "most")
    _entitle(page, taken, "where it takes its pixels", "lines lie dense where the view enlarges")
    draw_grid(page.panel(taken, image), grid_lines(view.grid, Size(*image.size)))
    _entitle(page, seen, "what it sees, and what it answers alone")
    page.panel(seen, view.view)
    _draw_answers(page, _under(seen), [view.answer], explanation)


def _entitle(page: Page, box: Box, title: str, caption: str = "") -> None:
    page.write((box.left, box.top - _PANEL_TITLE.line_height - 4), title, _PANEL_TITLE)
    page.write((box.left, box.bottom + _BELOW), caption, _CAPTION)


def _under(box: Box) -> Box:
    return Box(box.left, box.bottom + _BELOW, box.right, box.bottom + _BELOW + _BAR_ROW)


def _draw_scale(page: Page, box: Box, least: str, most: str) -> None:
    """Explain the colours of heat under a panel."""
    top, size = box.bottom + _BELOW, Size(160, 12)
    left = round(box.left + page.length(least, _CAPTION)) + 10
    page.write((box.left, top), least, _CAPTION)
    page.panel(Box(left, top + 4, left + size.width, top + 4 + size.height), heat_scale(size))
    page.write((left + size.width + 10, top), most, _CAPTION)


def _draw_divided_peaks(axes: Axes, explanation: Explanation, panel: int = _PANEL) -> None:
    """Draw every peak, its colours by how much it counts in either view, its area by its response."""
    image, peaks = explanation.image, explanation.peaks
    weights = [(_SETS[view.name].colour, view.weights[peaks]) for view in explanation.zoomed]
    slices = [
        [Slice(colour, float(weight[index])) for colour, weight in weights if weight[index] > 0]
        or [Slice(PALE_INK, 1.0)]
        for index in range(int(peaks.sum()))
    ]
    places = cell_places(peaks, Size(*image.size))
    draw_peaks(axes, places, explanation.response[peaks], slices, unit=image.width / panel)


def _draw_set_of_peaks(axes: Axes, explanation: Explanation, view: ZoomedView) -> None:
    """Draw the peaks that count in one view, their area by how much they do."""
    image, present = explanation.image, view.weights > 0
    places, weights = cell_places(present, Size(*image.size)), view.weights[present]
    slices = [[Slice(_SETS[view.name].colour, 1.0)]] * len(weights)
    draw_peaks(axes, places, weights, slices, unit=image.width / _PANEL)


def _draw_legend(page: Page, corner: tuple[float, float], explanation: Explanation) -> None:
    left, top = corner
    if not explanation.peaks.any():
        page.write(corner, _NO_PEAK, _CAPTION)
        return
    entries = [(_SETS[view.name].colour, _SETS[view.name].heading.lower()) for view in explanation.zoomed]
    used = sum((view.weights for view in explanation.zoomed), np.zeros(explanation.peaks.shape))
    if (explanation.peaks & (used == 0)).any():
        entries.append((PALE_INK, "not used"))
    for colour, words in entries:
        page.dot((left + 7, top + 10), 6, colour)
        page.write((left + 19, top), words, _CAPTION)
        left += 19 + page.length(words, _CAPTION) + 20


def _draw_answers(page: Page, box: Box, answers: Sequence[RankedClass], explanation: Explanation) -> None:
    """Draw a bar for each answer from the top of a box; the first is judged, and the true class wherever it is."""
    top = box.top
    for rank, answer in enumerate(answers):
        judged = rank == 0 or answer.class_name == explanation.truth
        mark = explanation.mark(answer.class_name) if judged else _Mark("", PALE_INK)
        style, percentage = _BEST if rank == 0 else _CLASS, f"{answer.probability:.1%}"
        room = box.width - page.length(percentage, style) - 16
        page.write((box.left, top), page.fitted(f"{mark.text}{answer.class_name}", style, room), style)
        page.write((box.right, top), percentage, style, align="right")
        bar = top + style.line_height + 2
        page.fill(Box(box.left, bar, box.right, bar + _BAR), TRACK)
        page.fill(Box(box.left, bar, box.left + answer.probability * box.width, bar + _BAR), mark.colour)
        top += _BAR_ROW
