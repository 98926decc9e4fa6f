"""The ladder: what is tried, the cheaper to train first."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from foveate.recipes import RECIPES
from foveate.recipes.config import TrainConfig
from foveate.workflows.fit.guided_zoom_rung import GuidedZoomRung
from foveate.workflows.fit.ladder import Rung
from foveate.workflows.fit.method_rungs import MethodRung, SolvedRung, TrainedRung

METHODS_BY_RISING_COST = ("probe", "plain", "s3n")
"""Those of `RECIPES` that are rungs; the first is climbed whatever it takes."""


def rungs() -> tuple[Rung, ...]:
    """Return the rungs from the lowest; Guided Zoom questions the best of those that are trained."""
    methods = tuple(_method(name) for name in METHODS_BY_RISING_COST)
    return (*methods, GuidedZoomRung("guided-zoom", tuple(each for each in methods if isinstance(each, TrainedRung))))


def _method(name: str) -> MethodRung:
    recipe: Callable[[Path], TrainConfig] = RECIPES[name]["foveate"]
    return (SolvedRung if recipe(Path("photographs")).network.solved else TrainedRung)(name, recipe)
