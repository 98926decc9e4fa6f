"""The layer of a stride, for any CNN, and the copy that a network is looked into by."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any, cast
from unittest import mock

import pytest
import timm
import torch
from torch import Tensor, nn
from torchvision import models

from foveate.backbones.backbone import create_backbone
from foveate.config.networks import BackboneConfig
from foveate.errors import UserError
from foveate.grounding.layers import OutputOf, layer_of_stride, layers_to_propose, private_copy


def hollow(create: Callable[[], nn.Module]) -> nn.Module:
    """A network without the time that random weights take; they are zero."""
    with torch.device("meta"):
        network = create()
    network.to_empty(device="cpu")
    with torch.no_grad():
        for values in network.state_dict().values():
            values.zero_()
    return network


@pytest.mark.parametrize(
    ("architecture", "stride", "layer"),
    [
        ("resnet18", 16, "layer3"),
        ("resnet50", 8, "layer2"),
        ("resnet50", 32, "layer4"),
        ("resnet50", 4, "layer1"),
        ("vgg16", 16, "features.29"),
        ("vgg19_bn", 16, "features.51"),
        ("densenet121", 16, "features.denseblock3"),
        ("mobilenet_v2", 16, "features.13"),
        ("inception_v3", 16, "Mixed_6e"),
        ("googlenet", 16, "inception4e"),
    ],
)
@pytest.mark.filterwarnings("ignore:The default weight initialization")
def test_networks_of_torchvision(architecture: str, stride: int, layer: str) -> None:
    assert layer_of_stride(hollow(lambda: models.get_model(architecture)), stride) == layer


@pytest.mark.parametrize(
    "architecture",
    ["resnet50", "resnet50d", "densenet121", "tf_efficientnet_lite0", "mobilenetv2_100", "inception_v3", "regnetx_002"],
)
def test_agrees_with_what_timm_says(architecture: str) -> None:
    network = hollow(lambda: timm.create_model(architecture))
    said = [info["module"] for info in cast(Any, network).feature_info if info["reduction"] == 16]
    assert layer_of_stride(network, 16) == said[-1]


def test_a_network_within_others() -> None:
    backbone = create_backbone(BackboneConfig(architecture="resnet18", weights="none"), 5)
    assert layer_of_stride(backbone, 16) == f"network.{backbone.stride16}"


def test_a_stride_that_there_is_not_names_those_there_are() -> None:
    with pytest.raises(UserError, match="none has stride 64, there are 2, 4, 8, 16, 32;"):
        layer_of_stride(models.resnet18(), 64)
    with pytest.raises(UserError, match="there are none"):
        layer_of_stride(nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(3, 2)), 16)


def test_a_module_that_runs_twice_is_passed_over() -> None:
    relu = nn.ReLU()
    network = nn.Sequential(nn.Conv2d(3, 4, 3, 2), relu, nn.Conv2d(4, 4, 3, padding=1), relu)
    assert layer_of_stride(network, 2) == "2"


def test_only_an_image_that_a_network_does_not_take_leaves_nothing_to_propose() -> None:
    """Memory that runs out, and an error of our own, are told as they are."""
    network = nn.Sequential(nn.Conv2d(3, 4, 3))
    for error, raised in ((RuntimeError, None), (MemoryError, MemoryError), (UserError, UserError)):
        with mock.patch.object(nn.Sequential, "forward", side_effect=error("no")):
            if raised is None:
                assert layers_to_propose(network) == ()
            else:
                with pytest.raises(raised):
                    layers_to_propose(network)
    with (
        mock.patch("foveate.grounding.layers.private_copy", side_effect=KeyError),
        pytest.raises(KeyError),
    ):
        layers_to_propose(network)


def test_the_network_is_left_as_it_was() -> None:
    network = models.resnet18().train()
    layer_of_stride(network, 16)
    assert all(module.training and not module._forward_hooks for module in network.modules())
    assert not network.get_buffer("bn1.running_mean").any()


class Odd(nn.Module):
    """Keeps a tensor that is neither parameter nor buffer, and one that was computed, as `weight_norm` does."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(3, 3)
        self.computed = self.linear.weight * 2
        self.register_forward_pre_hook(self.compute)

    def compute(self, *_: object) -> None:
        self.computed = self.linear.weight * 2

    def forward(self, given: Tensor) -> Tensor:
        return given @ self.computed


def test_a_copy_shares_tensors_and_nothing_else() -> None:
    network = nn.Sequential(Odd(), nn.BatchNorm1d(3), nn.Dropout()).train()
    copied = private_copy(network)
    assert [id(each) for each in copied.state_dict(keep_vars=True).values()] == [
        id(each) for each in network.state_dict(keep_vars=True).values()
    ]
    assert not {id(each) for each in copied.modules()} & {id(each) for each in network.modules()}
    assert network.training
    assert not any(module.training for module in copied.modules())
    given = torch.rand(2, 3)
    with torch.no_grad():
        network.get_parameter("0.linear.weight").add_(1)
    torch.testing.assert_close(copied(given), network.eval()(given))


def test_what_cannot_be_copied_is_a_clear_error() -> None:
    class Locked(nn.Conv2d):
        lock = None

    network = Locked(3, 3, 1)
    vars(network)["lock"] = threading.Lock()
    with pytest.raises(UserError, match=r"must be copyable; copying raised TypeError: cannot pickle '_thread.lock'"):
        private_copy(network)


@pytest.mark.filterwarnings("ignore:`torch.jit")
@pytest.mark.parametrize("compiled", [torch.jit.script, torch.compile])
def test_compiled_modules_are_refused_by_name(compiled: Callable[[nn.Module], nn.Module]) -> None:
    network = nn.Sequential(nn.Conv2d(3, 3, 1), compiled(nn.ReLU()))
    with pytest.raises(UserError, match=r"module '1' is compiled or TorchScript"):
        private_copy(network)


def test_outputs_are_kept_for_each_caller_by_itself() -> None:
    relu = nn.ReLU()
    network, output = nn.Sequential(relu, nn.Conv2d(3, 3, 1), relu), OutputOf(relu)
    network(torch.ones(1, 3, 2, 2))
    with output.kept() as first:
        with output.kept() as second:
            network(torch.ones(1, 3, 2, 2))
        network(torch.zeros(1, 3, 2, 2))
    network(torch.ones(1, 3, 2, 2))
    assert [len(first), len(second)] == [2, 2]
    assert second[0].all()
    assert not first[0].any()
