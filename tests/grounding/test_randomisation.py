"""Random weights in a copy, and none in the network itself."""

from __future__ import annotations

from itertools import pairwise

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.testing import assert_close

from foveate.grounding.randomisation import cascade, randomised, weighted_layers


class Scale(nn.Module):
    """A layer that cannot reset itself."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.arange(1.0, 9.0))

    def forward(self, features: Tensor) -> Tensor:
        return features * self.scale[:, None, None]


def small() -> nn.Sequential:
    torch.manual_seed(0)
    layers = [nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), Scale(), nn.AdaptiveAvgPool2d(1), nn.Flatten()]
    network = nn.Sequential(*layers, nn.Linear(8, 5)).train()
    for _ in range(20):
        network(torch.randn(4, 3, 9, 9) * 3)  # so that its batch norm has seen something
    return network.eval()


def test_layers_and_their_cascade() -> None:
    layers = weighted_layers(small())
    assert layers == ("0", "1", "3", "6")
    assert cascade(layers, 3) == (("6",), ("3", "6"), layers)  # 2.5 rounds to even
    assert cascade(layers, 9) == (("6",), ("3", "6"), ("1", "3", "6"), layers)
    assert cascade(("6",), 4) == (("6",),)


@given(st.integers(1, 60), st.integers(2, 12))
def test_a_cascade_grows_from_the_head_to_everything(count: int, stages: int) -> None:
    layers = tuple(map(str, range(count)))
    steps = cascade(layers, stages)
    assert steps[0] == layers[-1:]
    assert steps[-1] == layers
    assert all(len(one) < len(other) for one, other in pairwise(steps))
    assert all(each == layers[-len(each) :] for each in steps)
    assert len(steps) <= stages


@pytest.mark.parametrize("layers", [("6",), ("3", "6"), ("0", "1", "3", "6")])
def test_only_the_copy_changes_and_only_there(layers: tuple[str, ...]) -> None:
    network, images = small(), torch.randn(6, 3, 9, 9)
    before = {name: value.clone() for name, value in network.state_dict().items()}
    answers, state = network(images), torch.random.get_rng_state()
    copied = randomised(network, layers, images, seed=3)
    assert torch.equal(torch.random.get_rng_state(), state)
    assert torch.equal(network(images), answers)
    for name, value in network.state_dict().items():
        assert torch.equal(value, before[name])
    for name, value in copied.state_dict().items():
        changed = name.split(".")[0] in layers and "weight" in name and not name.startswith("1.")
        if changed or name == "3.scale":
            assert torch.equal(value, before[name]) == (name.split(".")[0] not in layers)
        elif name.split(".")[0] not in layers:
            assert torch.equal(value, before[name])
    assert not any(module.training for module in copied.modules())
    again = randomised(network, layers, images, seed=3)
    assert_close(again.state_dict(), copied.state_dict())
    other = randomised(network, layers, images, seed=4)
    assert not torch.equal(other(images), copied(images))


def test_a_random_batch_norm_has_seen_the_images() -> None:
    network, images = small(), torch.randn(6, 3, 9, 9) * 5 + 2
    copied = randomised(network, ("0", "1"), images, seed=0)
    normed = copied[:2](images)
    assert_close(normed.mean((0, 2, 3)), torch.zeros(8), atol=1e-4, rtol=0)
    assert_close(normed.std((0, 2, 3)), torch.ones(8), atol=1e-2, rtol=0)
    for each in (copied, network):
        norm = each.get_submodule("1")
        assert isinstance(norm, nn.BatchNorm2d)
        assert norm.momentum == 0.1


def test_a_random_batch_norm_that_is_shown_one_value_keeps_what_it_starts_with() -> None:
    copied = randomised(small(), ("0", "1"), torch.randn(1, 3, 3, 3), seed=0)
    assert torch.equal(copied.get_buffer("1.running_mean"), torch.zeros(8))
    assert torch.equal(copied.get_buffer("1.running_var"), torch.ones(8))


def test_a_layer_that_cannot_reset_itself_keeps_its_mean_and_spread() -> None:
    layer = Scale()
    layer.scale = nn.Parameter(torch.randn(4000).mul(3).add(7))
    network = nn.Sequential(nn.Conv2d(3, 4000, 1), layer)
    copied = randomised(network, ("1",), torch.zeros(1, 3, 1, 1), seed=0)
    before, after = layer.scale.detach(), copied.get_parameter("1.scale").detach()
    assert abs(float(after.mean() - before.mean())) < 0.3
    assert abs(float(after.std() - before.std())) < 0.3
    assert abs(float(torch.corrcoef(torch.stack((before, after)))[0, 1])) < 0.1
