from __future__ import annotations

import csv
import io

import pytest

from foveate.files.csv_cells import PlainCSV, plain_cell


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "\n=1"])
def test_what_a_spreadsheet_would_compute_is_text(text: str) -> None:
    assert plain_cell(text) == f"'{text}"


@pytest.mark.parametrize("cell", ["wren", "1-2", "a=b", "", None, -1, -0.5, True, "'=1"])
def test_all_else_stays(cell: object) -> None:
    assert plain_cell(cell) is cell


def test_names_of_columns_are_cells_too() -> None:
    stream = io.StringIO()
    PlainCSV(stream, ["=bird: right", "share"]).write([{"=bird: right": "-wren", "share": -0.5}])
    assert list(csv.reader(io.StringIO(stream.getvalue()))) == [["'=bird: right", "share"], ["'-wren", "-0.5"]]


def test_a_value_of_no_column_is_refused() -> None:
    with pytest.raises(ValueError, match="not in fieldnames"):
        PlainCSV(io.StringIO(), ["a"]).write([{"b": 1}])
