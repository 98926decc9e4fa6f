"""`foveate data`: as `train` would divide; and settings that a script gives as text."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from command_line import status
from foveate.config.data import DataConfig


def test_the_seed_of_the_division_is_passed_on_and_lists_are_looked_for_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "bird.jpg").touch()
    described: list[DataConfig] = []
    monkeypatch.setattr("foveate.workflows.describe.describe_dataset", described.append)
    assert status("data", tmp_path, "--split-seed", 7) == 0
    assert described[0].split_seed == 7
    assert status("data", tmp_path, "--exclude", tmp_path / "nowhere.csv") == 2
    assert "a list of photographs must exist" in capsys.readouterr().err
    assert len(described) == 1


def test_paths_may_be_given_as_text() -> None:
    """In a process without the tests' own check of types."""
    script = "from foveate.config.data import DataConfig as D; print(D(root='a', relabel='b').resolved())"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert f"root={Path('a').resolve()!r}" in done.stdout
    assert f"relabel={Path('b').resolve()!r}" in done.stdout
