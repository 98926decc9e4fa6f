"""A probe is a run like any other: trained, kept, evaluated, asked."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from foveate.config.networks import BackboneConfig, ProbeConfig
from foveate.files.parquet import read_parquet, write_parquet
from foveate.recipes.config import TrainConfig
from foveate.runs.context import RunContext
from foveate.runs.run import Run
from foveate.workflows.evaluate import evaluate
from foveate.workflows.model import load
from foveate.workflows.train import train
from zooms import SLOW, silent


@pytest.fixture(scope="module")
def config(quick: TrainConfig) -> TrainConfig:
    backbone = BackboneConfig(architecture="test_resnet", weights="none")
    return replace(quick, network=ProbeConfig(backbone=backbone, folds=2), hardware=SLOW)


@pytest.fixture(scope="module")
def probe(config: TrainConfig, tmp_path_factory: pytest.TempPathFactory) -> Run:
    return train(config, tmp_path_factory.mktemp("probe") / "run", say=silent)


def test_it_is_evaluated_and_asked(probe: Run, plumage: Path) -> None:
    accuracy = evaluate(probe, context=RunContext(hardware=SLOW, say=silent)).accuracy
    bird = sorted(plumage.glob("images/*/*.jpg"))[0]
    best = load(probe.path, hardware=SLOW).predict(bird).best
    assert accuracy.images == 12
    assert best.class_name in probe.class_names
    assert {"strength", "held-out/top1", "held-out/nearest mean", "minutes"} <= probe.metrics().keys()
    assert probe.config.trained_epochs is None


def test_features_are_kept_and_made_anew_where_they_rest_on_something_else(
    config: TrainConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    lines: list[str] = []
    file, other = tmp_path / "run/features/features.parquet", tmp_path / "other/features/features.parquet"
    squeezed = replace(config, transforms=replace(config.transforms, resize_size=80))
    with monkeypatch.context() as patched:
        patched.setattr("foveate.networks.probe.fit_probe", interrupted)
        for each, folder in ((config, file.parents[1]), (squeezed, other.parents[1])):
            with pytest.raises(KeyboardInterrupt):
                train(each, folder, say=lines.append)
    before = file.stat().st_mtime_ns
    assert train(config, file.parents[1], say=lines.append).finished
    assert file.stat().st_mtime_ns == before
    write_parquet(other, read_parquet(file, "features", ""), dictionaries=False)
    assert train(squeezed, other.parents[1], say=lines.append).finished
    assert any("rests on other transforms; it is made anew" in line for line in lines)
