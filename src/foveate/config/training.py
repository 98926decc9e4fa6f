"""How a network is trained, and the whole of a run."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from enum import StrEnum
from math import ceil
from typing import Literal

from foveate.config.checks import require, require_count, require_finite, require_fraction, require_seed
from foveate.config.data import DataConfig, TransformConfig
from foveate.config.macnn import MACNNConfig
from foveate.config.networks import OwnConfig, PlainConfig, S3NConfig


class Schedule(StrEnum):
    """How the learning rate moves, by step."""

    ONE_CYCLE = "one-cycle"
    STEP = "step"
    COSINE = "cosine"
    CONSTANT = "constant"


class Runtime(StrEnum):
    """What passes images through a network when nothing is learned."""

    TORCH = "torch"
    OPENVINO = "openvino"
    """On the processor, by the package openvino: faster than torch on one without bf16 (docs/performance.md). It takes
    seconds to begin, and is young here (docs/log.md, 2026-11-25). Training and grounding stay torch's, as do the part
    networks of an MA-CNN that has several."""


class SmoothingOver(StrEnum):
    """Over which classes label smoothing spreads its share of the target."""

    ALL = "all"
    OTHERS = "others"
    """All but the true class, as S3N's released code does: the same as `all` with c / (c - 1) times the share."""


_MOST_PROCESSES = 1024
"""Each is one of the operating system's; a machine with more processors than that needs no more of ours."""

NetworkConfig = PlainConfig | S3NConfig | MACNNConfig | OwnConfig


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
        require(self.learning_rate > 0, "learning_rate must be positive", self.learning_rate)
        require(self.new_learning_rate > 0, "new_learning_rate must be positive", self.new_learning_rate)
        require(0 <= self.momentum < 1, "momentum must be in [0, 1)", self.momentum)
        require(self.weight_decay >= 0, "weight_decay must not be negative", self.weight_decay)
        require(0 < self.factor <= 1, "factor must be in (0, 1]", self.factor)
        clip = self.gradient_clip
        require(clip is None or clip > 0, "gradient_clip must be positive, or None", clip)
        for milestone in self.milestones:
            require(0 < milestone < 1, "milestones must be shares of the training in (0, 1)", milestone)
        require_finite(self)


@dataclass(frozen=True, kw_only=True)
class HardwareConfig:
    """Where and how the arithmetic is done; the defaults are the fast ones of the machine at hand."""

    accelerator: Literal["auto", "cpu", "gpu", "mps"] = "auto"
    devices: int = 1
    """How many devices (or CPU processes) share each batch."""
    precision: Literal["auto", "bf16", "float32"] = "auto"
    """`auto`: bf16 autocast where the processor multiplies it natively, else float32; or what the environment's
    FOVEATE_PRECISION says."""
    channels_last: bool = True
    workers: int | None = None
    """Processes that decode photographs; None: one per core but one, at most 8. The result does not depend on it."""

    runtime: Runtime = Runtime.TORCH
    """What evaluates and predicts."""

    def __post_init__(self) -> None:
        require_count("devices", self.devices, most=_MOST_PROCESSES)
        require_count("workers", self.workers or 0, least=0, most=_MOST_PROCESSES)


@dataclass(frozen=True, kw_only=True)
class TrainConfig:
    """One training run."""

    data: DataConfig
    transforms: TransformConfig = field(default_factory=TransformConfig)
    network: NetworkConfig = field(default_factory=PlainConfig)
    optimiser: OptimiserConfig = field(default_factory=OptimiserConfig)
    hardware: HardwareConfig = field(default_factory=HardwareConfig)
    epochs: int = 15
    """Passes over the training photographs; 0 where `steps` is given."""
    steps: int | None = None
    """In place of `epochs`: about so many batches, rounded to whole epochs once the photographs are counted."""
    batch_size: int = 16
    """Photographs per step, over all devices together."""
    label_smoothing: float = 0.1
    """Share of the target spread evenly over the classes of `smoothing_over`."""
    smoothing_over: SmoothingOver = SmoothingOver.ALL
    class_weights: bool = False
    """Weigh each class's loss by the inverse of its frequency."""
    ema_decay: float | None = None
    """Keep an exponential moving average of the weights with this decay per step and use it; None: do not."""
    keep_epochs: tuple[int, ...] = ()
    """Epochs, counted from 1, after which the weights are also kept in `epochs/`, to see what the network looked at."""
    seed: int = 0
    """With the epoch and the photograph's index it fixes the order, each view, each dropped feature and the head."""

    def __post_init__(self) -> None:
        sizes = self.transforms
        require(
            isinstance(self.network, S3NConfig | MACNNConfig) or sizes.source_size in (None, sizes.input_size),
            "a plain network sees one size: source_size must be input_size, or None, without a zoom",
            sizes.source_size,
        )
        if self.steps is None:
            require_count("epochs", self.epochs)
            for epoch in self.keep_epochs:
                require(1 <= epoch <= self.epochs, f"keep_epochs must be in 1 to {self.epochs} (epochs)", epoch)
        else:
            require_count("steps", self.steps)
            require(self.epochs == 0, "epochs must be 0 beside steps; to give epochs, make steps None", self.epochs)
        require_count("batch_size", self.batch_size)
        require_seed("seed", self.seed)
        require_fraction("label_smoothing", self.label_smoothing)
        require(self.ema_decay is None or 0 < self.ema_decay < 1, "ema_decay must be in (0, 1)", self.ema_decay)
        require_finite(self)

    def counted(self, photographs: int) -> TrainConfig:
        """Return the same training with `epochs` in place of `steps`; of at least one epoch.

        Args:
            photographs: How many it learns from; the last batch of an epoch may be smaller than the others.

        Raises:
            UserError: One of `keep_epochs` lies beyond the last.
        """
        if self.steps is None:
            return self
        return replace(self, steps=None, epochs=max(1, round(self.steps / ceil(photographs / self.batch_size))))
