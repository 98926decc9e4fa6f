"""Tables from a file of result rows, as `foveate evaluate --results` adds them."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import mean, stdev
from typing import Any

from foveate.report.tables import markdown_table

BEGIN, END = "<!-- results: made by `make docs` -->", "<!-- end of results -->"

# A row without "views" is of a centre crop.
_ONE_METHOD = ("method", "base", "dataset", "split", "views", "input_size", "source_size", "epochs")


def read_rows(path: Path) -> list[dict[str, Any]]:
    """Read a file of JSON lines."""
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]


def summary_table(rows: Sequence[Mapping[str, Any]]) -> str:
    """Return one line for each method and setting: mean over seeds, spread, cost, the command of the first seed."""
    groups: dict[tuple[Any, ...], list[Mapping[str, Any]]] = defaultdict(list)
    for row in rows:
        groups[tuple(row.get(name, "centre") for name in _ONE_METHOD)].append(row)
    header = ("method", "base", "input", "source", "epochs", "seeds", "top-1", "top-5", "minutes")
    return markdown_table(header, [_line(group) for group in groups.values()])


def _line(group: Sequence[Mapping[str, Any]]) -> tuple[str, ...]:
    first = group[0]
    settings = (first["method"], first["base"], first["input_size"], first["source_size"], first["epochs"])
    seeds = ", ".join(str(seed) for seed in sorted(row["seed"] for row in group))
    return (*map(str, settings), seeds, *(_spread(group, name) for name in ("top1", "top5", "minutes")))


def _spread(group: Sequence[Mapping[str, Any]], name: str) -> str:
    values = [float(row[name]) for row in group]
    return f"{mean(values):.1f}" + (f" ± {stdev(values):.1f}" if len(values) > 1 else "")


def row_table(rows: Sequence[Mapping[str, Any]]) -> str:
    """Return every row: setting, seed, result, commit and command."""
    header = ("command", "seed", "top-1", "top-5", "minutes", "commit")
    lines = [
        (f"`{row['command']}`", *(str(row[name]) for name in ("seed", "top1", "top5", "minutes", "commit")))
        for row in rows
    ]
    return markdown_table(header, lines)


def with_results(document: str, rows: Sequence[Mapping[str, Any]]) -> str:
    """Return the document with the block between its two markers made anew from the rows."""
    before, found, rest = document.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not found or not end:
        raise ValueError(f"a document of results must hold the markers {BEGIN!r} and {END!r}")
    return f"{before}{BEGIN}\n\n{summary_table(rows)}\n{row_table(rows)}\n{END}{after}"
