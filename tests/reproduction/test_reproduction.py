"""A published table beside what was measured."""

from __future__ import annotations

import json
from pathlib import Path

from foveate.reproduction.report import MeasuredCell, kept_tables, reproduction_markdown, short_table, tables_markdown


def cells_of(line: str) -> list[str]:
    return [cell.strip() for cell in line.strip("|").split("|")]


def test_by_hand() -> None:
    measured = MeasuredCell(row="S3N", column="CUB", published=88.5, values=(86.0, 84.0, 88.0), command="foveate x")
    rival = MeasuredCell(row="NTS", column="CUB", published=87.5, values=(), command="")
    ours = MeasuredCell(row="ours", column="CUB", published=None, values=(70.04,), command="foveate y")
    heading, _, _, _, *lines = reproduction_markdown("Table 5", [measured, rival, ours]).splitlines()
    assert heading == "### Table 5"
    assert [cells_of(line) for line in lines] == [
        ["S3N", "CUB", "88.5", "86.0 ± 2.0", "3", "-2.5", "`foveate x`"],
        ["NTS", "CUB", "87.5", "-", "0", "-", ""],
        ["ours", "CUB", "-", "70.0", "1", "-", "`foveate y`"],
    ]


def test_kept_tables_are_shown_in_the_order_of_their_names(tmp_path: Path) -> None:
    cell = MeasuredCell(row="S3N", column="CUB", published=88.5, values=(86.0, 84.0), command="foveate x")
    for name in ("s3n-3", "gz-1"):
        content = {"title": f"Table {name}", "scale": "slice", "cells": [vars(cell)]}
        (tmp_path / f"{name}.json").write_text(json.dumps(content))
    expected = [reproduction_markdown(f"Table {name} (slice)", [cell]) for name in ("gz-1", "s3n-3")]
    tables = kept_tables(tmp_path)
    assert [table.name for table in tables] == ["gz-1", "s3n-3"]
    assert tables_markdown(tables) == "\n".join(expected)


def test_a_short_table_is_the_papers_with_what_was_measured() -> None:
    """A row and a column of which nothing was measured are left out; a number that nobody published stands alone."""

    def cell(row: str, column: str, published: float | None, *values: float) -> MeasuredCell:
        return MeasuredCell(row=row, column=column, published=published, values=values, command="")

    cells = [cell("O", "top-1", 86.0, 80.0, 82.0), cell("O", "hits", 57.7), cell("NTS", "top-1", 87.5)]
    cells += [cell("O+D", "view D", 86.5, 83.0), cell("ours", "top-1", None, 84.0)]
    lines = [cells_of(line) for line in short_table(cells).splitlines()]
    assert lines[0] == ["", "top-1", "view D"]
    assert lines[2:] == [["O", "81.0 ± 1.4 (86)", "-"], ["O+D", "-", "83.0 (86.5)"], ["ours", "84.0", "-"]]
