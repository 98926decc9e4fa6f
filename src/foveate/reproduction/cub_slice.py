"""The trainings on the 20-class slice of CUB-200-2011, within minutes on two processor cores.

Measured: see docs/reproduction.md.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from foveate.config.data import DataConfig, DatasetFormat, TransformConfig
from foveate.recipes.config import TrainConfig
from foveate.recipes.macnn import macnn
from foveate.recipes.s3n import s3n_paper, s3n_reference
from foveate.s3n.config import S3NConfig

_SLICE = DataConfig(root=Path("CUB_200_2011_20"), format=DatasetFormat.CUB)


def plain_slice() -> TrainConfig:
    """Fine-tune EfficientNet-Lite0 at 224 pixels on the 20-class slice of CUB-200-2011."""
    return TrainConfig(data=_SLICE)


def plain_slice_448() -> TrainConfig:
    """The same at 448 pixels: what a user could do instead of looking closer."""
    return replace(plain_slice(), transforms=TransformConfig(input_size=448, resize_size=512))


def plain_slice_long() -> TrainConfig:
    """The same at 224 pixels for three times the epochs: what a user could do with the time."""
    return replace(plain_slice(), epochs=45)


def s3n_slice() -> TrainConfig:
    """S3N with EfficientNet-Lite0 at 224 pixels on the 20-class slice of CUB-200-2011."""
    return TrainConfig(data=_SLICE, network=S3NConfig())


def s3n_slice_448() -> TrainConfig:
    """The same, the zoom reading from 448 pixels: views of 224 with more detail."""
    return replace(s3n_slice(), transforms=TransformConfig(source_size=448))


def s3n_slice_paper() -> TrainConfig:
    """The paper's text on the slice; optimiser and epochs are the slice's."""
    return replace(s3n_paper(), data=_SLICE)


def s3n_slice_reference() -> TrainConfig:
    """The released code's settings on the slice, optimiser and 60 epochs included."""
    return replace(s3n_reference(), data=_SLICE)


def macnn_slice() -> TrainConfig:
    """MA-CNN with EfficientNet-Lite0 at 224 pixels, parts at 96, on the 20-class slice of CUB-200-2011."""
    return replace(macnn(), data=_SLICE)
