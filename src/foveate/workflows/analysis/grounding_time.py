"""How long a study of grounding takes, from the time of one pass: it is said before the work."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping

from foveate.evaluation.config import GroundingStudy
from foveate.grounding.config import GroundingMethod
from foveate.progress import LEAST, about

_MAP = 5
"""Passes that a map costs of a method that goes there and back; RISE costs as many as it has masks."""


def said_before(study: GroundingStudy, photographs: int, seconds: float) -> str | None:
    """Return a line of how long a study takes, and of what is the most of it; None where that is not worth a word.

    Args:
        study: Of which methods, and how.
        photographs: How many of them.
        seconds: Of a pass of the network over one photograph.
    """
    times = {name: passes * seconds for name, passes in passes_of(study, photographs).items()}
    whole = sum(times.values())
    if whole < LEAST:
        return None
    methods = [each.value for each in study.methods or GroundingMethod]
    line = f"{about(whole)}: {photographs:,} photographs, {len(methods)} methods"
    longest = max(methods, key=lambda name: times[name])
    if len(methods) == 1 or times[longest] < whole / 2:
        return line
    others = " ".join(name for name in methods if name != longest)
    return f"{line}, {longest} takes {times[longest] / whole:.0%} of it; leave it out with --methods {others}"


def passes_of(study: GroundingStudy, photographs: int) -> Mapping[str, int]:
    """Return how many passes over one photograph each method costs, by its name, and so the maps of chance."""
    curves = 2 * (study.curves.steps + 1) + 1
    randomised = min(study.sanity_photographs, photographs) * (study.stages + 1)
    names = [each.value for each in study.methods or GroundingMethod]
    maps = {name: study.masks + 1 if name == GroundingMethod.RISE.value else _MAP for name in names}
    return {
        **{name: photographs * (maps[name] + curves) + randomised * maps[name] for name in names},
        "chance": photographs * curves,
    }


def seconds_of(answer: Callable[[], object], photographs: int) -> float:
    """Return the seconds of a pass over one photograph; it is passed twice, the first time warms up."""
    answer()
    began = time.perf_counter()
    answer()
    return (time.perf_counter() - began) / photographs
