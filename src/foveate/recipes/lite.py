"""Recipes on the larger EfficientNet-Lites, whose ImageNet weights are packages too."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from foveate.config.networks import BackboneConfig, HeadStart, PlainConfig, ProbeConfig
from foveate.recipes.config import TrainConfig
from foveate.recipes.plain import plain
from foveate.recipes.probe import probe

_SIDES = {1: (240, 274), 2: (260, 297)}
"""Of the input, as they were trained, and of the photograph that it is cut from, in the proportion of 224 to 256."""


def plain_lite1(folder: Path | str = "photographs") -> TrainConfig:
    """Fine-tune EfficientNet-Lite1 at 240 pixels."""
    return _sized(replace(plain(folder), network=PlainConfig(backbone=_lite(1), head=HeadStart.PROBE)), 1)


def plain_lite2(folder: Path | str = "photographs") -> TrainConfig:
    """Fine-tune EfficientNet-Lite2 at 260 pixels."""
    return _sized(replace(plain(folder), network=PlainConfig(backbone=_lite(2), head=HeadStart.PROBE)), 2)


def probe_lite1(folder: Path | str = "photographs") -> TrainConfig:
    """Fit logistic regression to EfficientNet-Lite1's frozen features at 240 pixels."""
    return _sized(replace(probe(folder), network=ProbeConfig(backbone=_lite(1))), 1)


def probe_lite2(folder: Path | str = "photographs") -> TrainConfig:
    """Fit logistic regression to EfficientNet-Lite2's frozen features at 260 pixels."""
    return _sized(replace(probe(folder), network=ProbeConfig(backbone=_lite(2))), 2)


def _lite(number: int) -> BackboneConfig:
    return BackboneConfig(architecture=f"tf_efficientnet_lite{number}")


def _sized(config: TrainConfig, number: int) -> TrainConfig:
    side, whole = _SIDES[number]
    return replace(config, transforms=replace(config.transforms, input_size=side, resize_size=whole))
