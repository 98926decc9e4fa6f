"""The plain network and its inference."""

from __future__ import annotations

import pytest
import torch

from foveate.backbones.backbone import Normalisation
from foveate.config.branches import Branch
from foveate.config.hardware import HardwareConfig
from foveate.config.networks import BackboneConfig, PlainConfig
from foveate.inference.classifier import Classifier, network_input
from foveate.networks.network import ParameterGroup
from foveate.networks.plain import PlainNetwork


@pytest.fixture
def network() -> PlainNetwork:
    torch.manual_seed(0)
    config = PlainConfig(backbone=BackboneConfig(architecture="resnet18", weights="none"), dropout=0.5)
    return PlainNetwork.create(config, 4)


def classifier(network: PlainNetwork, precision: str = "float32") -> Classifier:
    return Classifier.place(network, HardwareConfig(accelerator="cpu", precision=precision))  # type: ignore[arg-type]


@pytest.mark.usefixtures("without_noise")
def test_it_is_the_timm_network_in_evaluation_mode(network: PlainNetwork) -> None:
    images = torch.randn(2, 3, 64, 64)
    network.eval()
    with torch.no_grad():
        torch.testing.assert_close(network(images).original, network.backbone.network(images), rtol=1e-4, atol=1e-5)


def test_dropout_acts_in_training_only(network: PlainNetwork) -> None:
    features = torch.ones(1, 3, 64, 64)
    network.backbone.eval()
    assert not torch.equal(network(features).original, network(features).original)
    network.eval()
    assert torch.equal(network(features).original, network(features).original)


def test_new_parameters_are_the_head_alone(network: PlainNetwork) -> None:
    head = network.backbone.classifier
    (group,) = network.parameter_groups()
    assert {id(p) for p in group.parameters} == {id(head.weight), id(head.bias)}
    assert group == ParameterGroup(group.parameters, new=True, factor=1.0, decays=True)


def test_the_original_is_its_only_branch_and_decides(network: PlainNetwork) -> None:
    answers = network.eval()(torch.zeros(2, 3, 64, 64))
    assert list(answers.present()) == [Branch.ORIGINAL]
    assert answers.decision is answers.original


def test_network_input_by_hand() -> None:
    pixels = torch.tensor([[[[0, 255, 51]]]], dtype=torch.uint8)  # one image of one pixel
    expected = torch.tensor([-1.0, 1.0, -0.6]).view(1, 3, 1, 1)
    torch.testing.assert_close(network_input(pixels, Normalisation((0.5,) * 3, (0.5,) * 3)), expected)


@pytest.mark.parametrize("channels_last", [True, False])
def test_the_layout_changes_the_memory_and_not_the_numbers(channels_last: bool) -> None:
    pixels = torch.randint(0, 256, (2, 5, 6, 3), dtype=torch.uint8)
    normalisation = Normalisation((0.4, 0.5, 0.6), (0.2, 0.3, 0.4))
    out = network_input(pixels, normalisation, channels_last=channels_last)
    layout = torch.channels_last if channels_last else torch.contiguous_format
    assert out.is_contiguous(memory_format=layout)
    torch.testing.assert_close(out, network_input(pixels, normalisation, channels_last=not channels_last))


def test_views_are_averaged_as_probabilities(network: PlainNetwork) -> None:
    images = torch.randint(0, 256, (3, 2, 64, 64, 3), dtype=torch.uint8)
    model = classifier(network)
    both = model.probabilities(images)
    each = [model.probabilities(images[:, view : view + 1]) for view in (0, 1)]
    torch.testing.assert_close(both, (each[0] + each[1]) / 2)
    torch.testing.assert_close(both.sum(1), torch.ones(3))
    assert both.dtype is torch.float32


def test_bf16_answers_as_float32_does_within_its_precision(network: PlainNetwork) -> None:
    images = torch.randint(0, 256, (4, 1, 64, 64, 3), dtype=torch.uint8)
    exact = classifier(network).probabilities(images)
    fast = classifier(network, "bf16").probabilities(images)
    assert not torch.equal(exact, fast)  # it did run in another precision
    torch.testing.assert_close(fast, exact, rtol=0.1, atol=0.02)
