"""Measure a Guided Zoom on a split: its answers, those of its network alone, and what the evidence changed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path

import numpy as np
from jaxtyping import Float

from foveate.config.data import Split
from foveate.data.records import ImageRecord
from foveate.evaluation.accuracy import measure_accuracy
from foveate.evaluation.evidence_table import EvidenceTable
from foveate.evaluation.mcnemar import mcnemar
from foveate.evaluation.paired_difference import paired_difference
from foveate.evaluation.predictions import PredictionTable
from foveate.evaluation.refinement_change import refinement_change
from foveate.guided_zoom.config import RefinementConfig, Rule
from foveate.guided_zoom.refined_probabilities import refined_probabilities
from foveate.runs.context import HERE, RunContext
from foveate.runs.guided_zoom_run import GuidedZoomRun
from foveate.runs.held_out import Calibration, calibration_of_first, read_calibration
from foveate.workflows.refinement_report import RefinementReport, RefinementRow
from foveate.workflows.split_evidence import evidence_of_split, hits_of_split

_PAPER = RefinementConfig.paper().weights


@dataclass(frozen=True, slots=True)
class ZoomEvaluation:
    """What was measured of a Guided Zoom, and the answers it rests on."""

    report: RefinementReport
    table: PredictionTable
    """What the evidence decides, calibrated."""
    first: Float[np.ndarray, "n c"]
    """What the network alone says, before the evidence."""
    records: Sequence[ImageRecord]


def evaluate_zoom(
    zoom: GuidedZoomRun | Path | str,
    *,
    split: Split | str = Split.TEST,
    refinement: RefinementConfig | None = None,
    context: RunContext = HERE,
) -> ZoomEvaluation:
    """Measure a Guided Zoom's answers and those of its network; write `evaluation/<split>` as Markdown and JSON.

    Evidence that is kept (`splits/`) is used again; what is missing is found, and kept.

    Args:
        zoom: A finished Guided Zoom, or its folder.
        split: Whose photographs are answered for.
        refinement: How the evidence decides; None: as the folder says.
        context: As `RunContext` says; `results` gets a row.

    Raises:
        UserError: It is unfinished, or what it was made of has changed, or the split is empty.
    """
    zoom, split = GuidedZoomRun.of(zoom), Split(split)
    decision = refinement or zoom.description.refinement
    evidence = evidence_of_split(zoom, split, decision, context=context)
    known = {record.id: record for record in context.photographs_of(zoom.base_run(), split)}
    table = refined_table(zoom, evidence, decision, split)
    report = _report(zoom, split, evidence, table, decision, context, given=refinement is not None)
    return ZoomEvaluation(
        report=report.written(context),
        table=table,
        first=calibration_of_first(zoom.base_run()).tempered(evidence.probabilities).numpy(),
        records=[known[each] for each in evidence.ids],
    )


def refined_table(
    zoom: GuidedZoomRun, evidence: EvidenceTable, decision: RefinementConfig, split: Split
) -> PredictionTable:
    """Return what evidence decides about a split, calibrated where the decision is the folder's: of no other is it."""
    refined = refined_probabilities(
        evidence.probabilities, evidence.evidence.classes, evidence.refined(decision), decision.scores
    )
    own = decision == zoom.description.refinement
    answers = (read_calibration(zoom.path) if own else Calibration()).tempered(refined).numpy()
    origin = {"guided_zoom": str(zoom.path), "split": str(split)}
    names = zoom.base_run().class_names
    return PredictionTable(evidence.ids, evidence.labels, answers, names, origin, evidence.groups)


def _report(
    zoom: GuidedZoomRun,
    split: Split,
    evidence: EvidenceTable,
    table: PredictionTable,
    decision: RefinementConfig,
    context: RunContext,
    *,
    given: bool,
) -> RefinementReport:
    """Measure a decision and those of the papers; `given`: it is not the folder's."""
    before, after = evidence.right_before[None], evidence.right_after(decision)[None]
    return RefinementReport(
        zoom=zoom,
        split=split,
        table=evidence,
        rows=tuple(_row(evidence, each) for each in (decision, *paper_rows(evidence, decision))),
        before=measure_accuracy(evidence.probabilities.numpy(), evidence.labels, evidence.groups),
        after=measure_accuracy(table.probabilities, table.labels, table.groups),
        difference=paired_difference(before, after, evidence.groups),
        hits=hits_of_split(zoom, split, evidence, context=context),
        tuned_on=None if given else zoom.description.tuned_on,
    )


def paper_rows(table: EvidenceTable, decision: RefinementConfig) -> tuple[RefinementConfig, ...]:
    """Return the settings of the papers' tables that a table has evidence for: k, L, and how scores are joined."""
    classes, rounds = table.evidence.scores.shape[1:]
    return tuple(
        replace(decision, top_k=k, weights=weights[: count + 2], rule=rule, entropy_threshold=None)
        for k, count, (weights, rule) in product(
            (3, 5), range(rounds), ((_PAPER, Rule.SUM), ((0.25,) * 4, Rule.SUM), ((1.0,) * 4, Rule.MAX))
        )
        if k <= classes and count + 2 <= len(weights)
    )


def _row(table: EvidenceTable, config: RefinementConfig) -> RefinementRow:
    test = mcnemar(table.right_before, table.right_after(config), table.groups)
    return RefinementRow(config, refinement_change(table, config), test.p_value)
