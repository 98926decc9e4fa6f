"""The command line from end to end."""

from __future__ import annotations

import json
import platform
import subprocess
import sys
from pathlib import Path

import pytest

from commands import status
from foveate.cli import main
from foveate.guided_runs import GuidedZoomRun
from foveate.recipes import RECIPES
from foveate.runs import Run

TINY = ["--epochs", "1", "--transforms.input-size", "64", "--transforms.resize-size", "72"]
TINY += ["--hardware.accelerator", "cpu", "--hardware.workers", "0", "--hardware.precision", "float32"]


@pytest.fixture(autouse=True)
def wide_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that no message is broken into lines in the middle of what is looked for."""
    monkeypatch.setenv("COLUMNS", "200")


def test_data_train_evaluate_predict(plumage: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = tmp_path / "run"
    assert status("data", plumage) == 0
    assert "CUB-200-2011" in capsys.readouterr().out

    assert status("train", "plain", "--data.root", plumage, "--out", run, "--seed", 3, *TINY) == 0
    told = capsys.readouterr()
    assert "4 classes, 24 training, 0 validation and 12 test photographs" in told.out
    assert told.err == ""
    config = Run.open(run).config
    assert (config.seed, config.epochs, config.batch_size, config.hardware.workers) == (3, 1, 16, 0)
    assert (config.transforms.input_size, config.hardware.precision) == (64, "float32")
    assert config.network == RECIPES["plain"]().network

    results, sheet = tmp_path / "rows.jsonl", tmp_path / "sheet.png"
    assert status("evaluate", run, "--results", results, "--sheet", sheet, "--hardware.workers", 0) == 0
    assert "| top-1 " in capsys.readouterr().out
    assert json.loads(results.read_text())["seed"] == 3
    assert sheet.stat().st_size > 0
    assert {file.name for file in (run / "evaluation").iterdir()} == {
        "test-centre.md",
        "test-centre.json",
        "test-centre.parquet",
    }

    answers = tmp_path / "answers.json"
    assert status("predict", run, plumage / "images", "--top", 2, "--out", answers) == 0
    rows = json.loads(answers.read_text())
    assert len(rows) == 36 * 2
    assert {row["class_name"] for row in rows} <= set(Run.open(run).class_names)
    assert f"36 answers in {answers}" in capsys.readouterr().out


def test_looking_closer_here_and_there_is_passed_on(
    s3n_run: Run, quick_run: Run, made: GuidedZoomRun, capsys: pytest.CaptureFixture[str]
) -> None:
    picture = next((s3n_run.config.data.root / "images").rglob("*.jpg"))
    assert status("predict", s3n_run.path, picture, "--zoom-above", 0.5, "--entropy-threshold", 0.4) == 2
    assert "zoom_above, 0.5, must not be above entropy_threshold, 0.4" in capsys.readouterr().err
    assert status("evaluate", quick_run.path, "--zoom-above", 0.5, "--hardware.workers", 0) == 2
    assert "zoom_above says where an S3N looks closer" in capsys.readouterr().err
    assert status("predict", made.path, picture, "--zoom-above", 0.5) == 2
    assert "got a Guided Zoom" in capsys.readouterr().err


def test_data_draws_birds_where_asked(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    drawing = ["--draw", "--species", "2", "--train-per-species", "1", "--test-per-species", "1", "--size", "64"]
    assert status("data", tmp_path / "birds", *drawing) == 0
    assert "2 classes" in capsys.readouterr().out
    assert len(list((tmp_path / "birds" / "images").glob("*/*.jpg"))) == 4


def test_recipes_are_listed_with_what_they_are(capsys: pytest.CaptureFixture[str]) -> None:
    assert status("recipes") == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[::2] == [f"foveate train {name}" for name in RECIPES]
    assert "  S3N's baseline on CUB-200-2011. Published: 86.0 top-1. Not measured here: no GPU." in lines


@pytest.mark.parametrize(
    ("command", "mentioned"),
    [
        ("", ["data", "train", "evaluate", "predict", "recipes", "demo"]),
        ("data", ["--draw", "--species", "--size", "--on-error {stop,skip}"]),
        ("train", list(RECIPES)),
        ("train plain", ["--out", "--epochs", "--data.root", "--optimiser.learning-rate", "--network.dropout"]),
        ("train ft-resnet50-cub", ["resnet50", "(default: 30)", "0.001", "448"]),
        ("evaluate", ["RUN", "--split {test,validation,train}", "--views", "--root", "--results", "--sheet"]),
        ("predict", ["RUN", "PATHS", "--top", "--entropy-threshold", "--out", "--on-error"]),
        ("localise", ["RUN", "--split {test,validation,train}", "--root", "--results"]),
        ("attention", ["RUN", "--split {test,validation,train}", "--root", "--results"]),
        ("grounding", ["RUN", "--methods", "--photographs", "--masks", "--curves.deletion", "--sanity-photographs"]),
        ("trust", ["RUN_OR_ZOOM", "--bins", "--pairs", "--split {test,validation,train}", "--results"]),
        ("recipes", ["List the recipes"]),
        ("demo", ["--out"]),
    ],
)
def test_help(command: str, mentioned: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        main([*command.split(), "--help"])
    assert end.value.code == 0
    told = capsys.readouterr().out
    for words in mentioned:
        assert words in told


def test_the_shell_completes(capsys: pytest.CaptureFixture[str]) -> None:
    assert status("--tyro-print-completion", "bash") == 0
    script = capsys.readouterr().out
    assert "complete" in script
    assert "foveate" in script
    assert "--entropy-threshold" in script


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("", "Missing subcommand"),
        ("fly", "fly"),
        ("train plane", "plane"),
        ("train plain", "--out"),
        ("train plain --out x --epochs many", "many"),
        ("train plain --out x --epochs 0", "epochs must be at least 1; got 0"),
        (
            "train evidence-resnet101 --out x --epochs 5",
            "epochs must be 0 beside steps; to give epochs, make steps None",
        ),
        ("train plain --out x --learning 1", "--learning"),
        ("evaluate x --split tset", "tset"),
        ("evaluate nowhere", "a run is a folder with a run.json"),
        ("predict nowhere x.jpg", "a run is a folder with a run.json"),
        ("data nowhere", "the data set's folder must exist"),
    ],
)
def test_a_mistake_ends_with_status_2_and_a_reason(
    arguments: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert status(*arguments.split()) == 2
    told = capsys.readouterr()
    assert message in told.err
    assert "Traceback" not in told.err
    assert list(tmp_path.iterdir()) == []


def test_predicting_nothing_is_a_mistake(quick_run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    assert status("predict", quick_run.path) == 2
    assert "got no path" in capsys.readouterr().err


def test_an_interruption_has_its_own_status(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("foveate.workflows.train.train", interrupted)
    assert status("train", "plain", "--out", tmp_path / "run") == 130
    assert "the same command continues" in capsys.readouterr().err


def test_help_comes_without_waiting_for_torch() -> None:
    command = [sys.executable, "-X", "importtime", "-m", "foveate.cli", "--help"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "Fine-grained image recognition" in done.stdout
    imported = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
    assert "foveate.recipes" in imported
    assert not imported & {"torch", "torchvision", "timm", "lightning", "matplotlib"}


def test_a_reader_that_has_seen_enough_gets_no_traceback() -> None:
    shell = f"{sys.executable} -m foveate.cli train plain --help | head -1"
    done = subprocess.run(["bash", "-c", shell], capture_output=True, text=True, check=False)
    assert "usage" in done.stdout
    assert done.stderr == ""


_PAGES = """
import resource, sys
from foveate.cli import main

def faults():
    import torch
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(4):
        torch.ones(10_000_000)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

faults()
before = faults()
main(["recipes"])
for _ in range(4):
    faults()
print(before, faults())
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc hands every large block back")
def test_a_command_keeps_the_memory_of_freed_tensors_for_the_next() -> None:
    done = subprocess.run([sys.executable, "-c", _PAGES], capture_output=True, text=True, check=True)
    before, after = map(int, done.stdout.splitlines()[-1].split())
    assert after <= before / 10
