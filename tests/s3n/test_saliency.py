"""The saliency network: a copy of the backbone's first layers, and a softmax over places."""

from __future__ import annotations

from copy import deepcopy

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.testing import assert_close

from foveate.backbones.backbone import Backbone, create_backbone
from foveate.config.networks import BackboneConfig
from foveate.errors import UserError
from foveate.s3n.config import CellPlacement
from foveate.s3n.saliency import SaliencyNetwork
from oracles.s3n import naive_interpolated, naive_saliency

SIDE = 64

VIT = BackboneConfig(architecture="test_vit", weights="none")


def backbone(architecture: str = "test_resnet") -> Backbone:
    torch.manual_seed(0)
    return create_backbone(BackboneConfig(architecture=architecture, weights="none"), 3)


def saliency(of: Backbone, spread: float = 0.3, placement: CellPlacement = CellPlacement.CENTRES) -> SaliencyNetwork:
    """As trained: places that differ."""
    network = SaliencyNetwork(of, placement).eval()
    nn.init.normal_(network.head.weight, std=spread)
    return network


def photographs(count: int = 2) -> Tensor:
    return torch.randn(count, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("architecture", ["test_resnet", "test_efficientnet", "tf_efficientnet_lite0", "densenet121"])
def test_it_begins_as_the_backbones_layers_of_stride_8(architecture: str) -> None:
    whole = backbone(architecture).eval()
    network = saliency(whole)
    stage, seen = whole.stage(8), []
    whole.get_submodule(f"network.{stage.module}").register_forward_hook(lambda _, __, out: seen.append(out))
    images = photographs()
    with torch.no_grad():
        whole(images)
        assert_close(network.features(images), seen[0])
    assert seen[0].shape == (2, stage.channels, SIDE // 8, SIDE // 8)
    count = sum(parameter.numel() for parameter in network.parameters())
    assert count < sum(parameter.numel() for parameter in whole.parameters()) / 2


def test_it_learns_for_itself() -> None:
    whole = backbone()
    network = saliency(whole)
    network(photographs(), 9).sum().backward()
    for parameter in (next(network.parameters()), network.head.weight):  # in between, some branches start at 0
        assert parameter.grad is not None
        assert parameter.grad.any()
    assert all(parameter.grad is None for parameter in whole.parameters())
    before = [parameter.clone() for parameter in whole.parameters()]
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(1.0)
    assert all(torch.equal(one, other) for one, other in zip(before, whole.parameters(), strict=True))


@pytest.mark.parametrize("placement", CellPlacement)
@pytest.mark.parametrize("cells", [5, 8, 31])
def test_it_agrees_with_plain_loops(placement: CellPlacement, cells: int) -> None:
    network, images = saliency(backbone(), placement=placement), photographs()
    with torch.no_grad():
        scores = network.head(network.features(images))[:, 0].double().numpy()
        found = network(images, cells)
    wanted = [naive_saliency(naive_interpolated(each, cells, placement)) for each in scores]
    assert_close(found, torch.tensor(np.array(wanted)).float(), rtol=1e-4, atol=1e-5)
    assert found.amax(dim=(1, 2)).tolist() == [1.0, 1.0]
    assert found.min() > 0


def test_at_first_no_place_is_salient() -> None:
    network = SaliencyNetwork(backbone(), CellPlacement.CENTRES).eval()
    assert torch.equal(network(photographs(), 31), torch.ones(2, 31, 31))


def test_the_class_does_not_matter() -> None:
    """It is made before there are answers: another head changes nothing."""
    whole, images = backbone(), photographs()
    network = saliency(whole)
    before = network(images, 9)
    nn.init.normal_(whole.classifier.weight)
    assert torch.equal(network(images, 9), before)


@pytest.mark.parametrize("spread", [0.3, 1000.0])
def test_bf16_gives_numbers_in_float32(spread: float) -> None:
    network = saliency(backbone(), spread)
    with torch.autocast("cpu", torch.bfloat16):
        found = network(photographs(), 31)
    assert found.dtype is torch.float32
    assert torch.isfinite(found).all()


def test_a_network_that_cannot_be_cut_is_refused() -> None:
    whole = backbone()
    uncut = nn.Identity()
    uncut.feature_info = whole.network.feature_info
    whole.add_module("network", uncut)
    with pytest.raises(UserError, match="first stages, which timm must offer; 'test_resnet' has none"):
        SaliencyNetwork(whole, CellPlacement.CENTRES)


def test_a_copy_gives_the_same() -> None:
    """As an average of the weights, or a network made ready for inference, is made of it."""
    network, images = saliency(backbone()), photographs()
    copied = deepcopy(network)
    assert not any(module.training for module in copied.modules())
    assert torch.equal(copied(images, 9), network(images, 9))


def test_a_network_without_the_stride_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = backbone()
    coarse = [each for each in whole.network.feature_info if each["reduction"] != 8]
    monkeypatch.setattr(whole.network, "feature_info", coarse)
    for each in (Backbone(whole.network, "test_resnet"), create_backbone(VIT, 3)):
        with pytest.raises(UserError, match=r"must have a feature map \(b, d, h, w\) of stride 8; 'test_\w+' has none"):
            SaliencyNetwork(each, CellPlacement.CENTRES)
