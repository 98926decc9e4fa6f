"""The folder of a check, looked at before anything heavy is imported."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest

from command_line import status
from foveate.files.free_folders import is_free
from foveate.workflows.check.check import check
from foveate.workflows.check.check_folder import default_folder

_HOLDS = """
import sys, time
from pathlib import Path
from foveate.files.locks import working_in
with working_in(Path(sys.argv[1]), lambda: False):
    print("works", flush=True)
    time.sleep(60)
"""


def test_a_folder_that_another_check_works_in_is_refused_before_the_imports(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "birds" / "owl").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(sys.modules, "foveate.workflows.check.check", None)
    holder = subprocess.Popen([sys.executable, "-c", _HOLDS, "check"], stdout=subprocess.PIPE, text=True)
    try:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "works\n"
        began = time.monotonic()
        assert status("check", "birds") == 2
        assert time.monotonic() - began < 10
    finally:
        holder.kill()
        holder.communicate()
    told = capsys.readouterr().err
    assert f"another (pid {holder.pid}) works in check; wait until it ends, or name another folder" in told


def test_what_is_hidden_leaves_a_folder_free(tmp_path: Path) -> None:
    assert is_free(tmp_path / "new")
    (tmp_path / ".features").mkdir()
    assert is_free(tmp_path)
    (tmp_path / "findings.csv").touch()
    assert not is_free(tmp_path)
    assert not is_free(tmp_path / "findings.csv")


@pytest.mark.parametrize(("kept", "continues"), [(".features/view", True), ("findings.csv", False), (None, False)])
def test_an_interruption_says_that_the_same_command_continues_where_it_does(
    kept: str | None, continues: bool, plumage: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What lies there openly leaves the folder, and the next check takes another."""

    def interrupted(*_: object) -> None:
        if kept is not None:
            (tmp_path / "check" / kept).parent.mkdir(exist_ok=True)
            (tmp_path / "check" / kept).touch()
        raise KeyboardInterrupt

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("foveate.workflows.check.check._looked_over", interrupted)
    with pytest.raises(KeyboardInterrupt) as caught:
        check(plumage, say=lambda _: None)
    assert getattr(caught.value, "__notes__", []) == ["the same command continues where it was saved"] * continues
    assert default_folder(plumage) == Path("check" if kept != "findings.csv" else "check-2")
