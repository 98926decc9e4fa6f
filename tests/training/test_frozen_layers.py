"""Layers that stay as they were pretrained: which they are, and that nothing of them moves."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import cast

import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from foveate.backbones.backbone import create_backbone
from foveate.config.networks import BackboneConfig, HeadStart, PlainConfig
from foveate.data.loading import Batch
from foveate.errors import UserError
from foveate.recipes.config import TrainConfig
from foveate.recipes.methods import create_network
from foveate.s3n.config import S3NConfig
from foveate.training.frozen_layers import first_layers, frozen, layers_up_to
from foveate.training.module import TrainingModule
from foveate.workflows.train import train


def names(architecture: str, stride: int) -> list[str]:
    backbone = create_backbone(BackboneConfig(architecture=architecture, weights="none"), 3)
    network = cast(nn.Module, backbone.network)
    layers = set(first_layers(network, stride))
    parts = {name.split(".")[0] for name, each in network.named_modules() if each in layers}
    blocks = {name for name, each in network.named_modules() if each in layers and name.count(".") == 1}
    return sorted(parts | blocks)


def test_the_first_layers_of_an_efficientnet_are_its_stem_and_the_stages_of_that_stride() -> None:
    """Lite0: the stem and stage 0 have stride 2, stage 1 stride 4, stage 2 stride 8."""
    lite0 = "tf_efficientnet_lite0"
    assert names(lite0, 0) == []
    with pytest.raises(UserError, match=r"frozen_stride must be .*; got 1, and there is none; give 0"):
        names(lite0, 1)
    assert [each for each in names(lite0, 4) if each.startswith("blocks.")] == ["blocks.0", "blocks.1"]
    assert set(names(lite0, 4)) >= {"conv_stem", "bn1"}
    assert "conv_head" not in names(lite0, 32)


def test_of_a_resnet_they_are_the_stem_and_the_first_layer() -> None:
    assert {"conv1", "bn1", "layer1"} <= set(names("resnet18", 4))
    assert "layer2" not in names("resnet18", 4)


def test_a_module_is_kept_with_its_last_part_and_not_when_it_is_cut_through() -> None:
    """The whole, its first half (a, b) and its second half (c, d), in this order."""
    parts = [nn.Linear(1, 1) for _ in range(4)]
    halves = [nn.Sequential(*parts[:2]), nn.Sequential(*parts[2:])]
    whole = nn.Sequential(*halves)
    assert layers_up_to(whole, "0.0") == [parts[0]]
    assert layers_up_to(whole, "0") == layers_up_to(whole, "0.1") == [halves[0], *parts[:2]]
    assert layers_up_to(whole, "1.0") == [halves[0], *parts[:3]]


def test_frozen_layers_learn_again_afterwards_and_those_that_did_not_do_not() -> None:
    layer, fixed = nn.Linear(2, 2), nn.Linear(2, 2).requires_grad_(False)
    with frozen([layer, fixed]):
        assert {each.requires_grad for each in layer.parameters()} == {False}
    assert {each.requires_grad for each in layer.parameters()} == {True}
    assert {each.requires_grad for each in fixed.parameters()} == {False}


@pytest.fixture
def kept(quick: TrainConfig) -> TrainConfig:
    return replace(quick, frozen_stride=4)


def test_nothing_of_them_moves_in_training_and_everything_else_does(kept: TrainConfig, tmp_path: Path) -> None:
    torch.manual_seed(0)
    run = train(replace(kept, keep_epochs=(1,)), tmp_path / "run", say=lambda line: None)
    after = load_file(run.path / "model.safetensors")
    network = create_network(kept.network, kept.transforms, len(run.class_names))
    module = TrainingModule(network, kept, [0, 1])
    layers = {id(layer) for layer in module.kept}
    before = network.state_dict()
    fixed = [
        f"{name}.{key}"
        for name, each in network.named_modules()
        if id(each) in layers
        for key in each.state_dict()
        if "." not in key
    ]
    assert fixed
    assert any("running_mean" in name for name in fixed)
    for name, value in after.items():
        same = torch.equal(value, before[name])
        assert same == (name in fixed), name
    assert all(each.requires_grad for each in run.load_network().parameters())


def test_a_training_that_begins_with_a_probe_learns_in_training_mode(kept: TrainConfig, tmp_path: Path) -> None:
    """The probe was fitted in evaluation; batch norms that stayed there let the training diverge."""
    config = replace(kept, network=PlainConfig(head=HeadStart.PROBE))
    run = train(config, tmp_path / "run", say=lambda line: None)
    after = load_file(run.path / "model.safetensors")
    before = create_network(config.network, config.transforms, len(run.class_names)).state_dict()
    moved = {name for name, value in after.items() if name.endswith("running_mean") and not value.equal(before[name])}
    assert {name.split(".")[3] for name in moved if ".blocks." in name} == {"2", "3", "4", "5", "6"}


def test_interrupted_in_any_epoch_it_ends_as_if_never_stopped(
    kept: TrainConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From a probe's head, with kept layers and a share of the first weights: what `plain` does."""
    config = replace(kept, network=PlainConfig(head=HeadStart.PROBE), pretrained_share=0.1)
    whole = train(config, tmp_path / "whole", say=lambda line: None)
    step, calls = TrainingModule.training_step, iter(range(1000))

    def interrupted(self: TrainingModule, batch: Batch) -> torch.Tensor:
        if next(calls) == 4:
            raise KeyboardInterrupt
        return step(self, batch)

    monkeypatch.setattr(TrainingModule, "training_step", interrupted)
    with pytest.raises(KeyboardInterrupt):
        train(config, tmp_path / "stopped", say=lambda line: None)
    again = train(config, tmp_path / "stopped", say=lambda line: None)
    one, other = (load_file(run.path / "model.safetensors") for run in (whole, again))
    assert all(torch.equal(value, other[name]) for name, value in one.items())


@pytest.mark.parametrize("radius_rate", [0.0, 0.5])
def test_s3n_keeps_them_for_all_its_looks(radius_rate: float, kept: TrainConfig, tmp_path: Path) -> None:
    """The zoomed views pass through them too; gradients for the radii pass back through them where radii learn."""
    torch.manual_seed(0)
    network = S3NConfig(backbone=BackboneConfig(architecture="test_efficientnet", weights="none"))
    lines: list[str] = []
    config = replace(
        kept,
        network=replace(network, radius_rate=radius_rate),
        transforms=replace(kept.transforms, source_size=96),
        optimiser=replace(kept.optimiser, learning_rate=0.1),
    )
    run = train(config, tmp_path / "run", say=lines.append)
    assert any(line.startswith("warning: frozen_stride 4 keeps the first layers") for line in lines)
    torch.manual_seed(config.seed)
    before = create_network(config.network, config.transforms, len(run.class_names)).state_dict()
    after = load_file(run.path / "model.safetensors")
    moved = {name for name, value in after.items() if not value.equal(before[name])}
    assert ("attention.log_radius" in moved) == (radius_rate > 0)
    first = ("conv_stem", "bn1", "blocks.0")
    assert not [name for name in moved if name.removeprefix("backbone.network.").startswith(first)]
    assert any(".blocks.3" in name for name in moved)


def test_training_and_back_leaves_the_kept_layers_as_in_evaluation(kept: TrainConfig) -> None:
    network = create_network(kept.network, kept.transforms, 2)
    module = TrainingModule(network, kept, [0, 1])
    module.eval()
    module.train()
    assert not any(layer.training for layer in module.kept)
    assert network.training
