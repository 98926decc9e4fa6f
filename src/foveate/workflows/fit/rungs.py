"""The ladder: what is tried, the cheaper to train first."""

from __future__ import annotations

from collections.abc import Callable, Container, Sequence
from pathlib import Path

from foveate.recipes import RECIPES
from foveate.recipes.config import TrainConfig
from foveate.workflows.fit.ensemble_rung import EnsembleRung
from foveate.workflows.fit.guided_zoom_rung import GuidedZoomRung
from foveate.workflows.fit.ladder import Rung
from foveate.workflows.fit.method_rungs import MethodRung, SolvedRung, TrainedRung

PRESETS = {
    "probe": ("probe", "foveate"),
    "probe-lite1": ("probe", "lite1"),
    "probe-lite2": ("probe", "lite2"),
    "s3n-frozen": ("s3n", "frozen"),
    "plain": ("plain", "foveate"),
    "plain-lite1": ("plain", "lite1"),
    "plain-lite2": ("plain", "lite2"),
    "s3n": ("s3n", "foveate"),
}
"""Method and preset of `RECIPES` by the name of the rung, those first that take least; one that is not there is no
rung. The first is climbed whatever it takes."""


def rungs() -> tuple[Rung, ...]:
    """Return the rungs from the lowest; Guided Zoom questions the best trained one, and an ensemble asks several."""
    methods = tuple(
        _method(name, RECIPES[method][preset])
        for name, (method, preset) in PRESETS.items()
        if preset in RECIPES[method]
    )
    trained = tuple(each for each in methods if isinstance(each, TrainedRung))
    return (*methods, GuidedZoomRung("guided-zoom", trained), EnsembleRung("ensemble", methods))


def measured_rungs(ladder: Sequence[Rung], speeds: Container[str]) -> tuple[Rung, ...]:
    """Return the rungs whose methods were measured, and those that need one of these; an ensemble needs two.

    Args:
        ladder: From the lowest.
        speeds: Names of the methods that were measured.
    """
    there = [each for each in ladder if each.name in speeds or not isinstance(each, MethodRung)]
    names = {each.name for each in there}
    least = {each.name: 2 if isinstance(each, EnsembleRung) else min(1, len(each.needs)) for each in there}
    return tuple(each for each in there if len(names & set(each.needs)) >= least[each.name])


def _method(name: str, recipe: Callable[[Path], TrainConfig]) -> MethodRung:
    return (SolvedRung if recipe(Path("photographs")).network.solved else TrainedRung)(name, recipe)
