"""The trainings of `foveate demo`: drawn birds, whose twins the bars of the wing tell apart."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from foveate.config.data import DataConfig, DatasetFormat, TrainCrop, TransformConfig
from foveate.config.networks import BackboneConfig, HeadStart, PlainConfig
from foveate.config.optimiser import OptimiserConfig
from foveate.recipes.config import TrainConfig
from foveate.s3n.config import S3NConfig

VIEW, SOURCE = 112, 256
"""Sides in pixels: of what the networks see, and of the pictures that are drawn."""
_EPOCHS, _S3N_EPOCHS, _EVIDENCE_EPOCHS = 8, 6, 6


def plain_demo(birds: Path, seed: int = 0) -> TrainConfig:
    """Fine-tune EfficientNet-Lite0 on views of 112 pixels."""
    return TrainConfig(
        data=DataConfig(root=birds, format=DatasetFormat.CUB),
        transforms=TransformConfig(input_size=VIEW, resize_size=VIEW, smallest_area=0.8),
        network=PlainConfig(head=HeadStart.PROBE),
        optimiser=OptimiserConfig(learning_rate=0.06, new_learning_rate=0.01),
        frozen_stride=4,
        epochs=_EPOCHS,
        seed=seed,
    )


def s3n_demo(birds: Path, plain: Path, seed: int = 0) -> TrainConfig:
    """Go on from what the plain network learned, with two more looks of 112 pixels into the 256 that are there.

    The zoom is stronger than S3N's usual one: a mark is hardly wider than a pixel in the first look. At 96
    pixels S3N learns too little of it in this time: its maps have 3 x 3 cells.

    Args:
        birds: The pictures.
        plain: The run folder of the plain network.
        seed: As in `TrainConfig`.
    """
    recipe, network = plain_demo(birds, seed), S3NConfig.from_probes(BackboneConfig(weights=str(plain.resolve())))
    return replace(
        recipe,
        network=replace(network, radius=0.15, sampling_floor=0.03),
        transforms=replace(recipe.transforms, source_size=SOURCE),
        epochs=_S3N_EPOCHS,
    )


def evidence_demo(pool: Path, conventional: Path, seed: int = 0) -> TrainConfig:
    """Train an Evidence CNN on patches, beginning with the backbone of the network that chose them.

    Args:
        pool: The evidence pool's folder.
        conventional: The run folder of that network.
        seed: As in `TrainConfig`.
    """
    return replace(
        plain_demo(pool, seed),
        data=DataConfig(root=pool, format=DatasetFormat.POOL, test_fraction=0.0),
        transforms=TransformConfig(input_size=VIEW, resize_size=VIEW * 9 // 8, train_crop=TrainCrop.OFFSET),
        network=PlainConfig(backbone=BackboneConfig(weights=str(conventional.resolve())), head=HeadStart.PROBE),
        epochs=_EVIDENCE_EPOCHS,
    )
