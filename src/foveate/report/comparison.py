"""Models compared on the same photographs, as a Markdown table that can be read at a glance."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from foveate.evaluation.bootstrap import FEWEST_GROUPS, Estimate
from foveate.evaluation.mcnemar import PairedTest
from foveate.report.tables import TOO_FEW, markdown_table

_LISTED = 5  # seeds; of more only the number is told


@dataclass(frozen=True, slots=True)
class Cost:
    """What an answer costs."""

    passes: float
    """How often a CNN looks at a photograph, or at a part of one, on average."""
    milliseconds: float
    """In the networks, for one photograph, in batches, decoding left out."""
    megabytes: float
    """Of the weights on disk; a million bytes each."""


@dataclass(frozen=True, slots=True)
class ComparisonRow:
    """One configuration: a run, a Guided Zoom, an ensemble, or several seeds of a run or Guided Zoom."""

    name: str
    folders: tuple[tuple[Path, ...], ...]
    """Of each seed's networks: one, but for an ensemble."""
    seeds: tuple[tuple[int, ...], ...]
    """Of each seed's trainings; empty for an ensemble."""
    top1: tuple[float, ...]
    """Of each seed."""
    accuracy: Estimate
    """Top-1, the mean over the seeds; its interval is over photographs or groups, and over the seeds of several."""
    cost: Cost
    difference: Estimate | None
    """Accuracy minus that of the first row's configuration, in [-1, 1]; None for the first itself."""
    tests: tuple[PairedTest, ...]
    """Exact ones, of each seed of the first configuration (a) with each of this one (b); none for the first itself."""

    @property
    def first_alone(self) -> float:
        """Photographs that the first configuration answers rightly and this one does not; the mean over the tests."""
        return sum(each.only_a for each in self.tests) / len(self.tests)

    @property
    def it_alone(self) -> float:
        """Photographs that this configuration answers rightly and the first does not; the mean over the tests."""
        return sum(each.only_b for each in self.tests) / len(self.tests)

    @property
    def title(self) -> str:
        """The name, and its seeds where there are several."""
        if len(self.top1) == 1:
            return self.name
        listed = ", ".join("/".join(map(str, dict.fromkeys(each))) for each in self.seeds)
        return f"{self.name} ({f'seeds {listed}' if len(self.top1) <= _LISTED else f'{len(self.top1)} seeds'})"


def comparison_markdown(rows: Sequence[ComparisonRow], title: str, photographs: int, groups: int | None = None) -> str:
    """Return a heading, a line for each row, what the intervals are, and each seed's accuracy where there are several.

    Args:
        rows: Two or more; the others are compared with the first.
        title: The heading.
        photographs: How many were answered for.
        groups: How many groups they are in; None: each stands for itself.
    """
    first = rows[0].name
    header = ("", "top-1, %", f"minus {first}, points", "p", "it alone right", f"{first} alone right")
    lines = [
        (
            row.title,
            _interval(row.accuracy, ""),
            *(("", "", "", "") if row.difference is None else _against(row, row.difference)),
            *(f"{row.cost.passes:.1f}", f"{row.cost.milliseconds:.1f}", f"{row.cost.megabytes:.1f}"),
        )
        for row in rows
    ]
    table = markdown_table((*header, "passes", "ms", "MB"), lines)
    blocks = [f"### {' '.join(title.split())}\n", table, _basis(rows, photographs, groups)]
    seeded = [row for row in rows if len(row.top1) > 1]
    if seeded:
        seeds = [(row.name, " ".join(f"{100 * each:.1f}" for each in row.top1)) for row in seeded]
        blocks.append(f"#### Each seed\n\n{markdown_table(('', 'top-1, %'), seeds)}")
    return "\n".join(blocks)


def _against(row: ComparisonRow, difference: Estimate) -> tuple[str, ...]:
    counts = (f"{each:.0f}" if each == round(each) else f"{each:.1f}" for each in (row.it_alone, row.first_alone))
    return (_interval(difference, "+"), _p_values(row.tests), *counts)


def _p_values(tests: Sequence[PairedTest]) -> str:
    """Return the p, or the least and the greatest of several."""
    least, greatest = (f"{choose(each.p_value for each in tests):.2g}" for choose in (min, max))
    return least if least == greatest else f"{least} to {greatest}"


def _basis(rows: Sequence[ComparisonRow], photographs: int, groups: int | None) -> str:
    drawn, test = "photographs", "McNemar's exact test"
    if groups is not None:
        drawn, test = f"{groups:,} groups of them{TOO_FEW if groups < FEWEST_GROUPS else ''}", "exact, of whole groups"
    words = [
        f"{photographs:,} photographs, the same for all. In brackets: 95%, paired bootstrap over {drawn}. "
        f"p: {test}, two-sided.",
        "Passes of a CNN, milliseconds in the networks (a photograph in a batch), megabytes of weights.",
    ]
    if any(len(row.top1) > 1 for row in rows):
        words.insert(
            1,
            "Where there are several seeds: their mean, an interval over seeds too, and the p of every pairing. Where "
            "there is one, nothing is said of other seeds.",
        )
    return "\n".join(words) + "\n"


def _interval(estimate: Estimate, sign: str) -> str:
    value, low, high = (f"{100 * each:{sign}.1f}" for each in (estimate.value, estimate.low, estimate.high))
    return f"{value} ({low} to {high})"
