"""Which tracker of experiments a training is also written to."""

from __future__ import annotations

from enum import StrEnum


class Tracker(StrEnum):
    """A tracker that people have; TensorBoard and CSV are always written, to `logs/` in the run folder."""

    MLFLOW = "mlflow"
    """MLflow, at MLFLOW_TRACKING_URI; without it, where MLflow itself writes. MLFLOW_EXPERIMENT_NAME: foveate."""
    WANDB = "wandb"
    """Weights & Biases, as `wandb login` or WANDB_API_KEY say; WANDB_MODE=offline keeps it here. WANDB_PROJECT:
    foveate."""
