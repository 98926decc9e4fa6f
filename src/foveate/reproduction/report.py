"""A paper's table beside what was measured."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import mean, stdev

from foveate.files.documents import read_json
from foveate.report.tables import markdown_table

BEGIN, END = "<!-- papers' tables: made by `make tables` -->", "<!-- end of papers' tables -->"


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


def short_table(cells: Sequence[MeasuredCell]) -> str:
    """Return a paper's table as it was printed: what was measured, and behind it in brackets what was published.

    Rows of which nothing was measured are left out.
    """
    known = {(cell.row, cell.column): cell for cell in cells if cell.values}
    columns = list(dict.fromkeys(column for _, column in known))
    rows = [
        (row, *(_short(known.get((row, column))) for column in columns))
        for row in dict.fromkeys(row for row, _ in known)
    ]
    return markdown_table(("", *columns), rows)


def _short(cell: MeasuredCell | None) -> str:
    if cell is None:
        return "-"
    _, _, published, measured, *_ = _line(cell)
    return measured if cell.published is None else f"{measured} ({published})"


@dataclass(frozen=True)
class KeptTable:
    """A paper's table as `foveate reproduce` kept it."""

    name: str
    """The file's, such as s3n-2-slice."""
    title: str
    cells: tuple[MeasuredCell, ...]

    @property
    def markers(self) -> tuple[str, str]:
        """The comments between which a document shows it."""
        return f"<!-- {self.name}: made by `make tables` -->", f"<!-- end of {self.name} -->"


def kept_tables(folder: Path) -> list[KeptTable]:
    """Return the tables that `foveate reproduce` wrote into a folder as JSON, by name."""
    tables = ((file.stem, read_json(file)) for file in sorted(folder.glob("*.json")))
    return [
        KeptTable(
            name,
            f"{table['title']} ({table['scale']})",
            tuple(MeasuredCell(**{**cell, "values": tuple(cell["values"])}) for cell in table["cells"]),
        )
        for name, table in tables
    ]


def tables_markdown(tables: Sequence[KeptTable]) -> str:
    """Return every number of the tables, one table after the other."""
    return "\n".join(reproduction_markdown(table.title, table.cells) for table in tables)
