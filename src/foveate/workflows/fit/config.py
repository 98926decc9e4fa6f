"""What a fit is asked for; light to import (no torch)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from foveate.config.checks import require, require_finite, require_seed, require_side
from foveate.config.data import DataConfig
from foveate.config.hardware import HardwareConfig
from foveate.data.migrations import with_groups_and_labels
from foveate.files.documents import Migration
from foveate.runs.migrations import with_every_device

MINUTES = 15.0
MOST_MINUTES = 100_000.0

MIGRATIONS: Mapping[int, Migration] = {
    1: with_groups_and_labels("settings", "data"),
    2: with_every_device("settings", "hardware"),
}
"""Of the documents that hold what a fit was asked for."""


class Prefer(StrEnum):
    """What counts where two methods are nearly as good on photographs that they did not learn from."""

    ACCURACY = "accuracy"
    """The best one, unless a cheaper one is within one standard error of the paired difference."""
    SPEED = "speed"
    """The cheapest one that is within two standard errors of the best."""


@dataclass(frozen=True, kw_only=True)
class FitConfig:
    """What a fit is asked for."""

    data: DataConfig
    minutes: float = MINUTES
    """Of everything together, on this machine."""
    prefer: Prefer = Prefer.ACCURACY
    size: int | None = None
    """Side of the views in pixels; None: as each method's recipe says."""
    seed: int = 0
    """Of the folds and of every training."""
    hardware: HardwareConfig = field(default_factory=HardwareConfig)

    def __post_init__(self) -> None:
        require_finite(self)
        require(0 < self.minutes <= MOST_MINUTES, f"minutes must be above 0, at most {MOST_MINUTES:g}", self.minutes)
        require_seed("seed", self.seed)
        require(self.hardware.devices == 1, "devices must be 1 in a fit", self.hardware.devices)
        if self.size is not None:
            require_side("size", self.size, least=32)
        require(
            self.data.validation_fraction == 0,
            "validation_fraction must be 0 in a fit, which holds out training photographs itself",
            self.data.validation_fraction,
        )
