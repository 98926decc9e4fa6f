"""The fine-tuned baseline, small enough for minutes on two processor cores."""

from __future__ import annotations

from pathlib import Path

from foveate.config.data import DataConfig, DatasetFormat, TransformConfig
from foveate.config.networks import HeadStart, PlainConfig
from foveate.config.optimiser import OptimiserConfig
from foveate.recipes.config import TrainConfig


def plain(folder: Path | str = "photographs") -> TrainConfig:
    """Fine-tune EfficientNet-Lite0 at 224 pixels, its head from a probe: the baseline."""
    return TrainConfig(
        data=DataConfig(root=Path(folder)),
        network=PlainConfig(head=HeadStart.PROBE),
        optimiser=OptimiserConfig(learning_rate=0.06, new_learning_rate=0.01),
        epochs=0,
        frozen_stride=4,
        pretrained_share=0.1,
    )


def plain_plumage() -> TrainConfig:
    """Fine-tune EfficientNet-Lite0 at 128 pixels on drawn birds."""
    return TrainConfig(
        data=DataConfig(root=Path("plumage"), format=DatasetFormat.CUB),
        transforms=TransformConfig(input_size=128, resize_size=144),
    )
