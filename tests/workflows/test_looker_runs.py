"""S3N trained with a looker: its run needs no other folder, resumes, answers, is explained and shared."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

import foveate
from command_line import status
from foveate.config.networks import BackboneConfig, PlainConfig
from foveate.errors import UserError
from foveate.files.hashes import hash_of_file
from foveate.recipes.config import TrainConfig
from foveate.runs.run import Run, RunDescription
from foveate.s3n.config import S3NConfig
from foveate.training.module import TrainingModule
from foveate.workflows.train import train
from zooms import SLOW

BACKBONE = BackboneConfig(architecture="test_efficientnet", weights="none")


def quiet(line: str) -> None:
    """Say nothing."""


def looked(quick_s3n: TrainConfig, looker: Path) -> TrainConfig:
    return replace(quick_s3n, network=S3NConfig(backbone=BACKBONE, looker=str(looker)), keep_epochs=())


@pytest.fixture(scope="module")
def looked_run(quick_s3n: TrainConfig, tiny_run: Run, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Trained with `tiny_run` for its looker, of which another folder was given that is gone."""
    folder = tmp_path_factory.mktemp("looked")
    shutil.copytree(tiny_run.path, folder / "small")
    run = train(looked(quick_s3n, folder / "small"), folder / "looked", say=quiet)
    shutil.rmtree(folder / "small")
    return run


def test_its_weights_are_in_the_run_and_did_not_move(looked_run: Run, tiny_run: Run) -> None:
    kept, own = load_file(looked_run.weights), load_file(tiny_run.weights)
    assert all(torch.equal(kept[f"looker.{name}"], each) for name, each in own.items())
    looker = looked_run.description.looker
    assert looker is not None
    assert looker.weights_hash == hash_of_file(tiny_run.weights)
    assert looker.network == tiny_run.config.network
    assert looker.transforms == tiny_run.config.transforms


def test_it_answers_and_is_explained_without_the_lookers_folder(
    looked_run: Run, birds: list[Path], tmp_path: Path
) -> None:
    model = foveate.load(looked_run.path, hardware=SLOW)
    assert model.classifier.passes == 4
    assert model.predict(birds[0]).best.class_name in looked_run.class_names
    with Image.open(birds[0]) as image:
        view = torch.from_numpy(model.decoded(image.convert("RGB")).pixels[0])
    explanation = model.classifier.explanation(view, model.class_names, "a bird")
    (looks,) = explanation.groups()
    assert looks.words.startswith("Bright: where the looker's likely classes respond")
    out = tmp_path / "pictures"
    assert status("explain", looked_run.path, birds[0], "--out", out, "--hardware.accelerator", "cpu") == 0
    assert len(list(out.glob("*.png"))) == 1
    assert looked_run.config.network.settings()["preset"] == "own"


def test_it_is_trained_already_though_the_lookers_folder_is_gone(looked_run: Run, quick_s3n: TrainConfig) -> None:
    lines: list[str] = []
    gone = looked_run.config.network.looks_by
    assert gone is not None
    again = train(looked(quick_s3n, Path(gone)), looked_run.path, say=lines.append)
    assert again.description == looked_run.description
    assert any(line.endswith("is trained already") for line in lines)


def test_another_looker_is_another_training(
    looked_run: Run, quick_s3n: TrainConfig, tiny_run: Run, quick_run: Run, tmp_path: Path
) -> None:
    moved = looked(quick_s3n, tiny_run.path)
    assert looked_run.differences(moved) == []
    assert looked_run.differences(looked(quick_s3n, quick_run.path)) == ["config.network.looker"]
    assert looked_run.differences(replace(moved, network=S3NConfig(backbone=BACKBONE))) == ["config.network.looker"]
    with pytest.raises(UserError, match=r"a finished run is never overwritten; .* differs in looker\."):
        train(looked(quick_s3n, quick_run.path), looked_run.path, say=quiet)


def test_an_interrupted_training_goes_on_without_the_lookers_folder(
    looked_run: Run, quick_s3n: TrainConfig, tiny_run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Stopped in the second epoch, it ends with the weights of never stopping."""
    shutil.copytree(tiny_run.path, tmp_path / "small")
    config, original, calls = looked(quick_s3n, tmp_path / "small"), TrainingModule.training_step, iter(range(100))

    def failing(self: TrainingModule, batch: Any) -> Any:
        if next(calls) == 4:
            raise KeyboardInterrupt
        return original(self, batch)

    with monkeypatch.context() as patched:
        patched.setattr(TrainingModule, "training_step", failing)
        with pytest.raises(KeyboardInterrupt):
            train(config, tmp_path / "stopped", say=quiet)
    shutil.rmtree(tmp_path / "small")
    resumed, whole = load_file(train(config, tmp_path / "stopped", say=quiet).weights), load_file(looked_run.weights)
    assert all(torch.equal(each, resumed[name]) for name, each in whole.items())


def test_what_is_shared_answers_the_same(looked_run: Run, birds: list[Path], tmp_path: Path) -> None:
    foveate.push(looked_run, "ada/birds", licence="mit", dry_run=tmp_path / "dry", say=quiet)
    shared, own = (foveate.load(each, hardware=SLOW) for each in (tmp_path / "dry", looked_run.path))
    assert shared.predict(birds[0]) == own.predict(birds[0])
    assert json.loads((tmp_path / "dry" / "run.json").read_text())["config"]["network"]["looker"] == "small"


def relabelled(tiny_run: Run, folder: Path, names: tuple[str, ...]) -> Path:
    shutil.copytree(tiny_run.path, folder)
    file = folder / "run.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"class_names": list(names)}))
    return folder


def unfinished(tiny_run: Run, folder: Path, names: tuple[str, ...]) -> Path:
    relabelled(tiny_run, folder, names)
    (folder / "metrics.json").unlink()
    return folder


@pytest.mark.parametrize(
    ("change", "make", "rule"),
    [
        (lambda names: names[::-1], relabelled, "has 4 and the recogniser 4, and class 1 is 'Dune Finch' there and '"),
        (
            lambda names: names[:3],
            relabelled,
            r"has 3 and the recogniser 4, and class 4 is none there and 'Dune Finch'",
        ),
        (lambda names: (*names, "owl"), relabelled, "has 5 and the recogniser 4, and class 5 is 'owl' there and none"),
        (lambda names: names, unfinished, "the training in .* is not finished"),
    ],
    ids=["order", "fewer", "more", "unfinished"],
)
def test_a_looker_of_other_classes_is_refused(
    quick_s3n: TrainConfig,
    tiny_run: Run,
    tmp_path: Path,
    change: Callable[[tuple[str, ...]], tuple[str, ...]],
    make: Callable[[Run, Path, tuple[str, ...]], Path],
    rule: str,
) -> None:
    folder = make(tiny_run, tmp_path / "other", change(tiny_run.class_names))
    with pytest.raises(UserError, match=rule):
        train(looked(quick_s3n, folder), tmp_path / "run", say=quiet)
    assert not (tmp_path / "run").exists()


def test_a_looker_that_is_not_there_is_named_before_the_work(
    plumage: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert status("train", "s3n", plumage, "--out", tmp_path / "run", "--network.looker", tmp_path / "none") == 2
    assert "none" in capsys.readouterr().err


def test_what_looks_is_described_where_one_is_named(looked_run: Run, tmp_path: Path) -> None:
    whole = json.loads((looked_run.path / "run.json").read_text())
    for name in ("network", "transforms", "weights_hash"):
        damaged = whole | {"looker": {key: each for key, each in whole["looker"].items() if key != name}}
        (tmp_path / "run.json").write_text(json.dumps(damaged))
        with pytest.raises(UserError, match=rf"required field missing @ \$\.looker\.{name}"):
            Run.open(tmp_path)
    (tmp_path / "run.json").write_text(json.dumps(whole | {"looker": None}))
    with pytest.raises(UserError, match=r"has config\.network\.looker '.*small' and no description; restore it"):
        Run.open(tmp_path)


def test_seeds_may_differ_also_of_the_lookers(looked_run: Run) -> None:
    looker = looked_run.description.looker
    assert looker is not None
    for other, alike in (
        (replace(looker, weights_hash="ab" * 32), True),
        (replace(looker, network=PlainConfig()), False),
    ):
        description: RunDescription = replace(looked_run.description, looker=other)
        assert looked_run.alike_but_for_seeds(Run(looked_run.path, description)) is alike
