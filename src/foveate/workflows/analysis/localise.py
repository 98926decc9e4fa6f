"""Measure whether a run's class maps say where the object is (S3N, Table 2)."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool

from foveate.config.branches import Branch
from foveate.config.data import Split
from foveate.data.images import read_image
from foveate.data.records import ImageRecord
from foveate.data.splits import hold_out
from foveate.errors import UserError
from foveate.evaluation.localisation import (
    CAM_THRESHOLD,
    OVERLAP,
    OVERLAPS_V2,
    THRESHOLDS,
    Localisation,
    Overlaps,
    best_threshold,
    box_of,
    intersection_over_union,
    measure_localisation,
    overlaps_of,
    scaled,
)
from foveate.files.documents import write_json, write_text
from foveate.recipes.datasets import has_validation
from foveate.report.localisation import (
    LocalisedPhotograph,
    localisation_chart,
    localisation_markdown,
    localisation_sheet,
)
from foveate.report.result_versions import Measured
from foveate.runs.context import HERE, RunContext
from foveate.runs.environment import environment
from foveate.runs.run import Run
from foveate.types import Box
from foveate.workflows.analysis.analysed_run import Analysis, boxes_in_view
from foveate.workflows.result_rows import add_row, result_row

CHOICE_FRACTION = 0.2
"""Share of each class's training photographs that thresholds are chosen on where there is no validation split."""

PLACES = 112
"""Along each side of the view: where maps are read."""

_SHOWN = 12  # photographs of the sheet


@dataclass(frozen=True, slots=True)
class LocalisationReport:
    """What was measured for each branch, the whole decision last, and where it was written."""

    branches: Mapping[Branch, Localisation]
    photographs: int
    chosen_on: str
    """The photographs that thresholds were chosen on, in words."""
    chosen_photographs: int
    report: Path
    """The Markdown; the numbers lie beside it as JSON, a chart and a sheet of examples as PNG."""
    markdown: str


class _Measured(NamedTuple):
    """Of one branch and n photographs."""

    right: Bool[np.ndarray, " n"]
    overlaps: Overlaps


def localise(
    run: Run | Path | str, *, split: Split | str = Split.TEST, context: RunContext = HERE
) -> LocalisationReport:
    """Measure localisation; write `evaluation/<split>-localisation` as Markdown, JSON and PNG.

    Beside CAM's threshold one is chosen for each branch, on the run's validation split, or else on a fifth of its
    training photographs, whose boxes no training has seen; never on the photographs that are measured.

    Args:
        run: A finished run of a plain network or of S3N, or its folder.
        split: Whose photographs are measured.
        context: As `RunContext` says.

    Raises:
        UserError: The photographs have no boxes, the network has no class maps, or as `foveate.evaluate` does.
    """
    analysis, split = Analysis.of(run, context), Split(split)
    analysis.classifier.network.check_class_maps()
    records, others, chosen_on = _divided(analysis, split)
    records, others = (analysis.boxed(each, "localisation") for each in (records, others))
    context.say(f"choosing thresholds on {len(others)} photographs: {chosen_on}")
    chosen = {branch: best_threshold(each.overlaps.largest) for branch, each in _measure(analysis, others).items()}
    context.say(f"localising in {len(records)} photographs")
    measured = _measure(analysis, records)
    branches = {
        branch: measure_localisation(each.right, each.overlaps, chosen[branch]) for branch, each in measured.items()
    }
    path = analysis.report(f"{split}-localisation", "localisation")
    title = f"{analysis.run.path.name}, {split} split"
    markdown = localisation_markdown(branches, title, len(records), f"{len(others)} photographs: {chosen_on}")
    report = LocalisationReport(branches, len(records), chosen_on, len(others), path, markdown)
    _draw_examples(analysis, report, records, measured)
    if context.results is not None:
        add_row(context.results, _row(analysis, split, report))
    _write(analysis, report, split, title)
    return report


def _divided(analysis: Analysis, split: Split) -> tuple[Sequence[ImageRecord], Sequence[ImageRecord], str]:
    """Return the photographs to measure, other ones to choose thresholds on, and which these are in words."""
    run, context = analysis.run, analysis.context
    records = context.photographs_of(run, split)
    if split is not Split.VALIDATION and has_validation(context.data_of(run)):
        return records, context.photographs_of(run, Split.VALIDATION), "the validation split"
    train = context.photographs_of(run, Split.TRAIN)
    counts = Counter(record.label for record in train)
    several = [record for record in train if counts[record.label] > 1]
    if not several:
        raise UserError(
            "a threshold is chosen on other photographs than those that are measured; no class of the training has two "
            "to hold one out; train with --data.validation-fraction, or with more photographs"
        )
    others, held_out = hold_out(several, CHOICE_FRACTION, run.config.data.split_seed + 1)
    words = f"{CHOICE_FRACTION:.0%} of the training photographs, whose classes, not boxes, were trained on"
    return others if split is Split.TRAIN else records, held_out, words


def _measure(analysis: Analysis, records: Sequence[ImageRecord]) -> dict[Branch, _Measured]:
    """Answer for every photograph and draw its boxes, branch by branch."""
    right: dict[Branch, list[np.ndarray]] = defaultdict(list)
    overlaps: dict[Branch, list[Overlaps]] = defaultdict(list)
    for batch, views in analysis.batches(records, "localising"):
        logits, maps = analysis.classifier.branch_maps(batch.images[:, 0], batch.labels, PLACES)
        answers = logits.present()
        boxes = boxes_in_view([records[index] for index in batch.position.tolist()], views)
        for branch, each in maps.items():
            right[branch].append((answers[branch].argmax(1).cpu() == batch.labels).numpy())
            overlaps[branch].append(overlaps_of(each.cpu().double().numpy(), boxes, analysis.size))
    return {
        branch: _Measured(np.concatenate(right[branch]), Overlaps(*map(np.concatenate, zip(*each, strict=True))))
        for branch, each in overlaps.items()
    }


def _write(analysis: Analysis, report: LocalisationReport, split: Split, title: str) -> None:
    """Write everything; the JSON last, which `reproduce` takes for the sign that all is there."""
    write_text(report.report, report.markdown)
    content = {
        **analysis.document(split),
        "photographs": report.photographs,
        "cam_threshold": CAM_THRESHOLD,
        "overlap": OVERLAP,
        "overlaps_v2": OVERLAPS_V2,
        "thresholds": [float(each) for each in THRESHOLDS],
        "chosen_on": report.chosen_on,
        "chosen_photographs": report.chosen_photographs,
        "branches": {branch.value: asdict(each) for branch, each in report.branches.items()},
        "settings": analysis.settings,
        "environment": environment(),
    }
    localisation_chart(report.branches, report.report.with_suffix(".png"), title)
    write_json(report.report.with_suffix(".json"), content)


def _draw_examples(
    analysis: Analysis, report: LocalisationReport, records: Sequence[ImageRecord], measured: Mapping[Branch, _Measured]
) -> None:
    """Show photographs from the best box to the worst, evenly, at the chosen threshold of the branch that decides."""
    branch, best = _deciding(report.branches)
    column = int(np.flatnonzero(best.chosen_threshold == THRESHOLDS)[0])
    order = np.argsort(-measured[branch].overlaps.largest[:, column], kind="stable")
    shown = [records[index] for index in order[np.unique(np.linspace(0, len(order) - 1, _SHOWN).round().astype(int))]]
    examples: list[LocalisedPhotograph] = []
    for batch, views in analysis.batches(shown, "drawing"):
        maps = analysis.classifier.branch_maps(batch.images[:, 0], batch.labels, PLACES).maps[branch]
        shares = scaled(maps.cpu().double().numpy())
        boxes = boxes_in_view([shown[index] for index in batch.position.tolist()], views)
        for index, box, values, view in zip(batch.position.tolist(), boxes, shares, views, strict=True):
            best_box = box_of(values, analysis.size, best.chosen_threshold)
            overlap = 0.0 if best_box is None else float(intersection_over_union(np.array(best_box), box))
            picture = view.pixels(read_image(shown[index].image, shown[index].id, largest_megapixels=None))
            examples.append(LocalisedPhotograph(picture, values, Box(*map(float, box)), best_box, overlap))
    words = f"{branch.value}, threshold {best.chosen_threshold:.2f}; from the best box to the worst"
    localisation_sheet(
        examples, report.report.with_name(f"{report.report.stem}-examples.png"), analysis.run.path.name, words
    )


def _deciding(branches: Mapping[Branch, Localisation]) -> tuple[Branch, Localisation]:
    branch = Branch.JOINT if Branch.JOINT in branches else Branch.ORIGINAL
    return branch, branches[branch]


def _row(analysis: Analysis, split: Split, report: LocalisationReport) -> dict[str, object]:
    """Return one row of a results file, in per cent."""

    def percent(name: str) -> dict[str, float]:
        return {branch.value: round(100 * getattr(each, name), 2) for branch, each in report.branches.items()}

    return {
        **result_row(Measured.LOCALISATION, analysis.run, split, report.photographs),
        **{name: percent(name) for name in ("top1", "localised", "box", "localised_chosen", "box_chosen")},
        **{name: percent(name) for name in ("max_box", "max_box_v2")},
        "chosen_thresholds": {branch.value: each.chosen_threshold for branch, each in report.branches.items()},
        "chosen_on": report.chosen_on,
    }
