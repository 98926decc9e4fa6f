"""Which classes are taken for which: the confusion matrix and its most confused pairs."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Int
from torchmetrics.functional.classification import multiclass_confusion_matrix

from foveate.evaluation.calibration import Judged


class ConfusedPair(NamedTuple):
    """Two classes that are taken for each other: how often each way, and the surest such photograph."""

    first: int
    second: int
    first_as_second: int
    second_as_first: int
    example: int

    @property
    def total(self) -> int:
        """How often either is taken for the other."""
        return self.first_as_second + self.second_as_first


def confusion_matrix(judged: Judged, classes: int) -> Int[np.ndarray, "c c"]:
    """Count photographs by true class (rows) and answer (columns)."""
    answers, labels = (torch.from_numpy(each.astype(np.int64)) for each in (judged.answers, judged.labels))
    counted: Int[np.ndarray, "c c"] = multiclass_confusion_matrix(answers, labels, classes).numpy()
    return counted


def confused_pairs(judged: Judged, classes: int, count: int) -> tuple[ConfusedPair, ...]:
    """Return the pairs of classes that are most often taken for each other; of equal ones the first classes'."""
    matrix = confusion_matrix(judged, classes)
    first, second = np.triu_indices(classes, 1)
    both = matrix[first, second] + matrix[second, first]
    best = np.argsort(-both, kind="stable")[:count]
    return tuple(
        ConfusedPair(a, b, int(matrix[a, b]), int(matrix[b, a]), _surest(judged, a, b))
        for a, b in zip(first[best].tolist(), second[best].tolist(), strict=True)
        if matrix[a, b] + matrix[b, a] > 0
    )


def _surest(judged: Judged, first: int, second: int) -> int:
    one = (judged.labels == first) & (judged.answers == second)
    other = (judged.labels == second) & (judged.answers == first)
    return int(np.where(one | other, judged.confidence, -1).argmax())
