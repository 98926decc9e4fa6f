"""The fine-tuned baselines of both papers, at full size.

S3N's (ICCV 2019, Table 5): ResNet-50 at 448, squashed to 600 and centre-cropped at test time; the text gives
SGD, batch 16, momentum 0.9, weight decay 1e-4, 0.001 for pretrained and 0.01 for new layers; the released
configuration trains this baseline for 30 epochs with the rate divided by 10 after 19 of them.

Guided Zoom's (BMVC 2019, Tables 1 to 3): ResNet-101 at 448 cropped from 475; SGD, batch 64, 0.001 for every layer,
divided by 10 every 10,000 of 30,000 steps, momentum 0.9; about 320 epochs of CUB-200-2011.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from foveate.config.data import DataConfig, DatasetFormat, TrainCrop, TransformConfig
from foveate.config.networks import BackboneConfig, PlainConfig
from foveate.config.optimiser import OptimiserConfig, Schedule
from foveate.recipes.config import TrainConfig


def ft_resnet50_cub() -> TrainConfig:
    """S3N's baseline on CUB-200-2011. Published: 86.0 top-1. Not measured here: no GPU."""
    return TrainConfig(
        data=DataConfig(root=Path("CUB_200_2011"), format=DatasetFormat.CUB),
        transforms=TransformConfig(input_size=448, resize_size=600),
        network=PlainConfig(backbone=BackboneConfig(architecture="resnet50.tv_in1k")),
        optimiser=OptimiserConfig(
            learning_rate=0.001,
            new_learning_rate=0.01,
            schedule=Schedule.STEP,
            milestones=(19 / 30,),
        ),
        epochs=30,
        batch_size=16,
        label_smoothing=0.0,
    )


def ft_resnet50_aircraft() -> TrainConfig:
    """S3N's baseline on FGVC-Aircraft. Published: 89.9 top-1. Not measured here: no GPU."""
    data = DataConfig(root=Path("fgvc-aircraft-2013b"), format=DatasetFormat.AIRCRAFT)
    return replace(ft_resnet50_cub(), data=data)


def ft_resnet50_cars() -> TrainConfig:
    """S3N's baseline on Stanford Cars. Published: 92.6 top-1. Not measured here: no GPU."""
    data = DataConfig(root=Path("stanford_cars"), format=DatasetFormat.CARS)
    return replace(ft_resnet50_cub(), data=data)


def ft_resnet101_cub() -> TrainConfig:
    """Guided Zoom's baseline on CUB-200-2011 (5,994 training photographs). Published: 82.3 top-1."""
    data = DataConfig(root=Path("CUB_200_2011"), format=DatasetFormat.CUB)
    return _guided_zoom_baseline(data)


def ft_resnet101_dogs() -> TrainConfig:
    """Guided Zoom's baseline on Stanford Dogs (12,000 training photographs). Published: 86.9 top-1."""
    data = DataConfig(root=Path("stanford_dogs"), format=DatasetFormat.DOGS)
    return _guided_zoom_baseline(data)


def ft_resnet101_aircraft() -> TrainConfig:
    """Guided Zoom's baseline on FGVC-Aircraft (6,667 training photographs). Published: 87.5 top-1."""
    data = DataConfig(root=Path("fgvc-aircraft-2013b"), format=DatasetFormat.AIRCRAFT)
    return _guided_zoom_baseline(data)


def _guided_zoom_baseline(data: DataConfig) -> TrainConfig:
    return TrainConfig(
        data=data,
        transforms=TransformConfig(input_size=448, resize_size=475, train_crop=TrainCrop.OFFSET, flip=0.0),
        network=PlainConfig(backbone=BackboneConfig(architecture="resnet101.tv_in1k")),
        optimiser=OptimiserConfig(
            learning_rate=0.001,
            new_learning_rate=0.001,
            weight_decay=0.0,
            schedule=Schedule.STEP,
            milestones=(1 / 3, 2 / 3),
        ),
        epochs=0,
        steps=30_000,
        batch_size=64,
        label_smoothing=0.0,
    )
