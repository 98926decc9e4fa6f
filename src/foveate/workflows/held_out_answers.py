"""Answer for photographs that a training did not learn from, keep the answers, and calibrate by them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from foveate.config.branches import Branch
from foveate.config.data import TransformConfig
from foveate.config.hardware import HardwareConfig
from foveate.data.loading import EvaluationViews, evaluation_loader
from foveate.data.records import ImageRecord, groups_of, labels_of
from foveate.evaluation.evidence_table import EvidenceTable
from foveate.evaluation.predictions import PredictionTable
from foveate.guided_zoom.refined_probabilities import refined_probabilities
from foveate.inference.classifier import Classifier
from foveate.networks.network import Network, Solved
from foveate.runs.guided_zoom_run import GuidedZoomRun
from foveate.runs.held_out import HeldOut, HeldOutSource, keep_calibrated
from foveate.runs.run import Run

_BATCH = 32


def keep_validation_answers(
    run: Run,
    network: Network,
    validation: Sequence[ImageRecord],
    hardware: HardwareConfig,
    say: Callable[[str], None],
) -> None:
    """Answer for the validation photographs of a training with its network, and keep that in its run folder.

    Args:
        run: Whose training it was.
        network: Of the epoch that was chosen.
        validation: Photographs that can be read.
        hardware: What computes.
        say: Receives a line of what was fitted.
    """
    answers = answers_of(network, validation, run.config.transforms, hardware)
    say(keep_calibrated(run.path, HeldOut(_tables(run, validation, answers), HeldOutSource.VALIDATION, None)))


def answers_of(
    network: Network, records: Sequence[ImageRecord], transforms: TransformConfig, hardware: HardwareConfig
) -> dict[Branch, Float[Tensor, "n c"]]:
    """Return each branch's probabilities of photographs that can be read, as they are without calibration."""
    classifier, batches = Classifier.place(network, hardware), []
    for batch in evaluation_loader(EvaluationViews(records, transforms), _BATCH, workers=hardware.workers):
        batches.append(classifier.branch_probabilities(batch.images))
    return {branch: torch.cat([each[branch] for each in batches]) for branch in batches[0]}


def keep_out_of_fold_answers(
    run: Run, solved: Solved, train: Sequence[ImageRecord], say: Callable[[str], None]
) -> None:
    """Keep in the run folder how heads answered for the folds that they were not fitted to, where any were held out.

    Args:
        run: Whose training it was.
        solved: What it left behind.
        train: Its photographs, in its order.
        say: Receives a line of what was fitted.
    """
    if solved.held_out:
        held = ~torch.stack([each[:, 0] for each in solved.held_out.values()]).isnan().any(0)
        answers = {branch: each[held] for branch, each in solved.held_out.items()}
        records = [record for record, answered in zip(train, held.tolist(), strict=True) if answered]
        held_out = HeldOut(_tables(run, records, answers), HeldOutSource.OUT_OF_FOLD, solved.folds)
        say(keep_calibrated(run.path, held_out))


def keep_refined_answers(zoom: GuidedZoomRun, table: EvidenceTable, say: Callable[[str], None]) -> None:
    """Keep how a Guided Zoom decides about its validation photographs in its folder.

    Args:
        zoom: With the decision that was fitted.
        table: The evidence of the validation split.
        say: Receives a line of what was fitted.
    """
    refinement, run = zoom.description.refinement, zoom.base_run()
    refined = table.refined(refinement)
    probabilities = refined_probabilities(table.probabilities, table.evidence.classes, refined, refinement.scores)
    origin = {"guided_zoom": str(zoom.path), "dataset": run.description.dataset}
    answers = PredictionTable(table.ids, table.labels, probabilities.numpy(), run.class_names, origin, table.groups)
    say(keep_calibrated(zoom.path, HeldOut({Branch.JOINT: answers}, HeldOutSource.VALIDATION, None)))


def _tables(
    run: Run, records: Sequence[ImageRecord], answers: Mapping[Branch, Float[Tensor, "n c"]]
) -> dict[Branch, PredictionTable]:
    ids, labels = tuple(record.id for record in records), np.array(labels_of(records))
    origin, groups = {"run": str(run.path), "dataset": run.description.dataset}, groups_of(records)
    return {
        branch: PredictionTable(ids, labels, probabilities.float().numpy(), run.class_names, origin, groups)
        for branch, probabilities in answers.items()
    }
