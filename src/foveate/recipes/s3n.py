"""S3N, small enough for minutes on two processor cores, by each of its presets.

The released configuration (ICCV 2019) drops the rate by ten before the 40th of 60 epochs.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from foveate.config.data import DataConfig, TransformConfig
from foveate.config.networks import BackboneConfig
from foveate.config.optimiser import OptimiserConfig, Schedule, SmoothingOver
from foveate.recipes.config import TrainConfig
from foveate.recipes.plain import plain, plain_plumage
from foveate.s3n.config import S3NConfig

_CONTINUED_STEPS = 560


def s3n(folder: Path | str = "photographs") -> TrainConfig:
    """Look three times with EfficientNet-Lite0 at 224 pixels, twice through zooms into 448, for 1,120 batches.

    The pretrained layers have half the rate of `plain`, for the losses of four heads are added over them.
    """
    recipe, transforms = plain(folder), TransformConfig(source_size=448)
    optimiser = replace(recipe.optimiser, learning_rate=0.03)
    return replace(recipe, network=S3NConfig.from_probes(), transforms=transforms, optimiser=optimiser)


def s3n_continued(folder: Path | str = "photographs", plain: Path | str = "runs/plain") -> TrainConfig:
    """Go on from a plain network that is trained already, now with three looks, for 560 batches.

    Args:
        folder: The photographs.
        plain: The run of the plain network, learned from the same photographs.
    """
    network = S3NConfig.from_probes(BackboneConfig(weights=str(plain)))
    return replace(s3n(folder), network=network, steps=_CONTINUED_STEPS)


def s3n_paper(folder: Path | str = "photographs") -> TrainConfig:
    """The paper's text; backbone, optimiser and epochs are ours."""
    return TrainConfig(data=DataConfig(root=Path(folder)), network=S3NConfig.paper(), label_smoothing=0.0)


def s3n_reference(folder: Path | str = "photographs") -> TrainConfig:
    """The released code's settings, its optimiser and 60 epochs included; the backbone is ours."""
    return TrainConfig(
        data=DataConfig(root=Path(folder)),
        network=S3NConfig.reference(),
        optimiser=OptimiserConfig(
            learning_rate=0.001, new_learning_rate=0.01, schedule=Schedule.STEP, milestones=(39 / 60,)
        ),
        epochs=60,
        label_smoothing=0.15,
        smoothing_over=SmoothingOver.OTHERS,
    )


def s3n_frozen(folder: Path | str = "photographs") -> TrainConfig:
    """Look three times without training: a probe for each look of EfficientNet-Lite0, zooms read from 448 pixels."""
    data, transforms = DataConfig(root=Path(folder)), TransformConfig(source_size=448)
    return TrainConfig(data=data, transforms=transforms, network=S3NConfig.without_training())


def s3n_plumage() -> TrainConfig:
    """S3N with EfficientNet-Lite0 on drawn birds, views of 128 pixels from a source of 256."""
    recipe = plain_plumage()
    return replace(recipe, network=S3NConfig(), transforms=replace(recipe.transforms, source_size=256))
