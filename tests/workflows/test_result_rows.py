"""One builder of rows: what trained and what measured are two processes, and a Guided Zoom was trained by two."""

from __future__ import annotations

from typing import Any

import pytest

from foveate.config.data import Split
from foveate.report.result_versions import ROW_VERSION, Measured
from foveate.runs.guided_zoom_run import GuidedZoomRun
from foveate.runs.run import Run
from foveate.workflows.result_rows import result_row, zoom_row

NAMES = ("command", "commit", "hardware")


def process(of: str) -> dict[str, str]:
    return {name: f"{name} of {of}" for name in NAMES}


def ran(what: str, of: str) -> dict[str, str]:
    return {f"{what}_{name}": text for name, text in process(of).items()}


@pytest.fixture
def processes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every training tells of itself, and this process of itself."""
    monkeypatch.setattr(Run, "environment", lambda run: process(f"training {run.path.name}"))
    monkeypatch.setattr("foveate.workflows.result_rows.environment", lambda: process("measuring"))


def part(row: dict[str, Any], *whats: str) -> dict[str, Any]:
    return {name: value for name, value in row.items() if name.partition("_")[0] in whats and name != "measured"}


@pytest.mark.parametrize("measured", Measured)
@pytest.mark.usefixtures("processes")
def test_every_row_says_what_trained_and_what_measured(quick_run: Run, measured: Measured) -> None:
    row = result_row(measured, quick_run, Split.TEST, 12)
    expected = ran("trained", f"training {quick_run.path.name}") | ran("measured", "measuring")
    assert part(row, "trained", "measured") == expected
    assert {name: row[name] for name in ("row_version", "measured", "run", "split", "photographs", "seed")} == {
        **{"row_version": ROW_VERSION, "measured": measured.value, "run": quick_run.path.name},
        **{"split": "test", "photographs": 12, "seed": quick_run.config.seed},
    }
    assert not row.keys() & set(NAMES)


@pytest.mark.usefixtures("processes")
def test_the_row_of_a_guided_zoom_says_what_trained_each_of_its_networks(made: GuidedZoomRun, quick_run: Run) -> None:
    row = zoom_row(Measured.REFINEMENT, made, Split.TEST, 12)
    trained = ran("trained", f"training {made.evidence.name}") | ran("measured", "measuring")
    assert part(row, "trained", "measured") == trained
    conventional = ran("conventional", f"training {quick_run.path.name}")
    assert {name: row[name] for name in conventional} == conventional
    assert (row["method"], row["conventional"]) == ("guided-zoom", quick_run.config.network.method)
    assert row["epochs"] == made.evidence_run().config.epochs
    assert row["patch"] == round(made.description.pool.patches.patch, 3)
