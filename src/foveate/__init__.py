"""Foveate: fine-grained image recognition that looks closer and shows why.

>>> import foveate
>>> run = foveate.train(foveate.recipes.plain_slice(), "runs/plain")
>>> foveate.load("runs/plain").predict("bird.jpg").best
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from foveate import recipes
    from foveate.config import (
        BackboneConfig,
        Branches,
        DataConfig,
        HardwareConfig,
        Library,
        Partition,
        PlainConfig,
        S3NConfig,
        TestViews,
        TrainConfig,
        TransformConfig,
    )
    from foveate.errors import UserError
    from foveate.runs import Run
    from foveate.types import Box, PartPoint, Prediction, RankedClass
    from foveate.workflows.adopt import adopt
    from foveate.workflows.evaluate import Evaluation, evaluate
    from foveate.workflows.explain import explain
    from foveate.workflows.predict import Model, load
    from foveate.workflows.train import train

__version__ = "0.1.0"

_PUBLIC = {
    "BackboneConfig": "foveate.config",
    "Box": "foveate.types",
    "Branches": "foveate.config",
    "DataConfig": "foveate.config",
    "Evaluation": "foveate.workflows.evaluate",
    "HardwareConfig": "foveate.config",
    "Library": "foveate.config",
    "Model": "foveate.workflows.predict",
    "PartPoint": "foveate.types",
    "Partition": "foveate.config",
    "PlainConfig": "foveate.config",
    "Prediction": "foveate.types",
    "RankedClass": "foveate.types",
    "Run": "foveate.runs",
    "S3NConfig": "foveate.config",
    "TestViews": "foveate.config",
    "TrainConfig": "foveate.config",
    "TransformConfig": "foveate.config",
    "UserError": "foveate.errors",
    "adopt": "foveate.workflows.adopt",
    "evaluate": "foveate.workflows.evaluate",
    "explain": "foveate.workflows.explain",
    "load": "foveate.workflows.predict",
    "train": "foveate.workflows.train",
}

__all__ = [
    "BackboneConfig",
    "Box",
    "Branches",
    "DataConfig",
    "Evaluation",
    "HardwareConfig",
    "Library",
    "Model",
    "PartPoint",
    "Partition",
    "PlainConfig",
    "Prediction",
    "RankedClass",
    "Run",
    "S3NConfig",
    "TestViews",
    "TrainConfig",
    "TransformConfig",
    "UserError",
    "adopt",
    "evaluate",
    "explain",
    "load",
    "recipes",
    "train",
]


def __getattr__(name: str) -> object:
    """Import a public name when it is first used, so that the command line starts without torch."""
    if name == "recipes":
        return import_module("foveate.recipes")
    if name not in _PUBLIC:
        raise AttributeError(f"module 'foveate' has no attribute {name!r}")

    return getattr(import_module(_PUBLIC[name]), name)
