"""A report takes the place of none that was measured otherwise."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from foveate.runs.context import RunContext
from foveate.runs.run import Run
from foveate.workflows.report_paths import kept_report, measured_with, report_path

SETTINGS = {"root": "/birds", "on_error": "stop", "precision": "bfloat16", "methods": ["eb"], "curves": {"steps": 4}}


def written(folder: Path, settings: dict[str, Any], said: list[str], name: str = "test-centre") -> str:
    """Write a report as a command does, and return its name."""
    report = report_path(folder, name, settings, "evaluation", said.append)
    report.with_suffix(".parquet").touch()
    report.with_suffix(".json").write_text(json.dumps({"report": name, "settings": settings}))
    return report.stem


def test_the_same_settings_replace_and_say_so(tmp_path: Path) -> None:
    said: list[str] = []
    assert [written(tmp_path, SETTINGS, said) for _ in range(2)] == ["test-centre"] * 2
    (line,) = said
    assert line.startswith("replaces the evaluation of 20")
    assert line.endswith(f": {tmp_path / 'test-centre.md'}")


@pytest.mark.parametrize(
    ("other", "name"),
    [
        ({"root": "/elsewhere/jays"}, "test-centre-root-jays"),
        ({"on_error": "skip"}, "test-centre-on-error-skip"),
        ({"precision": "float32", "on_error": "skip"}, "test-centre-on-error-skip-precision-float32"),
        ({"methods": ["eb", "ceb"]}, "test-centre-methods-eb+ceb"),
        ({"curves": {"steps": 9}}, "test-centre-curves-other"),
        ({"seed": 3}, "test-centre"),  # of which the earlier version said nothing
    ],
)
def test_other_settings_have_another_name(other: dict[str, Any], name: str, tmp_path: Path) -> None:
    said: list[str] = []
    written(tmp_path, SETTINGS, said)
    assert [written(tmp_path, SETTINGS | other, said) for _ in range(2)] == [name] * 2
    assert ("and stays" in said[0]) == (name != "test-centre")
    assert "replaces the evaluation" in said[-1]
    assert written(tmp_path, SETTINGS, said) == "test-centre"


def test_a_setting_under_its_former_name_is_compared(tmp_path: Path) -> None:
    written(tmp_path, SETTINGS | {"entropy_above": 0.5}, [])
    assert written(tmp_path, SETTINGS | {"entropy_threshold": 0.5}, []) == "test-centre"
    written(tmp_path, SETTINGS | {"entropy_above": 0.5}, [])
    assert written(tmp_path, SETTINGS | {"entropy_threshold": 0.25}, []) == "test-centre-entropy-threshold-0.25"


def test_folders_of_one_name_are_told_apart(tmp_path: Path) -> None:
    roots = ("/birds", "/a/jays", "/b/jays", "/c/" + "j" * 300)
    names = [written(tmp_path, SETTINGS | {"root": root}, []) for root in roots]
    assert names[:2] == ["test-centre", "test-centre-root-jays"]
    assert len({*names}) == 4
    assert [written(tmp_path, SETTINGS | {"root": root}, []) for root in roots] == names


@pytest.mark.parametrize("content", ["{}", "[]", "not JSON", '{"settings": 3}'])
def test_what_does_not_say_how_it_was_measured_is_replaced(content: str, tmp_path: Path) -> None:
    (tmp_path / "test-centre.json").write_text(content)
    said: list[str] = []
    assert written(tmp_path, SETTINGS, said) == "test-centre"
    assert "replaces" in said[0]


def test_the_report_of_a_root_is_found(tmp_path: Path) -> None:
    for root in ("/birds", "/jays"):
        written(tmp_path, SETTINGS | {"root": root}, [])
    assert kept_report(tmp_path, "test-centre", None).stem == "test-centre"
    assert kept_report(tmp_path, "test-centre", Path("/jays")).stem == "test-centre-root-jays"
    assert kept_report(tmp_path, "test-centre", Path("/owls")).stem == "test-centre"


def test_the_report_of_a_root_is_no_gated_one(tmp_path: Path) -> None:
    """Nor one of a version that did not write down its plain name."""
    for name in ("test-centre", "test-centre-above-0.5"):
        written(tmp_path, SETTINGS, [], name)
        assert written(tmp_path, SETTINGS | {"root": "/jays"}, [], name) == f"{name}-root-jays"
    gated = written(tmp_path, SETTINGS | {"root": "/owls"}, [], "test-centre-above-0.5")
    assert kept_report(tmp_path, "test-centre", Path("/jays")).stem == "test-centre-root-jays"
    assert kept_report(tmp_path, "test-centre", Path("/owls")).stem == "test-centre"
    (tmp_path / f"{gated}.json").write_text(json.dumps({"settings": SETTINGS | {"root": "/owls"}}))
    (tmp_path / "test-centre-root-jays.json").write_text(json.dumps({"settings": SETTINGS | {"root": "/jays"}}))
    assert kept_report(tmp_path, "test-centre", Path("/owls")).stem == "test-centre"
    assert kept_report(tmp_path, "test-centre", Path("/jays")).stem == "test-centre-root-jays"


@pytest.mark.parametrize("newest", ["bfloat16", "float32"])
def test_of_several_reports_of_a_root_the_newest_is_taken_and_named(newest: str, tmp_path: Path) -> None:
    said: list[str] = []
    names = {each: written(tmp_path, SETTINGS | {"precision": each}, []) for each in ("bfloat16", "float32")}
    for name in names.values():
        os.utime(tmp_path / f"{name}.json", (1, 2 if name == names[newest] else 1))
    assert kept_report(tmp_path, "test-centre", Path("/birds"), said.append).stem == names[newest]
    assert said == [f"2 reports were measured with this root; the newest is taken: {names[newest]}"]


def test_a_root_is_the_same_however_it_is_written(
    quick_run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert measured_with(RunContext(root=Path("x/../birds")), quick_run) == measured_with(
        RunContext(root=tmp_path / "birds"), quick_run
    )
