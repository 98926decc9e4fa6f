"""Guided Zoom's Evidence CNN, trained on the patches of an evidence pool."""

from __future__ import annotations

from pathlib import Path

from foveate.config.data import DataConfig, DatasetFormat, TrainCrop, TransformConfig
from foveate.recipes.config import TrainConfig


def evidence(folder: Path | str = "pool") -> TrainConfig:
    """Train an Evidence CNN, EfficientNet-Lite0 at 224 pixels, on the pool that `foveate pool build` made."""
    # The pool is all training: what is tested is the decision it refines.
    return TrainConfig(
        data=DataConfig(root=Path(folder), format=DatasetFormat.POOL, test_fraction=0.0),
        transforms=TransformConfig(input_size=224, resize_size=256, train_crop=TrainCrop.OFFSET),
        epochs=8,
    )
