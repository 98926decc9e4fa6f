"""How long trainings and answers take, from a few seconds of each that were measured on this machine."""

from __future__ import annotations

from collections.abc import Mapping
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
    gflop: float
    """Thousand millions of floating point operations of one answer, in convolutions and matrix products."""

    @property
    def pass_gflop(self) -> float:
        """Of one pass, in thousand millions of floating point operations."""
        return self.gflop / self.passes


@dataclass(frozen=True, kw_only=True)
class Machine:
    """What was measured on this machine."""

    decode: float
    """Seconds to read one photograph, all processors reading."""
    shares: bool
    """Whether reading and the network share the processors, so that their times add up."""

    def training(self, config: TrainConfig, speed: Speed, photographs: int, watched: int = 0) -> float:
        """Return the seconds of a training on so many photographs, each of which is read once before.

        Args:
            config: How it is trained.
            speed: Of its method.
            photographs: That are learned from.
            watched: Validation photographs, which are answered after each epoch.
        """
        epochs = config.counted(photographs).epochs
        steps = ceil(photographs / config.batch_size) * epochs
        learned = steps * self._together(speed.step, config.batch_size)
        return _START + self.decode * photographs + learned + epochs * self.answers(speed, watched)

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
    """The answers to photographs that are held out."""
    refit: float
    """The training on all photographs, should it win."""


@dataclass(frozen=True, slots=True)
class Reached:
    """How far a ladder is climbed, and what that took."""

    seconds: float = 0.0
    """Of everything so far."""
    refit: float = 0.0
    """Of the dearest refit among the rungs that are climbed."""
    rungs: tuple[str, ...] = ()
    """Their names."""

    @property
    def total(self) -> float:
        """Seconds at the end, should nothing be climbed any more."""
        return self.seconds + self.refit

    def after(self, name: str, time: RungTime) -> Reached:
        """Return how far it is once another rung is climbed."""
        return Reached(self.seconds + time.folds, max(self.refit, time.refit), (*self.rungs, name))

    def fitting(self, times: Mapping[str, RungTime], seconds: float, needs: Mapping[str, tuple[str, ...]]) -> Reached:
        """Return how far it is once each further rung that fits is climbed, in their order.

        Args:
            times: Of each further rung.
            seconds: That there are in all.
            needs: The rungs of which one must be climbed before a rung; of those that are missing here: none.
        """
        reached = self
        for name, time in times.items():
            needed, further = needs.get(name, ()), reached.after(name, time)
            if further.total <= seconds and (not needed or set(needed) & set(reached.rungs)):
                reached = further
        return reached
