"""Labels that a report doubts: of every photograph that its network answered for without having learned from it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from foveate.config.branches import Branch
from foveate.config.data import Split
from foveate.data.records import ImageRecord
from foveate.evaluation.predictions import PredictionTable
from foveate.report.html.contents import Suspect
from foveate.report.html.pictures import PictureStore
from foveate.runs.held_out import read_calibration, read_held_out
from foveate.workflows.check.label_evidence import evidence_by_answers
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
    split = str(subject.model.split)
    answered = [(subject.records[each], row, split) for each, row in _rows(table) if each in subject.records]
    folder = subject.model.folders[0]
    if split != Split.TRAIN and (held_out := read_held_out(folder)) is not None:
        known = {record.id: record for record in subject.train}
        kept = _rows(held_out.decided(read_calibration(folder)))
        answered += [(known[each], row, str(Split.TRAIN)) for each, row in kept if each in known]
    records = [record for record, _, _ in answered]
    if not _can_be_judged(records):
        return ()
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


def _rows(table: PredictionTable) -> list[tuple[str, np.ndarray]]:
    return list(zip(table.ids, table.probabilities, strict=True))


def _can_be_judged(records: Sequence[ImageRecord]) -> bool:
    """Whether two classes have two photographs each, which confident learning needs."""
    labels, counts = np.unique([record.label for record in records], return_counts=True)
    return len(labels) > 1 and bool((counts > 1).all())
