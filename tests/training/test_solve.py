"""Heads that are solved for: a run like any other; zoom without training; and what a training begins with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

from foveate.config.branches import Branch
from foveate.config.data import TrainCrop
from foveate.config.hardware import HardwareConfig
from foveate.config.networks import BackboneConfig, HeadStart, NetworkConfig, PlainConfig, ProbeConfig
from foveate.errors import UserError
from foveate.files.parquet import read_parquet, write_parquet
from foveate.networks.network import Network
from foveate.recipes.config import TrainConfig
from foveate.runs.context import RunContext
from foveate.runs.run import Run
from foveate.s3n.config import AttentionKind, Branches, Fusion, S3NConfig
from foveate.workflows.evaluate import evaluate
from foveate.workflows.explain import explain
from foveate.workflows.model import load
from foveate.workflows.train import train
from zooms import EXACT, SLOW, silent

BACKBONE = BackboneConfig(architecture="test_resnet", weights="none")
FROZEN = S3NConfig.without_training(BACKBONE)
CONTEXT = RunContext(hardware=EXACT, say=silent)


def solved(quick: TrainConfig, network: NetworkConfig, hardware: HardwareConfig = EXACT) -> TrainConfig:
    """Return a training without steps on the photographs of `quick`; an S3N reads from a larger source."""
    source = 96 if network.reads_source else None
    sizes = replace(quick.transforms, source_size=source)
    return TrainConfig(data=quick.data, transforms=sizes, network=network, hardware=hardware)


@pytest.fixture(scope="module")
def config(quick: TrainConfig) -> TrainConfig:
    return solved(quick, ProbeConfig(backbone=BACKBONE, folds=2), SLOW)


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
        patched.setattr("foveate.networks.plain.fit_probe", interrupted)
        for each, folder in ((config, file.parents[1]), (squeezed, other.parents[1])):
            with pytest.raises(KeyboardInterrupt):
                train(each, folder, say=lines.append)
    before = file.stat().st_mtime_ns
    assert train(config, file.parents[1], say=lines.append).finished
    assert file.stat().st_mtime_ns == before
    write_parquet(other, read_parquet(file, "features", ""), dictionaries=False)
    assert train(squeezed, other.parents[1], say=lines.append).finished
    assert any("rests on other transforms; it is made anew" in line for line in lines)


@pytest.mark.parametrize(
    ("changes", "name"),
    [
        ({"epochs": 3}, "epochs"),
        ({"epochs": 0, "steps": 7}, "epochs"),
        ({"batch_size": 8}, "batch_size"),
        ({"label_smoothing": 0.0}, "label_smoothing"),
        ({"class_weights": True}, "class_weights"),
        ({"ema_decay": 0.9}, "ema_decay"),
        ({"keep_epochs": (1,)}, "keep_epochs"),
    ],
)
@pytest.mark.parametrize("network", [ProbeConfig(backbone=BACKBONE), FROZEN])
def test_what_has_no_effect_is_refused(
    quick: TrainConfig, network: NetworkConfig, changes: Mapping[str, Any], name: str, tmp_path: Path
) -> None:
    config = replace(solved(quick, network), **changes)
    with pytest.raises(UserError, match=f"^{name} has no effect where heads are solved .*; leave it out$"):
        train(config, tmp_path / "run", say=silent)
    assert not (tmp_path / "run").exists()


def test_what_has_no_effect_on_views_or_rates_is_refused_too(config: TrainConfig, tmp_path: Path) -> None:
    for changed, name in [
        (replace(config, optimiser=replace(config.optimiser, learning_rate=0.5)), "optimiser.learning_rate"),
        (replace(config, transforms=replace(config.transforms, train_crop=TrainCrop.OFFSET)), "transforms.train_crop"),
        (replace(config, hardware=replace(config.hardware, devices=2)), "hardware.devices"),
    ]:
        with pytest.raises(UserError, match=f"^{name} has no effect"):
            train(changed, tmp_path / "run", say=silent)


def weights_before_the_first_step(
    config: TrainConfig, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> dict[str, Tensor]:
    """Return the weights that a training begins with; it is stopped then."""
    begun: list[dict[str, Tensor]] = []

    def stopped(network: Network, *_: object, **__: object) -> None:
        begun.append({name: each.clone() for name, each in network.state_dict().items()})
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr("foveate.workflows.train.fit", stopped)
        with pytest.raises(KeyboardInterrupt):
            train(config, folder, say=silent)
    return begun[0]


def test_a_plain_training_may_begin_as_the_probe(
    quick: TrainConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    probe = train(solved(quick, ProbeConfig(backbone=BACKBONE)), tmp_path / "probe", say=silent)
    plain = replace(quick, network=PlainConfig(backbone=BACKBONE, head=HeadStart.PROBE), hardware=EXACT)
    begun = weights_before_the_first_step(plain, tmp_path / "plain", monkeypatch)
    assert begun.keys() == probe.load_network().state_dict().keys()
    for name, each in probe.load_network().state_dict().items():
        assert torch.equal(each, begun[name]), name


def test_a_probe_is_the_base_of_an_s3n_and_of_its_heads(
    probe: Run, quick: TrainConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    based = S3NConfig(backbone=replace(BACKBONE, weights=str(probe.path)), head=HeadStart.PROBE)
    begun = weights_before_the_first_step(replace(quick, network=based, hardware=EXACT), tmp_path / "s3n", monkeypatch)
    for name, each in probe.load_network().state_dict().items():
        if "fc" not in name:
            assert torch.equal(each, begun[name]), name
        else:  # of the standard folds and strengths, not of the two folds of this probe
            assert begun[name].std() > 0


def test_a_training_that_is_interrupted_after_its_head_start_goes_on(
    quick: TrainConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = replace(quick, network=PlainConfig(backbone=BACKBONE, head=HeadStart.PROBE), hardware=EXACT)
    weights_before_the_first_step(plain, tmp_path / "stopped", monkeypatch)
    kept = (tmp_path / "stopped/features/features.parquet").stat().st_mtime_ns
    stopped, whole = (train(plain, tmp_path / name, say=silent) for name in ("stopped", "whole"))
    assert (tmp_path / "stopped/features/features.parquet").stat().st_mtime_ns == kept
    for name, each in whole.load_network().state_dict().items():
        assert torch.equal(each, stopped.load_network().state_dict()[name]), name


def test_an_s3n_may_begin_as_the_one_without_training(
    quick: TrainConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    frozen = train(solved(quick, FROZEN), tmp_path / "frozen", say=silent)
    learning = replace(quick, network=replace(FROZEN, frozen=False), hardware=EXACT)
    learning = replace(learning, transforms=frozen.config.transforms)
    begun = weights_before_the_first_step(learning, tmp_path / "s3n", monkeypatch)
    for name, each in frozen.load_network().state_dict().items():
        assert torch.equal(each, begun[name]), name


def test_a_training_that_began_with_a_probe_goes_on_and_says_what_that_cost(quick: TrainConfig, tmp_path: Path) -> None:
    plain = replace(quick, network=PlainConfig(backbone=BACKBONE, head=HeadStart.PROBE), hardware=EXACT)
    run = train(plain, tmp_path / "run", say=silent)
    assert {"epochs", "minutes", "head start/strength", "head start/held-out/top1"} <= run.metrics().keys()
    assert run.config.network.begins_with_probe


def test_a_training_stopped_before_its_first_last_checkpoint_begins_with_the_probe_again(
    quick: TrainConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The best epoch's is written before: nothing is resumed from it."""
    plain = replace(quick, network=PlainConfig(backbone=BACKBONE, head=HeadStart.PROBE), hardware=EXACT)
    begun = weights_before_the_first_step(plain, tmp_path / "run", monkeypatch)
    checkpoints = tmp_path / "run" / "checkpoints"
    checkpoints.mkdir(exist_ok=True)
    (checkpoints / "best.ckpt").touch()
    again = weights_before_the_first_step(plain, tmp_path / "run", monkeypatch)
    for name, each in begun.items():
        assert torch.equal(each, again[name]), name


@pytest.fixture(scope="module")
def zoom(quick: TrainConfig, tmp_path_factory: pytest.TempPathFactory) -> Run:
    return train(solved(quick, FROZEN), tmp_path_factory.mktemp("zoom") / "run", say=silent)


def test_zoom_without_training_is_an_s3n_like_any_other(zoom: Run, plumage: Path, tmp_path: Path) -> None:
    evaluation = evaluate(zoom, context=CONTEXT)
    bird = sorted(plumage.glob("images/*/*.jpg"))[0]
    assert set(evaluation.branches) == {"original", "discriminative", "complementary", "joint", "mean"}
    assert load(zoom.path, hardware=EXACT).predict(bird).best.class_name in zoom.class_names
    assert len(explain(zoom, [str(bird)], out=tmp_path, context=CONTEXT)) == 1
    assert zoom.config.network.settings()["preset"] == "frozen"
    names = {"original", "discriminative", "complementary", "joint"}
    assert {f"held-out/{name}/top1" for name in names} <= zoom.metrics().keys()


def test_its_first_look_is_the_probe(zoom: Run, quick: TrainConfig, tmp_path: Path) -> None:
    probe = train(solved(quick, ProbeConfig(backbone=BACKBONE)), tmp_path / "probe", say=silent)
    looks, head = zoom.load_network().backbone, probe.load_network().backbone
    side = quick.transforms.input_size
    images = torch.randn(2, 3, side, side)
    assert zoom.metrics()["strength/original"] == probe.metrics()["strength"]
    assert_close(
        looks.eval().logits(images), head.eval().logits(images), rtol=0.1, atol=0.1
    )  # shrunk from another size


def test_views_are_drawn_by_heads_that_have_not_seen_the_photograph(zoom: Run) -> None:
    """Two photographs, two heads: each one's features are those of the network that has its head."""
    network = zoom.load_network().eval()
    assert isinstance(network, Network)
    from foveate.networks.probe import Head
    from foveate.s3n.network import S3N, _zoomed_features

    assert isinstance(network, S3N)
    classes, channels = network.backbone.classes, network.backbone.channels
    heads = [Head(3 * torch.randn(classes, channels), torch.zeros(classes)) for _ in range(3)]
    images, which = torch.randn(3, 3, 96, 96), torch.tensor([0, 1, 2, 0])
    with torch.no_grad():
        both = _zoomed_features(heads, which, network, images, torch.tensor([1, 3, 2]))
        for row, number in enumerate((1, 0, 2)):
            heads[number].put_into(network.backbone.classifier)
            features = network.output(images[row : row + 1]).features
            pooled = [features[each].mean((2, 3)) for each in (Branch.DISCRIMINATIVE, Branch.COMPLEMENTARY)]
            assert_close(both[row : row + 1], torch.cat(pooled, dim=1), rtol=1e-3, atol=1e-4)


def test_a_joint_head_of_its_own_begins_as_the_mean(quick: TrainConfig, tmp_path: Path) -> None:
    config = solved(quick, replace(FROZEN, fusion=Fusion.OWN, branches=Branches.OD))
    network = train(config, tmp_path / "run", say=silent).load_network().eval()
    with torch.no_grad():
        answers = network(torch.randn(2, 3, 96, 96))
    assert answers.complementary is None
    assert_close(answers.joint, (answers.original + answers.discriminative) / 2, rtol=1e-4, atol=1e-4)


def test_one_photograph_a_class_is_solved_for_without_folds(quick: TrainConfig, tmp_path: Path) -> None:
    from PIL import Image

    for name in ("kite", "owl", "wren"):
        (tmp_path / "birds" / name).mkdir(parents=True)
        colour = (60 * len(name), 40, 20 * len(name))
        Image.new("RGB", (80, 80), colour).save(tmp_path / "birds" / name / "1.png")
    config = solved(quick, FROZEN)
    data = replace(quick.data, root=tmp_path / "birds", format=type(quick.data.format)("auto"), test_fraction=0.0)
    run = train(replace(config, data=data), tmp_path / "run", say=silent)
    assert not any("held-out" in name for name in run.metrics())


@pytest.mark.parametrize(
    ("changes", "rule"),
    [
        ({"branch_block": True}, "head must be new where a layer before it begins untrained"),
        ({"attention": AttentionKind.SALIENCY}, "head must be new where a layer before it begins untrained"),
        ({"head": HeadStart.NEW}, "head must be probe where nothing is trained"),
    ],
)
def test_what_cannot_be_solved_for_is_refused(changes: Mapping[str, Any], rule: str) -> None:
    with pytest.raises(UserError, match=rule):
        replace(FROZEN, **changes)
