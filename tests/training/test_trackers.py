"""A training in a tracker: its settings, each epoch, and what is measured later. MLflow in a folder, W&B played."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest import mock

import mlflow
import pytest
from lightning.pytorch.loggers import WandbLogger

import foveate
from command_line import status
from foveate.config.networks import BackboneConfig, PlainConfig
from foveate.config.trackers import Tracker
from foveate.errors import UserError
from foveate.files.documents import read_json, write_json
from foveate.recipes.config import TrainConfig
from foveate.runs.run import Run
from foveate.training.trackers import add_numbers, check_tracked, tracked


@pytest.fixture(autouse=True)
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Where MLflow writes: a folder, which needs no data base."""
    before = mlflow.get_tracking_uri()
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", (tmp_path / "store").as_uri())
    mlflow.set_tracking_uri((tmp_path / "store").as_uri())
    yield tmp_path / "store"
    mlflow.set_tracking_uri(before)


@pytest.fixture
def tiny(quick: TrainConfig) -> TrainConfig:
    """Two epochs that take a second."""
    return replace(
        quick, network=PlainConfig(backbone=BackboneConfig(architecture="test_efficientnet", weights="none"))
    )


def only_run() -> Any:
    """Return the one run that MLflow has."""
    client = mlflow.MlflowClient()
    experiment = client.get_experiment_by_name("foveate")
    assert experiment is not None
    (run,) = client.search_runs([experiment.experiment_id])
    return run


def quiet(line: str) -> None:
    """Say nothing."""


def test_mlflow_has_settings_epochs_and_the_test(
    tiny: TrainConfig, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = foveate.train(tiny, tmp_path / "birds", tracker="mlflow", say=quiet)
    tracked_run = only_run()
    assert (tracked_run.info.run_name, tracked_run.info.status) == ("birds", "FINISHED")
    assert read_json(run.path / "tracker.json") == {"tracker": "mlflow", "run": tracked_run.info.run_id}
    params = tracked_run.data.params
    assert (params["seed"], params["network/backbone/architecture"]) == ("0", "test_efficientnet")
    history = mlflow.MlflowClient().get_metric_history(tracked_run.info.run_id, "train/loss")
    assert len(history) == 2
    assert history[-1].value == pytest.approx(run.metrics()["train/loss"])
    assert tracked_run.data.metrics["chosen_epoch"] == 2
    assert status("evaluate", run.path, "--logger", "mlflow", "--hardware.accelerator", "cpu") == 0
    printed = capsys.readouterr().out
    measured = only_run().data.metrics
    assert f"{100 * measured['test/top-1']:.1f}" in printed
    assert measured["test/top-1 low"] <= measured["test/top-1"] <= measured["test/top-1 high"]


def test_a_tracked_training_is_the_same_training(tiny: TrainConfig, tmp_path: Path) -> None:
    runs = [
        foveate.train(tiny, tmp_path / name, tracker=tracker, say=quiet)
        for name, tracker in (("a", Tracker.MLFLOW), ("b", None))
    ]
    first, second = (each.weights.read_bytes() for each in runs)
    assert first == second
    assert runs[0].description == runs[1].description
    assert not (runs[1].path / "tracker.json").exists()


def test_a_tracker_that_fails_in_the_middle_ends_no_training(tiny: TrainConfig, tmp_path: Path) -> None:
    said = list[str]()
    with mock.patch("lightning.pytorch.loggers.MLFlowLogger.log_metrics", side_effect=OSError("no route\nto host")):
        run = foveate.train(tiny, tmp_path / "birds", tracker="mlflow", say=said.append)
    told = [line for line in said if line.startswith("mlflow")]
    rest = "the training goes on without it, and its numbers are in logs/ of the run"
    assert told == [f"mlflow takes nothing any more (no route to host); {rest}"]
    assert run.metrics()["train/loss"] > 0
    assert list((run.path / "logs").rglob("metrics.csv"))


def test_a_tracker_that_fails_at_the_end_loses_no_weights(tiny: TrainConfig, tmp_path: Path) -> None:
    said = list[str]()
    with mock.patch("foveate.training.trackers._close", side_effect=OSError("gone")):
        run = foveate.train(tiny, tmp_path / "birds", tracker="mlflow", say=said.append)
    assert run.weights.exists()
    assert [line for line in said if line.startswith("mlflow takes nothing any more (gone)")]


def test_a_resumed_training_goes_on_in_its_run(tiny: TrainConfig, tmp_path: Path) -> None:
    with suppress(RuntimeError), tracked(Tracker.MLFLOW, tmp_path, tiny) as (logger,):
        logger.log_metrics({"train/loss": 2.0}, step=1)
        raise RuntimeError
    with tracked(Tracker.MLFLOW, tmp_path, replace(tiny, batch_size=4)) as (logger,):
        logger.log_metrics({"train/loss": 1.0}, step=2)
    assert only_run().data.metrics["train/loss"] == 1.0
    assert only_run().data.params["batch_size"] == "8", "of its beginning"


def test_wandb_goes_on_by_its_name_and_is_closed(tiny: TrainConfig, tmp_path: Path) -> None:
    loggers: list[mock.Mock] = []

    def logger(**options: Any) -> mock.Mock:
        loggers.append(mock.Mock(spec=WandbLogger, version=options["id"] or "made-up", options=options))
        return loggers[-1]

    package = mock.Mock()
    with (
        mock.patch.dict(sys.modules, {"wandb": package}),
        mock.patch("foveate.training.trackers.WandbLogger", logger),
    ):
        with tracked(Tracker.WANDB, tmp_path, tiny):
            pass
        add_numbers(Tracker.WANDB, tmp_path, {"test/top-1": 0.5, "train/loss": 1.0, "none": float("nan")})
    assert [each.options["id"] for each in loggers] == [None, "made-up"]
    loggers[0].log_hyperparams.assert_called_once()
    loggers[1].log_hyperparams.assert_not_called()
    loggers[1].log_metrics.assert_called_once_with({"test/top-1": 0.5})
    assert package.finish.call_count == 2


def test_what_cannot_be_tracked_is_said(tiny: TrainConfig, quick_run: Run, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"that of .* wrote nothing there; train with --logger mlflow"):
        check_tracked(Tracker.MLFLOW, quick_run.path)
    write_json(tmp_path / "tracker.json", {"tracker": "wandb", "run": "x"})
    with pytest.raises(UserError, match=r"goes on in the tracker that it began in; .* began in wandb, not mlflow"):
        check_tracked(Tracker.MLFLOW, tmp_path)
    with (
        mock.patch.dict(sys.modules, {"wandb": None}),
        pytest.raises(UserError, match=r"needs the package wandb; it is not installed; pip install 'foveate\[wandb\]'"),
        tracked(Tracker.WANDB, tmp_path, tiny),
    ):
        pass


def test_a_tracker_that_does_not_take_it_is_named_before_the_training(
    tiny: TrainConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("no folder")
    mlflow.set_tracking_uri((tmp_path / "file").as_uri())
    said: list[str] = []
    with pytest.raises(UserError, match=r"mlflow does not .*; see to MLFLOW_TRACKING_URI, or leave --logger out"):
        foveate.train(tiny, tmp_path / "birds", tracker="mlflow", say=said.append)
    assert not any("epoch 1" in each for each in said)


def test_an_unknown_tracker_is_an_error(tiny: TrainConfig, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="comet"):
        foveate.train(tiny, tmp_path / "birds", tracker="comet", say=quiet)
