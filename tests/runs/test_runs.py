"""The run folder: what goes in comes out, and nothing that is in it is lost."""

from __future__ import annotations

import errno
import json
import shutil
import tempfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
import torch
from filelock import FileLock
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file

from foveate.config.branches import Branch
from foveate.config.data import DataConfig, OnError, TrainCrop, TransformConfig
from foveate.config.hardware import HardwareConfig
from foveate.config.networks import BackboneConfig, PlainConfig
from foveate.config.optimiser import OptimiserConfig, Schedule
from foveate.data.datasets import DatasetFormat
from foveate.errors import UserError
from foveate.files.documents import append_json_line, read_json, write_json
from foveate.recipes.config import TrainConfig
from foveate.reproduction.trainings import TRAININGS
from foveate.runs.environment import commit, environment
from foveate.runs.run import SCHEMA_VERSION, Run, RunDescription
from foveate.s3n.config import AttentionKind, Branches, Partition, S3NConfig

CLASSES = ("wren", "Gr\N{LATIN SMALL LETTER U WITH DIAERESIS}nspecht", "owl")


def described(config: TrainConfig) -> RunDescription:
    return RunDescription(config, CLASSES, "three birds")


def started(path: Path, config: TrainConfig) -> Run:
    with mock.patch("foveate.runs.run.environment", dict):
        return Run.start(path, described(config))


@pytest.fixture
def unfinished(tmp_path: Path, quick: TrainConfig) -> Run:
    return started(tmp_path / "run", quick)


@pytest.fixture
def own_run(quick_run: Run, tmp_path: Path) -> Run:
    """A copy of the trained run that a test may damage."""
    copy = shutil.copytree(quick_run.path, tmp_path / "own", ignore=shutil.ignore_patterns("checkpoints", "logs"))
    return Run.open(copy)


def edit(path: Path, change: Callable[[dict[str, Any]], object]) -> None:
    content = json.loads(path.read_text(encoding="utf-8"))
    change(content)
    path.write_text(json.dumps(content), encoding="utf-8")


@pytest.mark.parametrize("name", TRAININGS)
def test_every_recipe_comes_back_from_its_run_json(tmp_path: Path, name: str) -> None:
    description = described(TRAININGS[name]())
    started(tmp_path / "run", description.config)
    assert Run.open(tmp_path / "run").description == description


FRACTION, SHARE, RATE = st.floats(0, 0.99), st.floats(1e-3, 0.99), st.floats(1e-12, 1e6)

FIELDS: dict[str, dict[str, st.SearchStrategy[Any]]] = {
    "data": {
        "root": st.text("ab/ .\N{SNOWMAN}", min_size=1).map(Path),
        "format": st.sampled_from(DatasetFormat),
        "exclude": st.lists(st.text(min_size=1), max_size=3).map(tuple),
        "validation_fraction": FRACTION,
        "test_fraction": FRACTION,
        "split_seed": st.integers(0, 2**40),
        "on_error": st.sampled_from(OnError),
    },
    "transforms": {
        "input_size": st.integers(16, 999),
        "resize_size": st.integers(999, 4096),
        "train_crop": st.sampled_from(TrainCrop),
        "smallest_area": SHARE,
        "aspect_jitter": st.floats(1, 9),
        "flip": FRACTION,
    },
    "backbone": {"architecture": st.text(), "weights": st.text()},
    "network": {"dropout": FRACTION},
    "optimiser": {
        "learning_rate": RATE,
        "new_learning_rate": RATE,
        "momentum": FRACTION,
        "weight_decay": RATE,
        "schedule": st.sampled_from(Schedule),
        "milestones": st.lists(SHARE, max_size=4).map(tuple),
        "factor": st.floats(0.01, 1.0),
        "gradient_clip": st.none() | RATE,
    },
    "hardware": {
        "accelerator": st.sampled_from(["auto", "cpu", "gpu", "mps"]),
        "devices": st.integers(1, 8),
        "precision": st.sampled_from(["auto", "bf16", "float32"]),
        "channels_last": st.booleans(),
        "workers": st.none() | st.integers(0, 8),
    },
    "train": {
        "epochs": st.integers(1, 10**9),
        "batch_size": st.integers(1, 10**9),
        "label_smoothing": FRACTION,
        "class_weights": st.booleans(),
        "ema_decay": st.none() | SHARE,
        "seed": st.integers(0, 2**63 - 1),
    },
}


def configured(fields: dict[str, dict[str, Any]]) -> TrainConfig:
    return TrainConfig(
        data=DataConfig(**fields["data"]),
        transforms=TransformConfig(**fields["transforms"]),
        network=PlainConfig(backbone=BackboneConfig(**fields["backbone"]), **fields["network"]),
        optimiser=OptimiserConfig(**fields["optimiser"]),
        hardware=HardwareConfig(**fields["hardware"]),
        **fields["train"],
    )


@settings(deadline=None, max_examples=25)
@given(st.fixed_dictionaries({name: st.fixed_dictionaries(values) for name, values in FIELDS.items()}))
def test_every_config_comes_back_from_its_run_json(fields: dict[str, dict[str, Any]]) -> None:
    config = configured(fields)  # here and not in the strategy: the checks of types draw random numbers
    with tempfile.TemporaryDirectory() as folder:
        started(Path(folder) / "run", config)
        read = Run.open(Path(folder) / "run")
    assert read.config == config
    assert read.class_names == CLASSES


def test_a_run_of_the_first_schema_is_a_plain_one(unfinished: Run) -> None:
    def age(run: dict[str, Any]) -> None:
        run["schema_version"] = 1
        del run["config"]["network"]["method"]

    edit(unfinished.path / "run.json", age)
    assert Run.open(unfinished.path).config == unfinished.config


def test_a_run_from_before_there_were_dense_attentions_has_a_sparse_one(unfinished: Run, tmp_path: Path) -> None:
    """It opens, and an interrupted training of it resumes."""
    config = replace(unfinished.config, network=S3NConfig(branches=Branches.DC))
    description = replace(unfinished.description, config=config)
    Run.start(tmp_path / "s3n", description)

    def age(run: dict[str, Any]) -> None:
        run["schema_version"] = 2
        del run["config"]["network"]["attention"]

    edit(tmp_path / "s3n" / "run.json", age)
    assert Run.open(tmp_path / "s3n").config == config
    assert Run.start(tmp_path / "s3n", description).config == config


def test_a_run_remembers_which_method_it_is_of(unfinished: Run, tmp_path: Path) -> None:
    network = S3NConfig(
        branches=Branches.DC,
        attention=AttentionKind.SALIENCY,
        hard_targets=(Branch.JOINT,),
        test_partition=Partition.EXTREMES,
    )
    description = replace(unfinished.description, config=replace(unfinished.config, network=network))
    Run.start(tmp_path / "s3n", description)
    assert Run.open(tmp_path / "s3n").config.network == network


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda run: run.update(owner="me"), r"extra fields found \(owner\)"),
        (lambda run: run["config"]["transforms"].update(input_sise=1), r"input_sise.*config\.transforms"),
        (lambda run: run["config"]["optimiser"].update(schedule="steep"), r"Schedule.*config\.optimiser\.schedule"),
        (lambda run: run["config"].update(epochs="many"), r"expected a whole number, got text.*config\.epochs"),
        (lambda run: run["config"].update(epochs=-1), r"epochs must not be negative; got -1.*config"),
        (lambda run: run["config"].pop("data"), r"required field missing.*config\.data"),
        (
            lambda run: run.update(schema_version=SCHEMA_VERSION + 1),
            rf"reads run\.json of schema {SCHEMA_VERSION}; .* has {SCHEMA_VERSION + 1}; use the version that wrote it",
        ),
        (
            lambda run: run["config"]["network"].update(method="s4n"),
            "the method of a run must be one of plain, s3n, macnn, probe, own, ensemble; .* has 's4n'",
        ),
        (lambda run: run.pop("schema_version"), "has None; use the version that wrote it"),
    ],
)
def test_a_run_json_that_does_not_fit_is_refused(
    unfinished: Run, change: Callable[[dict[str, Any]], object], message: str
) -> None:
    file = unfinished.path / "run.json"
    edit(file, change)
    with pytest.raises(UserError, match=message) as caught:
        Run.open(unfinished.path)
    assert str(file) in str(caught.value)
    assert any(mend in str(caught.value) for mend in ("restore it from a copy", "use the version"))


@pytest.mark.parametrize("damage", [b'{"config": {', b"\xff\xfe{}", b"", b"[1]"])
def test_a_damaged_run_json_is_named(unfinished: Run, damage: bytes) -> None:
    (unfinished.path / "run.json").write_bytes(damage)
    with pytest.raises(UserError, match=r"run\.json must .*JSON.*restore it from a copy"):
        Run.open(unfinished.path)


def test_a_folder_that_is_no_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"birds does not exist; `foveate fit` and `foveate train` make one"):
        Run.open(tmp_path / "birds")
    (tmp_path / "birds").mkdir()
    with pytest.raises(UserError, match=r"a run is a folder with a run\.json, as `foveate fit` and .*birds is not one"):
        Run.open(tmp_path / "birds")


def test_a_run_that_is_misspelt_is_named(tmp_path: Path, quick: TrainConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Run.start(tmp_path / "runs" / "photographs-fit", described(quick))
    with pytest.raises(UserError, match=r"run/photographs-fit does not exist; did you mean runs/photographs-fit\?"):
        Run.open(Path("run/photographs-fit"))
    with pytest.raises(UserError, match=r"did you mean .*runs/photographs-fit\?"):
        Run.open(tmp_path / "runs" / "photograph-fit")


def test_a_new_run_holds_its_description_and_environment(tmp_path: Path, quick: TrainConfig) -> None:
    run = Run.start(tmp_path / "deep" / "run", described(quick))
    assert {file.name for file in run.path.iterdir()} == {"run.json", "environment.json"}
    assert not run.finished
    assert torch.__version__.startswith(run.environment()["packages"]["torch"])
    with pytest.raises(UserError, match="not finished; resume it with the command that began it"):
        run.metrics()


def test_an_unfinished_run_is_returned_to_and_left_as_it_is(unfinished: Run, quick: TrainConfig) -> None:
    (unfinished.path / "checkpoints").mkdir()
    before = {file: file.stat().st_mtime_ns for file in unfinished.path.iterdir()}
    assert Run.start(unfinished.path, described(quick)) == unfinished
    assert {file: file.stat().st_mtime_ns for file in unfinished.path.iterdir()} == before


def test_an_unfinished_run_of_another_configuration_is_refused(unfinished: Run, quick: TrainConfig) -> None:
    before = (unfinished.path / "run.json").read_bytes()
    other = replace(quick, seed=3, optimiser=replace(quick.optimiser, momentum=0.5))
    with pytest.raises(UserError, match=r"differs in config\.optimiser\.momentum, config\.seed; give the same"):
        Run.start(unfinished.path, described(other))
    with pytest.raises(UserError, match="differs in class_names"):
        Run.start(unfinished.path, RunDescription(quick, ("wren", "owl"), "three birds"))
    assert (unfinished.path / "run.json").read_bytes() == before


def test_the_weights_that_a_run_began_with_may_have_moved(tmp_path: Path, quick: TrainConfig) -> None:
    """Where the old path is gone the new one is believed; where it is there, the new one is of other weights."""

    def begun_with(weights: str) -> RunDescription:
        backbone = BackboneConfig(architecture="test_resnet", weights=weights)
        return described(replace(quick, network=PlainConfig(backbone=backbone)))

    first, second = tmp_path / "first.pth", tmp_path / "second.pth"
    first.touch()
    path = Run.start(tmp_path / "run", begun_with(str(first))).path
    for other in (str(second), "none"):
        with pytest.raises(UserError, match=r"differs in config\.network\.backbone\.weights"):
            Run.start(path, begun_with(other))
    first.rename(second)
    assert Run.start(path, begun_with(str(second))).path == path
    assert Run.open(path).differences(begun_with(str(second)).config) == []
    with pytest.raises(UserError, match=r"differs in config\.network\.backbone\.weights"):
        Run.start(path, begun_with("none"))


def test_a_finished_run_is_never_overwritten(quick_run: Run) -> None:
    files = [file for file in quick_run.path.rglob("*") if file.is_file()]
    before = {file: file.stat().st_mtime_ns for file in files}
    for description in (quick_run.description, described(quick_run.config)):
        with pytest.raises(UserError, match=r"finished run is never overwritten.*name another folder"):
            Run.start(quick_run.path, description)
    assert {file: file.stat().st_mtime_ns for file in files} == before


def test_a_foreign_folder_is_refused(tmp_path: Path, quick: TrainConfig) -> None:
    (tmp_path / "thesis.tex").write_text("years of work")
    for path in (tmp_path, tmp_path / "thesis.tex"):
        with pytest.raises(UserError, match="a new run needs an empty folder"):
            Run.start(path, described(quick))
    assert [file.name for file in tmp_path.iterdir()] == ["thesis.tex"]
    assert (tmp_path / "thesis.tex").read_text() == "years of work"


def test_the_saved_weights_are_the_networks(own_run: Run) -> None:
    network = own_run.load_network()
    saved = load_file(own_run.path / "model.safetensors")
    assert network.state_dict().keys() == saved.keys()
    for name, tensor in network.state_dict().items():
        assert torch.equal(tensor, saved[name])


def test_missing_weights_are_named(own_run: Run) -> None:
    (own_run.path / "model.safetensors").unlink()
    with pytest.raises(UserError, match=r"own has none; finish its training"):
        own_run.load_network()


def test_truncated_weights_are_named(own_run: Run) -> None:
    file = own_run.path / "model.safetensors"
    file.write_bytes(file.read_bytes()[:-1000])
    with pytest.raises(UserError, match=r"model\.safetensors must hold the weights of .*restore it from a copy"):
        own_run.load_network()


def test_weights_of_another_architecture_are_named(own_run: Run) -> None:
    edit(own_run.path / "run.json", lambda run: run["config"]["network"]["backbone"].update(architecture="resnet18"))
    with pytest.raises(UserError, match=r"model\.safetensors must hold the weights of resnet18 with 4 classes"):
        Run.open(own_run.path).load_network()


def test_weights_of_another_number_of_classes_are_named(own_run: Run) -> None:
    edit(own_run.path / "run.json", lambda run: run.update(class_names=["wren", "owl"]))
    with pytest.raises(UserError, match=r"with 2 classes .*size mismatch"):
        Run.open(own_run.path).load_network()


def test_weights_beyond_the_networks_are_named(own_run: Run) -> None:
    file = own_run.path / "model.safetensors"
    save_file({**load_file(file), "ema": torch.zeros(1)}, file)
    with pytest.raises(UserError, match=r"Unexpected key.*ema"):
        own_run.load_network()


def test_a_full_disk_at_the_end_leaves_what_was_there(unfinished: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    checkpoint = unfinished.checkpoints / "last.ckpt"
    checkpoint.parent.mkdir()
    checkpoint.write_bytes(b"two hours of work")
    before = {file: file.read_bytes() for file in unfinished.path.rglob("*") if file.is_file()}

    def fill_the_disk(path: Path, data: bytes) -> int:
        with path.open("wb") as stream:
            stream.write(data[: len(data) // 2])
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(Path, "write_bytes", fill_the_disk)
        with pytest.raises(UserError, match=r"model\.safetensors: No space left.*free space"):
            unfinished.finish(torch.nn.Linear(2, 3), {"minutes": 1.5})
    assert not unfinished.finished
    assert {file: file.read_bytes() for file in unfinished.path.rglob("*") if file.is_file()} == before
    unfinished.finish(torch.nn.Linear(2, 3), {"minutes": 1.5})
    assert Run.open(unfinished.path).metrics() == {"minutes": 1.5}


def test_a_run_is_finished_only_when_its_metrics_are_written(unfinished: Run) -> None:
    with (
        mock.patch("foveate.runs.run.write_json", side_effect=UserError("full")),
        pytest.raises(UserError, match="full"),
    ):
        unfinished.finish(torch.nn.Linear(2, 3), {"minutes": 1.5})
    assert (unfinished.path / "model.safetensors").exists()
    assert not unfinished.finished


def test_rows_are_added_after_earlier_ones(tmp_path: Path) -> None:
    file = tmp_path / "results" / "rows.jsonl"
    rows: list[dict[str, Any]] = [{"top1": 80.1}, {"name": CLASSES[1]}, {"top1": None}]
    for row in rows:
        append_json_line(file, row)
    assert [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()] == rows


def test_rows_that_many_add_at_once_are_all_there(tmp_path: Path) -> None:
    file, rows = tmp_path / "rows.jsonl", [{"seed": number, "top1": number / 7} for number in range(40)]
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda row: append_json_line(file, row), rows))
    assert sorted(map(json.loads, file.read_text(encoding="utf-8").splitlines()), key=lambda row: row["seed"]) == rows


def test_a_file_of_rows_that_cannot_be_had_is_an_error_with_a_mend(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match=r"cannot write .*choose a path that you may write to"):
        append_json_line(tmp_path / "file" / "rows.jsonl", {"top1": 1})
    with (
        FileLock(tmp_path / ".rows.jsonl.lock"),
        mock.patch("foveate.files.documents._PATIENCE", 0.1),
        pytest.raises(UserError, match=r"one process at a time; another holds .*rows\.jsonl\.lock; wait for it"),
    ):
        append_json_line(tmp_path / "rows.jsonl", {"top1": 1})
    assert not (tmp_path / "rows.jsonl").exists()


def test_a_row_that_cannot_be_added_costs_no_earlier_one(tmp_path: Path) -> None:
    file = tmp_path / "rows.jsonl"
    append_json_line(file, {"top1": 1})
    before = file.read_bytes()
    with (
        mock.patch.object(Path, "write_text", side_effect=OSError(errno.ENOSPC, "No space left on device")),
        pytest.raises(UserError, match="free space"),
    ):
        append_json_line(file, {"top1": 2})
    with pytest.raises(TypeError):
        append_json_line(file, {"top1": object()})
    assert file.read_bytes() == before
    assert {path.name for path in tmp_path.iterdir()} == {"rows.jsonl", ".rows.jsonl.lock"}


def test_json_is_read_as_written(tmp_path: Path) -> None:
    content = {"classes": list(CLASSES), "top1": 0.25, "none": None, "deep": {"a": [1, 2]}}
    write_json(tmp_path / "x.json", content)
    assert read_json(tmp_path / "x.json") == content
    assert CLASSES[1] in (tmp_path / "x.json").read_text(encoding="utf-8")


def test_the_environment_tells_how_to_repeat_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.argv", ["somewhere/bin/foveate", "train", "plain", "--data.root", "my birds"])
    told = environment()
    assert told["command"] == "foveate train plain --data.root 'my birds'"
    assert told["commit"] == commit()
    assert {"torch", "timm", "lightning"} <= told["packages"].keys()
    assert told["hardware"]


def test_there_is_no_commit_without_git(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert commit.__wrapped__() is None  # what was found at the first call is kept


def test_a_row_that_differs_in_its_time_alone_is_the_same(tmp_path: Path) -> None:
    file = tmp_path / "rows.jsonl"
    for row in ({"top1": 1, "ms": 5.0}, {"top1": 1, "ms": 6.0}, {"top1": 2, "ms": 5.0}):
        append_json_line(file, row, apart=("ms",))
    assert file.read_text(encoding="utf-8") == '{"top1": 1, "ms": 5.0}\n{"top1": 2, "ms": 5.0}\n'


def test_a_file_that_holds_no_rows_is_left_alone(tmp_path: Path) -> None:
    file = tmp_path / "notes.txt"
    file.write_text("my notes\n", encoding="utf-8")
    with pytest.raises(UserError, match="must hold one JSON object a line"):
        append_json_line(file, {"top1": 1})
    assert file.read_text(encoding="utf-8") == "my notes\n"


def test_weights_that_are_not_numbers_are_refused(quick_run: Run, tmp_path: Path) -> None:
    run = Run.open(shutil.copytree(quick_run.path, tmp_path / "run"))
    weights = load_file(run.path / "model.safetensors")
    name = sorted(weights)[0]
    weights[name].view(-1)[0] = float("nan")
    save_file(weights, run.path / "model.safetensors")
    with pytest.raises(UserError, match=f"weights must be finite; .*1 entries, first '{name}'"):
        run.load_network()


def test_files_beside_the_kept_epochs_are_passed_over(unfinished: Run) -> None:
    folder = unfinished.path / "epochs"
    folder.mkdir()
    for name in ("epoch-012.safetensors", "epoch-003.safetensors", "epoch-003 copy.safetensors", "notes.txt"):
        (folder / name).touch()
    assert unfinished.kept_epochs() == (3, 12)
