"""Networks as torchvision and timm write them: every one whose operations have rules, and what others are told."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import timm
import torch
from torch import nn
from torch.testing import assert_close
from torchvision import models

from foveate.backbones.backbone import create_backbone
from foveate.config.networks import BackboneConfig
from foveate.errors import UserError
from foveate.grounding.excitation.backprop import ExcitationBackprop
from foveate.grounding.layers import layer_of_stride

CLASSES = 10

KEPT = {"mobilenet_v2": 0.25, "mobilenetv2_100": 0.25, "tf_efficientnet_lite0": 0.005}
KEPT |= {"resnetv2_50": 0.5, "densenet121": 0.85}
"""How much of the relevance arrives at least where sums and averages may be negative: there it is lost. Else 0.99."""


def narrow(network: nn.Module) -> nn.Module:
    """The same network, 64 units where a VGG has 4,096: nine tenths of its weights are there."""
    if isinstance(network, models.VGG):
        sizes = (512 * 7 * 7, 64), (64, 64), (64, CLASSES)
        for place, size in zip((0, 3, 6), sizes, strict=True):
            network.classifier[place] = nn.Linear(*size)
    return network


def filled(create: Callable[[], nn.Module]) -> nn.Module:
    """A network with cheap random weights of the usual size, and batch norms of which some flip signs."""
    with torch.device("meta"):
        network = create()
    network.to_empty(device="cpu").eval()
    noise = torch.randn(1_000_003, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        for name, values in network.state_dict().items():
            drawn = noise.repeat(values.numel() // len(noise) + 1)[: values.numel()].view(values.shape)
            if values.ndim > 1:
                values.copy_(drawn * (2 / values[0].numel()) ** 0.5)
            elif name.endswith("running_var"):
                values.copy_(1 + drawn.abs())
            elif values.is_floating_point():
                values.copy_(drawn * (0.1 if name.endswith(("bias", "mean")) else 1))
            else:
                values.zero_()
    return network


def assert_grounds(network: nn.Module, architecture: str) -> None:
    """The logits are the network's own; relevance is neither negative nor made, and arrives."""
    images = torch.randn(2, 3, 96, 96, generator=torch.Generator().manual_seed(0))
    layer = layer_of_stride(network, 16)
    grounded = ExcitationBackprop(network, layer)(images, 3)
    with torch.no_grad():
        assert_close(grounded.logits, network(images), rtol=1e-5, atol=1e-5)
    assert grounded.maps.shape[:2] == (len(images), 3)
    plain = ExcitationBackprop(network, layer, contrast=False)(images, grounded.classes)
    for each in (grounded, plain):
        assert each.maps.dtype is torch.float32
        assert each.maps.isfinite().all()
        assert each.maps.amin() >= 0
        assert each.maps.any()
    totals = plain.maps.sum(dim=(2, 3))
    assert totals.max() <= 1 + 1e-4
    assert totals.min() >= KEPT.get(architecture, 0.99)


@pytest.mark.filterwarnings("ignore:The default weight initialization")
@pytest.mark.parametrize(
    "architecture",
    [
        *("resnet18", "resnet50", "resnet101", "vgg16", "vgg16_bn", "vgg19", "vgg19_bn"),
        *("densenet121", "mobilenet_v2", "inception_v3", "googlenet"),
    ],
)
def test_networks_of_torchvision(architecture: str) -> None:
    network = filled(lambda: narrow(models.get_model(architecture, num_classes=CLASSES)))
    assert_grounds(network, architecture)


@pytest.mark.parametrize(
    "architecture",
    [
        *("resnet18", "resnet50", "resnet101", "vgg16", "vgg16_bn", "vgg19", "vgg19_bn"),
        *("densenet121", "mobilenetv2_100", "inception_v3", "resnetv2_50"),
    ],
)
def test_networks_of_timm(architecture: str) -> None:
    options: dict[str, Any] = {"mlp_ratio": 1 / 64} if architecture.startswith("vgg") else {}  # 64 units for 4,096
    network = filled(lambda: timm.create_model(architecture, num_classes=CLASSES, **options))
    assert_grounds(network, architecture)


def test_the_default_backbone_with_its_weights() -> None:
    network = create_backbone(BackboneConfig(), CLASSES).network
    assert isinstance(network, nn.Module)
    assert_grounds(network.eval(), "tf_efficientnet_lite0")


def test_a_convolution_may_be_the_last_linear_layer() -> None:
    network = filled(lambda: models.squeezenet1_1(num_classes=CLASSES))
    assert ExcitationBackprop(network, "features.12")(torch.randn(2, 3, 96, 96), 3).maps.any()
    with pytest.raises(UserError, match="the network has none there"):
        ExcitationBackprop(network, "classifier.2")(torch.randn(2, 3, 96, 96), 3)


@pytest.mark.parametrize(
    ("architecture", "layer", "operation", "module"),
    [
        ("efficientnet_b0", "blocks.4", "torch.nn.functional.silu", r"'blocks.5.0.bn1.act' \(SiLU\)"),
        ("mobilenetv3_small_100", "blocks.4", "torch.nn.functional.hardswish", r"'blocks.5.0.bn1.act' \(Hardswish\)"),
        ("seresnet18", "layer3", "torch.Tensor.sigmoid", r"'layer4.0.se.gate' \(Sigmoid\)"),
        ("convnext_atto", "stages.2", "torch.Tensor.permute", r"'stages.3.downsample.0' \(LayerNorm2d\)"),
        ("vit_tiny_patch16_224", "patch_embed.proj", "torch.Tensor.transpose", r"'patch_embed' \(PatchEmbed\)"),
    ],
)
def test_operations_without_a_rule_are_named(architecture: str, layer: str, operation: str, module: str) -> None:
    network = timm.create_model(architecture)
    size = 224 if "vit" in architecture else 64
    with pytest.raises(UserError, match=f"no rule for {operation}, called in {module}.*attn-lrp$"):
        ExcitationBackprop(network, layer)(torch.randn(1, 3, size, size), 1)
