"""Localisation as a table, a chart over thresholds, and a sheet of photographs with their boxes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import cycle
from pathlib import Path

import numpy as np
from jaxtyping import Float
from PIL import Image

from foveate.config.branches import MEMBERS, Branch
from foveate.drawing.captions import CAPTION, MARGIN, RIGHT, WRONG, Entry, Mark, draw_header, draw_legend
from foveate.drawing.charts import new_chart, save_chart, style_axes
from foveate.drawing.overlays import draw_box, heated
from foveate.drawing.page import INK, PALE_INK, SOFT_INK, Page, Room
from foveate.evaluation.localisation import CAM_THRESHOLD, THRESHOLDS, Localisation
from foveate.report.tables import markdown_table
from foveate.types import Box, Size

_COLOURS = {
    Branch.ORIGINAL: SOFT_INK,
    Branch.DISCRIMINATIVE: "#0072B2",
    Branch.COMPLEMENTARY: "#E69F00",
    Branch.JOINT: "#009E73",
    **dict(zip(MEMBERS[1:], cycle(("#0072B2", "#E69F00", "#CC79A7", "#56B4E9")), strict=False)),
}
_ANNOTATED, _FOUND = "#FFFFFF", "#56B4E9"
_COLUMNS, _SIDE, _GAP, _BELOW = 4, 260, 20, 44


def localisation_markdown(branches: Mapping[Branch, Localisation], title: str, photographs: int, chosen_on: str) -> str:
    """Return a heading, a table in per cent with a row for each branch, and lines on what it means."""
    header = (
        *("branch", "top-1", "top-1 localisation", "at the chosen threshold", "box", "at the chosen threshold"),
        *("MaxBoxAcc", "MaxBoxAccV2"),
    )
    table = markdown_table(header, [_line(branch, each) for branch, each in branches.items()])
    note = (
        f"{photographs:,} photographs with a box. Top-1 localisation: class and box are right (intersection over "
        "union at least 0.5); the box is drawn around the largest part of the class map that reaches "
        f"{CAM_THRESHOLD} of its range. Box: the same of the true class, whatever the answer. Thresholds were chosen "
        f"on {chosen_on}. MaxBoxAcc and MaxBoxAccV2 take the threshold that is best on these photographs themselves: "
        "they are upper bounds."
    )
    if Branch.JOINT in branches:
        note += " The joint map is the sum of the views' maps, carried back to the first view."
    return f"### Localisation of {' '.join(title.split())}\n\n{table}\n{note}\n"


def _line(branch: Branch, each: Localisation) -> tuple[str, ...]:
    return (
        branch.value,
        *(_percent(value) for value in (each.top1, each.localised)),
        f"{_percent(each.localised_chosen)} ({each.chosen_threshold:.2f})",
        *(_percent(value) for value in (each.box, each.box_chosen)),
        f"{_percent(each.max_box)} ({each.max_box_threshold:.2f})",
        _percent(each.max_box_v2),
    )


def _percent(value: float) -> str:
    return f"{100 * value:.1f}"


def localisation_chart(branches: Mapping[Branch, Localisation], path: Path, title: str) -> None:
    """Write a PNG: how often boxes of the true class are right, over the threshold.

    Raises:
        UserError: The file cannot be written.
    """
    figure = new_chart(7, 4.5, title)
    axes = figure.subplots()
    style_axes(axes, "Right boxes of the true class", "threshold, share of the map's range", "% of the photographs")
    axes.axvline(CAM_THRESHOLD, color=PALE_INK, linestyle="--", linewidth=1, label=f"CAM's threshold, {CAM_THRESHOLD}")
    for branch, each in branches.items():
        curve = 100 * np.array(each.curve)
        axes.plot(THRESHOLDS, curve, color=_COLOURS[branch], linewidth=2, label=branch.value)
        chosen = int(np.flatnonzero(each.chosen_threshold == THRESHOLDS)[0])
        axes.plot(
            each.chosen_threshold, curve[chosen], "o", color=_COLOURS[branch], markeredgecolor="white", markersize=8
        )
    axes.set(xlim=(0, 1), ylim=(0, None))
    axes.legend(frameon=False, fontsize=8, labelcolor=INK, title="dots: the chosen thresholds", title_fontsize=8)
    save_chart(figure, path)


@dataclass(frozen=True, slots=True)
class LocalisedPhotograph:
    """A view with the map of its true class in [0, 1], and boxes in the view's pixels; None: none was found."""

    image: Image.Image
    shares: Float[np.ndarray, "y y"]
    annotated: Box
    found: Box | None
    overlap: float
    """Intersection over union of the two."""


def localisation_sheet(examples: Sequence[LocalisedPhotograph], path: Path, title: str, words: str) -> None:
    """Write a PNG: photographs under their maps, with the annotated box and the one that was found.

    Raises:
        UserError: The file cannot be written.
    """
    width = 2 * MARGIN + _COLUMNS * (_SIDE + _GAP) - _GAP
    rows = -(-len(examples) // _COLUMNS)
    top = round(draw_header(Page(Size(width, 1)), title, Mark(words, SOFT_INK))) + _BELOW
    page = Page(Size(width, top + rows * (_SIDE + _BELOW) + MARGIN))
    below = draw_header(page, title, Mark(words, SOFT_INK))
    draw_legend(page, (MARGIN, below), [Entry(_ANNOTATED, "annotated"), Entry(_FOUND, "found")])
    for index, example in enumerate(examples):
        row, column = divmod(index, _COLUMNS)
        left, upper = MARGIN + column * (_SIDE + _GAP), top + row * (_SIDE + _BELOW)
        axes = page.panel(Room(left, upper, left + _SIDE, upper + _SIDE), heated(example.image, example.shares))
        draw_box(axes, _within(example.annotated, example.image), _ANNOTATED)
        if example.found is not None:
            draw_box(axes, example.found, _FOUND)
        mark = RIGHT if example.overlap >= 0.5 else WRONG
        page.write(
            (left, upper + _SIDE + 6), f"{mark.text}overlap {example.overlap:.2f}", CAPTION._replace(ink=mark.colour)
        )
    page.save(path)


def _within(box: Box, image: Image.Image) -> Box:
    left, right = (min(max(each, 0.0), image.width) for each in (box.left, box.right))
    top, bottom = (min(max(each, 0.0), image.height) for each in (box.top, box.bottom))
    return Box(left, top, right, bottom)
