"""Evidence about labels by a run: what it answered to photographs that it did not learn from."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from jaxtyping import Float

from foveate.config.branches import Branch
from foveate.config.data import DataConfig, Split
from foveate.config.hardware import HardwareConfig
from foveate.data.records import ImageRecord
from foveate.errors import UserError
from foveate.evaluation.predictions import PredictionTable
from foveate.networks.answers import decision
from foveate.runs.context import RunContext
from foveate.runs.guided_zoom_run import GuidedZoomRun
from foveate.runs.held_out import read_held_out
from foveate.runs.run import Run
from foveate.workflows.check.equal_photographs import Looked
from foveate.workflows.check.label_evidence import LabelEvidence, evidence_by_answers, judgeable
from foveate.workflows.fit.ladder import answers_of


@dataclass(frozen=True)
class Judge:
    """A network, and its answers to photographs that it did not learn from."""

    run: Run
    held_out: Mapping[Branch, PredictionTable] | None
    """None: there are none."""
    name: str

    @classmethod
    def of(cls, run: Run | Path | str) -> Judge:
        """Open the folder of a run, or of a Guided Zoom: it is judged by the network's run and what it held out.

        Raises:
            UserError: It is neither, or damaged.
        """
        folder = run.path if isinstance(run, Run) else Path(run).expanduser()
        if not GuidedZoomRun.is_at(folder):
            held_out = read_held_out(folder)
            return cls(Run.of(run), None if held_out is None else held_out.answers, folder.name)
        network = GuidedZoomRun.open(folder).base_run()
        held_out = read_held_out(folder) or read_held_out(network.path)
        return cls(network, None if held_out is None else held_out.answers, folder.name)


def evidence_by_run(
    judge: Judge,
    photographs: Sequence[Looked],
    config: DataConfig,
    hardware: HardwareConfig,
    say: Callable[[str], None],
) -> LabelEvidence | None:
    """Return the evidence of held-out answers, and of answers to test photographs; None: of fewer than two classes.

    Args:
        judge: Of a finished run, on this data set.
        photographs: Those that can be read.
        config: Of the data set.
        hardware: Where to compute.
        say: Receives lines of progress.

    Raises:
        UserError: It is of other classes, or learned from all photographs that it is asked about.
    """
    run = judge.run
    learned = run.trained_among(each.record.id for each in photographs)
    test = [each.record for each in photographs if each.split == Split.TEST and each.record.id not in learned]
    tables = [] if judge.held_out is None else [judge.held_out]
    if test:
        say(f"answering {len(test)} test photographs with {run.path}")
        classifier = RunContext(root=config.root, hardware=hardware).classifier_of(run)
        tables.append(answers_of(classifier, test, replace(run.config, hardware=hardware), run.class_names))
    records, answers = _answered(tables, [each.record for each in photographs])
    if not records:
        raise UserError(
            f"labels are judged by answers to photographs that a run did not learn from; {run.path} has none to those "
            f"in {config.root}; give a run of `foveate fit`, one with --data.validation-fraction, or none"
        )
    _check_classes(run, records)
    places = judgeable(records)
    if not places:
        say("labels are not looked at: that takes answers to two photographs each of two classes")
        return None
    of = f"{judge.name}: held-out answers to {len(places)} of {len(photographs)} photographs"
    say(f"labels by {of}")
    judged = {branch: each[places] for branch, each in answers.items()}
    return evidence_by_answers([records[place] for place in places], judged, of)


def _answered(
    tables: Sequence[Mapping[Branch, PredictionTable]], photographs: Sequence[ImageRecord]
) -> tuple[list[ImageRecord], dict[Branch, Float[np.ndarray, "n c"]]]:
    """Return the photographs that were answered for, and the answers in their order: of each branch that all have.

    Where they have none in common, as those of a Guided Zoom and of its network, it is of each what decides.
    """
    branches = set.intersection(*(set(each) for each in tables)) if tables else set()
    if not branches:
        tables, branches = [{Branch.JOINT: decision(each)} for each in tables], {Branch.JOINT}
    rows: dict[str, tuple[int, int]] = {}
    for number, table in enumerate(tables):
        rows |= {name: (number, row) for row, name in enumerate(decision(table).ids)}
    records = [record for record in photographs if record.id in rows]
    places = [rows[record.id] for record in records]
    answers = {
        branch: np.array([tables[number][branch].probabilities[row] for number, row in places]) for branch in branches
    }
    return records, answers


def _check_classes(run: Run, records: Sequence[ImageRecord]) -> None:
    for record in records:
        if record.label >= len(run.class_names) or run.class_names[record.label] != record.class_name:
            raise UserError(
                f"a run judges the labels of the classes that it was trained on, {len(run.class_names)} of them, "
                f"{run.class_names[0]!r} first; {record.class_name!r} is none of these, or in another place; give the "
                "data set of the training"
            )
