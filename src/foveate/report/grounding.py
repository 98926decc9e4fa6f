"""What was measured of grounding methods: a table, the curves, maps on photographs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float
from PIL import Image

from foveate.drawing.captions import CAPTION, MARGIN, Mark, draw_header, draw_scale, judge
from foveate.drawing.charts import COLOURS, bare, new_chart, save_chart
from foveate.drawing.names import apart
from foveate.drawing.overlays import draw_box, heated_by_cells
from foveate.drawing.page import SOFT_INK, Page, Room, TextStyle
from foveate.evaluation.bootstrap import Estimate
from foveate.report.tables import markdown_table
from foveate.types import Box, Size

_TILE, _GAP, _BOX = 224, 12, "#56B4E9"
_NAME = TextStyle(18, bold=True)


@dataclass(frozen=True, slots=True)
class GroundingMeasures:
    """What was measured of one method on the same photographs; None where nothing is annotated, or it was not asked."""

    in_box: Estimate | None
    """Share of the maps' peaks inside the object's box, the pointing game; a map without peak points nowhere."""
    near_part: Estimate | None
    """Share of the peaks near an annotated part, of the photographs that have one."""
    energy: Estimate | None
    """Share of a map's weight inside the box."""
    deletion: Estimate
    """Area under the deletion curve: the lower, the better."""
    insertion: Estimate
    """Area under the insertion curve: the higher, the better."""
    deletion_curve: tuple[float, ...]
    insertion_curve: tuple[float, ...]
    correlations: tuple[float, ...]
    """Mean rank correlation with the maps of ever more random networks; the lower, the better."""
    found: int
    """Maps that have a peak."""
    milliseconds: float | None
    """Time of one photograph's map, in batches; None: no network was asked."""


def grounding_markdown(measures: Mapping[str, GroundingMeasures], title: str, basis: str) -> str:
    """Return a heading, one row for each method in per cent, and what the numbers rest on.

    What rests on annotations stands there only where there are some.
    """
    fields = {"in box": "in_box", "near part": "near_part", "energy in box": "energy"}
    annotated = {
        words: field for words, field in fields.items() if any(getattr(each, field) for each in measures.values())
    }
    header = (
        *("method", *annotated, "deletion", "insertion"),
        *("rank correlation, head random", "all random", "ms"),
    )
    rows = [
        (
            name,
            *(_percentage(getattr(each, field)) for field in annotated.values()),
            *map(_percentage, (each.deletion, each.insertion)),
            *(f"{value:.2f}" for value in (each.correlations[:1] + each.correlations[-1:]) or ()),
            *(("-", "-") if not each.correlations else ()),
            "-" if each.milliseconds is None else f"{each.milliseconds:.0f}",
        )
        for name, each in measures.items()
    ]
    return f"### {title}\n\n{markdown_table(header, rows)}\n{basis}\n"


def _percentage(estimate: Estimate | None) -> str:
    if estimate is None:
        return "-"
    return f"{100 * estimate.value:.1f} ({100 * estimate.low:.1f} to {100 * estimate.high:.1f})"


def plot_grounding(
    measures: Mapping[str, GroundingMeasures], shares: Sequence[float], random: Sequence[float], path: Path
) -> None:
    """Plot deletion and insertion curves and, where there are any, the correlations with random networks' maps.

    Args:
        measures: By the method's name.
        shares: Of the pixels, for each point of a curve.
        random: Of the layers that are random, for each correlation.
        path: The PNG.
    """
    figure = new_chart(13 if random else 9, 4.2)
    first, second, *others = figure.subplots(1, 3 if random else 2)
    for number, (name, each) in enumerate(measures.items()):
        style = {"color": COLOURS[number % len(COLOURS)], "label": name}
        first.plot(shares, each.deletion_curve, **style)
        second.plot(shares, each.insertion_curve, **style)
        if others and each.correlations:
            others[0].plot(random, each.correlations, marker="o", **style)
    first.set(title="Deletion: lower is better", xlabel="pixels deleted", ylabel="probability of the class")
    second.set(title="Insertion: higher is better", xlabel="pixels inserted")
    for axes in others:
        axes.set(
            title="Random weights: near 0 is better", xlabel="random layers, from the head", ylabel="rank correlation"
        )
        axes.axhline(0, color="#9BA3AF", linewidth=0.8)
    for axes in (first, second, *others):
        bare(axes)
    second.legend(frameon=False)
    save_chart(figure, path)


@dataclass(frozen=True, slots=True)
class MapExample:
    """A view, the class that was grounded in it, the true one, the object's box in its pixels, each method's map."""

    view: Image.Image
    class_name: str
    truth: str
    box: Box | None
    maps: Mapping[str, Float[np.ndarray, "h w"]]


def map_sheet(examples: Sequence[MapExample], path: Path, title: str) -> None:
    """Write a PNG: a row for each photograph, a column for each method; each map from its own least value to its most.

    Raises:
        ValueError: There is no example.
        UserError: The file cannot be written; what was there before is untouched.
    """
    if not examples:
        raise ValueError("a sheet must show at least one photograph; got none")
    names = list(examples[0].maps)
    step = Size(_TILE + _GAP, _TILE + CAPTION.line_height + _GAP + 6)
    width = 2 * MARGIN + (len(names) + 1) * step.width - _GAP
    boxed = "; the object's box in blue" if any(each.box is not None for each in examples) else ""
    summary = Mark(f"each map from its own least value to its most{boxed}", SOFT_INK)
    below = round(draw_header(Page(Size(width, 1)), title, summary))  # which follows from the texts alone
    top = below + _NAME.line_height + 8
    page = Page(Size(width, top + len(examples) * step.height + CAPTION.line_height + MARGIN))
    draw_header(page, title, summary)
    for column, name in enumerate(["photograph", *names]):
        page.write((MARGIN + column * step.width, below), page.fitted(name, _NAME, _TILE), _NAME)
    for row, example in enumerate(examples):
        upper = top + row * step.height
        pictures = [example.view, *(heated_by_cells(example.view, _scaled(each)) for each in example.maps.values())]
        for column, picture in enumerate(pictures):
            left = MARGIN + column * step.width
            axes = page.panel(Room(left, upper, left + _TILE, upper + _TILE), picture)
            if example.box is not None:
                draw_box(axes, example.box, _BOX)
        mark = judge(example.class_name, example.truth)
        (caption,) = apart(page, [f"{mark.text}{example.class_name}"], CAPTION, _TILE)
        page.write((MARGIN, upper + _TILE + 4), caption, CAPTION._replace(ink=mark.colour))
    draw_scale(page, (MARGIN, page.size.height - MARGIN - 8), "least", "most")
    page.save(path)


def _scaled(values: Float[np.ndarray, "h w"]) -> Float[np.ndarray, "h w"]:
    least, most = values.min(), values.max()
    return (values - least) / (most - least) if most > least else np.zeros_like(values)
