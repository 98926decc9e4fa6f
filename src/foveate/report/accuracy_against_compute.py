"""Accuracy against compute, for each data set: some sentences, a table and a picture, with the Pareto front."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import NamedTuple

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from foveate.config.data import Split
from foveate.report.rivals import PLAIN, PassGflop, Rival, Row, front, not_measured, rivals
from foveate.report.tables import markdown_table

BEGIN, END = "<!-- accuracy against compute: made by `make tables` -->", "<!-- end of accuracy against compute -->"
_MARKERS = "os^vD<>pP*XhH8d"
_ENTRY = 0.17
"""Inches that an entry of the legend is high."""


class Title(NamedTuple):
    """How a data set is called here."""

    name: str
    """Of its picture's file."""
    heading: str
    note: str = ""
    """What a reader must know of it."""


_BIRDS = Title(
    "birds",
    "Birds: 20 species of CUB-200-2011",
    "CUB shares photographs with ImageNet, on which the backbone was trained. That flatters frozen features here; the "
    "cars are the clean set.",
)
_TITLES: Mapping[tuple[str, int], Title] = {
    ("CUB-200-2011", 585): _BIRDS,
    ("Stanford Cars", 809): Title("cars", "Cars: 39 models of Stanford Cars"),
}
"""By name and number of test photographs; any other data set is called after these two."""


@dataclass(frozen=True)
class Measured:
    """A data set's lines."""

    title: Title
    photographs: int
    """Of its test split."""
    lines: Sequence[Rival]
    """The cheapest first."""

    @property
    def picture_name(self) -> str:
        """The name of the picture's file."""
        return f"results-{self.title.name}.svg"


def measured_sets(rows: Sequence[Row], former: Sequence[Sequence[Row]], pass_gflop: PassGflop) -> list[Measured]:
    """Return the data sets that have a line, in the order of the rows.

    Args:
        rows: As `read_rows` returns them; each says how many photographs it is of.
        former: Such rows of each former recipe, the latest first, shown where nothing newer is of the same method.
        pass_gflop: What one pass of a backbone costs.
    """
    keys = dict.fromkeys(_key(row) for row in chain(rows, *former) if row["split"] == Split.TEST)
    found = []
    for key in sorted(keys, key=lambda each: list(_TITLES).index(each) if each in _TITLES else len(_TITLES)):
        own, *older = ([row for row in each if _key(row) == key] for each in (rows, *former))
        lines = rivals(own, older, pass_gflop)
        if lines:
            found.append(Measured(_title(*key), key[1], lines))
    return found


def _key(row: Row) -> tuple[str, int]:
    return str(row["dataset"]), int(row["photographs"])


def _title(dataset: str, photographs: int) -> Title:
    name = re.sub(r"[^a-z0-9]+", "-", f"{dataset} {photographs}".lower()).strip("-")
    return _TITLES.get((dataset, photographs), Title(name, dataset))


def compute_markdown(measured: Measured, pictures: str = "images") -> str:
    """Return a heading, what to take from it, the table, the picture, and what has not been measured.

    Args:
        measured: Of a data set.
        pictures: The folder of the picture, from the document's.
    """
    lines, best = measured.lines, front(measured.lines)
    header = ("method", "backbone", "pixels", "passes", "GFLOP", "minutes", "runs", "top-1, %", "front")
    cells = [
        (
            line.name + (" †" if line.former else ""),
            *(line.base, _pixels(line), f"{line.passes:.3g}", f"{line.gflop:.2g}"),
            "-" if line.minutes is None else f"{line.minutes:.0f}",
            *(str(len(line.top1)), _with_range(line), "●" if line in best else ""),
        )
        for line in lines
    ]
    missing = not_measured(lines)
    blocks = [
        f"### {measured.title.heading}, {measured.photographs:,} test photographs\n",
        "\n".join([*_sentences(lines), *filter(None, [measured.title.note])]) + "\n",
        markdown_table(header, cells),
        f"![{measured.title.heading}: accuracy against compute]({pictures}/{measured.picture_name})\n",
    ]
    if any(line.former for line in lines):
        settings = "plain as until 2026-11-27, S3N at twice its rate, Guided Zoom with smaller patches"
        blocks.append(f"† By former settings: {settings}.\n")
    if missing:
        blocks.append(f"Not measured yet: {'; '.join(missing)}.\n")
    return "\n".join(blocks)


def _sentences(lines: Sequence[Rival]) -> Iterator[str]:
    """Say what plain has, what is the best for the least compute, and what is the best of all."""
    least, best = lines[0].gflop, front(lines)[-1]
    cheap = max((line for line in lines if line.gflop <= 1.01 * least), key=lambda line: line.mean)
    plain = [line for line in lines if line.name == PLAIN and line.gflop <= 1.01 * least]
    for line in plain:
        yield f"An ordinary fine-tuned network (plain) is right on {_accuracy(line)} of the photographs{_runs(line)}."
    if cheap not in (best, *plain):
        yield f"For the least compute the best is {cheap.name}: {_accuracy(cheap)}{_runs(cheap)}."
    if best not in plain:
        times = f"{best.gflop / least:.2g} times that compute" if best.gflop > 1.01 * least else "the same compute"
        yield f"The best of all is {_label(best)}: {_accuracy(best)}{_runs(best)}, for {times}."


def _accuracy(line: Rival) -> str:
    return f"{line.mean:.1f}%"


def _runs(line: Rival) -> str:
    return " (one run)" if len(line.top1) == 1 else f" ({len(line.top1)} runs)"


def _label(line: Rival) -> str:
    return f"{line.name}, {_pixels(line)} pixels"


def _pixels(line: Rival) -> str:
    zoomed = line.source_size > line.input_size
    return f"{line.input_size} of {line.source_size}" if zoomed else str(line.input_size)


def _with_range(line: Rival) -> str:
    low, high = min(line.top1), max(line.top1)
    return f"{line.mean:.1f}" + (f" ({low:.1f} to {high:.1f})" if len(line.top1) > 1 else "")


def save_picture(measured: Measured, file: Path) -> None:
    """Write the picture as SVG; the same numbers give the same bytes."""
    with mpl.rc_context({"font.size": 9, "svg.hashsalt": "foveate"}):
        _picture(measured).savefig(file, metadata={"Date": None})


def _picture(measured: Measured) -> Figure:
    """Draw each line as a point with the range of its runs, compute on a logarithmic scale, and the front as steps."""
    height = max(3.8, 0.4 + _ENTRY * (1 + len(measured.lines)))
    figure = Figure(figsize=(11.0, height), layout="constrained")
    axes = figure.subplots()
    best = front(measured.lines)
    axes.step([line.gflop for line in best], [line.mean for line in best], where="post", color="0.7", label="front")
    several = len({line.base for line in measured.lines}) > 1
    for index, line in enumerate(measured.lines):
        _draw(axes, index, line, f"{_label(line)}, {line.base}" if several else _label(line))
    axes.set(xlabel="GFLOP a photograph", ylabel="top-1, %", xscale="log")
    ticks = _ticks([line.gflop for line in measured.lines])
    axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
    axes.xaxis.minorticks_off()
    figure.legend(frameon=False, loc="outside right upper", fontsize=8)
    return figure


def _draw(axes: Axes, index: int, line: Rival, label: str) -> None:
    spread = [[line.mean - min(line.top1)], [max(line.top1) - line.mean]]
    marker, colour = _MARKERS[index % len(_MARKERS)], mpl.colormaps["tab10"](index % 10)
    axes.errorbar(
        [line.gflop], [line.mean], yerr=spread, fmt=marker, color=colour, elinewidth=1, alpha=0.85, label=label
    )


def _ticks(values: Sequence[float]) -> list[float]:
    """Return round numbers that enclose the values."""
    ladder = [digit * 10.0**power for power in range(-4, 7) for digit in (1, 2, 5)]
    low = max(each for each in ladder if each <= min(values))
    high = min(each for each in ladder if each >= max(values))
    return [each for each in ladder if low <= each <= high]
