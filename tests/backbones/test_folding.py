"""Batch norms folded into the convolutions before them."""

from __future__ import annotations

import pytest
import timm
import torch
from torch import Tensor, nn
from torchvision import models

from foveate.backbones.folding import folded
from foveate.config.hardware import HardwareConfig
from foveate.config.networks import PlainConfig
from foveate.inference.classifier import Classifier
from foveate.networks.plain import PlainNetwork


def uneven(network: nn.Module) -> nn.Module:
    """Give batch norms what training would: means, variances, scales of either sign."""
    torch.manual_seed(0)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            values = module.state_dict()
            values["running_var"].uniform_(0.5, 1.5)
            values["running_mean"].normal_(std=0.1)
            values["weight"].uniform_(-1.5, 1.5)
            values["bias"].normal_(std=0.1)
    return network.eval()


def batch_norms(network: nn.Module) -> int:
    return sum(isinstance(module, nn.BatchNorm2d) for module in network.modules())


def test_by_hand() -> None:
    network = nn.Sequential(nn.Conv2d(1, 1, 1, bias=False), nn.BatchNorm2d(1, eps=0.0)).eval()
    values = {"0.weight": 3.0, "1.weight": 2.0, "1.bias": 1.0, "1.running_mean": 5.0, "1.running_var": 4.0}
    for name, value in values.items():
        network.state_dict()[name].fill_(value)
    fused = folded(network)
    # 2 (3 x - 5) / sqrt(4) + 1 = 3 x - 4
    torch.testing.assert_close(fused(torch.tensor([[[[2.0]]]])), torch.tensor([[[[2.0]]]]))
    assert fused.state_dict().keys() == {"0.weight", "0.bias"}
    assert isinstance(fused[1], nn.Identity)


@pytest.mark.parametrize(("name", "left"), [("tf_efficientnet_lite0", 0), ("resnet18", 0), ("mobilenetv2_035", 0)])
def test_timm_networks_answer_as_before(name: str, left: int) -> None:
    check(uneven(timm.create_model(name, num_classes=5)), left)


@pytest.mark.parametrize(("name", "left"), [("resnet18", 0), ("densenet121", 62)])
def test_torchvision_networks_answer_as_before(name: str, left: int) -> None:
    # DenseNet's first norm of each layer follows a concatenation.
    check(uneven(models.get_model(name, num_classes=5)), left)


class Branching(nn.Module):
    """Two ways, of which the photographs choose one, so that each is traced alone; both hold one convolution."""

    def __init__(self) -> None:
        super().__init__()
        shared = nn.Conv2d(3, 4, 3)
        self.one = nn.Sequential(shared, nn.BatchNorm2d(4))
        self.other = nn.Sequential(shared, nn.BatchNorm2d(4))

    def forward(self, images: Tensor) -> Tensor:
        answer: Tensor = self.one(images) if images.sum() > 0 else self.other(images)
        return answer


def test_a_convolution_that_two_norms_follow_stays() -> None:
    network = uneven(Branching())
    check(network, 2)
    images = -torch.ones(1, 3, 8, 8, dtype=torch.float64)
    torch.testing.assert_close(folded(network)(images), network(images))


def check(network: nn.Module, left: int) -> None:
    network, images = network.double(), torch.randn(2, 3, 64, 64, dtype=torch.float64)
    before, norms = network(images), batch_norms(network)
    fused = folded(network)
    torch.testing.assert_close(fused(images), before)
    assert batch_norms(fused) == left
    assert batch_norms(network) == norms, "the network itself is as it was"


class Twice(nn.Module):
    """A convolution whose output has two readers, one called twice, and a norm without a memory."""

    def __init__(self) -> None:
        super().__init__()
        self.two_readers, self.first = nn.Conv2d(3, 3, 3), nn.BatchNorm2d(3)
        self.shared, self.second, self.third = nn.Conv2d(3, 3, 3), nn.BatchNorm2d(3), nn.BatchNorm2d(3)
        self.conv, self.forgetful = nn.Conv2d(3, 3, 3), nn.BatchNorm2d(3, track_running_stats=False)

    def forward(self, images: Tensor) -> Tensor:
        seen: Tensor = self.two_readers(images)
        seen = seen + self.first(seen)
        seen = self.second(self.shared(seen)) + self.third(self.shared(-seen))
        forgotten: Tensor = self.forgetful(self.conv(seen))
        return forgotten


def test_what_is_not_sure_stays() -> None:
    network = Twice().eval()
    nn.init.normal_(network.first.weight)
    images = torch.randn(2, 3, 12, 12)
    fused = folded(network)
    assert batch_norms(fused) == 4
    torch.testing.assert_close(fused(images), network(images))


class Standardised(nn.Conv2d):
    """Computes with other weights than it holds."""

    def forward(self, input: Tensor) -> Tensor:
        weight = (self.weight - self.weight.mean((1, 2, 3), keepdim=True)) / self.weight.std()
        return nn.functional.conv2d(input, weight, self.bias)


@pytest.mark.parametrize("kind", ["standardised", "hooked", "weight-normed"])
def test_a_convolution_of_another_mind_stays(kind: str) -> None:
    convolution: nn.Module = Standardised(3, 4, 3) if kind == "standardised" else nn.Conv2d(3, 4, 3)
    if kind == "hooked":
        convolution.register_forward_hook(lambda module, taken, given: 2 * given)
    if kind == "weight-normed":
        convolution = nn.utils.parametrizations.weight_norm(convolution)
    network = uneven(nn.Sequential(convolution, nn.BatchNorm2d(4)))
    images = torch.randn(2, 3, 8, 8)
    assert batch_norms(folded(network)) == 1
    torch.testing.assert_close(folded(network)(images), network(images))


class Choosing(nn.Module):
    """Cannot be traced: its way depends on a value."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(3, 3, 3), nn.BatchNorm2d(3))

    def forward(self, images: Tensor) -> Tensor:
        seen: Tensor = self.body(images if images.sum() > 0 else -images)
        return seen


def test_the_children_of_what_cannot_be_traced_are_folded() -> None:
    network = uneven(Choosing())
    images = torch.randn(2, 3, 8, 8)
    assert batch_norms(folded(network)) == 0
    torch.testing.assert_close(folded(network)(images), network(images))


def test_a_network_in_training_mode_is_refused() -> None:
    with pytest.raises(ValueError, match="evaluation mode"):
        folded(nn.Sequential(nn.Conv2d(3, 3, 3), nn.BatchNorm2d(3)))


def test_inference_is_folded_and_leaves_the_network_alone() -> None:
    network = PlainNetwork.create(PlainConfig(), 3, pretrained=False)
    before = batch_norms(network)
    placed = Classifier.place(network, HardwareConfig(accelerator="cpu")).network
    assert (batch_norms(placed), batch_norms(network)) == (0, before)
