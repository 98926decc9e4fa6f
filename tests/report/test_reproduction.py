"""A published table beside what was measured."""

from __future__ import annotations

from foveate.report.reproduction import MeasuredCell, reproduction_markdown


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
