"""Grounding any module in one line."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import timm
import torch
from torch import Tensor, nn
from torch.testing import assert_close
from torchvision import models

import foveate
from foveate.grounding.layers import layer_of_stride

CLASSES = 5


@pytest.fixture(scope="module")
def network() -> nn.Module:
    """One that timm did not write, in training mode as a user may leave it."""
    torch.manual_seed(0)
    made: nn.Module = models.resnet18(num_classes=CLASSES)
    return made.train()


@pytest.fixture(scope="module")
def timms() -> nn.Module:
    torch.manual_seed(0)
    made: nn.Module = timm.create_model("test_resnet", num_classes=CLASSES).eval()
    nn.init.normal_(made.get_parameter("fc.weight"), std=0.5)
    return made


def photographs(side: int = 64) -> Tensor:
    return torch.randn(2, 3, side, side, generator=torch.Generator().manual_seed(1))


def assert_same(grounded: foveate.Grounded, expected: foveate.Grounded) -> None:
    for each, other in zip(grounded, expected, strict=True):
        assert_close(each, other)


@pytest.mark.parametrize("method", ["ceb", "eb", "grad-cam", "gradients"])
def test_it_is_the_method_that_is_named(network: nn.Module, method: str) -> None:
    blocks: dict[str, Any] = {
        "ceb": lambda: foveate.ExcitationBackprop(network, "layer3.0"),
        "eb": lambda: foveate.ExcitationBackprop(network, "layer3.0", contrast=False),
        "grad-cam": lambda: foveate.GradCAM(network, "layer3.0"),
        "gradients": lambda: foveate.InputGradients(network),
    }
    grounded = foveate.ground(network, photographs(), 2, method=method, layer="layer3.0")
    assert grounded.maps.any()
    assert_same(grounded, blocks[method]()(photographs(), 2))


def test_without_a_layer_it_is_the_last_of_stride_16(network: nn.Module, timms: nn.Module) -> None:
    for each in (network, timms):
        named = foveate.ground(each, photographs(), layer=layer_of_stride(each, 16))
        assert_same(foveate.ground(each, photographs()), named)
        assert named.maps.shape == (2, 1, 4, 4)


def test_a_timm_network_has_class_maps(timms: nn.Module) -> None:
    grounded = foveate.ground(timms, photographs(), CLASSES, method="class-maps")
    weight, bias = timms.get_parameter("fc.weight"), timms.get_parameter("fc.bias")
    with torch.no_grad():
        features = timms.get_submodule("layer4")(_until_layer3(timms, photographs()))
        logits = features.mean((2, 3)) @ weight.T + bias
        maps = torch.einsum("cd,bdhw->bchw", weight, features).clamp(min=0)
    assert_close(grounded.logits, logits, rtol=1e-4, atol=1e-5)
    assert_close(grounded.maps, maps.gather(1, grounded.classes[..., None, None].expand_as(maps)), rtol=1e-3, atol=1e-4)


def _until_layer3(timms: nn.Module, images: Tensor) -> Tensor:
    for name, part in timms.named_children():
        images = part(images)
        if name == "layer3":
            break
    return images


@pytest.mark.parametrize("method", [each for each in foveate.GroundingMethod if each.knows_classes])
def test_the_module_stays_as_it_is(timms: nn.Module, method: foveate.GroundingMethod) -> None:
    before = {name: value.clone() for name, value in timms.state_dict().items()}
    timms.train()
    try:
        foveate.ground(timms, photographs(), method=method)
        assert all(module.training and not module._forward_hooks for module in timms.modules())
    finally:
        timms.eval()
    assert all(torch.equal(value, before[name]) for name, value in timms.state_dict().items())
    assert all(each.grad is None and each.requires_grad for each in timms.parameters())


def test_classes_are_given_in_any_form(network: nn.Module) -> None:
    images, each = photographs(), [[3, 1], [0, 4]]
    expected = foveate.ground(network, images, torch.tensor(each))
    assert expected.classes.tolist() == each
    for form in (each, ((3, 1), (0, 4)), torch.tensor(each, dtype=torch.int32), np.array(each)):
        assert_same(foveate.ground(network, images, form), expected)  # type: ignore[arg-type]  # numpy's by courtesy
    assert_same(foveate.ground(network, images, [3, 1]), foveate.ground(network, images, [[3, 1], [3, 1]]))
    assert foveate.ground(network, images, 2).classes.equal(expected.logits.topk(2).indices)


def test_networks_of_ours_are_grounded_in_their_first_view_and_in_the_classes_that_they_decide_for() -> None:
    torch.manual_seed(0)
    backbone = foveate.BackboneConfig(architecture="test_resnet", weights="none")
    config = foveate.S3NConfig(backbone=backbone, fusion=foveate.Fusion.OWN)
    s3n, images = foveate.S3N.create(config, CLASSES, 64), photographs(96)
    joint = s3n.fusion.joint
    assert joint is not None
    nn.init.normal_(s3n.backbone.classifier.weight, std=0.5)
    with torch.no_grad():
        joint.bias[2] = 90.0  # whatever it sees, it decides for class 2
        s3n.backbone.classifier.bias[0] = 90.0  # and its backbone for class 0
    grounded = foveate.ground(s3n, images)
    with torch.no_grad():
        assert_close(grounded.logits, s3n.eval()(images).decision)
    assert grounded.classes.tolist() == [[2], [2]]
    backbones = foveate.ground(s3n.backbone.network, s3n.first_view(images), [2])  # type: ignore[arg-type]  # a module
    assert backbones.logits.argmax(1).tolist() == [0, 0]
    assert_close(grounded.maps, backbones.maps)


def test_a_network_of_twice_the_precision_is_grounded(timms: nn.Module) -> None:
    timms.double()
    try:
        precise = foveate.ground(timms, photographs().double(), 2)
    finally:
        timms.float()
    assert_close(precise.maps, foveate.ground(timms, photographs(), 2).maps, rtol=1e-2, atol=1e-4)


class _Wordy(nn.Module):
    """Answers as many libraries' networks do: with more than logits."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        return {"logits": self.network(images)}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            {"images": torch.rand(3, 64, 64)},
            r"a batch \(b, 3, H, W\) .*; got \(3, 64, 64\) .*; add the missing",
        ),
        ({"images": torch.zeros(2, 64, 64, 3, dtype=torch.uint8)}, r"got \(2, 64, 64, 3\) of torch.uint8; .*normalise"),
        ({"classes": 9}, r"between 1 and the network's 5; got 9; ask for fewer"),
        ({"classes": 0}, r"between 1 and the network's 5; got 0"),
        ({"classes": [7]}, r"must be in 0..4; got 7..7"),
        ({"classes": [[1], [2], [3]]}, r"int64 and \(2, k\), k of each image; got \(3, 1\)"),
        (
            {"classes": torch.tensor([1, 2])},
            r"which image each is: \(2, k\) numbers; got \(2,\); give labels\[:, ",
        ),
        ({"classes": "dog"}, r"classes must be k, .*; got dog; "),
        ({"classes": [[1], [2, 3]]}, r"classes must be k, .*, as many of each image; got \[\[1\], \[2, 3\]\]"),
        ({"classes": [0.5]}, r"whole numbers; got torch.float32; give their numbers"),
        ({"method": "cam"}, r"method must be one way of grounding; got 'cam'; name one of eb, ceb, grad-cam"),
        ({"layer": "layer9"}, r"layer must be a module of the network; got 'layer9'; close: layer"),
        ({"method": "class-maps"}, r"got ResNet, whose head is not known .*; take another method of grounding"),
    ],
    ids=lambda value: None if isinstance(value, str) else next(iter(value)),
)
def test_what_cannot_be_grounded_is_told_with_a_mend(network: nn.Module, arguments: Any, message: str) -> None:
    with pytest.raises(foveate.UserError, match=message):
        foveate.ground(**{"model": network, "images": photographs(), **arguments})


@pytest.mark.parametrize("method", ["ceb", "grad-cam", "rise"])
def test_a_model_that_answers_with_more_than_logits_is_told_so(network: nn.Module, method: str) -> None:
    with pytest.raises(foveate.UserError, match=r"logits \(b, c\); _Wordy answers with dict; wrap it"):
        foveate.ground(_Wordy(network), photographs(), method=method, layer="network.layer3")
