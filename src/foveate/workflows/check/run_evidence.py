"""Evidence about labels by a run: what it answered to photographs that it did not learn from."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from jaxtyping import Float

from foveate.config.branches import Branch
from foveate.config.data import DataConfig, Split
from foveate.data.records import ImageRecord
from foveate.errors import UserError
from foveate.evaluation.predictions import PredictionTable
from foveate.runs.context import RunContext
from foveate.runs.held_out import read_held_out
from foveate.runs.run import Run
from foveate.workflows.check.equal_photographs import Looked
from foveate.workflows.check.label_evidence import LabelEvidence, evidence_by_answers
from foveate.workflows.fit.ladder import answers_of


def evidence_by_run(
    run: Run, photographs: Sequence[Looked], config: DataConfig, say: Callable[[str], None]
) -> LabelEvidence:
    """Return the evidence of a run's held-out answers, and of its answers to test photographs.

    Args:
        run: Finished, on this data set.
        photographs: Those that can be read.
        config: Of the data set.
        say: Receives lines of progress.

    Raises:
        UserError: It is of other classes, or learned from all photographs that it is asked about.
    """
    learned = run.trained_ids()
    test = [each.record for each in photographs if each.split == Split.TEST and each.record.id not in learned]
    tables: list[dict[Branch, PredictionTable]] = []
    if (held_out := read_held_out(run.path)) is not None:
        tables.append(dict(held_out.answers))
    if test:
        say(f"answering {len(test)} test photographs with {run.path}")
        classifier = RunContext(root=config.root).classifier_of(run)
        tables.append(dict(answers_of(classifier, test, run.config, run.class_names)))
    branches = set.intersection(*(set(each) for each in tables)) if tables else set()
    records, answers = _answered(tables, branches, [each.record for each in photographs])
    if not records:
        raise UserError(
            f"labels are judged by answers to photographs that a run did not learn from; {run.path} has none to those "
            f"in {config.root}; give a run of `foveate fit`, one with --data.validation-fraction, or none"
        )
    _check_classes(run, records)
    of = f"{run.path.name}: held-out answers to {len(records)} of {len(photographs)} photographs"
    say(f"labels by {of}")
    return evidence_by_answers(records, answers, of)


def _answered(
    tables: Sequence[dict[Branch, PredictionTable]], branches: set[Branch], photographs: Sequence[ImageRecord]
) -> tuple[list[ImageRecord], dict[Branch, Float[np.ndarray, "n c"]]]:
    """Return the photographs that were answered for, and the answers of each branch in their order."""
    rows: dict[str, tuple[int, int]] = {}
    for number, table in enumerate(tables):
        first = next(iter(table.values()))
        rows |= {name: (number, row) for row, name in enumerate(first.ids)}
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
