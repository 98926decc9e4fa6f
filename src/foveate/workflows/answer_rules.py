"""What held-out answers allow to say of an answer: that it is sure, and which classes come into question."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float

from foveate.errors import UserError
from foveate.evaluation.calibration_check import coverage_threshold, error_rate_threshold
from foveate.evaluation.conformal import conformal_sets, least_photographs
from foveate.evaluation.error_rate import least_answers
from foveate.evaluation.predictions import PredictionTable
from foveate.networks.answers import ranked_classes
from foveate.runs.held_out import HeldOut, read_held_out
from foveate.types import Prediction


@dataclass(frozen=True, kw_only=True)
class Doubt:
    """How an answer's doubts are told.

    Raises:
        UserError: A number is out of range, or an answer would be sure by two rules.
    """

    entropy_threshold: float | None = None
    """Nats; an answer whose entropy is above it is not sure."""
    error_rate: float | None = None
    """The sure answers are wrong at most so often, as `evaluation.error_rate` says."""
    coverage: float | None = None
    """So often the classes that come into question hold the true one, as `evaluation.conformal` says."""

    def __post_init__(self) -> None:
        if self.entropy_threshold is not None and not self.entropy_threshold >= 0:
            raise UserError(f"entropy_threshold must not be negative, in nats; got {self.entropy_threshold}")
        if self.error_rate is not None:
            least_answers(self.error_rate)
            if self.entropy_threshold is not None:
                raise UserError(
                    "an answer is sure by its entropy or by an error rate, not by both; got entropy_threshold "
                    f"{self.entropy_threshold:g} and error_rate {self.error_rate:g}; leave one of them out"
                )
        if self.coverage is not None:
            least_photographs(self.coverage)

    @property
    def rests_on_held_out(self) -> bool:
        """Whether held-out answers are needed."""
        return self.error_rate is not None or self.coverage is not None


@dataclass(frozen=True, kw_only=True)
class AnswerRule:
    """Turns probabilities into an answer."""

    class_names: tuple[str, ...]
    top: int
    """How many classes are ranked."""
    entropy_threshold: float | None = None
    confidence_threshold: float | None = None
    """An answer whose probability is below it is not sure."""
    set_threshold: float | None = None
    """From this probability on a class comes into question; None: nobody asked."""

    @classmethod
    def of(cls, doubt: Doubt, top: int, class_names: tuple[str, ...], held_out: PredictionTable | None) -> AnswerRule:
        """Find the thresholds; calibrated held-out answers are there where the doubt rests on them.

        Raises:
            UserError: The held-out photographs are too few, or the network is never so sure.
        """
        confidence = coverage = None
        if held_out is not None:
            if doubt.error_rate is not None:
                confidence = error_rate_threshold(held_out, doubt.error_rate)
            if doubt.coverage is not None:
                coverage = coverage_threshold(held_out, doubt.coverage)
        return cls(
            class_names=class_names,
            top=top,
            entropy_threshold=doubt.entropy_threshold,
            confidence_threshold=confidence,
            set_threshold=coverage,
        )

    def prediction(
        self, name: str, probabilities: Float[np.ndarray, " c"], first: Float[np.ndarray, " c"] | None = None
    ) -> Prediction:
        """Return the answer for one image; `first` is what a Guided Zoom's network said before the evidence."""
        entropy = float(torch.special.entr(torch.from_numpy(probabilities).double()).sum())
        sure = self.entropy_threshold is None or entropy <= self.entropy_threshold
        if self.confidence_threshold is not None:
            sure = bool(probabilities.max() >= self.confidence_threshold)
        ranked = ranked_classes(probabilities, self.class_names, self.top)
        before = None if first is None else ranked_classes(first, self.class_names, 1)[0]
        if self.set_threshold is None:
            return Prediction(name, ranked, entropy, sure, first=before)
        count = int(conformal_sets(probabilities[None], self.set_threshold).sum())
        return Prediction(name, ranked, entropy, sure, ranked_classes(probabilities, self.class_names, count), before)


def held_out_of(folder: Path, class_names: tuple[str, ...]) -> HeldOut:
    """Return the held-out answers in the folder of a run or Guided Zoom.

    Raises:
        UserError: There are none, or they are damaged or of other classes.
    """
    held_out = read_held_out(folder)
    if held_out is None:
        raise UserError(
            f"an error rate or a coverage rests on photographs that the training did not learn from; {folder} keeps no "
            "answers to any; train with --data.validation-fraction 0.2 into another folder, or train a probe, which "
            "holds out by itself; of a Guided Zoom on a network with a validation split, `foveate tune` keeps them"
        )
    if held_out.decision.class_names != class_names:
        raise UserError(
            f"held-out answers are of the classes of their network; those in {folder} are of others; restore its "
            "held_out from a copy, or remove it"
        )
    return held_out
