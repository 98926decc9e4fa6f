"""One process at a time in a folder, and nothing of a killed one in the way."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
import timm
import torch

from foveate.commands.main import main
from foveate.errors import UserError
from foveate.files.atomic import atomic_path
from foveate.files.hashes import hash_of_file
from foveate.files.locks import LOCK, working_in
from foveate.guided_zoom.config import RefinementConfig
from foveate.guided_zoom.pool import EvidencePool
from foveate.recipes.config import TrainConfig
from foveate.reproduction.reproduce import reproduce
from foveate.runs.context import RunContext
from foveate.runs.guided_zoom_run import GuidedZoomDescription, GuidedZoomRun
from foveate.runs.run import Run, RunDescription
from foveate.workflows.adopt import adopt
from foveate.workflows.build_guided_zoom import build_guided_zoom
from foveate.workflows.build_pool import build_pool
from foveate.workflows.demo import demo
from foveate.workflows.train import train
from foveate.workflows.tune import tune
from zooms import POOL, silent

HOLD = """
import os, sys, time
from pathlib import Path
from foveate.files.locks import working_in
with working_in(Path(sys.argv[1]), lambda: False):
    if os.fork() == 0:  # as the processes that decode photographs are begun
        time.sleep(60)
    print("holds", flush=True)
    time.sleep(60)
"""


def nothing() -> bool:
    return False


@contextmanager
def another_process(folder: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process works in a folder; it has a child."""
    command = [sys.executable, "-c", HOLD, str(folder)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, start_new_session=True)
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "holds\n"
        yield process
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


def test_a_second_process_is_told_and_a_killed_one_is_not_in_the_way(tmp_path: Path) -> None:
    """Not even where a process that it began outlives it."""
    folder = tmp_path / "run"
    with another_process(folder) as process:
        with (
            pytest.raises(UserError, match=rf"another \(pid {process.pid}\) works in .*; wait until it"),
            working_in(folder, nothing),
        ):
            pass
        process.kill()
        process.wait()
        assert (folder / LOCK).exists()
        with working_in(folder, nothing):
            assert (folder / LOCK).read_text() == f"{os.getpid()}\n"
        assert not (folder / LOCK).exists()


def test_every_work_on_a_folder_asks(
    quick_run: Run, quick: TrainConfig, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, weights = tmp_path / "run", tmp_path / "resnet.pth"
    torch.save(timm.create_model("test_resnet", num_classes=len(quick_run.class_names)).state_dict(), weights)
    with another_process(folder):
        for work in (
            lambda: train(quick, folder, say=silent),
            lambda: adopt(weights, folder, architecture="test_resnet", data=quick.data, say=silent),
            lambda: build_guided_zoom(
                quick_run, folder, pool=POOL, context=RunContext(hardware=quick.hardware, say=silent)
            ),
            lambda: build_pool(quick_run, folder, context=RunContext(hardware=quick.hardware, say=silent)),
            lambda: reproduce("s3n-1", folder, archives=tmp_path, say=silent),
            lambda: demo(folder, say=silent),
        ):
            with pytest.raises(UserError, match="one process at a time works in a folder"):
                work()
        assert main(["guided-zoom", str(quick_run.path), "--out", str(folder)]) == 2
        assert "one process at a time works in a folder" in capsys.readouterr().err
        assert [each.name for each in folder.iterdir()] == [LOCK]
        held_out = shutil.copytree(quick_run.path, tmp_path / "held-out")
        description = json.loads((held_out / "run.json").read_text())
        description["config"]["data"]["validation_fraction"] = 0.2
        (held_out / "run.json").write_text(json.dumps(description))
        zoom = GuidedZoomDescription(
            base=held_out,
            network_hash=hash_of_file(quick_run.weights),
            pool=POOL,
            refinement=RefinementConfig.paper(),
        )
        with pytest.raises(UserError, match="one process at a time works in a folder"):
            tune(GuidedZoomRun.start(folder, zoom), context=RunContext(say=silent))
    with held(tmp_path / "pool" / f"{LOCK}-0-of-2"), pytest.raises(UserError, match="one process at a time works in"):
        build_pool(quick_run, tmp_path / "pool", share=(0, 2), context=RunContext(hardware=quick.hardware, say=silent))


@contextmanager
def held(file: Path) -> Iterator[None]:
    file.parent.mkdir()
    with file.open("wb") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        yield


def test_a_folder_that_stays_empty_goes(tmp_path: Path) -> None:
    with working_in(tmp_path / "run", nothing), working_in(tmp_path / "run", nothing):
        assert (tmp_path / "run" / LOCK).exists()
    assert not (tmp_path / "run").exists()
    (tmp_path / "mine").mkdir()
    with working_in(tmp_path / "mine", nothing):
        pass
    assert (tmp_path / "mine").is_dir()


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="choose a path that you may write to"), working_in(tmp_path / "file", nothing):
        pass


def test_a_killed_process_leaves_nothing_in_the_way_of_a_new_folder(quick: TrainConfig, tmp_path: Path) -> None:
    """Neither its lock file nor the first document, half-written, makes a folder one of other files."""
    for folder in (tmp_path / "run", tmp_path / "pool", tmp_path / "zoom"):
        folder.mkdir()
        (folder / LOCK).touch()
        leftover(folder, ".partial-0123456789ab.json")
    Run.check_start(tmp_path / "run", Run.start(tmp_path / "other", _description(quick)).description)
    EvidencePool.check_folder(tmp_path / "pool")
    GuidedZoomRun.network_folder(tmp_path / "zoom")


def _description(config: TrainConfig) -> RunDescription:
    return RunDescription(replace(config), ("owl", "wren"), "birds")


def leftover(folder: Path, name: str = ".partial-0123456789ab.ckpt") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text("half")
    return folder / name


def test_what_a_killed_process_left_half_written_goes(tmp_path: Path) -> None:
    left = [
        leftover(tmp_path),
        leftover(tmp_path / "checkpoints"),
        leftover(tmp_path / "deep/er", ".partial-abcdef012345"),
    ]
    mine = [
        leftover(tmp_path, name)
        for name in (".partial-notes.txt", "partial-0123456789ab.ckpt", ".partial-0123456789AB")
    ]
    with working_in(tmp_path, nothing):
        assert not any(file.exists() for file in left)
    assert all(file.exists() for file in mine)


def test_the_first_file_written_into_a_folder_tidies_it(tmp_path: Path) -> None:
    left, elsewhere = leftover(tmp_path / "evaluation"), leftover(tmp_path)
    with atomic_path(tmp_path / "evaluation" / "test.json") as temporary:
        temporary.write_text("whole")
    assert not left.exists()
    assert elsewhere.exists()


def test_what_a_living_process_writes_stays(tmp_path: Path) -> None:
    with atomic_path(tmp_path / "answers.txt") as temporary:
        temporary.write_text("half")
        with working_in(tmp_path, nothing):
            assert temporary.read_text() == "half"
        temporary.write_text("whole")
    assert (tmp_path / "answers.txt").read_text() == "whole"
    held = leftover(tmp_path)
    with held.open("rb") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        with working_in(tmp_path, nothing):
            assert held.exists()
    with working_in(tmp_path, nothing):
        assert not held.exists()
