"""Guided Zoom: the Evidence CNN, trained on the patches of an evidence pool.

The paper (BMVC 2019, section 4): ResNet-101 on patches resized to 256 pixels, a random crop of 224; SGD with momentum
0.9, batch 64, no weight decay named, 0.001 for every layer, a tenth of it after 10,000 and 20,000 of 30,000 steps. Its
conventional CNNs are the `ft-resnet101` recipes.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from foveate.config.data import DataConfig, DatasetFormat, TrainCrop, TransformConfig
from foveate.config.networks import BackboneConfig, PlainConfig
from foveate.config.optimiser import OptimiserConfig, Schedule
from foveate.recipes.config import TrainConfig

_PATCHES = TransformConfig(input_size=224, resize_size=256, train_crop=TrainCrop.OFFSET)


def evidence() -> TrainConfig:
    """Train an Evidence CNN, EfficientNet-Lite0 at 224 pixels, on the pool that `foveate pool build` made."""
    # The pool is all training: what is tested is the decision it refines.
    data = DataConfig(root=Path("pool"), format=DatasetFormat.POOL, test_fraction=0.0)
    return TrainConfig(data=data, transforms=_PATCHES, epochs=8)


def evidence_resnet101() -> TrainConfig:
    """The paper's Evidence CNN, for 30,000 steps whatever the pool holds; --epochs counts beside --steps None."""
    return replace(
        evidence(),
        transforms=replace(_PATCHES, flip=0.0),
        network=PlainConfig(backbone=BackboneConfig(architecture="resnet101.tv_in1k")),
        optimiser=OptimiserConfig(
            learning_rate=0.001,
            new_learning_rate=0.001,
            weight_decay=0.0,
            schedule=Schedule.STEP,
            milestones=(1 / 3, 2 / 3),
        ),
        batch_size=64,
        epochs=0,
        steps=30_000,
        label_smoothing=0.0,
    )
