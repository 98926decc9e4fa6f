"""Bad input ends with status 2 and a message that names it, and costs nothing that was saved."""

from __future__ import annotations

import errno
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from command_line import status
from foveate.runs.run import Run
from miniatures import lines, write_csv, write_cub

TINY = ["--epochs", "2", "--batch-size", "4", "--transforms.input-size", "32", "--transforms.resize-size", "36"]
TINY += ["--hardware.accelerator", "cpu", "--hardware.workers", "0", "--hardware.precision", "float32"]


def photographs(root: Path, **counts: int) -> Path:
    """Write class folders of small coloured noise."""
    generator = np.random.default_rng(0)
    for name, count in counts.items():
        (root / name).mkdir(parents=True)
        for number in range(count):
            pixels = generator.integers(0, 256, (30, 40, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(root / name / f"{number}.jpg")
    return root


def empty(root: Path) -> Path:
    root.mkdir()
    return root


def one_class(root: Path) -> Path:
    return photographs(root, owl=3)


def one_photograph_of_a_class(root: Path) -> Path:
    return photographs(root, owl=3, wren=1)


def one_name_twice(root: Path) -> Path:
    return write_csv(photographs(root, a=4) / "list.csv", {"image": paths("a", 4), "class_name": ["Owl", "owl"] * 2})


def two_names_of_a_label(root: Path) -> Path:
    columns: dict[str, list[Any]] = {
        "image": paths("a", 4),
        "class_name": ["owl", "wren"] * 2,
        "label": [0, 1, 1, 0],
    }
    return write_csv(photographs(root, a=4) / "list.csv", columns)


def negative_label(root: Path) -> Path:
    columns: dict[str, list[Any]] = {"image": paths("a", 2), "label": [0, -1]}
    return write_csv(photographs(root, a=2) / "list.csv", columns)


def label_beyond_the_classes(root: Path) -> Path:
    cub = write_cub(root)
    lines(cub / "image_class_labels.txt", ["31 9", "7 9", "12 4", "5 4", "40 201"])
    return cub


def paths(folder: str, count: int) -> list[str]:
    return [f"{folder}/{number}.jpg" for number in range(count)]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (empty, "folder must not be empty"),
        (one_class, "at least two classes; birds has only 'owl'"),
        (one_photograph_of_a_class, "1 of 2 classes have one: wren. Add photographs"),
        (one_name_twice, "'Owl' = 'owl'. Rename or merge them"),
        (two_names_of_a_label, "a/2.jpg has label 1 and 'owl'"),
        (negative_label, "labels must be whole numbers, 0 or more"),
        (label_beyond_the_classes, "got 201. Correct the labels"),
    ],
)
def test_a_data_set_that_breaks_a_rule(
    make: Callable[[Path], Path], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = make(tmp_path / "birds")
    assert status("train", "plain", "--data.root", root, "--out", tmp_path / "run", *TINY) == 2
    told = capsys.readouterr().err
    assert told.startswith("foveate: ")
    assert message in told
    assert not (tmp_path / "run").exists()


def truncated(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-300])


def one_pixel(path: Path) -> None:
    Image.new("RGB", (1, 1)).save(path)


def strip(path: Path) -> None:
    Image.new("RGB", (20_000, 20)).save(path)


@pytest.mark.parametrize(
    ("damage", "message"), [(truncated, "cannot be decoded"), (one_pixel, "is 1x1"), (strip, "is 20000x20")]
)
def test_a_broken_photograph_is_named_and_costs_nothing_else(
    damage: Callable[[Path], None],
    message: str,
    quick_run: Run,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    root = photographs(tmp_path / "birds", owl=3, wren=3)
    for path in root.glob("owl/*"):
        damage(path)
    answers = tmp_path / "answers.csv"
    commands = (
        ("data", root),
        ("train", "plain", "--data.root", root, "--out", tmp_path / "run", *TINY),
        ("predict", quick_run.path, root, "--out", answers),
    )
    for command in commands:
        assert status(*command) == 2
        told = capsys.readouterr().err
        assert message in told
        assert str(root / "owl") in told
    assert not (tmp_path / "run").exists()
    named = {line.split(",")[0] for line in answers.read_text().splitlines()[1:]}
    assert named == {str(root / "wren" / f"{number}.jpg") for number in range(3)}


def test_bad_files_of_all_splits_are_named_at_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = tmp_path / "birds"
    for split in ("train", "test"):
        photographs(root / split, owl=2, wren=2)
    broken = [root / "train" / "owl" / "0.jpg", root / "train" / "wren" / "1.jpg", root / "test" / "owl" / "1.jpg"]
    for path in broken:
        path.write_bytes(path.read_bytes()[:200])
    (root / "test" / "wren" / "0.jpg").rename(root / "test" / "wren" / os.fsdecode(b"caf\xe9.jpg"))
    os.mkfifo(root / "train" / "wren" / "pipe.jpg")
    train = ("train", "plain", "--data.root", root, "--out", tmp_path / "run", *TINY)
    for command in (("data", root), train):
        assert status(*command) == 2
        told = capsys.readouterr().err
        assert "5 of 9 photographs cannot be used (3 of 5 in train, 2 of 4 in test)" in told
        for named in (*map(str, broken), "caf\\xe9.jpg; rename it", "pipe.jpg (it is a named pipe)"):
            assert named in told
    assert status("data", root, "--on-error", "skip") == 0
    assert "left out 2 of 4 photographs in test" in capsys.readouterr().out


def test_a_name_that_is_not_utf8_does_not_stop_the_cut_of_a_test_split(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = photographs(tmp_path / "birds", owl=3, wren=3)
    (root / "owl" / "0.jpg").rename(root / "owl" / os.fsdecode(b"caf\xe9.jpg"))
    assert status("train", "plain", "--data.root", root, "--out", tmp_path / "run", *TINY) == 2
    assert "owl/caf\\xe9.jpg; rename it" in capsys.readouterr().err


def test_missing_files_stop_or_are_left_out(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = photographs(tmp_path / "birds", owl=3, wren=3)
    columns = {
        "image": [*paths("owl", 4), *paths("wren", 3)],
        "class_name": ["owl"] * 4 + ["wren"] * 3,
        "split": ["train"] * 7,
    }
    listed = write_csv(root / "list.csv", columns)
    command = ("train", "plain", "--data.root", listed, "--data.test-fraction", 0, "--out", tmp_path / "run", *TINY)
    assert status(*command) == 2
    told = capsys.readouterr().err
    assert "1 of 7 photographs cannot be used" in told
    assert f"image not found: {root / 'owl' / '3.jpg'}" in told
    # As the message advises, into the same folder.
    assert status(*command, "--data.on-error", "skip", "--epochs", 1) == 0
    assert "left out 1 of 7 photographs that cannot be read" in capsys.readouterr().out
    assert Run.open(tmp_path / "run").finished


@pytest.fixture
def own_run(quick_run: Run, tmp_path: Path) -> Path:
    """A copy of the trained run that a test may damage."""
    return shutil.copytree(quick_run.path, tmp_path / "own", ignore=shutil.ignore_patterns("checkpoints", "logs"))


def without_weights(run: Path) -> None:
    (run / "model.safetensors").unlink()


def with_weights_of_another(run: Path) -> None:
    file = run / "run.json"
    content = json.loads(file.read_text())
    content["config"]["network"]["backbone"]["architecture"] = "resnet18"
    file.write_text(json.dumps(content))


def cut_short(run: Path) -> None:
    file = run / "model.safetensors"
    file.write_bytes(file.read_bytes()[:50_000])


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (without_weights, "a run is used by its model.safetensors"),
        (with_weights_of_another, "must hold the weights of resnet18 with 4 classes"),
        (cut_short, "must hold the weights of tf_efficientnet_lite0"),
    ],
)
def test_a_damaged_run_is_named(
    damage: Callable[[Path], None], message: str, own_run: Path, plumage: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    damage(own_run)
    before = {file: file.read_bytes() for file in own_run.rglob("*") if file.is_file()}
    for command in (("evaluate", own_run), ("predict", own_run, plumage)):
        assert status(*command) == 2
        told = capsys.readouterr().err
        assert message in told
        assert str(own_run) in told
    assert {file: file.read_bytes() for file in own_run.rglob("*") if file.is_file()} == before


class FullDisk:
    """A file on a disk that has room for some more bytes."""

    def __init__(self, stream: BinaryIO, room: int) -> None:
        self.stream = stream
        self.room = room

    def write(self, data: bytes) -> int:
        self.room -= len(data)
        if self.room < 0:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return self.stream.write(data)

    def flush(self) -> None:
        self.stream.flush()


def checkpoint(run: Path) -> dict[str, Any]:
    content: dict[str, Any] = torch.load(run / "checkpoints" / "last.ckpt", map_location="cpu", weights_only=True)
    return content


def test_a_full_disk_costs_only_what_was_being_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The disk fills at the second checkpoint, then at the model; each time the same command goes on from there."""
    root, run = photographs(tmp_path / "birds", owl=3, wren=3), tmp_path / "run"
    command = ("train", "plain", "--data.root", root, "--out", run, "--pretrained-share", "0", *TINY)
    save: Callable[[object, Any], None] = torch.save

    def fill_the_disk(content: dict[str, Any], stream: BinaryIO) -> None:
        save(content, stream if content["epoch"] == 0 else FullDisk(stream, room=1_000_000))

    with monkeypatch.context() as patched:
        patched.setattr(torch, "save", fill_the_disk)
        assert status(*command) == 2
    assert f"cannot write {run / 'checkpoints' / 'last.ckpt'}: No space left" in capsys.readouterr().err
    assert checkpoint(run)["epoch"] == 0
    assert [file.name for file in (run / "checkpoints").iterdir()] == ["last.ckpt"]

    broken, kept = root / "owl" / "0.jpg", (run / "checkpoints" / "last.ckpt").read_bytes()
    whole = broken.read_bytes()
    broken.write_bytes(whole[:-300])
    assert status("data", root) == status(*command) == 2
    assert (run / "checkpoints" / "last.ckpt").read_bytes() == kept
    broken.write_bytes(whole)

    with monkeypatch.context() as patched:
        patched.setattr(Path, "write_bytes", no_space)
        assert status(*command) == 2
    told = capsys.readouterr()
    assert f"resuming from {run / 'checkpoints' / 'last.ckpt'}" in told.out
    assert f"cannot write {run / 'model.safetensors'}: No space left" in told.err
    assert not Run.open(run).finished
    trained = checkpoint(run)
    assert trained["epoch"] == 1

    assert status(*command) == 0
    weights = load_file(run / "model.safetensors")
    expected = {name.removeprefix("network."): value for name, value in trained["state_dict"].items()}
    assert weights.keys() == expected.keys()
    assert all(torch.equal(weights[name], expected[name]) for name in weights)


def no_space(path: Path, data: bytes) -> int:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
