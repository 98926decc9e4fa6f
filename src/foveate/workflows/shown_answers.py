"""Choose answers of an evaluation that are worth looking at."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from foveate.data.images import read_image
from foveate.networks.answers import ranked_classes
from foveate.report.sheet import SheetAnswer, answer_sheet
from foveate.workflows.evaluate import Evaluation


def answer_sheet_of(evaluation: Evaluation, path: Path, *, title: str, each: int = 12) -> Path:
    """Make a sheet of the surest wrong answers and of some right ones, evenly spread over the split.

    Args:
        evaluation: The answers.
        path: The PNG to write.
        title: The sheet's heading.
        each: How many wrong and how many right answers to show at most.
    """
    table = evaluation.table
    best = table.probabilities.argmax(axis=1)
    right, wrong = (np.flatnonzero(chosen) for chosen in (best == table.labels, best != table.labels))
    surest = wrong[np.argsort(-table.probabilities.max(axis=1)[wrong], kind="stable")][:each]
    spread = right[np.unique(np.linspace(0, max(len(right) - 1, 0), min(each, len(right))).astype(int))]
    answer_sheet([_answer(evaluation, int(index)) for index in (*surest, *spread)], path, title)
    return path


def _answer(evaluation: Evaluation, index: int) -> SheetAnswer:
    record, table = evaluation.records[index], evaluation.table
    top = ranked_classes(table.probabilities[index], table.class_names, 3)
    return SheetAnswer(read_image(record.image, largest_megapixels=None), record.class_name, top)
