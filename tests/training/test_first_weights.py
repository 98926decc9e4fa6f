"""Weights averaged with those that the training began with."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from foveate import BackboneConfig, HeadStart, PlainConfig, S3NConfig, TrainConfig, train
from foveate.backbones.weights import load_weights
from foveate.errors import UserError
from foveate.training.first_weights import keep_first_weights, mix_with_first_weights
from foveate.workflows.pretrained_shares import with_share

BACKBONE = BackboneConfig(architecture="test_efficientnet", weights="none")
PROBED = PlainConfig(backbone=BACKBONE, head=HeadStart.PROBE)


def test_weights_and_statistics_are_averaged_by_hand_and_counts_are_not(tmp_path: Path) -> None:
    network = torch.nn.BatchNorm1d(2)
    first = {"weight": [1.0, 2.0], "bias": [0.0, 4.0], "running_mean": [8.0, 0.0], "running_var": [1.0, 1.0]}
    last = {"weight": [3.0, 2.0], "bias": [1.0, 0.0], "running_mean": [0.0, 8.0], "running_var": [5.0, 1.0]}
    count = torch.tensor(7)
    network.load_state_dict({name: torch.tensor(each) for name, each in first.items()} | {"num_batches_tracked": count})
    keep_first_weights(network, tmp_path)
    network.load_state_dict(
        {name: torch.tensor(each) for name, each in last.items()} | {"num_batches_tracked": count + 2}
    )
    mix_with_first_weights(network, tmp_path, 0.25)
    assert {name: each.tolist() for name, each in network.state_dict().items()} == {
        "weight": [2.5, 2.0],
        "bias": [0.75, 1.0],
        "running_mean": [2.0, 6.0],
        "running_var": [4.0, 1.0],
        "num_batches_tracked": 9,
    }


def test_a_training_leaves_the_mean_of_its_first_and_last_weights(quick: TrainConfig, tmp_path: Path) -> None:
    whole, mixed = (
        train(replace(quick, network=PROBED, pretrained_share=share), tmp_path / str(share), say=lambda line: None)
        for share in (0.0, 0.4)
    )
    assert not (whole.path / "checkpoints" / "first.safetensors").exists()
    first = load_weights(mixed.path / "checkpoints" / "first.safetensors")
    last, mean = load_weights(whole.weights), load_weights(mixed.weights)
    assert any(not torch.equal(first[name], last[name]) for name in last)
    for name, each in mean.items():
        expected = 0.4 * first[name] + 0.6 * last[name] if each.is_floating_point() else last[name]
        torch.testing.assert_close(each, expected, rtol=1e-5, atol=1e-6)


def test_another_share_is_what_the_same_training_leaves_with_it(quick: TrainConfig, tmp_path: Path) -> None:
    done = train(replace(quick, network=PROBED, pretrained_share=0.4), tmp_path / "run", say=lambda line: None)
    first, mean = load_weights(done.path / "checkpoints" / "first.safetensors"), load_weights(done.weights)
    for share in (0.1, 0.7):
        other = with_share(done, share, tmp_path / f"{share}")
        assert other.finished
        assert other.differences(done.config) == ["config.pretrained_share"]
        assert (other.environment(), other.metrics()) == (done.environment(), done.metrics())
        assert other.trained_ids() == done.trained_ids()
        for name, each in load_weights(other.weights).items():
            last = (mean[name] - 0.4 * first[name]) / 0.6 if each.is_floating_point() else mean[name]
            expected = share * first[name] + (1 - share) * last if each.is_floating_point() else last
            torch.testing.assert_close(each, expected, rtol=1e-4, atol=1e-5)
    kept = other.weights.stat().st_mtime_ns
    assert with_share(done, 0.7, other.path).weights.stat().st_mtime_ns == kept
    with pytest.raises(UserError, match="never overwritten"):
        with_share(done, 0.2, other.path)
    damaged = done.path / "checkpoints" / "first.safetensors"
    damaged.write_bytes(damaged.read_bytes()[:1000])
    with pytest.raises(UserError, match=r"first.safetensors must hold the weights that the training began with"):
        with_share(done, 0.2, tmp_path / "new")
    damaged.unlink()
    with pytest.raises(UserError, match=r"has no checkpoints/first.safetensors; train it with --pretrained-share 0\.2"):
        with_share(done, 0.2, tmp_path / "new")
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize("network", [PlainConfig(backbone=BACKBONE), S3NConfig(backbone=BACKBONE)])
def test_heads_that_began_at_random_are_not_averaged_with(quick: TrainConfig, network: PlainConfig | S3NConfig) -> None:
    with pytest.raises(UserError, match="so its heads must begin as probes"):
        replace(quick, network=network, pretrained_share=0.25)


@pytest.mark.parametrize("share", [-0.1, 1.0])
def test_a_share_is_less_than_the_whole(quick: TrainConfig, share: float) -> None:
    with pytest.raises(UserError, match="pretrained_share must be a fraction in"):
        replace(quick, network=PROBED, pretrained_share=share)
