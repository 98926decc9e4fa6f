"""Recipes that train within minutes on two processor cores."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from foveate.config.data import DataConfig, DatasetFormat, TransformConfig
from foveate.recipes.config import TrainConfig


def plain() -> TrainConfig:
    """Fine-tune EfficientNet-Lite0 at 224 pixels on photographs of your own: give --data.root."""
    return TrainConfig(data=DataConfig(root=Path("photographs")))


def plain_slice() -> TrainConfig:
    """Fine-tune EfficientNet-Lite0 at 224 pixels on the 20-class slice of CUB-200-2011.

    Measured: see docs/reproduction.md.
    """
    return TrainConfig(data=DataConfig(root=Path("CUB_200_2011_20"), format=DatasetFormat.CUB))


def plain_slice_448() -> TrainConfig:
    """The same at 448 pixels: what a user could do instead of looking closer."""
    return replace(plain_slice(), transforms=TransformConfig(input_size=448, resize_size=512))


def plain_slice_long() -> TrainConfig:
    """The same at 224 pixels for three times the epochs: what a user could do with the time."""
    return replace(plain_slice(), epochs=45)


def plain_plumage() -> TrainConfig:
    """Fine-tune EfficientNet-Lite0 at 128 pixels on drawn birds: the demo."""
    return TrainConfig(
        data=DataConfig(root=Path("plumage"), format=DatasetFormat.CUB),
        transforms=TransformConfig(input_size=128, resize_size=144),
    )
