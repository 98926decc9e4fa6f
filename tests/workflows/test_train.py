"""What a training leaves behind, and what a refused one does not."""

from __future__ import annotations

import io
import os
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
import torch

from foveate.commands.main import main
from foveate.config.data import DataConfig, OnError
from foveate.config.hardware import HardwareConfig
from foveate.config.networks import BackboneConfig, PlainConfig
from foveate.data.datasets import DatasetFormat
from foveate.errors import UserError
from foveate.recipes.config import TrainConfig
from foveate.recipes.methods import create_network
from foveate.runs.run import Run
from foveate.workflows.train import train, trained
from miniatures import write_folder

OPTIONS = {
    "--transforms.input-size": "64",
    "--transforms.resize-size": "72",
    "--epochs": "2",
    "--batch-size": "8",
    "--network.backbone.architecture": "test_resnet",
    "--network.backbone.weights": "none",
    "--hardware.accelerator": "cpu",
    "--hardware.workers": "0",
}


def begun_with(weights: str) -> PlainConfig:
    return PlainConfig(backbone=BackboneConfig(architecture="test_resnet", weights=weights))


def silent(line: str) -> None:
    """Take a line of progress and say nothing."""


def test_a_finished_run_holds_all_that_is_needed(quick_run: Run, quick: TrainConfig) -> None:
    assert quick_run.finished
    assert Run.open(quick_run.path) == quick_run
    assert quick_run.config == quick
    assert len(quick_run.class_names) == 4
    assert quick_run.metrics()["epochs"] == 2
    assert quick_run.metrics()["train/loss"] > 0
    present = {path.name for path in quick_run.path.iterdir()}
    files = {"run.json", "photographs.parquet", "environment.json", "metrics.json", "model.safetensors"}
    assert present == files | {"checkpoints", "logs"}


def test_the_network_has_learned_something(quick_run: Run) -> None:
    torch.manual_seed(quick_run.config.seed)
    before = create_network(quick_run.config.network, quick_run.config.transforms, 4).state_dict()
    after = quick_run.load_network().state_dict()
    changed = [name for name in before if not torch.equal(before[name], after[name])]
    assert {name for name in before if name.endswith("classifier.weight")} <= set(changed)
    assert len(changed) > 0.9 * len(before)


def test_a_training_that_is_finished_says_so_and_changes_nothing(quick_run: Run, quick: TrainConfig) -> None:
    """The data set's place does not count; whatever else differs is named."""
    before = {file: file.stat().st_mtime_ns for file in quick_run.path.rglob("*")}
    lines: list[str] = []
    assert train(quick, quick_run.path, say=lines.append) == quick_run
    assert lines == [f"{quick_run.path} is trained already"]
    with pytest.raises(UserError, match=r"never overwritten; .* differs in config\.epochs, config\.seed; name another"):
        train(replace(quick, epochs=3, seed=1), quick_run.path, say=silent)
    assert {file: file.stat().st_mtime_ns for file in quick_run.path.rglob("*")} == before


def test_steps_become_epochs_once_the_photographs_are_counted(quick: TrainConfig, tmp_path: Path) -> None:
    """24 photographs are three batches of 8; the run is that of so many epochs, and resumes as one."""
    seven, lines = replace(quick, epochs=0, steps=7), list[str]()
    with mock.patch("foveate.workflows.train.fit", side_effect=KeyboardInterrupt) as fit:
        for _ in range(2):
            with pytest.raises(KeyboardInterrupt):
                train(seven, tmp_path / "run", say=lines.append)
        with pytest.raises(UserError, match=r"differs in config\.epochs;"):
            train(replace(seven, steps=8), tmp_path / "run", say=silent)
    assert fit.call_args.args[1] == Run.open(tmp_path / "run").config == quick
    assert lines.count("2 epochs of 24 photographs") == 2


def test_a_finished_run_serves_the_steps_that_it_took(quick_run: Run, quick: TrainConfig) -> None:
    assert trained(replace(quick, epochs=0, steps=5), quick_run.path, say=silent) == quick_run
    with pytest.raises(UserError, match=r"differs in config\.epochs;"):
        trained(replace(quick, epochs=0, steps=8), quick_run.path, say=silent)


def test_the_data_sets_place_is_kept_whole(quick_run: Run, quick: TrainConfig) -> None:
    """A relative root would mean another folder when the run is evaluated from elsewhere."""
    relative = Path(os.path.relpath(quick.data.root))
    config = replace(quick, data=replace(quick.data, root=relative))
    assert train(config, quick_run.path, say=silent) == quick_run
    assert quick_run.config.data.root.is_absolute()


def test_a_mistake_leaves_no_folder_behind(quick: TrainConfig, tmp_path: Path) -> None:
    """So that the corrected command may name the same folder."""
    wrong = replace(quick, network=PlainConfig(backbone=BackboneConfig(architecture="resnet51")))
    with pytest.raises(UserError, match=r"architecture must be one that timm knows; got 'resnet51'"):
        train(wrong, tmp_path / "run", say=silent)
    # 8 x 6 pixels: smaller than a photograph may be
    root = write_folder(tmp_path / "birds", [f"{name}/{number}.jpg" for name in ("owl", "wren") for number in range(3)])
    small = replace(quick, data=DataConfig(root=root, format=DatasetFormat.FOLDER))
    for on_error in OnError:
        with pytest.raises(UserError, match=r"6 of 6 photographs cannot be used \(4 of 4 in train, 2 of 2 in test\)"):
            train(replace(small, data=replace(small.data, on_error=on_error)), tmp_path / "run", say=silent)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"hardware": HardwareConfig(accelerator="gpu")}, "accelerator must be one of this machine's"),
        ({"network": begun_with("nowhere")}, "weights must be a file, a run's folder"),
        ({"network": begun_with("damaged.pth")}, "weights cannot be read from damaged.pth"),
        ({"network": PlainConfig(backbone=BackboneConfig(architecture="resnet51"))}, "must be one that timm knows"),
    ],
)
def test_what_a_network_needs_is_asked_before_photographs_are_read(
    quick: TrainConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: dict[str, Any], message: str
) -> None:
    if torch.cuda.is_available() and "hardware" in change:
        pytest.skip("this machine has the device")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "damaged.pth").write_bytes(b"not a file of weights")
    reading = mock.patch("foveate.workflows.train.checked_splits", side_effect=AssertionError("photographs are read"))
    with reading, pytest.raises(UserError, match=message):
        train(replace(quick, **change), tmp_path / "run", say=silent)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("begun", [False, True], ids=["in the first epoch", "later"])
def test_an_interruption_while_a_checkpoint_is_written(
    quick: TrainConfig, tmp_path: Path, capsys: pytest.CaptureFixture[str], begun: bool
) -> None:
    """Which torch.save turns into another error: still the message and the status of an interruption, and no more."""
    save, count = torch.save, 0

    class Interrupted(io.BytesIO):
        def write(self, data: Any) -> int:
            raise KeyboardInterrupt

    def interrupted(content: object, stream: Any) -> None:
        nonlocal count
        count += 1
        save(content, Interrupted() if count > begun else stream)

    options = [each for name, value in OPTIONS.items() for each in (name, value)]
    with mock.patch("torch.save", interrupted):
        status = main(["train", "plain", "--data.root", str(quick.data.root), "--out", str(tmp_path / "run"), *options])
    assert status == 130
    note = "; the same command continues where it was saved" if begun else ""
    assert capsys.readouterr().err == f"foveate: interrupted{note}\n"
    assert not list(tmp_path.rglob(".*"))


def test_a_data_set_without_training_photographs_is_refused(quick: TrainConfig, tmp_path: Path) -> None:
    root = write_folder(tmp_path / "birds", ["test/owl/1.jpg", "test/wren/2.jpg"])
    config = replace(quick, data=DataConfig(root=root))
    with pytest.raises(UserError, match="the train split must hold photographs"):
        train(config, tmp_path / "run", say=silent)


def begun_from(quick: TrainConfig, weights: Path) -> TrainConfig:
    backbone = quick.network.trained_backbone
    assert backbone is not None
    data = replace(quick.data, validation_fraction=0.25)
    return replace(quick, network=PlainConfig(backbone=replace(backbone, weights=str(weights))), data=data, epochs=1)


def test_weights_of_a_run_that_knows_what_is_held_out_are_warned_of(
    quick: TrainConfig, quick_run: Run, tmp_path: Path
) -> None:
    config, lines = begun_from(quick, quick_run.path), list[str]()
    train(replace(config, data=quick.data), tmp_path / "same", say=lines.append)
    assert not [line for line in lines if line.startswith("warning: ")]
    other = train(config, tmp_path / "other", say=lines.append)
    (warning,) = [line for line in lines if line.startswith("warning: ")]
    held_out = len(quick_run.trained_ids() - other.trained_ids())
    assert warning.startswith(f"warning: {quick_run.path} has learned from {held_out} of the ")
    assert warning.endswith("train that run on the division of this one")


@pytest.mark.parametrize("file", ["run.json", "photographs.parquet"])
def test_weights_of_a_run_that_cannot_say_what_it_knows_are_taken_and_warned_of(
    file: str, quick: TrainConfig, quick_run: Run, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    shutil.copytree(quick_run.path, run)
    (run / file).write_text("damaged")
    lines: list[str] = []
    train(begun_from(quick, run / "model.safetensors"), tmp_path / "other", say=lines.append)
    (warning,) = [line for line in lines if line.startswith("warning: ")]
    assert warning.startswith(f"warning: it is not known which photographs {run} has learned from: ")


def test_what_is_to_be_known_of_the_data_set_is_said_first(tmp_path: Path, quick: TrainConfig) -> None:
    files = [
        "train/ani/1.jpg",
        "train/crow/1.jpg",
        "val/ani/2.jpg",
        "test/ani/3.jpg",
        "test/zebra/4.jpg",
        "train/x.jpg",
    ]
    config = replace(quick, data=DataConfig(root=write_folder(tmp_path / "birds", files)))
    said: list[str] = []
    with pytest.raises(UserError, match="cannot be used"):  # they are 8 x 6 pixels
        train(config, tmp_path / "run", say=said.append)
    assert said[:5] == [
        "splits: train from train, validation from val, test from test",
        "passed over: 1 loose pictures beside class folders",
        "warning: there are no training photographs of 1 of 3 classes, so that no network can learn them: zebra. Add "
        "photographs, or leave the classes out",
        "warning: there are no validation photographs of 1 of 3 classes: crow",
        "warning: there are no test photographs of 1 of 3 classes: crow",
    ]
    assert "3 classes, 2 training, 1 validation and 2 test photographs" in said[5]
