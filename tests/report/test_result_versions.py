"""Rows of older versions say what rows say now, and no row says that two processes were one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from foveate.errors import UserError
from foveate.report.result_versions import ROW_VERSION, read_rows

KEPT = Path(__file__).parents[2] / "results" / "slice.jsonl"
RAN = {"command": "foveate it", "commit": "abc", "hardware": "EPYC"}
NAMES = [f"{what}_{name}" for what in ("trained", "measured") for name in RAN]


def read(path: Path, *rows: dict[str, Any]) -> list[dict[str, Any]]:
    path.write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    return read_rows(path)


@pytest.mark.parametrize(
    ("row", "measured", "known"),
    [
        ({"method": "plain"}, "accuracy", {"trained_command", "trained_commit", "trained_hardware"}),
        ({"method": "guided-zoom"}, "refinement", {"measured_command", "trained_commit", "trained_hardware"}),
        (
            {"method": "s3n", "measured": "attention", "measured_commit": "abc"},
            "attention",
            {"trained_command", "trained_commit", "trained_hardware", "measured_commit"},
        ),
        (
            {"method": "s3n", "measured": "localisation"},
            "localisation",
            {"trained_command", "trained_commit", "trained_hardware"},
        ),
        (
            {"method": "plain", "measured": "grounding"},
            "grounding",
            {"measured_command", "measured_commit", "measured_hardware"},
        ),
        (
            {"method": "guided-zoom", "measured": "trust"},
            "trust",
            {"measured_command", "measured_commit", "measured_hardware"},
        ),
    ],
)
@pytest.mark.parametrize("version", [{}, {"row_version": 1}])
def test_a_row_of_version_1_says_of_which_process_it_speaks(
    tmp_path: Path, row: dict[str, Any], measured: str, known: set[str], version: dict[str, int]
) -> None:
    """As the writers of version 1 meant it, each its own."""
    (new,) = read(tmp_path / "rows.jsonl", {**version, **row, **RAN, "top1": 80.0})
    assert (new["row_version"], new["measured"], new["top1"]) == (ROW_VERSION, measured, 80.0)
    assert {name: new[name] for name in NAMES} == {
        name: RAN[name.partition("_")[2]] if name in known else None for name in NAMES
    }
    assert not RAN.keys() & new.keys()


@pytest.mark.parametrize("kind", [{"row_version": 1, **RAN}, {"row_version": 2, "measured": "refinement"}])
def test_the_patches_of_older_rows_are_of_the_papers_side(tmp_path: Path, kind: dict[str, Any]) -> None:
    """150 of 448 pixels; a network that cuts no patches has none."""
    network = {**kind, "measured": "accuracy", "method": "plain"}
    zoomed, plain = read(tmp_path / "rows.jsonl", {**kind, "method": "guided-zoom"}, network)
    assert zoomed["patch"] == 0.335
    assert "patch" not in plain


@pytest.mark.parametrize("asked", ["--pool.patches.patch 0.5", "--pool.patches.patch=0.5"])
def test_an_older_row_whose_command_says_its_patches_has_those(tmp_path: Path, asked: str) -> None:
    row = {"row_version": 2, "measured": "trust", "method": "guided-zoom"}
    (zoomed,) = read(tmp_path / "rows.jsonl", {**row, "measured_command": f"foveate trust RUN {asked} --out zoom"})
    assert zoomed["patch"] == 0.5


def test_a_threshold_is_read_under_its_present_name(tmp_path: Path) -> None:
    (row,) = read(tmp_path / "rows.jsonl", {"method": "s3n", "zoom_above": 0.7, **RAN})
    assert row["zoom_entropy_threshold"] == 0.7
    assert "zoom_above" not in row


def test_a_row_of_today_is_read_as_it_is(tmp_path: Path) -> None:
    row = {"row_version": ROW_VERSION, "measured": "accuracy", "method": "plain", "command": "a field like any other"}
    assert read(tmp_path / "rows.jsonl", row) == [row]


@pytest.mark.parametrize("version", [0, 4, "1", None, [1]])
def test_a_row_of_another_version_is_refused(tmp_path: Path, version: object) -> None:
    with pytest.raises(UserError, match=r"reads rows of version 3 and before; .* use the version that wrote it"):
        read(tmp_path / "rows.jsonl", {"row_version": version, "method": "plain"})


def test_the_kept_rows_are_of_version_1_and_none_is_shown_as_a_pair_that_never_ran() -> None:
    kept = [json.loads(line) for line in KEPT.read_text().splitlines()]
    assert len(kept) == 187
    assert {row["row_version"] for row in kept} == {1}
    for old, new in zip(kept, read_rows(KEPT), strict=True):
        trains = old["command"].startswith("foveate train")
        assert (new["trained_command"] if trains else new["measured_command"]) == old["command"]
        assert (new["trained_commit"], new["measured_commit"]) == (old["commit"], None)
        assert new["trained_command" if not trains else "measured_command"] is None
