"""A data format and a grounding that the package has never heard of: an entry in a dict each, also in documents."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from jaxtyping import Float, Int64
from torch import Tensor

from foveate.backbones.backbone import Backbone
from foveate.backbones.own_cnns import OwnCNN
from foveate.config.data import DataConfig
from foveate.config.networks import BackboneConfig, PlainConfig
from foveate.data.datasets.assembly import Row, Split, assemble
from foveate.data.records import ImageDataset, Patch
from foveate.errors import UserError
from foveate.grounding.config import GroundingConfig, GroundingMethod
from foveate.grounding.create import GROUNDINGS
from foveate.grounding.layers import chosen_classes
from foveate.guided_zoom.pool import EvidencePool
from foveate.recipes.config import TrainConfig
from foveate.recipes.datasets import LOADERS, MARKS, load_dataset
from foveate.runs.context import RunContext
from foveate.types import Grounded
from foveate.workflows.build_pool import build_pool
from foveate.workflows.train import train
from zooms import POOL, SLOW, silent


class Corner:
    """Sees every class in the first cell."""

    def __init__(self, backbone: Backbone | OwnCNN) -> None:
        self.backbone = backbone

    @torch.inference_mode()
    def __call__(self, images: Float[Tensor, "b 3 H W"], classes: Int64[Tensor, "b k"] | int) -> Grounded:
        logits = self.backbone.logits(images)
        classes = chosen_classes(logits, classes)
        maps = torch.zeros(*classes.shape, 4, 4)
        maps[:, :, 0, 0] = 1
        return Grounded(logits, classes, maps)


def load_labels(root: Path) -> ImageDataset:
    labels = json.loads((root / "labels.json").read_text())
    names = sorted(set(labels.values()))
    rows = [Row(file, Path(file), names.index(name), Split.TRAIN) for file, name in labels.items()]
    return assemble("labels", rows, dict(enumerate(names)))


@pytest.fixture(scope="module", autouse=True)
def _entries() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patched:
        patched.setitem(LOADERS, "labels-json", load_labels)
        patched.setitem(MARKS, "labels-json", ("labels.json",))
        patched.setitem(GROUNDINGS, "corner", lambda backbone, config, dtype: Corner(backbone))
        yield


@pytest.fixture(scope="module")
def labelled(plumage: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The drawn birds again, listed in a JSON file in another folder."""
    folder = tmp_path_factory.mktemp("labels")
    files = sorted((plumage / "images").glob("*/*.jpg"))
    (folder / "labels.json").write_text(json.dumps({str(file): file.parent.name for file in files}))
    return folder


@pytest.fixture(scope="module")
def pool(labelled: Path, quick: TrainConfig, tmp_path_factory: pytest.TempPathFactory) -> EvidencePool:
    """An evidence pool of both: its photographs are of the format, its places from the grounding."""
    folder = tmp_path_factory.mktemp("runs")
    network = PlainConfig(backbone=BackboneConfig(architecture="test_efficientnet", weights="none"))
    run = train(replace(quick, data=DataConfig(root=labelled), network=network, epochs=1), folder / "run", say=silent)
    config = replace(POOL, grounding=GroundingConfig(method=GroundingMethod("corner")))
    return build_pool(run, folder / "pool", config, context=RunContext(hardware=SLOW, say=silent))


def test_a_format_is_recognised_by_its_mark(labelled: Path) -> None:
    dataset = load_dataset(DataConfig(root=labelled))
    assert (dataset.name, len(dataset.class_names), len(dataset.train)) == ("labels", 4, 36)


def test_a_format_without_its_entries_is_not(labelled: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(MARKS, "labels-json")
    with pytest.raises(UserError, match="looks like none"):
        load_dataset(DataConfig(root=labelled))


def test_a_pool_of_its_photographs_is_read_by_it(pool: EvidencePool) -> None:
    dataset = load_dataset(DataConfig(root=pool.path))
    patches = [record.image for record in dataset.train if isinstance(record.image, Patch)]
    assert patches
    assert all(Path(str(patch.photograph)).is_file() for patch in patches)


def test_a_grounding_says_where_the_pools_evidence_lies(pool: EvidencePool) -> None:
    """The middle of the first of four cells, in a view of 96 pixels."""
    first = [row for row in pool.parts.read().to_pylist() if row["round"] == 0]
    assert first
    assert {(row["x"], row["y"]) for row in first} == {(12.0, 12.0)}


def test_a_pools_document_names_its_grounding(pool: EvidencePool, monkeypatch: pytest.MonkeyPatch) -> None:
    assert EvidencePool.open(pool.path).description == pool.description
    assert json.loads((pool.path / "pool.json").read_text())["config"]["grounding"]["method"] == "corner"
    monkeypatch.delitem(GROUNDINGS, "corner")
    with pytest.raises(UserError, match="'corner' is not a valid GroundingMethod"):
        EvidencePool.open(pool.path)


def test_a_grounding_of_ones_own_is_like_the_others() -> None:
    method = GroundingMethod("corner")
    assert (method, method.value, str(method)) == ("corner", "corner", "corner")
    assert GroundingConfig(method=method) == GroundingConfig(method=GroundingMethod("corner"))
    assert "corner" not in list(GroundingMethod)
    with pytest.raises(ValueError, match="'edge' is not a valid GroundingMethod"):
        GroundingMethod("edge")


def test_every_grounding_that_has_a_name_can_be_made() -> None:
    assert set(GroundingMethod) <= GROUNDINGS.keys()
