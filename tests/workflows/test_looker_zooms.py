"""A Guided Zoom whose looker is another network: it is copied, named, shared, and no other may take its place."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from unittest import mock

import pytest

import foveate
from command_line import status
from foveate.errors import UserError
from foveate.files.hashes import hash_of_file
from foveate.grounding.config import GroundingConfig, GroundingMethod
from foveate.recipes.config import TrainConfig
from foveate.runs.guided_zoom_run import LOOKER, GuidedZoomRun
from foveate.runs.run import Run
from foveate.workflows.build_pool import build_pool
from zooms import POOL, QUIET, SLOW, made_of, silent

GROUNDED = replace(POOL, grounding=GroundingConfig(), patches=replace(POOL.patches, rounds=1))
"""The looker's family decides how it is grounded: it is a ResNet, the network that answers has SiLUs."""


@pytest.fixture(scope="module")
def looked(quick_run: Run, tiny_run: Run, evidence: TrainConfig, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of `quick_run`, with `tiny_run` for its looker, of which another folder was given that is gone."""
    folder = tmp_path_factory.mktemp("looked")
    shutil.copytree(tiny_run.path, folder / "small")
    made_of(quick_run, folder / "zoom", evidence, pool=GROUNDED, refinement=None, looker=folder / "small", split=None)
    shutil.rmtree(folder / "small")
    return folder / "zoom"


def test_it_needs_no_other_folder_for_its_looker(
    looked: Path, tiny_run: Run, birds: list[Path], tmp_path: Path
) -> None:
    zoom = GuidedZoomRun.open(looked)
    assert zoom.description.looker_hash == hash_of_file(tiny_run.weights)
    assert zoom.description.pool.grounding.method is GroundingMethod.EB
    assert zoom.description.grounded_layer is None
    assert zoom.open_pool().description.looker_hash == zoom.description.looker_hash
    model = foveate.load(looked, hardware=SLOW)
    assert model.refiner is not None
    looker = model.refiner.zoom.conventional.looker
    assert looker is not None
    assert looker.backbone.architecture == tiny_run.config.network.base
    out = tmp_path / "pictures"
    assert status("explain", looked, birds[0], "--out", out, "--hardware.accelerator", "cpu") == 0
    assert len(list(out.glob("*.png"))) == 1


def test_it_is_found_finished_and_says_what_was_grounded(
    looked: Path, quick_run: Run, evidence: TrainConfig, tmp_path: Path
) -> None:
    """The same call again, its looker named where it no longer lies."""
    gone, context = looked.parent / "small", replace(QUIET, results=tmp_path / "rows.jsonl")
    options = {"pool": GROUNDED, "refinement": None, "context": context}
    with mock.patch("foveate.workflows.build_guided_zoom.train") as training:
        made_of(quick_run, looked, evidence, looker=gone, **options)
    training.assert_not_called()
    (row,) = map(json.loads, (tmp_path / "rows.jsonl").read_text().splitlines())
    assert row["grounding"] == "eb of test_resnet"


def test_another_looker_is_another_guided_zoom(
    looked: Path, quick_run: Run, tiny_run: Run, evidence: TrainConfig
) -> None:
    for other in (None, quick_run):
        with pytest.raises(UserError, match="began with another looker, or none; ask for what it began with"):
            made_of(quick_run, looked, evidence, pool=GROUNDED, refinement=None, looker=other)
    with pytest.raises(UserError, match="was built with another looker; name another folder"):
        build_pool(quick_run, looked / "pool", GROUNDED, context=QUIET)
    assert GuidedZoomRun.open(looked).alike_but_for_seeds(GuidedZoomRun.open(looked))


@pytest.fixture
def changed(looked: Path, tmp_path: Path) -> Path:
    """A copy whose looker has other weights."""
    copy = Path(shutil.copytree(looked, tmp_path / "zoom"))
    shutil.copyfile(copy / "evidence" / "model.safetensors", copy / LOOKER / "model.safetensors")
    return copy


def test_a_looker_that_has_changed_is_refused(changed: Path) -> None:
    with pytest.raises(UserError, match=r"grounds the network that its pool was built with; the weights in .*looker"):
        foveate.load(changed, hardware=SLOW)


def test_it_is_shared_with_its_looker(looked: Path, birds: list[Path], tmp_path: Path) -> None:
    foveate.push(looked, "ada/birds", licence="mit", dry_run=tmp_path / "dry", say=silent)
    shared, own = (foveate.load(each, hardware=SLOW) for each in (tmp_path / "dry", looked))
    assert shared.predict(birds[0]) == own.predict(birds[0])
    listed = json.loads((tmp_path / "dry" / "foveate.json").read_text())["files"]
    assert "looker/model.safetensors" in listed


def test_a_looker_of_other_classes_is_refused(quick_run: Run, tiny_run: Run, tmp_path: Path) -> None:
    other = Path(shutil.copytree(tiny_run.path, tmp_path / "other"))
    described = json.loads((other / "run.json").read_text())
    (other / "run.json").write_text(json.dumps(described | {"class_names": described["class_names"][::-1]}))
    asked = ("--looker", other, "--out", tmp_path / "out")
    with pytest.raises(UserError, match=r"a looker must know the classes that are recognised, .* and class 1 is "):
        made_of(quick_run, tmp_path / "out", None, pool=GROUNDED, looker=other)
    for command in (("guided-zoom", quick_run.path), ("pool", "build", quick_run.path)):
        assert status(*command, *asked) == 2
        assert status(*command, "--looker", tmp_path / "none", "--out", tmp_path / "out") == 2
    assert not (tmp_path / "out").exists()
