"""How a run's views are weighed by its held-out answers: kept, used by every command, and undone with the file."""

from __future__ import annotations

import re
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from jaxtyping import Float

from command_line import status
from foveate.config.branches import Branch
from foveate.data.images import read_image
from foveate.errors import UserError
from foveate.evaluation.gating import SHARES
from foveate.evaluation.predictions import PredictionTable
from foveate.recipes.config import TrainConfig
from foveate.runs.context import RunContext
from foveate.runs.held_out import read_calibration, read_held_out, write_held_out
from foveate.runs.run import Run
from foveate.workflows.evaluate import evaluate
from foveate.workflows.model import load
from foveate.workflows.train import train
from foveate.workflows.tune_views import tune_views

VIEWS = (Branch.ORIGINAL, Branch.DISCRIMINATIVE, Branch.COMPLEMENTARY, Branch.JOINT)


def copied(run: Run, path: Path) -> Run:
    return Run.open(shutil.copytree(run.path, path, ignore=shutil.ignore_patterns("checkpoints", "logs")))


def keep(run: Run, right: dict[Branch, int], count: int = 40) -> None:
    """Keep answers of which so many of each branch are right: the first of the joint branch, the last of others."""
    labels = np.arange(count) % 4
    tables = {}
    for branch, number in right.items():
        place = np.arange(count) if branch is Branch.JOINT else np.arange(count)[::-1]
        answers = np.where(place < number, labels, (labels + 1) % 4)
        probabilities: Float[np.ndarray, "n 4"] = (0.1 + 0.6 * np.eye(4)[answers]).astype(np.float32)
        tables[branch] = PredictionTable(tuple(map(str, range(count))), labels, probabilities, run.class_names)
    write_held_out(run.path, tables, "out-of-fold", 5)


def test_a_better_view_decides_from_then_on(s3n_run: Run, tmp_path: Path) -> None:
    own, said = copied(s3n_run, tmp_path / "own"), list[str]()
    context = RunContext(hardware=own.config.hardware, say=said.append)
    before = evaluate(own, context=context)
    keep(own, dict(zip(VIEWS, (36, 10, 10, 20), strict=True)))
    said.clear()
    choice = tune_views(own, context=context)
    assert choice is not None
    assert choice.weights == {Branch.ORIGINAL: 1.0}
    assert said[0].startswith(
        "top-1 of 40 held-out photographs (out-of-fold): joint 50.0, original 90.0, discriminative 25.0, "
    )
    assert said[1] == (  # 20 + 4 of 40 are right by one of the two alone: the root of 24, of 40
        "from now on original decides (original 1.00): 40.00 points above it, beyond one standard error (12.25)"
    )
    assert said[2].startswith("temperature ")
    calibration = read_calibration(own.path)
    assert calibration.view_weights == {"original": 1.0}
    done = evaluate(own, context=context)
    assert done.branches == before.branches
    assert (before.passes, done.passes) == (3, 1)
    assert done.accuracy.top1 == done.branches["original"]
    model = load(own.path, hardware=own.config.hardware)
    picture = read_image(done.records[0].image)
    assert model.predict(picture).best.probability == pytest.approx(done.table.probabilities[0].max(), rel=1e-3)
    (own.path / "calibration.json").unlink()
    np.testing.assert_array_equal(evaluate(own, context=context).table.probabilities, before.table.probabilities)


def test_the_joint_answer_stays_where_nothing_is_clearly_better(s3n_run: Run, tmp_path: Path) -> None:
    own, said = copied(s3n_run, tmp_path / "own"), list[str]()
    keep(own, dict(zip(VIEWS, (20, 20, 20, 20), strict=True)))
    choice = tune_views(own, context=RunContext(say=said.append))
    assert choice is not None
    assert choice.weights is None
    assert said[1].startswith("the joint answer stays: ")
    # What looks closer at none, one of ten and so on of the photographs; the first look and all together are as right.
    rows = [line for line in said[3].splitlines() if line.startswith("| ")][2:]
    assert len(rows) == len(SHARES)
    assert [float(row.split("|")[4]) for row in (rows[0], rows[-1])] == [50.0, 50.0]
    assert read_calibration(own.path).view_weights is None


def test_a_run_without_held_out_answers_answers_for_its_validation_split(
    quick_s3n: TrainConfig, tmp_path: Path
) -> None:
    """As one that was trained before they were kept; the second call finds them."""
    config = replace(quick_s3n, data=replace(quick_s3n.data, validation_fraction=0.5), epochs=1, keep_epochs=())
    run = train(config, tmp_path / "run", say=lambda line: None)
    trained = read_held_out(run.path)
    assert trained is not None
    shutil.rmtree(run.path / "held_out")
    gpu = replace(run.config, hardware=replace(config.hardware, accelerator="gpu"))
    run = replace(run, description=replace(run.description, config=gpu))  # the context's hardware answers, not its own
    said: list[str] = []
    context = RunContext(hardware=config.hardware, say=said.append)
    first = tune_views(run, context=context)
    assert first is not None
    assert said[0] == f"{run.path} has no held-out answers; its network answers for the validation split"
    kept = read_held_out(run.path)
    assert kept is not None
    assert (kept.source, list(kept.answers)) == ("validation", list(VIEWS))
    for branch, table in kept.answers.items():
        np.testing.assert_allclose(table.probabilities, trained.answers[branch].probabilities, rtol=1e-4, atol=1e-6)
    said.clear()
    again = tune_views(run.path, context=context)
    assert again is not None
    assert again.weights == first.weights
    assert said[0].startswith("top-1 of ")


def test_of_a_network_that_looks_once_a_temperature_alone_is_fitted(quick_run: Run, tmp_path: Path) -> None:
    own, said = copied(quick_run, tmp_path / "own"), list[str]()
    keep(own, {Branch.ORIGINAL: 30})
    assert tune_views(own, context=RunContext(say=said.append)) is None
    assert [line.partition(" ")[0] for line in said] == ["temperature"]
    calibration = read_calibration(own.path)
    assert calibration.view_weights is None
    assert calibration.temperature != 1


def test_without_anything_held_out_it_is_refused(s3n_run: Run, tmp_path: Path) -> None:
    own = copied(s3n_run, tmp_path / "own")
    root = own.config.data.root
    training = f"foveate train s3n {root} --data.validation-fraction 0.2 --out {own.path}-held-out"
    with pytest.raises(UserError, match=re.escape(f"`{training}`, then `foveate tune {own.path}-held-out`")):
        tune_views(own, context=RunContext(say=lambda line: None))
    command = own.environment()["command"]
    with pytest.raises(
        UserError, match=re.escape(f"made with before; the training's command was `{command}`. Fits and")
    ):
        tune_views(own, context=RunContext(say=lambda line: None))
    (own.path / "environment.json").unlink()
    with pytest.raises(UserError, match=r"add the options that each was made with before\. Fits and"):
        tune_views(own, context=RunContext(say=lambda line: None))
    assert not (own.path / "calibration.json").exists()


def test_on_the_command_line(s3n_run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    own = copied(s3n_run, tmp_path / "own")
    keep(own, dict(zip(VIEWS, (36, 10, 10, 20), strict=True)))
    assert status("tune", own.path, "--split", "train") == 2
    assert "split validation; got train; leave it out" in capsys.readouterr().err
    assert status("tune", own.path) == 0
    assert "from now on original decides" in capsys.readouterr().out
    picture = next((own.config.data.root / "images").rglob("*.jpg"))
    assert status("predict", own.path, picture, "--branch", "joint", "--hardware.workers", 0) == 0
    assert status("predict", own.path, picture, "--branch", "object", "--hardware.workers", 0) == 2
    assert "branch must be one of the network's" in capsys.readouterr().err
    assert status("predict", own.path, picture, "--branch", "first", "--hardware.workers", 0) == 2
    assert status("evaluate", own.path, "--branch", "original", "--hardware.workers", 0) == 0
    assert "test-centre-original-alone.md" in capsys.readouterr().out
