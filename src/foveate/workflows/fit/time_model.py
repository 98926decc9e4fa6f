"""How long trainings and answers take, from a few seconds of each that were measured on this machine."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil

from foveate.recipes.config import TrainConfig

_START = 4.0
"""Seconds before the first and after the last step of a training: a network is built, processes start."""


@dataclass(frozen=True, kw_only=True)
class Speed:
    """Of one method on this machine, in seconds."""

    step: float
    """A training step of its recipe's batch; 0 where there is none."""
    answer: float
    """An answer for one photograph, in batches."""
    passes: float
    """Of the backbone, for one answer."""


@dataclass(frozen=True, kw_only=True)
class Machine:
    """What was measured on this machine."""

    decode: float
    """Seconds to read one photograph, all processors reading."""
    shares: bool
    """Whether reading and the network share the processors, so that their times add up."""

    def training(self, config: TrainConfig, speed: Speed, photographs: int) -> float:
        """Return the seconds of a training on so many photographs, each of which is read once before."""
        steps = ceil(photographs / config.batch_size) * config.counted(photographs).epochs
        return _START + self.decode * photographs + steps * self._together(speed.step, config.batch_size)

    def answers(self, speed: Speed, photographs: int) -> float:
        """Return the seconds of answers for so many photographs."""
        return photographs * self._together(speed.answer, 1)

    def _together(self, network: float, photographs: int) -> float:
        reading = self.decode * photographs
        return network + reading if self.shares else max(network, reading)


@dataclass(frozen=True, slots=True)
class RungTime:
    """Seconds that a rung of the ladder takes."""

    folds: float
    """The answers to every training photograph, out of fold."""
    refit: float
    """The training on all photographs, should it win."""


def fitting_rungs(
    times: dict[str, RungTime], seconds: float, *, begun: float = 0.0, refit: float = 0.0
) -> tuple[str, ...]:
    """Return which rungs fit, taken in their order: their folds, and then the dearest refit among them.

    Args:
        times: Of each rung, the first first.
        seconds: That there are in all.
        begun: Those that are spent.
        refit: The dearest one of rungs that are climbed.
    """
    fitting = []
    for name, time in times.items():
        if begun + time.folds + max(refit, time.refit) <= seconds:
            fitting.append(name)
            begun, refit = begun + time.folds, max(refit, time.refit)
    return tuple(fitting)
