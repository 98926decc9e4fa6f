"""Every value is checked where it is given."""

from __future__ import annotations

import math
import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import FrozenInstanceError
from pathlib import Path
from typing import Any

import pytest

from foveate.config import (
    BackboneConfig,
    DataConfig,
    HardwareConfig,
    OptimiserConfig,
    PlainConfig,
    TrainConfig,
    TransformConfig,
)
from foveate.errors import UserError

DATA = DataConfig(root=Path("birds"))


def data(**fields: Any) -> DataConfig:
    return DataConfig(root=Path("birds"), **fields)


def training(**fields: Any) -> TrainConfig:
    return TrainConfig(data=DATA, **fields)


Maker = Callable[..., object]

FRACTIONS: list[tuple[Maker, str]] = [
    (data, "validation_fraction"),
    (data, "test_fraction"),
    (PlainConfig, "dropout"),
    (training, "label_smoothing"),
]

REFUSED: list[tuple[Maker, str, Any, str]] = [
    *[
        (maker, field, value, f"{field} must be a fraction in [0, 1)")
        for maker, field in FRACTIONS
        for value in (-0.1, 1.0, 20.0, math.nan)
    ],
    (TransformConfig, "input_size", 15, "input_size must be at least 16 pixels"),
    (TransformConfig, "resize_size", 223, "resize_size must be at least input_size (224)"),
    (TransformConfig, "smallest_area", 0.0, "smallest_area must be in (0, 1]"),
    (TransformConfig, "smallest_area", 1.1, "smallest_area must be in (0, 1]"),
    (TransformConfig, "aspect_jitter", 0.9, "aspect_jitter must be in [1, 10]"),
    (TransformConfig, "aspect_jitter", math.nan, "aspect_jitter must be in [1, 10]"),
    (TransformConfig, "flip", -0.1, "flip must be a probability"),
    (TransformConfig, "flip", 1.1, "flip must be a probability"),
    (OptimiserConfig, "learning_rate", 0.0, "learning_rate must be positive"),
    (OptimiserConfig, "new_learning_rate", -0.1, "new_learning_rate must be positive"),
    (OptimiserConfig, "momentum", 1.0, "momentum must be in [0, 1)"),
    (OptimiserConfig, "momentum", -0.1, "momentum must be in [0, 1)"),
    (OptimiserConfig, "weight_decay", -1e-4, "weight_decay must not be negative"),
    (HardwareConfig, "devices", 0, "devices must be at least 1"),
    (HardwareConfig, "workers", -1, "workers must not be negative"),
    (training, "epochs", 0, "epochs must be at least 1"),
    (training, "batch_size", 0, "batch_size must be at least 1"),
    (training, "seed", -1, "seed must not be negative"),
    (training, "ema_decay", 0.0, "ema_decay must be in (0, 1)"),
    (training, "ema_decay", 1.0, "ema_decay must be in (0, 1)"),
]

AT_THE_EDGE: list[tuple[Maker, str, Any]] = [
    *[(maker, field, value) for maker, field in FRACTIONS for value in (0.0, 0.999)],
    (TransformConfig, "input_size", 16),
    (TransformConfig, "resize_size", 224),
    (TransformConfig, "smallest_area", 1.0),
    (TransformConfig, "aspect_jitter", 1.0),
    (TransformConfig, "flip", 0.0),
    (TransformConfig, "flip", 1.0),
    (OptimiserConfig, "momentum", 0.0),
    (OptimiserConfig, "weight_decay", 0.0),
    (OptimiserConfig, "milestones", ()),
    (HardwareConfig, "workers", 0),
    (HardwareConfig, "workers", None),
    (training, "epochs", 1),
    (training, "batch_size", 1),
    (training, "seed", 0),
    (training, "ema_decay", None),
    (training, "ema_decay", 0.999),
]


@pytest.mark.parametrize(("maker", "field", "value", "rule"), REFUSED)
def test_a_value_that_breaks_a_rule_is_refused(maker: Maker, field: str, value: object, rule: str) -> None:
    with pytest.raises(UserError, match=f"^{re.escape(f'{rule}; got {value}')}$"):
        maker(**{field: value})


@pytest.mark.parametrize("milestone", [0.0, 1.0, 20.0])
def test_each_milestone_is_a_share_of_the_training(milestone: float) -> None:
    with pytest.raises(UserError, match=rf"milestones must be shares of the training in \(0, 1\); got {milestone}$"):
        OptimiserConfig(milestones=(0.5, milestone))


@pytest.mark.parametrize(("maker", "field", "value"), AT_THE_EDGE)
def test_the_edge_of_a_rule_is_allowed(maker: Maker, field: str, value: object) -> None:
    assert getattr(maker(**{field: value}), field) == value


def test_defaults() -> None:
    config = training()
    assert config.transforms == TransformConfig()
    assert config.network == PlainConfig(backbone=BackboneConfig())
    assert (config.optimiser, config.hardware) == (OptimiserConfig(), HardwareConfig())
    with pytest.raises(FrozenInstanceError):
        config.epochs = 3  # type: ignore[misc]


def test_it_imports_without_torch() -> None:
    check = "import sys, foveate.config; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", check], check=False, timeout=120).returncode == 0
