"""A calibration changes how sure an answer is, and never which it is."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from foveate.config.branches import Branch
from foveate.config.hardware import HardwareConfig
from foveate.config.networks import BackboneConfig, PlainConfig
from foveate.errors import UserError
from foveate.inference.classifier import Calibration, Classifier
from foveate.networks.plain import PlainNetwork


@pytest.fixture(scope="module")
def classifier() -> Classifier:
    torch.manual_seed(0)
    config = PlainConfig(backbone=BackboneConfig(architecture="test_efficientnet", weights="none"))
    return Classifier.place(PlainNetwork.create(config, 5), HardwareConfig(accelerator="cpu"))


def probabilities(seed: int, spread: float) -> torch.Tensor:
    return (spread * torch.randn(40, 6, generator=torch.Generator().manual_seed(seed))).softmax(1)


@settings(deadline=None, max_examples=60)
@given(st.integers(0, 10_000), st.floats(0.01, 60), st.floats(0.05, 20))
def test_the_best_class_stays_and_the_sum_is_one(seed: int, spread: float, temperature: float) -> None:
    """Also where the spread makes zeros of most classes, or the temperature makes nearly equal ones equal."""
    before = probabilities(seed, spread)
    after = Calibration(temperature=temperature).tempered(before)
    assert after.dtype == before.dtype
    assert torch.equal(after.argmax(1), before.argmax(1))
    torch.testing.assert_close(after.sum(1), torch.ones(40))
    best = before.argmax(1)[:, None]
    surer = (after.gather(1, best) - before.gather(1, best)) * (1 if temperature < 1 else -1)
    assert surer.min() >= -1e-6


def test_nearly_equal_classes_are_not_made_equal() -> None:
    high = torch.tensor(0.5).nextafter(torch.tensor(1.0))
    after = Calibration(temperature=20.0).tempered(torch.stack([1 - high, high])[None])
    assert after.argmax() == 1


def test_by_hand() -> None:
    """Twice as hot: the square roots of 0.64 and 0.36, which add to 1.4."""
    after = Calibration(temperature=2.0).tempered(torch.tensor([[0.36, 0.64]]))
    torch.testing.assert_close(after, torch.tensor([[0.6 / 1.4, 0.8 / 1.4]]))


def test_at_one_every_bit_stays() -> None:
    before = probabilities(0, 5)
    assert Calibration().tempered(before) is before


@pytest.mark.parametrize("views", [1, 3])
def test_a_classifier_calibrates_its_decision_alone(classifier: Classifier, views: int) -> None:
    images = torch.randint(0, 256, (4, views, 64, 64, 3), dtype=torch.uint8)
    calibration = Calibration(temperature=3.0)
    calibrated = replace(classifier, calibration=calibration)
    before, after = (each.branch_probabilities(images)[Branch.ORIGINAL] for each in (classifier, calibrated))
    assert torch.equal(before, after)
    assert torch.equal(classifier.probabilities(images), before)
    assert torch.equal(calibrated.probabilities(images), calibration.tempered(before))


@pytest.mark.parametrize("temperature", [0.0, -1.0, float("nan"), float("inf")])
def test_a_temperature_is_above_0(temperature: float) -> None:
    with pytest.raises(UserError, match="temperature must be a finite number above 0; got"):
        Calibration(temperature=temperature)
