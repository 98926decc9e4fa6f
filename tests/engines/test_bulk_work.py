"""What commands do by an engine: the same answers, kept in parts. One stands in for Ray, which test_ray.py tries."""

from __future__ import annotations

import pickle
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import torch
from numpy.testing import assert_array_equal

from command_line import status
from foveate.config.engine import EngineConfig, EngineName
from foveate.config.hardware import HardwareConfig
from foveate.data.fingerprints import fingerprints_of
from foveate.engines import parts, ray_cluster, ray_engine
from foveate.engines.ray_engine import Bulk, RayEngine
from foveate.errors import UserError
from foveate.grounding.config import GroundingConfig, GroundingMethod
from foveate.guided_zoom.config import PoolConfig
from foveate.runs.context import RunContext
from foveate.runs.guided_zoom_run import GuidedZoomRun
from foveate.runs.run import Run
from foveate.training.frozen_features import KeptFeatures
from foveate.workflows import split_evidence
from foveate.workflows.build_pool import build_pool
from foveate.workflows.evaluate import evaluate
from foveate.workflows.predict import name_paths, predict_paths
from foveate.workflows.split_evidence import evidence_of_split
from storages import served

RAY = EngineConfig(engine=EngineName.RAY)
CPU = HardwareConfig(accelerator="cpu", workers=0)


def silent(line: str) -> None:
    """Take a line of progress and say nothing."""


@dataclass
class StandIn:
    """Does in this process what Ray does in others, and counts the batches."""

    answered: int = 0
    stops_after: int | None = None
    asked: list[Any] = field(default_factory=list)

    def streamed(
        self,
        batches: Sequence[Sequence[Any]],
        decode: Callable[[Any], Any],
        bulk: Bulk[Any, Any, Any] | None = None,
    ) -> Iterator[Any]:
        answer = list if bulk is None else bulk.answerer()
        self.asked += batches
        for batch in pickle.loads(pickle.dumps(list(batches))):
            if self.answered == self.stops_after:
                raise KeyboardInterrupt
            self.answered += 1
            yield answer([pickle.loads(pickle.dumps(decode(each))) for each in batch])


@pytest.fixture
def stand_in(monkeypatch: pytest.MonkeyPatch) -> StandIn:
    stand_in = StandIn()
    monkeypatch.setattr(ray_engine, "connected", lambda config: None)
    monkeypatch.setattr(RayEngine, "_streamed", lambda engine, *arguments: stand_in.streamed(*arguments))
    monkeypatch.setattr(parts, "PART", 32)
    return stand_in


@pytest.fixture
def photographs(plumage: Path, tmp_path: Path) -> Path:
    """Three batches, one of whose photographs cannot be read."""
    folder = tmp_path / "photographs"
    folder.mkdir()
    for number, path in enumerate(sorted((plumage / "images").glob("*/*"))[:36] * 2):
        (folder / f"{number:02}{path.suffix}").write_bytes(path.read_bytes() if number != 40 else b"no photograph")
    return folder


def test_an_interrupted_job_goes_on_and_ends_as_one_that_was_not(
    stand_in: StandIn, quick_run: Run, photographs: Path, tmp_path: Path
) -> None:
    words = ["predict", str(quick_run.path), str(photographs), "--on-error", "skip", "--hardware.accelerator", "cpu"]
    assert status(*words, "--out", str(tmp_path / "local.csv")) == 0
    out = tmp_path / "ray.csv"
    stand_in.stops_after = 3
    context = RunContext(engine=RAY, hardware=CPU, say=silent)
    with pytest.raises(KeyboardInterrupt) as interruption:
        predict_paths(quick_run.path, [str(photographs)], out=out, context=context)
    assert interruption.value.__notes__ == ["the same command continues where it was saved"]
    assert not out.exists()
    assert len(list((tmp_path / "ray.csv.parts" / "parts").glob("*.parquet"))) == 1
    with pytest.raises(UserError, match=r"parts go on with the work that they were begun for; .* another question; "):
        predict_paths(quick_run.path, [str(photographs)], top=2, out=out, context=context)
    stand_in.stops_after, stand_in.answered = None, 0
    assert status(*words, "--engine", "ray", "--out", str(out)) == 0
    assert stand_in.answered == 5 - 2  # of 72 photographs in batches of 16, a part of two was finished
    assert out.read_bytes() == (tmp_path / "local.csv").read_bytes()
    assert not (tmp_path / "ray.csv.parts").exists()


def test_two_jobs_do_not_write_to_one_place(
    stand_in: StandIn, quick_run: Run, photographs: Path, tmp_path: Path
) -> None:
    out = tmp_path / "names.csv"
    context = RunContext(engine=RAY, hardware=CPU, say=silent)
    lock = tmp_path / "names.csv.parts" / ".lock"
    code = f"from filelock import FileLock; lock = FileLock({str(lock)!r}); lock.acquire(); print(flush=True); input()"
    lock.parent.mkdir()
    with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdout is not None
        other.stdout.readline()
        with pytest.raises(UserError, match=r"one process at a time works in a folder; another .* works in"):
            name_paths(quick_run.path, [str(photographs)], out=out, context=context)
        other.communicate(b"\n")
    with pytest.raises(UserError, match="1 of 72 photographs cannot be read; 71 answers to the others are in"):
        name_paths(quick_run.path, [str(photographs)], out=out, context=context)
    assert not lock.parent.exists()  # the next call looks again at what cannot be read


def test_a_folder_of_parts_goes_with_them_and_is_nobody_elses(
    stand_in: StandIn, quick_run: Run, photographs: Path, tmp_path: Path
) -> None:
    out = tmp_path / "names.csv"
    context = RunContext(engine=RAY, hardware=CPU, say=silent)
    stand_in.stops_after = 1
    with pytest.raises(KeyboardInterrupt):
        name_paths(quick_run.path, [str(photographs)], out=out, context=context)
    assert not (tmp_path / "names.csv.parts").exists()  # no part was finished
    theirs = tmp_path / "names.csv.parts" / "parts" / "of a bicycle.txt"
    theirs.parent.mkdir(parents=True)
    theirs.write_text("bell")
    with pytest.raises(UserError, match=r"parts are kept in a folder of their own; .* holds 'parts'; move it, or"):
        name_paths(quick_run.path, [str(photographs)], out=out, context=context)
    assert [each for each in theirs.parent.parent.rglob("*") if each.is_file()] == [theirs]


def test_addresses_reach_the_workers_with_their_signatures(
    stand_in: StandIn, quick_run: Run, photographs: Path, tmp_path: Path
) -> None:
    files = []
    with served(photographs) as server:
        address = f"{server.url}/{next(photographs.iterdir()).name}"
        for engine in (EngineConfig(), RAY):
            files.append(tmp_path / f"{engine.engine}.csv")
            context = RunContext(engine=engine, hardware=CPU, say=silent)
            predict_paths(quick_run.path, [f"{address}?X-Amz-Signature=0f"], out=files[-1], context=context)
    assert stand_in.asked == [[f"{address}?X-Amz-Signature=0f"]]
    assert files[0].read_bytes() == files[1].read_bytes()
    assert b"Signature" not in files[1].read_bytes()


def test_evaluations_are_equal(stand_in: StandIn, s3n_run: Run, tmp_path: Path) -> None:
    tables = []
    for engine in (EngineConfig(), RAY):
        copy = shutil.copytree(s3n_run.path, tmp_path / engine.engine.value)
        context = RunContext(engine=engine, hardware=CPU, batch_size=5, say=silent)
        evaluation = evaluate(copy, context=context)
        assert evaluation.milliseconds > 0
        tables.append([evaluation.table.probabilities, *(each.value for each in evaluation.branches.values())])
    for local, ray in zip(*tables, strict=True):
        assert_array_equal(local, ray)
    assert stand_in.answered > 3


def test_feature_tables_and_fingerprints_are_equal(stand_in: StandIn, quick_run: Run, tmp_path: Path) -> None:
    records = RunContext().photographs_of(quick_run, "train")
    tables = []
    for engine in (EngineConfig(), RAY):
        network, transforms = quick_run.load_network(), quick_run.config.transforms
        kept = KeptFeatures(network, records, transforms, CPU, tmp_path / engine.engine.value, silent, engine)
        tables.append(kept("pooled", lambda network, images, positions: network.backbone.pooled(images)))
    assert torch.equal(*tables)
    local, ray = fingerprints_of(records), fingerprints_of(records, mapped=RayEngine(RAY).map)
    assert [str(each) for each in local] == [str(each) for each in ray]


def test_pools_are_equal(stand_in: StandIn, quick_run: Run, tmp_path: Path) -> None:
    config = PoolConfig(grounding=GroundingConfig(method=GroundingMethod.CLASS_MAPS), part_size=10, batch_size=4)
    pools = [
        build_pool(
            quick_run,
            tmp_path / engine.engine.value,
            config,
            context=RunContext(engine=engine, hardware=CPU, say=silent),
        )
        for engine in (EngineConfig(), RAY)
    ]
    assert pools[0].table().equals(pools[1].table())
    assert len(pools[1].parts) > 1


def test_evidence_of_a_split_is_equal_also_where_parts_were_missing(
    stand_in: StandIn, made: GuidedZoomRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(split_evidence, "_PART", 5)
    tables = []
    for engine in (EngineConfig(), RAY):
        zoom = GuidedZoomRun.open(shutil.copytree(made.path, tmp_path / engine.engine.value))
        shutil.rmtree(zoom.path / "splits")
        context = RunContext(engine=engine, hardware=CPU, say=silent)
        tables.append(evidence_of_split(zoom, "test", zoom.description.refinement, context=context))
    local, ray = tables
    assert local.ids == ray.ids
    for mine, theirs in zip(local.evidence, ray.evidence, strict=True):
        assert torch.equal(mine, theirs)
    assert stand_in.answered == 1 + 3  # what can be read, and three parts
    ray_folder = tmp_path / RAY.engine.value
    parts_kept = sorted((ray_folder / "splits").glob("*/*.parquet"))
    parts_kept[1].unlink()
    assert status("evaluate", ray_folder, "--engine", "ray", "--hardware.accelerator", "cpu") == 0
    assert stand_in.answered == 4 + 1 + 1


def test_what_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UserError, match="address is of the engine ray: give --engine ray too, or leave it out; got"):
        EngineConfig(address="auto")
    with pytest.raises(UserError, match="networks must be at least 1; got 0"):
        EngineConfig(engine=EngineName.RAY, networks=0)

    def absent(name: str) -> None:
        raise ImportError(name)

    monkeypatch.setattr(ray_cluster, "import_module", absent)
    with pytest.raises(UserError, match=r"it is not installed; pip install 'foveate\[ray\]'"):
        ray_cluster.connected(RAY)
