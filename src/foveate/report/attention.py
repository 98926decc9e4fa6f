"""What sparse attention falls on, as tables and charts (S3N, Table 1 and Figures 5 and 6)."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from foveate.drawing.charts import new_chart, save_chart, style_axes
from foveate.drawing.page import INK, PALE_INK
from foveate.evaluation.hit_rate import AttentionSummary
from foveate.report.tables import markdown_table

_STRONG, _WEAK = "#0072B2", "#E69F00"


def attention_markdown(summary: AttentionSummary, title: str) -> str:
    """Return a heading, the hit rates, how many hits photographs have, and the parts from strong to weak."""
    rates = [
        ("mean hit rate, %", f"{100 * summary.mean_hit_rate:.2f}"),
        ("strongest peak inside the box, %", f"{100 * summary.strongest_hit_rate:.2f}"),
        ("photographs with a box", f"{summary.photographs:,}"),
        ("of them without a peak", f"{summary.without_peaks:,}"),
    ]
    numbers = range(max(len(summary.peaks), len(summary.hits)))
    counts = [(str(n), _at(summary.hits, n), _at(summary.peaks, n)) for n in numbers]
    blocks = [
        f"### Sparse attention of {' '.join(title.split())}",
        markdown_table(("hits: peaks inside the annotated box", "value"), rates),
        markdown_table(("number", "photographs with so many hits", "photographs with so many peaks"), counts),
    ]
    if summary.parts:
        rows = [
            (name, *map(str, (each.strongest, each.weakest, each.lead, each.only)))
            for name, each in summary.parts.items()
        ]
        blocks.append(markdown_table(("nearest part", "strongest peak", "weakest peak", "lead", "only peak"), rows))
        blocks.append(
            f"Parts of {summary.with_parts:,} photographs with a peak and a visible part. The strongest and the "
            "weakest are counted where there are several peaks; an only peak is both, and counted apart."
        )
    else:
        blocks.append("No part is annotated.")
    return "\n".join(f"{block.rstrip()}\n" for block in blocks)


def _at(counts: tuple[int, ...], number: int) -> str:
    return str(counts[number]) if number < len(counts) else "0"


def attention_chart(summary: AttentionSummary, path: Path, title: str) -> None:
    """Write a PNG: the distribution of hits, and parts by the strongest and the weakest attention where there are any.

    Raises:
        UserError: The file cannot be written.
    """
    panels = 2 if summary.parts else 1
    figure = new_chart(6 * panels, 4.5, f"{title}: mean hit rate {100 * summary.mean_hit_rate:.1f}%")
    first, *second = np.atleast_1d(figure.subplots(1, panels))
    _draw_hits(first, summary)
    if second:
        _draw_parts(second[0], summary)
    save_chart(figure, path)


def _draw_hits(axes: Axes, summary: AttentionSummary) -> None:
    style_axes(axes, "How many hits photographs have", "number", "photographs")
    axes.bar(np.arange(len(summary.peaks)), summary.peaks, 0.8, color=PALE_INK, alpha=0.45, label="peaks")
    axes.bar(np.arange(len(summary.hits)), summary.hits, 0.5, color=_STRONG, label="hits: peaks inside the box")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.legend(frameon=False, fontsize=8, labelcolor=INK)


def _draw_parts(axes: Axes, summary: AttentionSummary) -> None:
    style_axes(axes, "The part nearest to the extremes of several peaks", "", "photographs")
    place = np.arange(len(summary.parts))
    bars = ((_STRONG, "strongest", -0.2), (_WEAK, "weakest", 0.2))
    for colour, name, shift in bars:
        axes.bar(place + shift, [getattr(each, name) for each in summary.parts.values()], 0.4, color=colour, label=name)
    axes.set_xticks(place, list(summary.parts), rotation=45, ha="right", parse_math=False)
    axes.yaxis.set_major_locator(MaxNLocator(integer=True))
    axes.legend(frameon=False, fontsize=8, labelcolor=INK)
