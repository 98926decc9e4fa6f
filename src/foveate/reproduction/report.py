"""A paper's table beside what was measured."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import mean, stdev

from foveate.files.documents import read_json
from foveate.report.tables import markdown_table

BEGIN, END = "<!-- papers' tables: made by `make docs` -->", "<!-- end of papers' tables -->"


@dataclass(frozen=True, kw_only=True)
class MeasuredCell:
    """One number, in per cent."""

    row: str
    column: str
    published: float | None
    values: tuple[float, ...]
    """One for each seed that is done."""
    command: str
    """What trained the network and measured the number, without data and folders; empty for a rival's number."""


def reproduction_markdown(title: str, cells: Sequence[MeasuredCell]) -> str:
    """Return a heading and one line for each number: published, measured mean and spread over seeds, difference."""
    header = ("row", "of", "published", "measured", "seeds", "difference", "made by")
    return f"### {title}\n\n{markdown_table(header, [_line(cell) for cell in cells])}"


def _line(cell: MeasuredCell) -> tuple[str, ...]:
    published = "-" if cell.published is None else f"{cell.published:g}"
    measured = difference = "-"
    if cell.values:
        spread = f" ± {stdev(cell.values):.1f}" if len(cell.values) > 1 else ""
        measured = f"{mean(cell.values):.1f}{spread}"
        if cell.published is not None:
            difference = f"{mean(cell.values) - cell.published:+.1f}"
    command = f"`{cell.command}`" if cell.command else ""
    return cell.row, cell.column, published, measured, str(len(cell.values)), difference, command


def kept_tables(folder: Path) -> str:
    """Return the tables that `foveate reproduce` wrote into a folder as JSON, as Markdown, one after the other."""
    tables = [read_json(file) for file in sorted(folder.glob("*.json"))]
    return "\n".join(
        reproduction_markdown(
            f"{table['title']} ({table['scale']})",
            [MeasuredCell(**{**cell, "values": tuple(cell["values"])}) for cell in table["cells"]],
        )
        for table in tables
    )
