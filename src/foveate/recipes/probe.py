"""The probe: what anybody gets from frozen features in a minute."""

from __future__ import annotations

from pathlib import Path

from foveate.config.data import DataConfig
from foveate.config.networks import ProbeConfig
from foveate.recipes.config import TrainConfig


def probe(folder: Path | str = "photographs") -> TrainConfig:
    """Fit logistic regression to EfficientNet-Lite0's frozen features at 224 pixels: a minute, no training."""
    return TrainConfig(data=DataConfig(root=Path(folder)), network=ProbeConfig())
