"""Measure a run on a split, and keep every answer."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from torch.utils.data import DataLoader

from foveate.config import DataConfig, HardwareConfig, OnError, TestViews
from foveate.data.loading import Batch, EvaluationViews, evaluation_loader
from foveate.data.preparation import checked, load_splits
from foveate.data.records import ImageRecord, labels_of
from foveate.errors import UserError
from foveate.evaluation.accuracy import Accuracy, measure_accuracy
from foveate.evaluation.predictions import PredictionTable, write_predictions
from foveate.methods.inference import Classifier
from foveate.report.tables import accuracy_markdown
from foveate.runs import Run, append_json_line, environment, write_json, write_text


@dataclass(frozen=True, slots=True)
class Evaluation:
    """What was measured, the answers it rests on, and where both were written (with other endings too)."""

    accuracy: Accuracy
    table: PredictionTable
    records: tuple[ImageRecord, ...]
    report: Path


def evaluate(
    run: Run | Path | str,
    *,
    split: str = "test",
    views: TestViews = TestViews.CENTRE,
    root: Path | None = None,
    on_error: OnError | None = None,
    batch_size: int = 32,
    hardware: HardwareConfig | None = None,
    results: Path | None = None,
    say: Callable[[str], None] = print,
) -> Evaluation:
    """Evaluate the run's network; write `evaluation/<split>-<views>` as JSON, Markdown and Parquet.

    Args:
        run: A finished run, or its folder.
        split: train, validation or test.
        views: Which views of a photograph are averaged.
        root: Where the data set lies now, if it has moved since the training.
        on_error: What to do about photographs that cannot be read; None: as the training did.
        batch_size: Photographs at a time.
        hardware: Where to compute; None: the fast choice of this machine.
        results: A file of JSON lines to which one row is added.
        say: Receives lines of progress.

    Raises:
        UserError: The split is empty, the data set's classes are not the run's, or something cannot be read.
    """
    run = run if isinstance(run, Run) else Run.open(Path(run).expanduser())
    network = run.load_network()
    data = run.config.data if root is None else replace(run.config.data, root=root)
    records = checked(_records(run, data, split), on_error or data.on_error, say)
    hardware = hardware or HardwareConfig()
    shown = EvaluationViews(records, run.config.transforms, views)
    loader = evaluation_loader(shown, batch_size, workers=hardware.workers)
    origin = {"run": run.path, "split": split, "views": views, "root": data.root, "dataset": run.description.dataset}
    table = PredictionTable(
        tuple(record.id for record in records),
        np.array(labels_of(records)),
        _probabilities(Classifier.place(network, hardware), loader),
        run.class_names,
        {name: str(value) for name, value in origin.items()},
    )
    accuracy = measure_accuracy(table.probabilities, table.labels)
    report = run.path / "evaluation" / f"{split}-{views.value}.md"
    _write(run, report, table, accuracy)
    if results is not None:
        append_json_line(results, result_row(run, split, views, accuracy))
    return Evaluation(accuracy, table, records, report)


def _probabilities(classifier: Classifier, loader: DataLoader[Batch]) -> Float[np.ndarray, "n c"]:
    probabilities: Float[np.ndarray, "n c"] = torch.cat(
        [classifier.probabilities(batch.images) for batch in loader]
    ).numpy()
    return probabilities


def _records(run: Run, data: DataConfig, split: str) -> Sequence[ImageRecord]:
    splits = load_splits(data)
    if splits.class_names != run.class_names:
        raise UserError(
            f"a run is evaluated on the classes it was trained on, {len(run.class_names)} of them, "
            f"{run.class_names[0]!r} first; {data.root} has {len(splits.class_names)}, {splits.class_names[0]!r} "
            "first; give the data set of the training"
        )
    records = splits.named(split)
    seen = run.trained_ids() & {record.id for record in records} if split != "train" else frozenset()
    if seen:
        raise UserError(
            f"photographs of the {split} split must not have been trained on; {len(seen)} of {len(records)} were, "
            f"{min(seen)!r} first: the data set has changed since the training; restore it or train anew"
        )
    return records


def _write(run: Run, report: Path, table: PredictionTable, accuracy: Accuracy) -> None:
    write_predictions(report.with_suffix(".parquet"), table)
    write_text(report, accuracy_markdown(accuracy, f"{run.path.name}, {table.metadata['split']} split"))
    measured = {"accuracy": asdict(accuracy), **table.metadata, "environment": environment()}
    write_json(report.with_suffix(".json"), measured)


def result_row(run: Run, split: str, views: TestViews, accuracy: Accuracy) -> dict[str, object]:
    """Return one row of a results file: what was trained, how, and what came out, in per cent."""
    config, trained = run.config, run.environment()
    return {
        "method": "plain",
        "base": config.network.backbone.architecture,
        "dataset": run.description.dataset,
        "split": split,
        "views": views.value,
        "input_size": config.transforms.input_size,
        "source_size": config.transforms.input_size,
        "seed": config.seed,
        "top1": round(100 * accuracy.top1.value, 2),
        "top5": round(100 * accuracy.top5.value, 2),
        "epochs": config.epochs,
        "minutes": run.metrics()["minutes"],
        "command": trained["command"],
        "commit": trained["commit"],
        "hardware": trained["hardware"],
    }
