"""S3N: the rows of its tables at full size, and small ones for two processor cores.

The paper (ICCV 2019, section 4): ResNet-50 at 448 pixels, SGD with momentum 0.9 and weight decay 1e-4, batch 16, 60
epochs, 0.001 for pretrained and 0.01 for new layers. The drop by ten before the 40th epoch, the squash to 600 and the
training crop are the released configuration's.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from foveate.config.data import DataConfig, DatasetFormat, TransformConfig
from foveate.config.networks import BackboneConfig
from foveate.config.optimiser import OptimiserConfig, Schedule, SmoothingOver
from foveate.recipes.config import TrainConfig
from foveate.recipes.laptop import plain, plain_plumage, plain_slice
from foveate.s3n.config import S3NConfig

_RESNET50 = BackboneConfig(architecture="resnet50.tv_in1k")
_RELEASED_OPTIMISER = OptimiserConfig(
    learning_rate=0.001, new_learning_rate=0.01, schedule=Schedule.STEP, milestones=(39 / 60,)
)


def s3n() -> TrainConfig:
    """Look three times with EfficientNet-Lite0 at 224 pixels on photographs of your own: give --data.root."""
    return replace(plain(), network=S3NConfig())


def s3n_slice() -> TrainConfig:
    """S3N with EfficientNet-Lite0 at 224 pixels on the 20-class slice of CUB-200-2011.

    Measured: see docs/reproduction.md.
    """
    return replace(plain_slice(), network=S3NConfig())


def s3n_slice_448() -> TrainConfig:
    """The same, the zoom reading from 448 pixels: views of 224 with more detail."""
    return replace(s3n_slice(), transforms=TransformConfig(source_size=448))


def s3n_slice_paper() -> TrainConfig:
    """The paper's text on the slice; optimiser and epochs are the slice's."""
    return replace(s3n_slice(), network=S3NConfig.paper(), label_smoothing=0.0)


def s3n_slice_reference() -> TrainConfig:
    """The released code's settings on the slice, optimiser and 60 epochs included."""
    return replace(
        s3n_slice(),
        network=S3NConfig.reference(),
        optimiser=_RELEASED_OPTIMISER,
        epochs=60,
        label_smoothing=0.15,
        smoothing_over=SmoothingOver.OTHERS,
    )


def s3n_plumage() -> TrainConfig:
    """S3N with EfficientNet-Lite0 on drawn birds, views of 128 pixels from a source of 256: the demo."""
    recipe = plain_plumage()
    return replace(recipe, network=S3NConfig(), transforms=replace(recipe.transforms, source_size=256))


def s3n_resnet50_cub() -> TrainConfig:
    """S3N on CUB-200-2011, as the text has it. Published: 88.5 top-1. Not measured here: no GPU."""
    return TrainConfig(
        data=DataConfig(root=Path("CUB_200_2011"), format=DatasetFormat.CUB),
        transforms=TransformConfig(input_size=448, resize_size=600),
        network=S3NConfig.paper(_RESNET50),
        optimiser=_RELEASED_OPTIMISER,
        epochs=60,
        batch_size=16,
        label_smoothing=0.0,
    )


def s3n_resnet50_aircraft() -> TrainConfig:
    """S3N on FGVC-Aircraft, as the text has it. Published: 92.8 top-1. Not measured here: no GPU."""
    data = DataConfig(root=Path("fgvc-aircraft-2013b"), format=DatasetFormat.AIRCRAFT)
    return replace(s3n_resnet50_cub(), data=data)


def s3n_resnet50_cars() -> TrainConfig:
    """S3N on Stanford Cars, as the text has it. Published: 94.7 top-1. Not measured here: no GPU."""
    data = DataConfig(root=Path("stanford_cars"), format=DatasetFormat.CARS)
    return replace(s3n_resnet50_cub(), data=data)


def s3n_reference_cub() -> TrainConfig:
    """S3N on CUB-200-2011 with the settings of the released code. Published: 88.5 top-1. Not measured here: no GPU."""
    return replace(
        s3n_resnet50_cub(),
        network=S3NConfig.reference(_RESNET50),
        label_smoothing=0.15,
        smoothing_over=SmoothingOver.OTHERS,
    )
