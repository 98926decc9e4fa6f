"""Why one class and not its twin: both ways."""

from __future__ import annotations

from typing import cast

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from test_excitation import networks, two_layers
from torch import nn
from torch.testing import assert_close

from foveate import TwinContrast, TwinMaps, twin_maps
from foveate.backbones.class_maps import class_maps
from foveate.config.networks import BackboneConfig, PlainConfig
from foveate.errors import UserError
from foveate.grounding.attn_lrp import AttnLRP
from foveate.grounding.excitation.backprop import ExcitationBackprop
from foveate.grounding.grad_cam import GradCAM
from foveate.networks.own import OwnNetwork
from foveate.networks.plain import PlainNetwork
from foveate.types import SignedMaps
from oracles.excitation import naive_difference, random_network


@settings(deadline=None, max_examples=15)
@given(networks(), st.integers(0, 1000))
def test_agrees_with_explicit_matrices(network: nn.Sequential, seed: int) -> None:
    images = torch.randn(2, 3, 5, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    pairs = torch.tensor([[0, 3], [2, 1]])
    seen = ExcitationBackprop(network, "1").between(images, pairs)
    assert_close(seen.logits, network(images).detach())
    for image, pair, cells in zip(images, pairs.tolist(), seen.maps, strict=True):
        expected = torch.from_numpy(naive_difference(network, 1, image, *pair)).float()
        assert_close(cells, expected, rtol=1e-5, atol=1e-6)


def test_hand_computed_case() -> None:
    """The features are (1.5, 5), the weights (1, 1) and (2, -1), so the difference is (-1, 2).

    The second channel alone, of which the cells have 7/10 and 3/10, speaks for the first class, and the first channel,
    which only the second cell has, for the second: 0.7 and 0.3 less 0 and 1.
    """
    images = torch.tensor([[1.0, 3.0], [2.0, 0.0], [9.0, 9.0]]).view(1, 3, 1, 2)
    seen = ExcitationBackprop(two_layers(), "1").between(images, torch.tensor([[0, 1]]))
    assert_close(seen.maps[0, 0], torch.tensor([0.7, -0.7]))
    maps = TwinMaps.of(seen)
    assert_close(torch.stack([maps.first[0, 0], maps.second[0, 0]]), torch.tensor([[1.0, 0.0], [0.0, 1.0]]))


def positive_network() -> nn.Sequential:
    """Its inner weights excite everywhere, so that no relevance is lost; its head tells four classes apart."""
    network = random_network(
        *(nn.Conv2d(3, 4, 1), nn.ReLU(), nn.Conv2d(4, 4, 3, padding=1), nn.ReLU(), nn.AdaptiveAvgPool2d(1)),
        *(nn.Flatten(), nn.Linear(4, 4)),
    )
    with torch.no_grad():
        for values in list(network.parameters())[:-2]:
            values.abs_()
    return network


def test_what_speaks_for_one_class_and_for_the_other_is_equally_much() -> None:
    images, pairs = torch.rand(3, 3, 6, 6).double(), torch.tensor([[0, 1], [3, 2], [1, 3]])
    seen = ExcitationBackprop(positive_network(), "1").between(images, pairs).maps
    assert_close(seen.sum((1, 2)), torch.zeros(3), atol=1e-6, rtol=0)
    assert (seen.abs().sum((1, 2)) > 0.01).all()


@pytest.mark.parametrize("method", [ExcitationBackprop, GradCAM])
def test_a_pair_turned_round_changes_the_sign(method: type[ExcitationBackprop] | type[GradCAM]) -> None:
    grounding, images = method(positive_network(), "1"), torch.rand(2, 3, 6, 6).double()
    pairs = torch.tensor([[0, 1], [3, 2]])
    one, other = grounding.between(images, pairs), grounding.between(images, pairs.flip(1))
    assert_close(one.maps, -other.maps)
    assert one.maps.any()
    first, second = TwinMaps.of(one), TwinMaps.of(other)
    assert_close(first.first, second.second)
    assert_close(first.second, second.first)


def test_the_evidence_that_two_classes_share_tells_nothing() -> None:
    """To a class that the head takes for the same, there is no difference; to another its own share is not seen."""
    network = positive_network()
    with torch.no_grad():
        weight = network.get_parameter("6.weight")
        weight[1] = weight[0]
    images = torch.rand(1, 3, 6, 6).double()
    seen = ExcitationBackprop(network, "1").between(images, torch.tensor([[0, 1]])).maps
    assert not seen.any()
    assert not TwinMaps.of(SignedMaps(torch.zeros(1, 4), seen)).first.any()


def test_gradients_of_the_difference_are_the_class_maps_of_the_difference() -> None:
    """Where pooling and one head follow the layer, both are the head's weights on it (S3N Eq. 1), up to the area."""
    network, images = positive_network(), torch.rand(2, 3, 6, 6).double()
    pairs = torch.tensor([[0, 1], [3, 2]])
    expected = class_maps(network[:4](images), network.get_parameter("6.weight"), pairs).detach()
    seen = GradCAM(network, "3").between(images, pairs).maps
    assert_close(36 * seen, (expected[:, 0] - expected[:, 1]).float())


def small_plain() -> PlainNetwork:
    torch.manual_seed(0)
    return PlainNetwork.create(
        PlainConfig(backbone=BackboneConfig(architecture="resnet18", weights="none")), classes=5
    ).eval()


def test_both_maps_are_shares_of_the_most_and_never_overlap() -> None:
    maps = twin_maps(small_plain(), torch.randn(3, 3, 64, 64), 4, 1)
    assert maps.first.shape == maps.second.shape == (3, 4, 4)
    both = torch.stack([maps.first, maps.second])
    assert both.min() == 0
    assert_close(both.amax((0, 2, 3)), torch.ones(3))
    assert not (maps.first * maps.second).any()


def test_a_network_without_rules_is_grounded_by_gradients() -> None:
    layers = (nn.Conv2d(3, 4, 3, stride=16), nn.SiLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 5))
    cnn = nn.Sequential(*layers).eval()
    network = OwnNetwork.of(cnn, classes=5)
    images, pairs = torch.randn(2, 3, 64, 64), torch.tensor([[0, 1], [3, 2]])
    with pytest.raises(UserError, match="no rule"):
        ExcitationBackprop(cnn, "0").between(images, pairs)
    expected = TwinMaps.of(GradCAM(cnn, "0").between(images, pairs))
    assert_close(TwinContrast(network, "0")(images, pairs), expected)


def test_a_transformer_is_grounded_by_what_is_usual_for_its_family() -> None:
    """AttnLRP at the first block, of the difference of both logits; at another layer where one is named."""
    torch.manual_seed(0)
    config = PlainConfig(backbone=BackboneConfig(architecture="test_vit", weights="none"))
    network = PlainNetwork.create(config, classes=5, input_size=96).eval()
    nn.init.normal_(network.backbone.classifier.weight)
    images, pairs = torch.randn(2, 3, 96, 96), torch.tensor([[0, 1], [3, 2]])
    for layer, looked_into in ((None, "body.blocks.0"), ("body.blocks.3", "body.blocks.3")):
        expected = TwinMaps.of(AttnLRP(cast(nn.Module, network.backbone.network), looked_into).between(images, pairs))
        maps = TwinContrast(network, layer)(images, pairs)
        assert maps.first.amax() > 0
        assert_close(maps, expected, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize(
    ("pairs", "message"),
    [
        ([[1, 1]], "two different classes"),
        ([[0, 5]], r"in 0\.\.4; got 0\.\.5"),
        ([[0, 1, 2]], "two different classes"),
        ([0, 1], r"int64 and \(1, k\)"),
    ],
)
def test_what_are_no_pairs(pairs: list[object], message: str) -> None:
    with pytest.raises(UserError, match=message):
        TwinContrast(small_plain())(torch.randn(1, 3, 64, 64), torch.tensor(pairs))


def test_logits_of_something_else_than_one_linear_layer_have_no_contrast() -> None:
    network = nn.Sequential(nn.Conv2d(3, 4, 1), nn.ReLU(), nn.Conv2d(4, 5, 1), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    with pytest.raises(UserError, match="one last linear layer"):
        ExcitationBackprop(network, "1").between(torch.rand(1, 3, 4, 4), torch.tensor([[0, 1]]))
