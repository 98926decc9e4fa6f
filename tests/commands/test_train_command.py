"""`foveate train METHOD FOLDER`: presets, where the photographs are, and which folder the run goes to."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from command_line import status
from foveate import recipes
from foveate.commands.run_folder import run_folder
from foveate.config.data import DataConfig
from foveate.config.networks import BackboneConfig
from foveate.recipes import RECIPES
from foveate.recipes.config import TrainConfig
from foveate.reproduction.cub_slice import s3n_slice_paper
from foveate.runs.run import Run, RunDescription
from foveate.s3n.config import S3NConfig

TINY = ["--epochs", "1", "--transforms.input-size", "64", "--transforms.resize-size", "72", "--hardware.workers", "0"]
TINY += ["--network.backbone.architecture", "test_efficientnet", "--network.backbone.weights", "none"]

HALF = ["train", "s3n", "birds", "--transforms.input-size", "128"]


@pytest.fixture
def given(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Path | None, TrainConfig, str]]:
    """Take note of what would be trained, where, and by which name."""
    trainings: list[tuple[Path | None, TrainConfig, str]] = []
    for module in ("train", "reproduce"):
        monkeypatch.setattr(
            f"foveate.commands.{module}.train_in",
            lambda out, config, name, tracker=None, engine=None: trainings.append(
                (out, config, name(config.data.root))
            ),
        )
    return trainings


@pytest.mark.parametrize(("method", "preset"), [(method, preset) for method in RECIPES for preset in RECIPES[method]])
def test_each_preset_is_its_recipe_on_the_folder(
    method: str, preset: str, given: list[tuple[Path | None, TrainConfig, str]]
) -> None:
    assert status("train", method, "birds", "--preset", preset) == 0
    assert status("train", method, f"--preset={preset}", "--data.root", "birds") == 0
    assert status("train", method, "--preset", preset, "birds", "--data.root", "birds") == 0
    (_, config, name), *others = given
    assert config == RECIPES[method][preset]("birds")
    assert name == f"birds-{method}" + (f"-{preset}" if preset != "foveate" else "")
    assert others == [(None, config, name)] * 2


def test_without_a_preset_it_is_ours(given: list[tuple[Path | None, TrainConfig, str]]) -> None:
    for method in RECIPES:
        assert status("train", method, "birds") == 0
    ours = (recipes.plain, recipes.probe, recipes.s3n, recipes.macnn, recipes.evidence)
    assert [config for _, config, _ in given] == [recipe("birds") for recipe in ours]


def test_fields_change_whatever_the_preset(given: list[tuple[Path | None, TrainConfig, str]]) -> None:
    options = ("--epochs", 3, "--network.radius", 0.2, "--network.backbone.architecture", "resnet18")
    assert status("train", "s3n", "birds", "--preset", "paper", *options, "--out", "x") == 0
    ((out, config, _),) = given
    assert (out, config.epochs, config.network.base) == (Path("x"), 3, "resnet18")
    network = replace(S3NConfig.paper(BackboneConfig(architecture="resnet18")), radius=0.2)
    assert config == replace(recipes.s3n_paper("birds"), epochs=3, network=network)


def test_a_list_of_photographs_gives_its_name(
    given: list[tuple[Path | None, TrainConfig, str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "birds.csv").touch()
    (tmp_path / "owls").mkdir()
    assert status("train", "plain", tmp_path / "birds.csv") == 0
    monkeypatch.chdir(tmp_path / "owls")
    assert status("train", "plain", ".") == 0
    assert [name for _, _, name in given] == ["birds-plain", "owls-plain"]


def test_a_papers_row_is_trained_by_its_name(given: list[tuple[Path | None, TrainConfig, str]]) -> None:
    assert status("reproduce", "training", "s3n-slice-paper", "--data.root", "birds", "--seed", 3) == 0
    data = replace(s3n_slice_paper().data, root=Path("birds"))
    assert given == [(None, replace(s3n_slice_paper(), data=data, seed=3), "s3n-slice-paper")]


def test_the_usual_folder_is_never_overwritten(
    plumage: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    name = f"{plumage.name}-plain"
    assert status("train", "plain", plumage, *TINY) == 0
    assert f"run folder runs/{name}\n" in capsys.readouterr().out
    weights = Path("runs", name, "model.safetensors")
    first = weights.read_bytes()
    assert status("train", "plain", "--data.root", plumage, *TINY) == 0
    assert f"runs/{name} is trained already" in capsys.readouterr().out
    assert status("train", "plain", plumage, *TINY, "--seed", 1) == 0
    assert f"run folder runs/{name}-2\n" in capsys.readouterr().out
    assert weights.read_bytes() == first
    assert Run.open(Path("runs", f"{name}-2")).config.seed == 1


def test_an_unfinished_run_is_resumed_in_its_folder(
    plumage: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    words = ("train", "plain", plumage, *TINY)
    with monkeypatch.context() as stopped:
        stopped.setattr("foveate.workflows.train.fit", lambda *_, **__: (_ for _ in ()).throw(KeyboardInterrupt))
        assert status(*words) == 130
    assert status(*words) == 0
    (run,) = Path("runs").iterdir()
    assert Run.open(run).finished
    assert capsys.readouterr().out.count(f"run folder {run}\n") == 2


def begun(path: Path, config: TrainConfig) -> Path:
    data = replace(config.data, root=config.data.root.resolve())
    Run.start(path, RunDescription(replace(config, data=data), ("owl", "wren"), "birds"))
    return path


def test_the_folder_is_the_first_that_is_free_or_has_the_same_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    config = TrainConfig(data=DataConfig(root=Path("birds")))
    runs = Path("runs")
    assert run_folder(config, "x") == runs / "x"
    begun(runs / "x", config)
    assert run_folder(config, "x") == runs / "x"
    other = replace(config, seed=1)
    assert run_folder(other, "x") == runs / "x-2"
    begun(runs / "x-2", other)
    assert run_folder(other, "x") == runs / "x-2"
    elsewhere = replace(config, data=DataConfig(root=Path("other/birds")))  # a folder of the same name
    assert run_folder(elsewhere, "x") == runs / "x-3"
    (runs / "x-3").write_text("a file")
    (runs / "x-4").mkdir()
    (runs / "x-4" / "run.json").write_text("{")
    (runs / "x-5").mkdir()
    (runs / "x-5" / "notes.txt").touch()
    (runs / "x-6").mkdir()
    (runs / "x-6" / ".lock").touch()
    assert run_folder(elsewhere, "x") == runs / "x-6"
    assert run_folder(config, "x") == runs / "x"


def test_a_training_counted_in_steps_finds_its_run(
    plumage: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """24 photographs in batches of 16 are 2 steps an epoch."""
    monkeypatch.chdir(tmp_path)
    config = replace(recipes.plain(plumage), epochs=0, steps=6)
    begun(Path("runs/x"), replace(config, steps=None, epochs=3))
    assert run_folder(config, "x") == Path("runs/x")
    assert run_folder(replace(config, steps=8), "x") == Path("runs/x-2")


def test_a_long_name_is_a_folder_still(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    path = run_folder(TrainConfig(data=DataConfig(root=Path("birds"))), "é" * 120 + "-plain")
    path.mkdir(parents=True)
    (path / "other").touch()
    assert run_folder(TrainConfig(data=DataConfig(root=Path("birds"))), "é" * 120 + "-plain") != path


@pytest.mark.parametrize(
    ("words", "sides"),
    [
        (["train", "plain", "birds", "--transforms.input-size", "448"], (448, 512, None)),
        (["train", "s3n", "birds", "--transforms.input_size=448"], (448, 512, 896)),
        (
            [*HALF, "--transforms.source-size", "300"],
            (128, 146, 300),
        ),
        (
            [*HALF, "--transforms.resize-size", "128"],
            (128, 128, 256),
        ),
        (["train", "plain", "birds", "--preset", "lite2", "--transforms.input-size", "520"], (520, 594, None)),
        (["train", "s3n", "birds", "--transforms.source-size", "500"], (224, 256, 500)),
        (["reproduce", "training", "macnn-vgg19-cub", "--transforms.input-size", "224"], (224, 238, None)),
    ],
)
def test_other_sides_follow_the_one_that_is_given(
    words: list[str],
    sides: tuple[int, int, int | None],
    given: list[tuple[Path | None, TrainConfig, str]],
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert status(*words) == 0, capsys.readouterr().err
    ((_, config, _),) = given
    transforms = config.transforms
    assert (transforms.input_size, transforms.resize_size, transforms.source_size) == sides


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--transforms.input-size", "8"), "--transforms.input-size must be at least 16 pixels; got 8"),
        (("--transforms.input-size", "wide"), "--transforms.input-size must be a whole number; got 'wide'"),
        (
            ("--transforms.input-size", "448", "--transforms.resize-size", "300"),
            "--transforms.resize-size must be at least input_size (448); got 300",
        ),
    ],
)
def test_a_side_that_cannot_be_is_named(
    options: tuple[str, ...], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert status("train", "plain", "birds", *options) == 2
    assert message in capsys.readouterr().err
