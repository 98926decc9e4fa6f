"""The optimiser, the schedule of its rate, and label smoothing."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from foveate.config.checks import require, require_finite


class Schedule(StrEnum):
    """How the learning rate moves, by step."""

    ONE_CYCLE = "one-cycle"
    """Up over the first 30%, then down along a cosine."""
    STEP = "step"
    """Multiplied by `factor` at each milestone (both papers)."""
    COSINE = "cosine"
    """Down along a cosine."""
    CONSTANT = "constant"
    """As it begins."""


class SmoothingOver(StrEnum):
    """Over which classes label smoothing spreads its share of the target."""

    ALL = "all"
    """The true class too, as torch does."""
    OTHERS = "others"
    """All but the true class, as S3N's released code does: the same as `all` with c / (c - 1) times the share."""


class Sampling(StrEnum):
    """How often photographs of each class are shown."""

    UNIFORM = "uniform"
    """Each photograph once an epoch."""
    BALANCED = "balanced"
    """As many of each class: of a rare one each several times an epoch, in different views, of a frequent one some."""


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
    """Of `step`."""
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
