"""Measure a run on a split, and keep every answer."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from torch.utils.data import DataLoader

from foveate.config.branches import Branch
from foveate.config.data import Split, TestViews
from foveate.data.loading import Batch, EvaluationViews, evaluation_loader
from foveate.data.records import ImageRecord, labels_of
from foveate.evaluation.accuracy import Accuracy, measure_accuracy
from foveate.evaluation.bootstrap import Estimate
from foveate.evaluation.calibration_check import CalibrationCheck, check_calibration
from foveate.evaluation.gating import Gated, at_threshold, gate_curve
from foveate.evaluation.predictions import PredictionTable, write_predictions
from foveate.files.documents import unstructured, write_json, write_text
from foveate.inference.classifier import Classifier
from foveate.networks.answers import decision
from foveate.report.result_versions import Measured
from foveate.report.tables import accuracy_markdown, calibration_markdown, gate_markdown
from foveate.runs.context import HERE, RunContext
from foveate.runs.environment import environment
from foveate.runs.held_out import read_held_out
from foveate.runs.run import Run
from foveate.workflows.report_paths import measured_with, report_path
from foveate.workflows.result_rows import add_row, result_row


@dataclass(frozen=True, slots=True)
class Evaluation:
    """What was measured, the answers it rests on, and where both were written (with other endings too)."""

    accuracy: Accuracy
    table: PredictionTable
    records: Sequence[ImageRecord]
    report: Path
    branches: Mapping[str, Estimate]
    """Top-1 of each branch of the network and of the mean of all their probabilities; one entry for a plain network."""
    milliseconds: float
    """Time in the network for one photograph, in batches, decoding left out."""
    calibration: CalibrationCheck
    """Whether the answers, and what the run's held-out answers promise of them, keep their word."""
    gate: tuple[Gated, ...] = ()
    """Of an S3N that looked closer: what the threshold that was asked for did; without one, what others would do."""


def evaluate(
    run: Run | Path | str,
    *,
    split: Split | str = Split.TEST,
    views: TestViews = TestViews.CENTRE,
    zoom_entropy_threshold: float | None = None,
    context: RunContext = HERE,
) -> Evaluation:
    """Evaluate the run's network; write `evaluation/<split>-<views>` as JSON, Markdown and Parquet.

    With `zoom_entropy_threshold` the name ends in it, and the full evaluation's files stay as they are. So do those of
    one with another root, precision or the like: the name then says what differs (`report_path`).

    Args:
        run: A finished run, or its folder.
        split: Whose photographs are answered for.
        views: Which views of a photograph are averaged.
        zoom_entropy_threshold: Of an S3N: look closer only where the entropy of the first look, in nats, is above this;
            None: always, and the report of one view shows what thresholds would do.
        context: As `RunContext` says.

    Raises:
        UserError: The hardware is not there, the split is empty, the data set's classes are not the run's, something
            cannot be read, the network's answer is not finite, or `zoom_entropy_threshold` is negative, there are
            several views, or the run's network looks once.
    """
    run, split = Run.of(run), Split(split)
    classifier = context.classifier_of(run, zoom_entropy_threshold=zoom_entropy_threshold)
    records = context.readable(run, context.photographs_of(run, split, announced=True))
    shown = EvaluationViews(records, run.config.transforms, views)
    loader = evaluation_loader(shown, context.batch_size, workers=context.hardware.workers)
    answers, milliseconds = _answers(classifier, loader)
    origin = {"run": run.path, "split": split, "views": views, "root": context.data_of(run).root}
    table = _table(run, records, _decided(classifier, answers), origin, classifier)
    name = f"{split}-{views.value}" + ("" if zoom_entropy_threshold is None else f"-above-{zoom_entropy_threshold:g}")
    settings = measured_with(context, run, classifier)
    report = report_path(run.path / "evaluation", name, settings, "evaluation", context.say)
    branches, gate = _branch_top1(answers, table), _gate(classifier, answers, table, views)
    accuracy = measure_accuracy(table.probabilities, table.labels)
    calibration = check_calibration(decision(answers), table, _held_out(run, classifier))
    evaluation = Evaluation(accuracy, table, records, report, branches, milliseconds, calibration, gate)
    if context.results is not None:
        row = _row(run, split, views, evaluation, zoom_entropy_threshold)
        add_row(context.results, row)
    _write(run, evaluation, answers, {"report": name, "settings": settings})
    return evaluation


def _table(
    run: Run,
    records: Sequence[ImageRecord],
    probabilities: Float[np.ndarray, "n c"],
    origin: Mapping[str, object],
    classifier: Classifier,
) -> PredictionTable:
    origin = {**origin, "dataset": run.description.dataset}
    if classifier.zoom_entropy_threshold is not None:
        origin["zoom_entropy_threshold"] = classifier.zoom_entropy_threshold
    if classifier.calibration.temperature != 1:
        origin["temperature"] = classifier.calibration.temperature
    return PredictionTable(
        tuple(record.id for record in records),
        np.array(labels_of(records)),
        probabilities,
        run.class_names,
        {name: str(value) for name, value in origin.items()},
    )


def _answers(classifier: Classifier, loader: DataLoader[Batch]) -> tuple[dict[Branch, Float[np.ndarray, "n c"]], float]:
    """Return every branch's probabilities, and the milliseconds of one photograph in the network."""
    batches, seconds, count = [], 0.0, 0
    for batch in loader:
        began = time.perf_counter()
        batches.append(classifier.branch_probabilities(batch.images))
        seconds += time.perf_counter() - began
        count += len(batch.images)
    answers = {branch: torch.cat([each[branch] for each in batches]).numpy() for branch in batches[0]}
    return answers, round(1e3 * seconds / count, 2)


def _decided(classifier: Classifier, answers: Mapping[Branch, Float[np.ndarray, "n c"]]) -> Float[np.ndarray, "n c"]:
    """Return the calibrated answers that count."""
    probabilities = {branch: torch.from_numpy(each) for branch, each in answers.items()}
    return classifier.calibration.decided(probabilities).numpy()


def _held_out(run: Run, classifier: Classifier) -> PredictionTable | None:
    """Return the run's held-out answers, decided as `classifier` does; None where it has none."""
    held_out = read_held_out(run.path)
    if held_out is None:
        return None
    return held_out.gated(classifier.zoom_entropy_threshold).decided(classifier.calibration)


def _branch_top1(answers: Mapping[Branch, Float[np.ndarray, "n c"]], table: PredictionTable) -> dict[str, Estimate]:
    named = {branch.value: probabilities for branch, probabilities in answers.items()}
    if len(named) > 2:  # a gated joint answer repeats the first one
        named["mean"] = np.mean(list(answers.values()), axis=0)
    return {name: measure_accuracy(probabilities, table.labels).top1 for name, probabilities in named.items()}


def _gate(
    classifier: Classifier,
    answers: Mapping[Branch, Float[np.ndarray, "n c"]],
    table: PredictionTable,
    shown: TestViews,
) -> tuple[Gated, ...]:
    network, above = classifier.network, classifier.zoom_entropy_threshold
    views = network.skippable_views
    measured = (answers[Branch.ORIGINAL], table.probabilities, table.labels, views)
    if above is not None:
        return (replace(at_threshold(*measured, above), changed=None),)
    return gate_curve(*measured) if views and shown is TestViews.CENTRE else ()


def _write(
    run: Run,
    evaluation: Evaluation,
    answers: Mapping[Branch, Float[np.ndarray, "n c"]],
    origin: Mapping[str, object],
) -> None:
    """Write everything; the JSON last, which `reproduce` takes for the sign that all is there."""
    report, table = evaluation.report, evaluation.table
    write_predictions(report.with_suffix(".parquet"), table)
    if len(answers) > 1:
        for branch, probabilities in answers.items():
            path = report.with_name(f"{report.stem}-{branch.value}.parquet")
            write_predictions(path, replace(table, probabilities=probabilities))
    title = f"{run.path.name}, {table.metadata['split']} split"
    write_text(report, evaluation_markdown(evaluation, title))
    measured = {
        "accuracy": asdict(evaluation.accuracy),
        "branches": {name: asdict(top1) for name, top1 in evaluation.branches.items()},
        "gate": [asdict(each) for each in evaluation.gate],
        "calibration": unstructured(evaluation.calibration),
        "milliseconds": evaluation.milliseconds,
        **table.metadata,
        **origin,
        "environment": environment(),
    }
    write_json(report.with_suffix(".json"), measured)


def evaluation_markdown(evaluation: Evaluation, title: str) -> str:
    """Return what was measured as Markdown."""
    temperature = float(evaluation.table.metadata.get("temperature", 1))
    blocks = [
        accuracy_markdown(evaluation.accuracy, title, evaluation.branches),
        calibration_markdown(evaluation.calibration, temperature),
        *([gate_markdown(evaluation.gate)] if evaluation.gate else []),
    ]
    return "\n".join(blocks)


def _row(
    run: Run, split: Split, views: TestViews, evaluation: Evaluation, zoom_entropy_threshold: float | None
) -> dict[str, object]:
    """Return one row of a results file, in per cent."""
    accuracy = evaluation.accuracy
    return {
        **result_row(Measured.ACCURACY, run, split, len(evaluation.records)),
        "views": views.value,
        "top1": round(100 * accuracy.top1.value, 2),
        "top5": round(100 * accuracy.top5.value, 2),
        "branches": {name: round(100 * top1.value, 2) for name, top1 in evaluation.branches.items()},
        "milliseconds": evaluation.milliseconds,
        "minutes": run.metrics()["minutes"],
    } | _gated(evaluation, zoom_entropy_threshold)


def _gated(evaluation: Evaluation, zoom_entropy_threshold: float | None) -> dict[str, object]:
    """Return what a row says of where the network looked closer; nothing where it did everywhere."""
    if zoom_entropy_threshold is None:
        return {}
    (gate,) = evaluation.gate
    return {
        "zoom_entropy_threshold": zoom_entropy_threshold,
        "looked_again": round(100 * gate.share, 2),
        "passes": round(gate.passes, 3),
    }
