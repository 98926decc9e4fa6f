"""What a training leaves behind, and what a refused one does not."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from unittest import mock

import pytest
import torch

from foveate.config import BackboneConfig, DataConfig, OnError, PlainConfig, TrainConfig
from foveate.data.datasets import DatasetFormat
from foveate.errors import UserError
from foveate.methods.networks import create_network
from foveate.runs import Run
from foveate.workflows.train import train, trained
from miniatures import write_folder


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


def test_training_again_into_a_finished_run_is_refused(quick_run: Run, quick: TrainConfig) -> None:
    weights = (quick_run.path / "model.safetensors").read_bytes()
    with pytest.raises(UserError, match="finished run is never overwritten"):
        train(quick, quick_run.path, say=silent)
    assert (quick_run.path / "model.safetensors").read_bytes() == weights


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
    with pytest.raises(UserError, match="finished run") as caught:
        train(config, quick_run.path, say=silent)
    assert "differs" not in str(caught.value)
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
        with pytest.raises(UserError, match="4 of 4 photographs cannot be used"):
            train(replace(small, data=replace(small.data, on_error=on_error)), tmp_path / "run", say=silent)
    assert not (tmp_path / "run").exists()


def test_a_data_set_without_training_photographs_is_refused(quick: TrainConfig, tmp_path: Path) -> None:
    root = write_folder(tmp_path / "birds", ["test/owl/1.jpg", "test/wren/2.jpg"])
    config = replace(quick, data=DataConfig(root=root))
    with pytest.raises(UserError, match="the train split must hold photographs"):
        train(config, tmp_path / "run", say=silent)


def test_two_processes_train_one_run(plumage: Path, tmp_path: Path) -> None:
    sizes = ["--transforms.input-size", "64", "--transforms.resize-size", "72", "--epochs", "1"]
    network = ["--network.backbone.architecture", "test_efficientnet", "--network.backbone.weights", "none"]
    hardware = ["--hardware.accelerator", "cpu", "--hardware.devices", "2", "--hardware.workers", "0"]
    command = [
        "train",
        "s3n",
        "--data.root",
        str(plumage),
        "--out",
        str(tmp_path / "run"),
        *sizes,
        *network,
        *hardware,
    ]
    done = subprocess.run([sys.executable, "-m", "foveate.cli", *command], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("epoch 1/1") == 1  # one of the two speaks
    run = Run.open(tmp_path / "run")
    assert run.finished
    assert len(run.trained_ids()) == 24
    run.load_network()
