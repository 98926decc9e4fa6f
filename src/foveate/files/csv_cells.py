"""Cells of CSV files that spreadsheets open: none of them becomes a formula."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from csv import QUOTE_ALL, QUOTE_MINIMAL, DictWriter
from typing import Any, TextIO

_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")


def plain_cell(value: Any) -> Any:
    """Return a cell that a spreadsheet shows as it is: before a text that it would compute stands an apostrophe.

    What is no text, such as a negative number, comes back as it is (OWASP, CSV injection).
    """
    return f"'{value}" if isinstance(value, str) and value.startswith(_FORMULA) else value


class PlainCSV:
    """Writes rows as CSV, every cell by `plain_cell`, the names of the columns among them.

    Args:
        stream: A text file, opened with ``newline=""``.
        columns: Their names, in their order; the first line is written at once.
        quoted: Whether every cell stands in quotes, so that a reader that skips blanks keeps those at its begin.
    """

    def __init__(self, stream: TextIO, columns: Sequence[str], *, quoted: bool = False) -> None:
        self._writer = DictWriter(stream, columns, lineterminator="\n", quoting=QUOTE_ALL if quoted else QUOTE_MINIMAL)
        self._writer.writerow({name: plain_cell(name) for name in columns})

    def write(self, rows: Iterable[Mapping[str, Any]]) -> None:
        """Write rows, each with a value for every column.

        Raises:
            ValueError: A row has a value of no column.
        """
        self._writer.writerows({name: plain_cell(value) for name, value in row.items()} for row in rows)
