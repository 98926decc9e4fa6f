"""Labels that a report doubts: of every photograph that its network answered for without having learned from it."""

from __future__ import annotations

import numpy as np

from foveate.config.branches import Branch
from foveate.config.data import Split
from foveate.data.records import ImageRecord
from foveate.evaluation.predictions import PredictionTable
from foveate.report.html.contents import Suspect
from foveate.report.html.pictures import PictureStore
from foveate.runs.held_out import read_calibration, read_held_out
from foveate.workflows.check.label_evidence import evidence_by_answers, judgeable
from foveate.workflows.check.suspects import suspected_labels
from foveate.workflows.html_report.subject import Subject

_SHOWN = 24
_SIDE = 168  # pixels


def suspects_of(subject: Subject, table: PredictionTable, store: PictureStore) -> tuple[Suspect, ...]:
    """Return the labels that confident learning doubts, the most doubtful first; at most 24.

    Args:
        subject: Whose held-out answers to training photographs count too, where it has some.
        table: Its answers to the split.
        store: Takes the pictures.
    """
    answered = _unlearned(subject, table)
    records = [record for record, _, _ in answered]
    answered = [answered[place] for place in judgeable(records)]
    if not answered:
        return ()
    records = [record for record, _, _ in answered]
    rows = np.stack([row for _, row, _ in answered])
    evidence = evidence_by_answers(records, {Branch.ORIGINAL: rows}, "the network")
    found = suspected_labels(evidence, {record.id: where for record, _, where in answered})[:_SHOWN]
    by_id = {record.id: record for record in records}
    images = subject.images([by_id[each.photograph] for each in found])
    return tuple(
        Suspect(
            name=each.photograph,
            split=each.split,
            label=each.class_name,
            suggestion=each.suggested or "",
            score=f"{each.score or 0:.2f}",
            picture=None if image is None else store.put(image, _SIDE, f"{each.class_name}, {each.photograph}"),
        )
        for each, image in zip(found, images, strict=True)
    )


def _unlearned(subject: Subject, table: PredictionTable) -> list[tuple[ImageRecord, np.ndarray, str]]:
    """Return the photographs that the network did not learn from, its answer to each, and their split."""
    split, folder = str(subject.model.split), subject.model.folders[0]
    learned = {record.id for record in subject.train} if split == Split.TRAIN else set()
    answered = [
        (subject.records[each], row, split)
        for each, row in _rows(table)
        if each in subject.records and each not in learned
    ]
    held_out = read_held_out(folder)
    if held_out is None:
        return answered
    named = {record.id: (record, str(Split.TRAIN)) for record in subject.train}
    named |= {record.id: (record, str(Split.VALIDATION)) for record in subject.validation}
    done = {record.id for record, _, _ in answered}
    for each, row in _rows(held_out.decided(read_calibration(folder))):
        if each in named and each not in done:
            record, where = named[each]
            answered.append((record, row, where))
    return answered


def _rows(table: PredictionTable) -> list[tuple[str, np.ndarray]]:
    return list(zip(table.ids, table.probabilities, strict=True))
