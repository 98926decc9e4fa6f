"""The papers' own networks on their data sets, at full size; their baselines are in `baselines`.

S3N (ICCV 2019, section 4): ResNet-50 at 448 pixels, SGD with momentum 0.9 and weight decay 1e-4, batch 16, 60 epochs,
0.001 for pretrained and 0.01 for new layers. The drop by ten before the 40th epoch, the squash to 600 and the training
crop are the released configuration's.

MA-CNN, the base network of two rows of Guided Zoom's tables: `foveate.recipes.macnn_paper`.

Guided Zoom's Evidence CNN (BMVC 2019, section 4): ResNet-101 on patches resized to 256 pixels, a random crop of 224;
SGD with momentum 0.9, batch 64, no weight decay named, 0.001 for every layer, a tenth of it after 10,000 and 20,000 of
30,000 steps. Its conventional CNNs are the `ft-resnet101` ones.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from foveate.config.data import DataConfig, DatasetFormat, TransformConfig
from foveate.config.networks import BackboneConfig, PlainConfig
from foveate.config.optimiser import SmoothingOver
from foveate.recipes.config import TrainConfig
from foveate.recipes.evidence_cnn import evidence
from foveate.recipes.macnn import PUBLISHED, macnn_paper
from foveate.recipes.s3n import s3n_reference
from foveate.reproduction.baselines import ft_resnet101_cub
from foveate.s3n.config import S3NConfig

_CUB = DataConfig(root=Path("CUB_200_2011"), format=DatasetFormat.CUB)
_AIRCRAFT = DataConfig(root=Path("fgvc-aircraft-2013b"), format=DatasetFormat.AIRCRAFT)
_CARS = DataConfig(root=Path("stanford_cars"), format=DatasetFormat.CARS)
_RESNET50 = BackboneConfig(architecture="resnet50.tv_in1k")
_SMALLER_PARTS = 96 / 448


def s3n_resnet50_cub() -> TrainConfig:
    """S3N on CUB-200-2011, as the text has it. Published: 88.5 top-1. Not measured here: no GPU."""
    return TrainConfig(
        data=_CUB,
        transforms=TransformConfig(input_size=448, resize_size=600),
        network=S3NConfig.paper(_RESNET50),
        optimiser=s3n_reference().optimiser,
        epochs=60,
        batch_size=16,
        label_smoothing=0.0,
    )


def s3n_resnet50_aircraft() -> TrainConfig:
    """S3N on FGVC-Aircraft, as the text has it. Published: 92.8 top-1. Not measured here: no GPU."""
    return replace(s3n_resnet50_cub(), data=_AIRCRAFT)


def s3n_resnet50_cars() -> TrainConfig:
    """S3N on Stanford Cars, as the text has it. Published: 94.7 top-1. Not measured here: no GPU."""
    return replace(s3n_resnet50_cub(), data=_CARS)


def s3n_reference_cub() -> TrainConfig:
    """S3N on CUB-200-2011 with the settings of the released code. Published: 88.5 top-1. Not measured here: no GPU."""
    return replace(
        s3n_resnet50_cub(),
        network=S3NConfig.reference(_RESNET50),
        label_smoothing=0.15,
        smoothing_over=SmoothingOver.OTHERS,
    )


def macnn_vgg19_cub() -> TrainConfig:
    """MA-CNN on CUB-200-2011. Published: 86.5 top-1. Not measured here: no GPU."""
    return replace(macnn_paper(), data=_CUB)


def macnn_vgg19_aircraft() -> TrainConfig:
    """MA-CNN on FGVC-Aircraft. Published: 89.9 top-1. Not measured here: no GPU."""
    return _with_smaller_parts(_AIRCRAFT)


def macnn_vgg19_cars() -> TrainConfig:
    """MA-CNN on Stanford Cars. Published: 92.8 top-1. Not measured here: no GPU."""
    return _with_smaller_parts(_CARS)


def _with_smaller_parts(data: DataConfig) -> TrainConfig:
    return replace(macnn_paper(), data=data, network=replace(PUBLISHED, crop=_SMALLER_PARTS))


def evidence_resnet101() -> TrainConfig:
    """The paper's Evidence CNN, for 30,000 steps whatever the pool holds; --epochs counts beside --steps None."""
    config = evidence()
    return replace(
        config,
        transforms=replace(config.transforms, flip=0.0),
        network=PlainConfig(backbone=BackboneConfig(architecture="resnet101.tv_in1k")),
        optimiser=ft_resnet101_cub().optimiser,
        batch_size=64,
        epochs=0,
        steps=30_000,
        label_smoothing=0.0,
    )
