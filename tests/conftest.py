"""What many tests need: the real slice, a few drawn birds, and one small trained run."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import torch

import foveate
import rounding
import storages
from foveate.config.data import DataConfig, TransformConfig
from foveate.config.hardware import HardwareConfig
from foveate.config.networks import BackboneConfig, PlainConfig
from foveate.data.datasets import DatasetFormat
from foveate.macnn.config import MACNNConfig
from foveate.plumage import PlumageConfig, draw_plumage
from foveate.recipes import evidence as evidence_recipe
from foveate.recipes.config import TrainConfig
from foveate.recipes.datasets import load_splits
from foveate.recipes.methods import create_network
from foveate.runs.context import RunContext
from foveate.runs.guided_zoom_run import GuidedZoomRun
from foveate.runs.held_out import Calibration, write_calibration
from foveate.runs.run import Run, RunDescription
from foveate.s3n.config import S3NConfig
from foveate.workflows.export.export import Exported
from foveate.workflows.train import train
from zooms import SLOW, made_of

if TYPE_CHECKING:
    from foveate.serve.service import Service

os.environ.setdefault("FOVEATE_DEBUG", "1")  # an error that nobody foresaw fails a test where it arises


def pytest_configure() -> None:
    """Fix what rounding depends on, before anything is computed."""
    rounding.set_precision()
    rounding.add_noise()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with OpenVINO's: more than a minute, for which the other process would else wait at the end.

    Then come Ray's, so that no other process takes some of them over and starts a cluster of its own.
    """
    items.sort(key=lambda item: (item.path.name != "test_runtimes.py", item.path.name != "test_ray.py"))


@pytest.fixture
def without_noise(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two ways through a CNN agree to rounding, but the noise for tests reaches one of them alone."""
    monkeypatch.setattr(rounding, "silent", True)


@pytest.fixture(scope="session")
def cub20() -> Path:
    """The real 20-class slice of CUB-200-2011."""
    default = Path(__file__).parents[2] / "shared" / "data" / "CUB_200_2011_20"
    root = Path(os.environ.get("FOVEATE_CUB20", default))
    if root.is_dir():
        return root
    if os.environ.get("FOVEATE_REQUIRE_REALDATA") == "1":
        pytest.fail(f"FOVEATE_REQUIRE_REALDATA is 1, but the slice of CUB is not at {root}")
    pytest.skip(f"the slice of CUB is not at {root}; set FOVEATE_CUB20")


@pytest.fixture
def far(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache of one's own for what lies elsewhere, no wait before a further try, and nothing in fsspec's memory."""
    storages.forget()
    monkeypatch.setenv("FOVEATE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("foveate.files.storage.PAUSES", (0.0, 0.0))
    return tmp_path / "cache"


@pytest.fixture(scope="session")
def plumage(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Drawn birds: 4 species in CUB's layout, 6 training and 3 test pictures each, 96 pixels."""
    config = PlumageConfig(species=4, train_per_species=6, test_per_species=3, size=96)
    return draw_plumage(tmp_path_factory.mktemp("birds") / "plumage", config, workers=1)


@pytest.fixture(scope="session")
def quick(plumage: Path) -> TrainConfig:
    """A training of two short epochs on the drawn birds, in float32 and without worker processes."""
    return TrainConfig(
        data=DataConfig(root=plumage, format=DatasetFormat.CUB),
        transforms=TransformConfig(input_size=64, resize_size=72),
        hardware=HardwareConfig(accelerator="cpu", workers=0),
        epochs=2,
        batch_size=8,
    )


@pytest.fixture(scope="session")
def quick_run(quick: TrainConfig, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """The finished run of `quick`; tests that change its folder copy it first."""
    return train(quick, tmp_path_factory.mktemp("runs") / "quick", say=lambda line: None)


@pytest.fixture(scope="session")
def quick_s3n(quick: TrainConfig) -> TrainConfig:
    """The same training of S3N, its zoom reading from a larger source; both epochs are kept."""
    backbone = BackboneConfig(architecture="test_efficientnet", weights="none")
    transforms = replace(quick.transforms, source_size=96)
    return replace(quick, network=S3NConfig(backbone=backbone), transforms=transforms, keep_epochs=(1, 2))


@pytest.fixture(scope="session")
def s3n_run(quick_s3n: TrainConfig, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """The finished run of `quick_s3n`; tests that change its folder copy it first."""
    return train(quick_s3n, tmp_path_factory.mktemp("runs") / "s3n", say=lambda line: None)


@pytest.fixture(scope="session")
def quick_macnn(quick: TrainConfig) -> TrainConfig:
    """The same training of MA-CNN, an epoch for each phase; its parts are cut from a larger source."""
    backbone = BackboneConfig(architecture="test_efficientnet", weights="none")
    network = MACNNConfig(
        backbone=backbone, parts=2, hidden=16, part_size=48, classifying_epochs=1, start_steps=5, object_stream=True
    )
    return replace(quick, network=network, transforms=TransformConfig(input_size=64, resize_size=72, source_size=96))


@pytest.fixture(scope="session")
def macnn_run(quick_macnn: TrainConfig, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """The finished run of `quick_macnn`; tests that change its folder copy it first."""
    return train(quick_macnn, tmp_path_factory.mktemp("runs") / "macnn", say=lambda line: None)


@pytest.fixture(scope="session")
def evidence() -> TrainConfig:
    """An Evidence CNN that trains in a second."""
    return replace(
        evidence_recipe(),
        transforms=TransformConfig(input_size=32, resize_size=40),
        network=PlainConfig(backbone=BackboneConfig(architecture="test_efficientnet", weights="none")),
        hardware=SLOW,
        epochs=1,
    )


@pytest.fixture(scope="session")
def made(quick_run: Run, evidence: TrainConfig, tmp_path_factory: pytest.TempPathFactory) -> GuidedZoomRun:
    """A finished Guided Zoom of `quick_run`; tests that change its folder copy it first."""
    out = tmp_path_factory.mktemp("guided") / "zoom"
    made_of(quick_run, out, evidence)
    return GuidedZoomRun.open(out)


@pytest.fixture(scope="session")
def zoom_service(made: GuidedZoomRun) -> Service:
    """What a server of `made` knows."""
    from serving import loaded  # with a web framework, for these tests alone

    return loaded(made.path)


@pytest.fixture(scope="session")
def address(zoom_service: Service) -> Iterator[str]:
    """Of a server of `made`."""
    from serving import serving

    with serving(zoom_service) as url:
        yield url


@pytest.fixture(scope="session")
def birds(plumage: Path) -> list[Path]:
    """The photographs of `plumage`."""
    return sorted(plumage.rglob("*.jpg"))


@pytest.fixture(scope="session")
def tiny_run(quick: TrainConfig, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A finished run of a small random network on the drawn birds, with a temperature: it was not trained."""
    config = replace(quick, network=PlainConfig(backbone=BackboneConfig(architecture="test_resnet", weights="none")))
    splits = load_splits(config.data)
    run = Run.start(tmp_path_factory.mktemp("runs") / "tiny", RunDescription(config, splits.class_names, splits.name))
    run.keep_photographs(splits.train, splits.validation)
    torch.manual_seed(0)
    run.finish(create_network(config.network, config.transforms, len(splits.class_names)), {"minutes": 0.0})
    write_calibration(run.path, Calibration(temperature=0.5))
    return run


@pytest.fixture(scope="session")
def exported(tiny_run: Run) -> Exported:
    """That run, for onnxruntime."""
    return foveate.export(tiny_run, context=RunContext(say=lambda line: None))


@pytest.fixture(scope="session")
def workplace(
    plumage: Path, s3n_run: Run, quick_run: Run, made: GuidedZoomRun, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """A folder as the examples of the README and of the docstrings take it: photographs and two runs."""
    folder = tmp_path_factory.mktemp("workplace")
    shutil.copytree(plumage, folder / "photographs")
    shutil.copytree(s3n_run.path, folder / "runs" / "mine")
    shutil.copytree(quick_run.path, folder / "runs" / "plain")
    shutil.copytree(quick_run.path, folder / "runs" / "photographs-fit")
    shutil.copy(next(plumage.rglob("*.jpg")), folder / "bird.jpg")
    return folder
