"""MA-CNN, small enough for two processor cores, and as published.

Published (MA-CNN, ICCV 2017): VGG-19 at 448 pixels, part crops of 128 (birds) or 96 pixels (aircraft, cars) resized
to 224. The views are Guided Zoom's, whose base it is here: squashed to 475, cut to 448. Rates, epochs and phases are
not those of the paper, which trains in stages: docs/deviations.md.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from foveate.config.data import DataConfig, TrainCrop, TransformConfig
from foveate.config.optimiser import OptimiserConfig, Schedule
from foveate.macnn.config import AttentionForm, MACNNConfig
from foveate.recipes.config import TrainConfig

PUBLISHED = replace(MACNNConfig.paper(), attention=AttentionForm.STANDARDISED)
"""The text's own form of attention has no gradient where its sums are large."""

_SUMMED = OptimiserConfig(learning_rate=0.002, new_learning_rate=0.02)
"""A fifth of the usual rates: the loss is the sum of ten cross entropies, and at the usual ones it stays high."""


def macnn(folder: Path | str = "photographs") -> TrainConfig:
    """Look at four parts with EfficientNet-Lite0 at 224 pixels, each at 96."""
    return TrainConfig(data=DataConfig(root=Path(folder)), network=MACNNConfig(part_size=96), optimiser=_SUMMED)


def macnn_paper(folder: Path | str = "photographs") -> TrainConfig:
    """The published network, VGG-19 at 448 pixels, one for each stream, but for the form of attention: needs a GPU."""
    return TrainConfig(
        data=DataConfig(root=Path(folder)),
        transforms=TransformConfig(input_size=448, resize_size=475, train_crop=TrainCrop.OFFSET),
        network=PUBLISHED,
        optimiser=OptimiserConfig(
            learning_rate=0.001, new_learning_rate=0.01, schedule=Schedule.STEP, milestones=(2 / 3,)
        ),
        epochs=60,
        label_smoothing=0.0,
    )
