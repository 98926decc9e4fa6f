"""A byte that changes on disk, or a file that goes missing, is noticed and named when the file is read."""

from __future__ import annotations

import errno
import json
import os
import random
import shutil
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from unittest import mock

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from foveate.backbones.foreign_weights import read_foreign_weights
from foveate.backbones.weights import load_weights, read_state_dict, save_weights
from foveate.data.records import ImageRecord
from foveate.errors import UserError
from foveate.evaluation.predictions import PredictionTable, read_predictions, write_predictions
from foveate.files.documents import read_json
from foveate.files.hashes import hash_of_file
from foveate.files.parquet import read_parquet
from foveate.files.table_parts import TableInParts
from foveate.guided_zoom.pool import SCHEMA
from foveate.runs.context import RunContext
from foveate.runs.guided_zoom_run import GuidedZoomRun
from foveate.runs.run import Run
from foveate.training.checkpoints import AtomicCheckpoints, read_checkpoint
from foveate.training.fit import fit


@pytest.fixture
def own_run(quick_run: Run, tmp_path: Path) -> Run:
    """A copy of the trained run that a test may damage."""
    return Run.open(shutil.copytree(quick_run.path, tmp_path / "own", ignore=shutil.ignore_patterns("logs")))


def weights() -> dict[str, Tensor]:
    torch.manual_seed(0)
    batches = torch.tensor(7)  # of no dimension, as batch norm counts them
    return {"a.weight": torch.randn(3, 4), "a.bias": torch.randn(3), "batches": batches, "half": torch.ones(2).half()}


def flipped(file: Path, place: int, bit: int) -> None:
    content = bytearray(file.read_bytes())
    content[place] ^= 1 << bit
    file.write_bytes(content)


def unnoticed(file: Path, read: Callable[[Path], object], same: Callable[[object, object], bool], tries: int) -> int:
    """Flip one bit after the other, and count how often something else is read without an error."""
    whole, before, draw = file.read_bytes(), read(file), random.Random(0)
    count = 0
    for place in draw.sample(range(len(whole)), min(tries, len(whole))):
        flipped(file, place, draw.randrange(8))
        with suppress(Exception):  # any error is a notice here; which one the user sees is tested below
            count += not same(read(file), before)
        file.write_bytes(whole)
    return count


def equal_weights(a: object, b: object) -> bool:
    assert isinstance(a, dict)
    assert isinstance(b, dict)
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


def test_no_flipped_bit_of_a_file_of_weights_goes_unnoticed(tmp_path: Path) -> None:
    file = tmp_path / "model.safetensors"
    save_weights(file, weights())
    assert equal_weights(load_weights(file), weights())
    assert unnoticed(file, load_weights, equal_weights, 300) == 0


def test_no_flipped_bit_of_a_checkpoint_goes_unnoticed(tmp_path: Path) -> None:
    file = tmp_path / "last.ckpt"
    AtomicCheckpoints().save_checkpoint({"state_dict": weights(), "epoch": 3}, file)

    def same(a: object, b: object) -> bool:
        assert isinstance(a, dict)
        assert isinstance(b, dict)
        return a["epoch"] == b["epoch"] and equal_weights(a["state_dict"], b["state_dict"])

    assert torch.load(file, weights_only=True)["epoch"] == 3  # still what torch reads
    assert unnoticed(file, read_checkpoint, same, 300) == 0


def test_no_flipped_bit_of_a_table_goes_unnoticed(tmp_path: Path) -> None:
    edges = {"left": 1, "top": 2, "right": 3, "bottom": 4}
    rows = [
        {
            "id": f"{n}.jpg",
            "label": n % 2,
            "round": 0,
            "x": 0.5 * n,
            "y": 1.0,
            "found": True,
            "probability": 0.3,
            **edges,
        }
        for n in range(20)
    ]
    parts = TableInParts(tmp_path / "parts", SCHEMA, 20, 20, "`this`")
    parts.write(0, pa.Table.from_pylist(rows, schema=SCHEMA))
    assert unnoticed(parts.file(0), lambda _: parts.read(), lambda a, b: a == b, 200) == 0
    file = tmp_path / "answers.parquet"
    labels, probabilities = torch.arange(3).numpy(), torch.eye(3).numpy()
    write_predictions(file, PredictionTable(("a", "b", "c"), labels, probabilities, ("owl", "wren", "jay")))

    def as_written(a: object, b: object) -> bool:
        assert isinstance(a, PredictionTable)
        assert isinstance(b, PredictionTable)
        equal = (a.ids, a.class_names) == (b.ids, b.class_names)
        return equal and (a.labels == b.labels).all() and bool((a.probabilities == b.probabilities).all())

    assert unnoticed(file, read_predictions, as_written, 200) == 0


def test_changed_weights_are_named(own_run: Run) -> None:
    """Also where another training would begin with them."""
    flipped(own_run.weights, own_run.weights.stat().st_size - 3, 0)
    for read in (own_run.load_network, lambda: read_state_dict(own_run.weights)):
        with pytest.raises(UserError, match=r"model\.safetensors has changed since .*; restore it from a copy"):
            read()


@pytest.mark.parametrize("suffix", [".safetensors", ".pth", ""])
def test_changed_weights_are_named_whatever_the_file_is_called(suffix: str, tmp_path: Path) -> None:
    """And what `adopt` reads is checked too."""
    file = tmp_path / f"weights{suffix}"
    save_weights(file, weights())
    assert equal_weights(read_state_dict(file), weights())
    flipped(file, -3, 0)
    for read in (read_state_dict, read_foreign_weights):
        with pytest.raises(UserError, match="has changed since"):
            read(file)


def test_a_torch_file_under_another_suffix_is_read(tmp_path: Path) -> None:
    torch.save({"state_dict": weights()}, tmp_path / "weights.safetensors")
    assert equal_weights(read_state_dict(tmp_path / "weights.safetensors"), weights())


def test_changed_weights_of_an_epoch_are_named(s3n_run: Run, tmp_path: Path) -> None:
    run = Run.open(
        shutil.copytree(s3n_run.path, tmp_path / "run", ignore=shutil.ignore_patterns("logs", "checkpoints"))
    )
    flipped(run.path / "epochs/epoch-001.safetensors", -3, 0)
    run.load_network()
    run.load_network(2)
    with pytest.raises(UserError, match=r"epoch-001\.safetensors has changed since"):
        run.load_network(1)


def test_weights_from_before_there_were_hashes_are_read(own_run: Run) -> None:
    save_file(load_weights(own_run.weights), own_run.weights)
    own_run.load_network()


def test_the_same_weights_are_the_same_file(tmp_path: Path) -> None:
    """So that what a killed training leaves can be compared byte by byte."""
    for name in "ab":
        save_weights(tmp_path / name, weights())
        AtomicCheckpoints().save_checkpoint({"state_dict": weights()}, tmp_path / f"{name}.ckpt")
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    assert (tmp_path / "a.ckpt").read_bytes() == (tmp_path / "b.ckpt").read_bytes()


def test_a_checkpoint_from_before_there_were_hashes_is_read(tmp_path: Path) -> None:
    torch.save({"epoch": 3}, tmp_path / "last.ckpt")
    assert read_checkpoint(tmp_path / "last.ckpt") == {"epoch": 3}


@pytest.mark.parametrize("name", ["last.ckpt", "best.ckpt"])
def test_a_changed_checkpoint_is_named_before_the_training_goes_on(own_run: Run, name: str) -> None:
    shutil.copy(own_run.checkpoints / "last.ckpt", own_run.checkpoints / "best.ckpt")
    flipped(own_run.checkpoints / name, 5000, 0)
    network, record = own_run.load_network(), [ImageRecord("a", b"", 0, "owl")]
    lines: list[str] = []
    with pytest.raises(UserError, match=rf"{name} cannot be read \(it has changed since it was written.*to start this"):
        fit(network, own_run.config, record, record, own_run.path, say=lines.append)
    assert [line.partition(" ")[0] for line in lines] == ["resuming"]


def test_a_checkpoint_that_the_system_cannot_read_is_not_to_be_removed(tmp_path: Path) -> None:
    file = tmp_path / "last.ckpt"
    AtomicCheckpoints().save_checkpoint({"epoch": 3}, file)
    refusals = {errno.EACCES: "Permission denied", errno.EIO: "Input/output error"}
    for number, words in refusals.items():
        with (
            mock.patch.object(Path, "open", side_effect=OSError(number, words)),
            pytest.raises(UserError, match=rf"last\.ckpt cannot be read \({words}\); check") as raised,
        ):
            read_checkpoint(file)
        assert "remove" not in str(raised.value)
    with mock.patch.object(torch, "load", side_effect=MemoryError), pytest.raises(MemoryError):
        read_checkpoint(file)


def test_memory_that_runs_out_is_no_damage_of_the_weights(quick_run: Run) -> None:
    with mock.patch("foveate.runs.run.load_weights", side_effect=MemoryError), pytest.raises(MemoryError):
        quick_run.load_network()


def damage_gone(file: Path) -> None:
    file.unlink()


def damage_cut(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-40])


def damage_empty(file: Path) -> None:
    file.write_bytes(b"")


def damage_folder(file: Path) -> None:
    file.unlink()
    file.mkdir()


def damage_columns(file: Path) -> None:
    pq.write_table(pa.table({"id": [1, 2], "name": ["a", "b"]}), file)


def damage_gaps(file: Path) -> None:
    table = pq.read_table(file)
    pq.write_table(table.set_column(0, "id", pa.nulls(len(table), pa.string())), file)


DAMAGES = (damage_gone, damage_cut, damage_empty, damage_folder, damage_columns, damage_gaps)


@pytest.mark.parametrize("damage", DAMAGES)
def test_photographs_that_are_no_longer_known_are_named(own_run: Run, damage: Callable[[Path], None]) -> None:
    damage(own_run.path / "photographs.parquet")
    with pytest.raises(UserError, match=r"photographs\.parquet.*restore it from a copy, or train anew") as caught:
        own_run.trained_ids()
    assert len(str(caught.value)) < 600


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_prediction_table_that_is_none_is_named(tmp_path: Path, damage: Callable[[Path], None]) -> None:
    file = tmp_path / "answers.parquet"
    labels = torch.arange(2).numpy()
    write_predictions(file, PredictionTable(("a", "b"), labels, torch.eye(2).numpy(), ("owl", "wren")))
    damage(file)
    with pytest.raises(UserError, match=r"answers\.parquet"):
        read_predictions(file)


@pytest.mark.parametrize(
    ("classes", "metadata", "reason"),
    [
        (b"[", b"{}", "must be JSON"),
        (b"[" * 100_000, b"{}", "nested too deeply"),
        (b"\xff", b"{}", "must be JSON"),
        (b'["owl", "\\ud800"]', b"{}", "must be JSON"),
        (b'"owl"', b"{}", "must name every class once"),
        (b'["owl", 5]', b"{}", "must name every class once"),
        (b'["owl", "owl"]', b"{}", "must name every class once"),
        (b'["owl", "wren"]', b"[]", "must name every class once"),
        (b'["owl", "wren"]', b'{"run": 1}', "must name every class once"),
        (b'["owl", "jay"]', b"{}", "have changed since they were written"),
    ],
)
def test_metadata_that_are_none_are_named(tmp_path: Path, classes: bytes, metadata: bytes, reason: str) -> None:
    file = tmp_path / "answers.parquet"
    labels = torch.arange(2).numpy()
    write_predictions(file, PredictionTable(("a", "b"), labels, torch.eye(2).numpy(), ("owl", "wren")))
    kept = pq.read_table(file)
    changed = {b"foveate.class_names": classes, b"foveate.metadata": metadata}
    pq.write_table(kept.replace_schema_metadata(kept.schema.metadata | changed), file)
    with pytest.raises(UserError, match=rf"answers\.parquet.*{reason}"):
        read_predictions(file)


@pytest.mark.parametrize("change", [lambda c: c.pop("minutes"), lambda c: c.update(minutes="long")])
def test_metrics_that_lack_what_is_used_are_named(own_run: Run, change: Callable[[dict[str, object]], object]) -> None:
    content: dict[str, object] = {"minutes": 1.5, "epochs": 1}
    change(content)
    (own_run.path / "metrics.json").write_text(str(content).replace("'", '"'))
    with pytest.raises(UserError, match=r"metrics\.json is damaged: .* @ \$\.minutes; restore it from a copy"):
        own_run.metrics()


def test_every_field_of_the_environment_is_needed(own_run: Run) -> None:
    file = own_run.path / "environment.json"
    whole = json.loads(file.read_text())
    assert own_run.environment() == {name: value for name, value in whole.items() if name != "schema_version"}
    for name in whole.keys() - {"schema_version"}:
        file.write_text(json.dumps({other: value for other, value in whole.items() if other != name}))
        with pytest.raises(UserError, match=rf"required field missing @ \$\.{name}; restore it from a copy"):
            own_run.environment()
        others: tuple[object, ...] = (5, [], {"timm": 1})
        for wrong in others:
            file.write_text(json.dumps(whole | {name: wrong}))
            with pytest.raises(UserError, match=rf"environment\.json is damaged: .* @ \$\.{name}"):
                own_run.environment()


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs pipes")
@pytest.mark.parametrize(
    "read",
    [
        read_json,
        hash_of_file,
        load_weights,
        read_checkpoint,
        read_predictions,
        lambda path: read_parquet(path, "x", "y"),
    ],
)
def test_a_pipe_in_the_place_of_a_file_is_not_waited_for(tmp_path: Path, read: Callable[[Path], object]) -> None:
    os.mkfifo(tmp_path / "file")
    with pytest.raises(UserError, match="must be a regular file; it is a pipe or a device"):
        read(tmp_path / "file")


def test_weights_that_are_gone_are_named(own_run: Run) -> None:
    own_run.weights.unlink()
    with pytest.raises(UserError, match=r"model\.safetensors must be a file .*No such file.*; restore it from a copy"):
        hash_of_file(own_run.weights)


def test_a_guided_zoom_whose_evidence_is_gone_is_named(made: GuidedZoomRun, tmp_path: Path) -> None:
    from foveate.workflows.load_guided_zoom import load_guided_zoom
    from foveate.workflows.split_evidence import evidence_of_split

    zoom = GuidedZoomRun.open(shutil.copytree(made.path, tmp_path / "zoom"))
    zoom.evidence_run().weights.unlink()
    config = made.base_run().config.hardware
    with pytest.raises(UserError, match=r"model\.safetensors must be a file that can be read"):
        evidence_of_split(
            zoom, "test", zoom.description.refinement, context=RunContext(hardware=config, say=lambda line: None)
        )
    with pytest.raises(UserError, match="evidence has none"):
        load_guided_zoom(zoom, config)
