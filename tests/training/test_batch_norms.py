"""Batch norms that take their statistics from the training views: by hand, and what they spare the first steps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest
import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.testing import assert_close

from foveate.config.data import Split
from foveate.config.networks import BackboneConfig, HeadStart, PlainConfig
from foveate.config.optimiser import Sampling
from foveate.data.loading import Batch, TrainingViews, training_loader
from foveate.data.records import ImageRecord, labels_of
from foveate.inference.classifier import network_input
from foveate.networks.network import Network
from foveate.recipes.config import TrainConfig
from foveate.recipes.datasets import load_splits
from foveate.recipes.methods import create_network
from foveate.training import batch_norms
from foveate.training.batch_norms import adapt_batch_norms
from foveate.training.module import TrainingModule
from foveate.training.solve import solve
from foveate.workflows.train import train

BACKBONE = BackboneConfig(architecture="test_resnet", weights="none")


def silent(line: str) -> None:
    """Take a line of progress."""


@pytest.fixture
def records(quick: TrainConfig) -> Sequence[ImageRecord]:
    return load_splits(quick.data).named(Split.TRAIN)


def network_of(config: TrainConfig) -> Network:
    torch.manual_seed(0)
    return create_network(config.network, config.transforms, 4)


def norms_of(network: nn.Module) -> dict[str, _BatchNorm]:
    return {name: each for name, each in network.named_modules() if isinstance(each, _BatchNorm)}


def batches_of(config: TrainConfig, records: Sequence[ImageRecord]) -> list[Batch]:
    views = TrainingViews(records, config.transforms, config.seed)
    balanced = labels_of(records) if config.sampling is Sampling.BALANCED else None
    return list(training_loader(views, config.batch_size, workers=0, balanced=balanced))


def test_statistics_are_the_means_of_those_of_each_batch(quick: TrainConfig, records: Sequence[ImageRecord]) -> None:
    """Of the first batch norm by hand: the mean and the unbiased variance of each channel of what the stem makes."""
    config = replace(quick, network=PlainConfig(backbone=BACKBONE))
    network = network_of(config)
    before = {name: each.clone() for name, each in network.state_dict().items()}
    first = next(iter(norms_of(network).values()))
    seen: list[Tensor] = []
    hook = first.register_forward_pre_hook(lambda _, given: seen.append(given[0].detach()))
    adapt_batch_norms(network, config, records, silent)
    hook.remove()
    each = [batch.transpose(0, 1).flatten(1) for batch in seen]
    assert len(each) == len(batches_of(config, records)) > 1
    assert_close(first.running_mean, torch.stack([batch.mean(1) for batch in each]).mean(0))
    assert_close(first.running_var, torch.stack([batch.var(1) for batch in each]).mean(0))
    assert not network.training
    assert all(norm.momentum == nn.BatchNorm2d(1).momentum for norm in norms_of(network).values())
    for key, value in network.state_dict().items():
        of_norm = key.rsplit(".", 1)[-1] in ("running_mean", "running_var", "num_batches_tracked")
        assert torch.equal(value, before[key]) != of_norm, key


@pytest.mark.parametrize("sampling", Sampling)
def test_it_sees_the_views_that_the_first_epoch_learns_from(
    sampling: Sampling, quick: TrainConfig, records: Sequence[ImageRecord]
) -> None:
    """Of one class half of the photographs are left out, so that balance shows."""
    records = [each for place, each in enumerate(records) if each.label or place % 2]
    config = replace(quick, network=PlainConfig(backbone=BACKBONE), sampling=sampling)
    network = network_of(config)
    seen: list[Tensor] = []
    cast(nn.Module, network.backbone).register_forward_pre_hook(lambda _, given: seen.append(given[0].detach()))
    adapt_batch_norms(network, config, records, silent)
    normalisation = network.backbone.normalisation
    for given, batch in zip(seen, batches_of(config, records), strict=True):
        assert_close(given, network_input(batch.images.flatten(0, 1), normalisation, channels_last=True))


def test_layers_that_are_kept_keep_their_statistics(quick: TrainConfig, records: Sequence[ImageRecord]) -> None:
    config = replace(quick, network=PlainConfig(backbone=replace(BACKBONE, architecture="resnet18")), frozen_stride=4)
    network = network_of(config)
    for norm in norms_of(network).values():
        norm.momentum = 1.0
        norm.train()(torch.full((1, norm.num_features, 1, 2), 7.0))
    adapt_batch_norms(network, config, records, silent)
    same = {name for name, each in norms_of(network).items() if bool((cast(Tensor, each.running_mean) == 7).all())}
    assert same == {name for name in norms_of(network) if ".layer1." in name or name.endswith("network.bn1")}
    assert same


def test_a_network_without_batch_norms_opens_no_photograph(
    quick: TrainConfig, records: Sequence[ImageRecord], monkeypatch: pytest.MonkeyPatch
) -> None:
    config = replace(quick, network=PlainConfig(backbone=replace(BACKBONE, architecture="test_convnext")))
    monkeypatch.setattr(batch_norms, "training_loader", None)
    adapt_batch_norms(network_of(config), config, records, silent)


def test_many_photographs_are_not_all_seen(
    quick: TrainConfig, records: Sequence[ImageRecord], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batch_norms, "_MOST_BATCHES", 2)
    config = replace(quick, network=PlainConfig(backbone=BACKBONE))
    network = network_of(config)
    adapt_batch_norms(network, config, records, silent)
    counts = {int(cast(Tensor, norm.num_batches_tracked)) for norm in norms_of(network).values()}
    assert counts == {2}


def first_loss(config: TrainConfig, records: Sequence[ImageRecord], folder: Path) -> float:
    """Return the mean loss over the first epoch, were nothing learned in it."""
    network = network_of(config)
    if config.network.adapts_batch_norms:
        adapt_batch_norms(network, config, records, silent)
    solve(network, config, records, folder, say=silent)
    module = TrainingModule(network, config, labels_of(records)).train()
    with torch.no_grad():
        return float(torch.stack([module.losses(batch)[1] for batch in batches_of(config, records)]).mean())


def test_a_training_begins_where_its_head_was_fitted(
    quick: TrainConfig, records: Sequence[ImageRecord], tmp_path: Path
) -> None:
    """On photographs of other statistics than the batch norms': the weights are ImageNet's, the birds are drawn."""
    losses = {
        head: first_loss(replace(quick, network=PlainConfig(head=head)), records, tmp_path / head)
        for head in (HeadStart.PROBE, HeadStart.ADAPTED_PROBE)
    }
    assert losses[HeadStart.ADAPTED_PROBE] < 0.7 * losses[HeadStart.PROBE]


def test_interrupted_in_the_midst_it_ends_as_if_never_stopped(
    quick: TrainConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    network = PlainConfig(backbone=BACKBONE, head=HeadStart.ADAPTED_PROBE)
    config = replace(quick, network=network, pretrained_share=0.1)
    whole = train(config, tmp_path / "whole", say=silent)
    losses, calls = TrainingModule.losses, iter(range(1000))

    def interrupted(self: TrainingModule, batch: Batch) -> Any:
        if next(calls) == 1:
            raise KeyboardInterrupt
        return losses(self, batch)

    monkeypatch.setattr(TrainingModule, "losses", interrupted)
    with pytest.raises(KeyboardInterrupt):
        train(config, tmp_path / "stopped", say=silent)
    again = train(config, tmp_path / "stopped", say=silent)
    for name, value in whole.load_network().state_dict().items():
        assert torch.equal(value, again.load_network().state_dict()[name]), name
    assert "head start/strength" in whole.metrics()
