"""MA-CNN: the base network of two rows of Guided Zoom's tables at full size, and a small one for two processor cores.

Published (MA-CNN, ICCV 2017): VGG-19 at 448 pixels, part crops of 128 (birds) or 96 pixels (aircraft, cars) resized
to 224. The views are Guided Zoom's, whose base it is here: squashed to 475, cut to 448. Rates, epochs and phases are
not those of the paper, which trains in stages: docs/deviations.md.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from foveate.config.data import DataConfig, DatasetFormat, TrainCrop, TransformConfig
from foveate.config.optimiser import OptimiserConfig, Schedule
from foveate.macnn.config import AttentionForm, MACNNConfig
from foveate.recipes.config import TrainConfig
from foveate.recipes.laptop import plain, plain_slice

_SMALLER_PARTS = 96 / 448

_PUBLISHED = replace(MACNNConfig.paper(), attention=AttentionForm.STANDARDISED)
"""The text's own form of attention has no gradient where its sums are large."""

_SUMMED = OptimiserConfig(learning_rate=0.002, new_learning_rate=0.02)
"""A fifth of the usual rates: the loss is the sum of ten cross entropies, and at the usual ones it stays high."""


def macnn() -> TrainConfig:
    """Look at four parts with EfficientNet-Lite0 at 224 pixels on photographs of your own: give --data.root."""
    return replace(plain(), network=MACNNConfig(part_size=96), optimiser=_SUMMED)


def macnn_slice() -> TrainConfig:
    """MA-CNN with EfficientNet-Lite0 at 224 pixels, parts at 96, on the 20-class slice of CUB-200-2011.

    Measured: see docs/reproduction.md.
    """
    return replace(plain_slice(), network=MACNNConfig(part_size=96), optimiser=_SUMMED)


def macnn_vgg19_cub() -> TrainConfig:
    """MA-CNN on CUB-200-2011. Published: 86.5 top-1. Not measured here: no GPU."""
    return TrainConfig(
        data=DataConfig(root=Path("CUB_200_2011"), format=DatasetFormat.CUB),
        transforms=TransformConfig(input_size=448, resize_size=475, train_crop=TrainCrop.OFFSET),
        network=_PUBLISHED,
        optimiser=OptimiserConfig(
            learning_rate=0.001, new_learning_rate=0.01, schedule=Schedule.STEP, milestones=(2 / 3,)
        ),
        epochs=60,
        batch_size=16,
        label_smoothing=0.0,
    )


def macnn_vgg19_aircraft() -> TrainConfig:
    """MA-CNN on FGVC-Aircraft. Published: 89.9 top-1. Not measured here: no GPU."""
    data = DataConfig(root=Path("fgvc-aircraft-2013b"), format=DatasetFormat.AIRCRAFT)
    return _with_smaller_parts(data)


def macnn_vgg19_cars() -> TrainConfig:
    """MA-CNN on Stanford Cars. Published: 92.8 top-1. Not measured here: no GPU."""
    return _with_smaller_parts(DataConfig(root=Path("stanford_cars"), format=DatasetFormat.CARS))


def _with_smaller_parts(data: DataConfig) -> TrainConfig:
    return replace(macnn_vgg19_cub(), data=data, network=replace(_PUBLISHED, crop=_SMALLER_PARTS))
