"""What every benchmark shares: sides that take turns, their memory, and the line that is kept.

A side is a call without arguments. The sides of a case are called in turn, after a warm-up, so that whatever else the
machine does falls on all of them; a ratio is the median over the rounds of one side's time over the reference's in the
same round.
"""

from __future__ import annotations

import ctypes
import importlib.metadata
import math
import platform
import resource
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch
from torch.utils.flop_counter import FlopCounterMode

from foveate.runs.environment import environment

Side = Callable[[], object]


@dataclass(frozen=True, kw_only=True)
class Built:
    """A case that is ready to be timed."""

    sides: Mapping[str, Side]
    reference: str
    """The side that the others are divided by."""
    settings: Mapping[str, object] = field(default_factory=dict)
    """What was timed: sizes, architecture."""
    images: int | None = None
    """How many a call takes; the unit is then images a second, else milliseconds a call."""
    skipped: Mapping[str, str] = field(default_factory=dict)
    """The sides that there could be, and why they are not there."""
    uncounted: Sequence[str] = ()
    """Sides whose operations torch does not see, or whose package does not go together with its counter."""
    notes: Callable[[], Mapping[str, object]] = dict
    """What else is known after the last call: passes counted, results compared."""


@dataclass(frozen=True, kw_only=True)
class Case:
    """One question, at one point where its growth is asked for."""

    name: str
    build: Callable[[bool], Built]
    """True: at smoke settings, for a test."""
    at: Mapping[str, int] = field(default_factory=dict)

    @property
    def label(self) -> str:
        """The name, and where on which axis."""
        return self.name + "".join(f"@{axis}={value}" for axis, value in self.at.items())


@dataclass(frozen=True)
class Budget:
    """How often a case is repeated: for so many seconds, within limits."""

    seconds: float = 12.0
    least: int = 5
    most: int = 30
    warm_up: int = 1


def interleaved(sides: Mapping[str, Side], budget: Budget) -> dict[str, list[float]]:
    """Call the sides in turn, in another order each round; return the seconds of each call after the warm-up."""
    seconds: dict[str, list[float]] = {name: [] for name in sides}
    for _ in range(budget.warm_up):
        for call in sides.values():
            call()
    began, names = time.perf_counter(), list(sides)
    for done in range(budget.most):
        if done >= budget.least and time.perf_counter() - began > budget.seconds:
            break
        for name in names[done % len(names) :] + names[: done % len(names)]:
            start = time.perf_counter()
            sides[name]()
            seconds[name].append(time.perf_counter() - start)
    return seconds


def spread(values: Sequence[float]) -> dict[str, float]:
    """Return median, quartiles, lowest and highest, to four digits."""
    lower, upper = (values[0], values[0]) if len(values) == 1 else _quartiles(values)
    found = {
        "median": statistics.median(values),
        "lower": lower,
        "upper": upper,
        "low": min(values),
        "high": max(values),
    }
    return {name: float(f"{value:.4g}") for name, value in found.items()}


def _quartiles(values: Sequence[float]) -> tuple[float, float]:
    lower, _, upper = statistics.quantiles(values, n=4, method="inclusive")
    return lower, upper


def ratios(seconds: Mapping[str, Sequence[float]], reference: str) -> dict[str, dict[str, float]]:
    """Return how many times as long as the reference each other side takes, round by round."""
    others = {name: values for name, values in seconds.items() if name != reference}
    return {
        name: spread([one / other for one, other in zip(values, seconds[reference], strict=True)])
        for name, values in others.items()
    }


def memory_of(call: Side) -> float | None:
    """Return by how many MB a call raises the process's resident memory at most; None where the kernel does not tell.

    The C library first gives back what was freed, so that a side does not live on what another left.
    """
    peak = Path("/proc/self/clear_refs")
    if not peak.exists() or platform.libc_ver()[0] != "glibc":
        return None
    ctypes.CDLL(None).malloc_trim(0)
    try:
        peak.write_text("5")
    except OSError:
        return None
    before = _status("VmRSS")
    call()
    return round((_status("VmHWM") - before) / 1024, 1)


def gflop_of(call: Side) -> float | None:
    """Return how many thousand millions of floating point operations a call takes in convolutions and matrix products.

    None where there are none that torch sees.
    """
    backward = {torch.ops.aten.convolution_backward: _gradient_flop}
    with FlopCounterMode(display=False, custom_mapping=backward) as counter:
        call()
    return float(f"{counter.get_total_flops() / 1e9:.4g}") or None


def _counted(built: Built) -> dict[str, float | None]:
    return {name: None if name in built.uncounted else gflop_of(call) for name, call in built.sides.items()}


def _gradient_flop(given: Sequence[int], _: object, weight: Sequence[int], *others: Any, **__: object) -> int:
    """Count a convolution's gradients: torch's own count takes a depthwise one's weight for a dense one's.

    No case has a transposed one, of which this would be wrong.
    """
    image, kernel, _bias = others[-1]  # which gradients are asked for
    return (bool(image) + bool(kernel)) * 2 * math.prod(given) * math.prod(weight[1:])


def versions() -> dict[str, str]:
    """Return those of packages that some sides need, as far as they are installed."""
    found = {}
    for name in ("openvino", "pyarrow", "torchray", "zennit"):
        with suppress(importlib.metadata.PackageNotFoundError):
            found[name] = importlib.metadata.version(name)
    return found


def _status(name: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(f"{name}:"))


def measured(case: Case, budget: Budget, *, quick: bool = False) -> dict[str, Any]:
    """Build a case, time its sides, then measure the memory of each, and return the line."""
    built = case.build(quick)
    seconds = interleaved(built.sides, budget)
    scaled = {name: [_in_unit(each, built.images) for each in values] for name, values in seconds.items()}
    return {
        "case": case.name,
        "at": dict(case.at),
        "settings": dict(built.settings),
        "unit": "ms" if built.images is None else "images/s",
        "reference": built.reference,
        "repetitions": len(seconds[built.reference]),
        "sides": {name: spread(values) for name, values in scaled.items()},
        "times_as_long": ratios(seconds, built.reference),
        "memory_mb": {name: memory_of(call) for name, call in built.sides.items()},
        "gflop": {} if quick else _counted(built),
        "peak_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
        "skipped": dict(built.skipped),
        "notes": dict(built.notes()),
        "quick": quick,
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "further_packages": versions(),
        **environment(),
    }


def _in_unit(seconds: float, images: int | None) -> float:
    return 1e3 * seconds if images is None else images / seconds
