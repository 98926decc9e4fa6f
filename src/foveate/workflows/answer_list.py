"""Every photograph of an evaluation with its true class and its answer, as a list: the wrong answers first."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
from jaxtyping import Float, Int

from foveate.data.records import ImageRecord
from foveate.data.roots import shown_path
from foveate.evaluation.predictions import PredictionTable
from foveate.networks.answers import ranked_classes
from foveate.workflows.answer_files import answer_file, place_of

_LISTED = 5
_PLACES = 6  # of a probability in the list


def wrong_first(table: PredictionTable) -> Int[np.ndarray, " n"]:
    """Return the order of the list: wrong answers, the surest first, then right ones as the data set has them."""
    wrong = table.probabilities.argmax(1) != table.labels
    return np.lexsort((np.where(wrong, -table.probabilities.max(1), 0.0), ~wrong))


def write_answer_list(
    path: Path,
    table: PredictionTable,
    records: Sequence[ImageRecord],
    first: Float[np.ndarray, "n c"] | None = None,
) -> None:
    """Write a row for each photograph, as CSV, JSON or Parquet by the file's ending, in the order of `wrong_first`.

    Args:
        path: The file.
        table: The answers that count.
        records: The photographs, in the order of the answers.
        first: Of a Guided Zoom: its network's probabilities before the evidence.

    Raises:
        UserError: As `answer_file`.
    """
    listed = min(_LISTED, len(table.class_names))
    with answer_file(path, _columns(listed, first=first is not None)) as write:
        for index in wrong_first(table).tolist():
            row = _row(table, records[index], index, listed)
            write([row if first is None else row | _first(table, first, index)])


def _columns(listed: int, *, first: bool) -> pa.Schema:
    columns = {"photograph": pa.string(), "path": pa.string(), "true_class": pa.string(), "answer": pa.string()}
    columns |= {"probability": pa.float64(), "right": pa.bool_(), "true_class_probability": pa.float64()}
    for rank in range(2, listed + 1):
        columns |= {f"class_{rank}": pa.string(), f"probability_{rank}": pa.float64()}
    if first:
        columns |= {"first_answer": pa.string(), "first_probability": pa.float64(), "changed": pa.bool_()}
    return pa.schema(list(columns.items()))


def _row(table: PredictionTable, record: ImageRecord, index: int, listed: int) -> dict[str, object]:
    probabilities, label = table.probabilities[index], int(table.labels[index])
    best, *others = ranked_classes(probabilities, table.class_names, listed)
    row: dict[str, object] = {
        "photograph": shown_path(record.id),
        "path": place_of(record),
        "true_class": shown_path(table.class_names[label]),
        "answer": shown_path(best.class_name),
        "probability": round(best.probability, _PLACES),
        "right": int(probabilities.argmax()) == label,
        "true_class_probability": round(float(probabilities[label]), _PLACES),
    }
    for rank, each in enumerate(others, 2):
        row |= {f"class_{rank}": shown_path(each.class_name), f"probability_{rank}": round(each.probability, _PLACES)}
    return row


def _first(table: PredictionTable, first: Float[np.ndarray, "n c"], index: int) -> dict[str, object]:
    best = int(first[index].argmax())
    return {
        "first_answer": shown_path(table.class_names[best]),
        "first_probability": round(float(first[index, best]), _PLACES),
        "changed": best != int(table.probabilities[index].argmax()),
    }
