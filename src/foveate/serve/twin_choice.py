"""Which class an answer's best one is held against: a rival that comes near it, or the class it is mistaken for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Int

from foveate.errors import UserError
from foveate.evaluation.calibration import Judged
from foveate.evaluation.confusion import confusion_matrix
from foveate.evaluation.predictions import read_predictions
from foveate.runs.run import Run

LEAST, LEAST_OF_BEST = 0.01, 0.05
"""A rival's probability is at least this, and at least this share of the best class's; the page knows them too."""


class TwinChoice(NamedTuple):
    """The number of the class that the best one is held against, and why that one."""

    twin: int | None
    """None: there is none."""
    words: str


def kept_confusions(run: Run) -> Int[np.ndarray, "c c"] | None:
    """Return how often each class (rows) is taken for each other, of the run's kept test answers; None: none are kept.

    Both ways are counted; the diagonal is 0.
    """
    try:
        table = read_predictions(run.path / "evaluation" / "test-centre.parquet")
        if table.class_names != run.class_names:
            return None
        counted = confusion_matrix(Judged.of(table.probabilities, table.labels), len(table.class_names))
    except UserError:
        return None
    np.fill_diagonal(counted, 0)
    both: Int[np.ndarray, "c c"] = counted + counted.T
    return both


def twin_of(
    ranked: Sequence[tuple[int, float]], confusions: Int[np.ndarray, "c c"] | None, names: Sequence[str]
) -> TwinChoice:
    """Choose what the best class is held against.

    Args:
        ranked: Number and probability of classes, the best first; at least two.
        confusions: As `kept_confusions`.
        names: Of the classes.
    """
    (best, most), (second, probability) = ranked[:2]
    if probability >= max(LEAST, LEAST_OF_BEST * most):
        return TwinChoice(second, "The two best classes side by side.")
    if confusions is None or not confusions[best].any():
        return TwinChoice(
            None, "No other class comes near it, and none is known to be mistaken for it: there is no twin to show."
        )
    twin = int(confusions[best].argmax())
    times = int(confusions[best, twin])
    return TwinChoice(
        twin,
        f"No other class comes near it here. Beside it stands {names[twin]}, its nearest in the test: "
        f"{times} photograph{'s' * (times != 1)} of either {'were' if times != 1 else 'was'} taken for the other.",
    )
