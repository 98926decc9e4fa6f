"""Answers to photographs that a training did not learn from, kept beside its network, and what they calibrate.

In the folder of a run or of a Guided Zoom::

    held_out/origin.json        where the answers come from
    held_out/BRANCH.parquet     the answers of one branch, as the network gives them
    calibration.json            what was fitted to them
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path

import numpy as np
import torch

from foveate.config.branches import Branch
from foveate.config.checks import require_count
from foveate.errors import UserError
from foveate.evaluation.calibration import BINS, Judged, reliability
from foveate.evaluation.predictions import PredictionTable, read_predictions, write_predictions
from foveate.evaluation.temperature import LEAST_PHOTOGRAPHS, fit_temperature
from foveate.files.documents import read_json, structured, unstructured, write_json
from foveate.inference.classifier import Calibration as Calibration
from foveate.networks.answers import decision
from foveate.networks.entropy_gate import unsure
from foveate.runs.run import Run

SCHEMA_VERSION = 1
_NO_MATTER = "; it is the log loss that a temperature lessens"
_FOLDER, _ORIGIN, _CALIBRATION = "held_out", "origin.json", "calibration.json"


class HeldOutSource(StrEnum):
    """Why a network had not learned from the photographs that it answered for."""

    VALIDATION = "validation"
    """They are the validation split: they chose the epoch at most."""
    OUT_OF_FOLD = "out-of-fold"
    """Each answer is of a network that was fitted to other training photographs: to the other folds, of several."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Origin:
    """What `origin.json` holds."""

    source: HeldOutSource
    folds: int | None
    photographs: int
    branches: tuple[Branch, ...]

    def __post_init__(self) -> None:
        require_count("photographs", self.photographs)
        require_count("branches", len(self.branches))
        if self.folds is not None:
            require_count("folds", self.folds)


@dataclass(frozen=True, slots=True, eq=False)
class HeldOut:
    """Answers to photographs that the training did not learn from; every branch answers for the same."""

    answers: Mapping[Branch, PredictionTable]
    """Not calibrated: as the network gives them."""
    source: HeldOutSource
    folds: int | None
    """Of answers out of fold, how many there were; 1: a part of the photographs was held out, once."""

    @property
    def decision(self) -> PredictionTable:
        """The answers that count, where the network decides."""
        return decision(self.answers)

    @property
    def photographs(self) -> int:
        """How many there are."""
        return len(self.decision.ids)

    def gated(self, zoom_entropy_threshold: float | None) -> HeldOut:
        """Return what the network answers where it looks closer only above an entropy, in nats; None: always."""
        if zoom_entropy_threshold is None or Branch.JOINT not in self.answers:
            return self
        first = self.answers[Branch.ORIGINAL].probabilities
        again = unsure(torch.from_numpy(first), zoom_entropy_threshold).numpy()[:, None]
        answers = {
            branch: replace(table, probabilities=np.where(again, table.probabilities, first))
            for branch, table in self.answers.items()
        }
        return replace(self, answers=answers)

    def decided(self, calibration: Calibration) -> PredictionTable:
        """Return the calibrated answers that count."""
        answers = {branch: torch.from_numpy(table.probabilities) for branch, table in self.answers.items()}
        return replace(self.decision, probabilities=calibration.decided(answers).numpy())


def write_held_out(
    folder: Path, answers: Mapping[Branch, PredictionTable], source: HeldOutSource | str, folds: int | None = None
) -> None:
    """Keep held-out answers in the folder of a run or Guided Zoom, in place of earlier ones.

    Args:
        folder: The run's.
        answers: Of each branch, to the same photographs in the same order, each with its label; the original or the
            joint one is among them.
        source: Why they are held out.
        folds: Of answers out of fold, how many there were.

    Raises:
        UserError: They cannot be written, or there are none.
    """
    photographs = len(decision(answers).ids)
    origin = _Origin(source=HeldOutSource(source), folds=folds, photographs=photographs, branches=tuple(answers))
    for branch, table in answers.items():
        write_predictions(folder / _FOLDER / f"{branch.value}.parquet", table)
    write_json(folder / _FOLDER / _ORIGIN, unstructured(origin), SCHEMA_VERSION)


def read_held_out(folder: Path) -> HeldOut | None:
    """Return the held-out answers of a run or Guided Zoom; None where it has none.

    `origin.json` is written last: without it the writing was interrupted, and there are none.

    Raises:
        UserError: They are damaged, or of another version.
    """
    kept = folder / _FOLDER
    file = kept / _ORIGIN
    if not file.exists():
        return None
    origin = structured(read_json(file, SCHEMA_VERSION), _Origin, file, "held-out answers")
    answers = {branch: read_predictions(kept / f"{branch.value}.parquet") for branch in origin.branches}
    if not {Branch.ORIGINAL, Branch.JOINT} & answers.keys():
        raise UserError(f"{file} must name the original or the joint branch; it names neither; restore it from a copy")
    first = next(iter(answers.values()))
    for branch, table in answers.items():
        same = table.ids == first.ids and table.class_names == first.class_names
        labelled = bool((table.labels == first.labels).all()) and table.labels.min(initial=0) >= 0 if same else False
        if not (same and labelled and len(table.ids) == origin.photographs):
            raise UserError(
                f"held-out answers are of all branches to the same {origin.photographs} photographs, whose classes are "
                f"known; {kept / branch.value}.parquet answers otherwise; restore {kept} from a copy, or remove it"
            )
    return HeldOut(answers, origin.source, origin.folds)


def keep_calibrated(folder: Path, held_out: HeldOut, weights: Mapping[Branch, float] | None = None) -> str:
    """Keep held-out answers in a folder, and the temperature that is fitted to them; return a line that says so.

    Of fewer than `LEAST_PHOTOGRAPHS` the temperature is 1, which changes no answer.

    Args:
        folder: Of a run or Guided Zoom.
        held_out: What it keeps.
        weights: How much each branch counts; None: the network decides.

    Raises:
        UserError: As in `write_held_out`.
    """
    named = None if weights is None else {branch.value: weight for branch, weight in weights.items()}
    calibration = Calibration(view_weights=named)
    before = held_out.decided(calibration)
    logits = np.log(np.maximum(before.probabilities, np.finfo(np.float32).tiny))  # rounding makes zeros
    calibration = replace(calibration, temperature=fit_temperature(logits, before.labels))
    write_held_out(folder, held_out.answers, held_out.source, held_out.folds)
    write_calibration(folder, calibration)
    of = f"{held_out.photographs} held-out photographs ({held_out.source})"
    if held_out.photographs < LEAST_PHOTOGRAPHS:
        return f"temperature 1: {of} are too few to fit one; that takes at least {LEAST_PHOTOGRAPHS}"
    after = held_out.decided(calibration)
    errors = [100 * reliability(Judged.of(each.probabilities, each.labels), BINS).error for each in (before, after)]
    return (
        f"temperature {calibration.temperature:.2f}, fitted to {of}: "
        f"calibration error {errors[0]:.1f}% before, {errors[1]:.1f}% after"
        f"{'' if errors[1] <= errors[0] else _NO_MATTER}"
    )


def remove_held_out(folder: Path) -> None:
    """Remove held-out answers and what was calibrated by them: they are of answers that are given no more."""
    (folder / _CALIBRATION).unlink(missing_ok=True)
    if (folder / _FOLDER).exists():
        shutil.rmtree(folder / _FOLDER)


def write_calibration(folder: Path, calibration: Calibration) -> None:
    """Keep what held-out answers calibrate in the folder of a run or Guided Zoom, in place of what was there."""
    write_json(folder / _CALIBRATION, unstructured(calibration), SCHEMA_VERSION)


def read_calibration(folder: Path) -> Calibration:
    """Return what held-out answers calibrate; what changes no answer, where nothing was kept.

    Raises:
        UserError: It is damaged, or of another version.
    """
    file = folder / _CALIBRATION
    if not file.exists():
        return Calibration()
    return structured(read_json(file, SCHEMA_VERSION), Calibration, file, "a calibration")


def calibration_of_first(run: Run) -> Calibration:
    """Return what calibrates a Guided Zoom's first answer, its network's own: the temperature of the network's run.

    Where the run's views are weighed, that temperature is of another decision, and the first answer stays as it is.

    Raises:
        UserError: As `read_calibration`.
    """
    calibration = read_calibration(run.path)
    return calibration if calibration.view_weights is None else Calibration()
