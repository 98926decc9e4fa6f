"""Accuracy by the photographs of a class, as a table for documents."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import mean
from typing import Any

from foveate.report.tables import markdown_table

BEGIN, END = "<!-- learning curve: made by `make tables` -->", "<!-- end of learning curve -->"


def learning_curve_markdown(rows: Sequence[Mapping[str, Any]]) -> str:
    """Return a table: a line for each data set and method, a column for each count of photographs.

    Args:
        rows: Each with `dataset`, `photographs` (of its test split), `method`, `per_class`, `seed` and `top1`, in per
            cent; the mean over seeds is shown.
    """
    counts = sorted({row["per_class"] for row in rows})
    cells = []
    keys = ("dataset", "photographs", "method")
    for key in dict.fromkeys(tuple(row[each] for each in keys) for row in rows):
        found = [row for row in rows if tuple(row[each] for each in keys) == key]
        top1 = {count: [row["top1"] for row in found if row["per_class"] == count] for count in counts}
        values = (f"{mean(top1[count]):.1f}" if top1[count] else "-" for count in counts)
        cells.append((f"{key[0]}, {key[1]} test photographs", key[2], *values))
    return markdown_table(("data set", "method", *map(str, counts)), cells)
