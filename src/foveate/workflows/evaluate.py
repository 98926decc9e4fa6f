"""Measure a run on a split, and keep every answer."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from torch.utils.data import DataLoader

from foveate.config.branches import Branch
from foveate.config.checks import require
from foveate.config.data import DataConfig, OnError, TestViews
from foveate.config.hardware import HardwareConfig
from foveate.config.optimiser import OptimiserConfig, Schedule
from foveate.data.loading import Batch, EvaluationViews, evaluation_loader
from foveate.data.preparation import checked
from foveate.data.records import ImageRecord, labels_of
from foveate.errors import UserError
from foveate.evaluation.accuracy import Accuracy, measure_accuracy
from foveate.evaluation.bootstrap import Estimate
from foveate.evaluation.gating import Gated, at_threshold, gate_curve
from foveate.evaluation.predictions import PredictionTable, write_predictions
from foveate.files.documents import append_json_line, write_json, write_text
from foveate.hardware import device_of
from foveate.inference.classifier import Classifier
from foveate.networks.answers import decision
from foveate.recipes.datasets import load_splits
from foveate.report.tables import accuracy_markdown, gate_markdown
from foveate.runs.run import Run, environment
from foveate.workflows.reports import measured_with, report_path


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
    gate: tuple[Gated, ...] = ()
    """Of an S3N that looked closer: what the threshold that was asked for did; without one, what others would do."""


def evaluate(
    run: Run | Path | str,
    *,
    split: str = "test",
    views: TestViews = TestViews.CENTRE,
    zoom_entropy_threshold: float | None = None,
    root: Path | None = None,
    on_error: OnError | None = None,
    batch_size: int = 32,
    hardware: HardwareConfig | None = None,
    results: Path | None = None,
    say: Callable[[str], None] = print,
) -> Evaluation:
    """Evaluate the run's network; write `evaluation/<split>-<views>` as JSON, Markdown and Parquet.

    With `zoom_entropy_threshold` the name ends in it, and the full evaluation's files stay as they are. So do those of
    one with another root, precision or the like: the name then says what differs (`report_path`).

    Args:
        run: A finished run, or its folder.
        split: train, validation or test.
        views: Which views of a photograph are averaged.
        zoom_entropy_threshold: Of an S3N: look closer only where the entropy of the first look, in nats, is above this;
            None: always, and the report of one view shows what thresholds would do.
        root: Where the data set lies now, if it has moved since the training.
        on_error: What to do about photographs that cannot be read; None: as the training did.
        batch_size: Photographs at a time.
        hardware: Where to compute; None: the fast choice of this machine.
        results: A file of JSON lines to which one row is added.
        say: Receives lines of progress.

    Raises:
        UserError: The hardware is not there, the split is empty, the data set's classes are not the run's, something
            cannot be read, the network's answer is not finite, or `zoom_entropy_threshold` is negative, there are
            several views, or the run's network looks once.
    """
    require(batch_size >= 1, "batch_size must be at least 1", batch_size)
    run = run if isinstance(run, Run) else Run.open(Path(run).expanduser())
    hardware = hardware or HardwareConfig()
    device_of(hardware)  # what is not there is said before the weights are read
    classifier = Classifier.place(run.load_network(), hardware, zoom_entropy_threshold=zoom_entropy_threshold)
    data = run.config.data if root is None else replace(run.config.data, root=root)
    on_error = on_error or data.on_error
    records = checked(records_of(run, data, split, say), on_error, say, data.largest_megapixels)
    shown = EvaluationViews(records, run.config.transforms, views)
    answers, milliseconds = _answers(classifier, evaluation_loader(shown, batch_size, workers=hardware.workers))
    origin = {"run": run.path, "split": split, "views": views, "root": data.root, "dataset": run.description.dataset}
    if zoom_entropy_threshold is not None:
        origin["zoom_entropy_threshold"] = zoom_entropy_threshold
    table = PredictionTable(
        tuple(record.id for record in records),
        np.array(labels_of(records)),
        decision(answers),
        run.class_names,
        {name: str(value) for name, value in origin.items()},
    )
    accuracy = measure_accuracy(table.probabilities, table.labels)
    name = f"{split}-{views.value}" + ("" if zoom_entropy_threshold is None else f"-above-{zoom_entropy_threshold:g}")
    settings = measured_with(data.root, on_error, classifier, hardware)
    report = report_path(run.path / "evaluation", name, settings, "evaluation", say)
    branches, gate = _branch_top1(answers, table), _gate(classifier, answers, table, views)
    done = Evaluation(accuracy, table, records, report, branches, milliseconds, gate)
    if results is not None:
        append_json_line(results, result_row(run, split, views, done, zoom_entropy_threshold), timed="milliseconds")
    _write(
        run, done, answers, {"report": name, "settings": settings}
    )  # its JSON last: `reproduce` takes it for the sign that all is there
    return done


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
    views = network.further_views
    measured = (answers[Branch.ORIGINAL], table.probabilities, table.labels, views)
    if above is not None:
        return (replace(at_threshold(*measured, above), changed=None),)
    return gate_curve(*measured) if views and shown is TestViews.CENTRE else ()


def records_of(
    run: Run, data: DataConfig, split: str, say: Callable[[str], None] | None = None
) -> Sequence[ImageRecord]:
    """Return the photographs of a split of the run's data set; `say` receives what is to be known of it.

    Raises:
        UserError: It has other classes than the run, or photographs of a test were trained on.
    """
    splits = load_splits(data, say)
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


def _write(
    run: Run, done: Evaluation, answers: Mapping[Branch, Float[np.ndarray, "n c"]], origin: Mapping[str, object]
) -> None:
    report, table = done.report, done.table
    write_predictions(report.with_suffix(".parquet"), table)
    if len(answers) > 1:
        for branch, probabilities in answers.items():
            path = report.with_name(f"{report.stem}-{branch.value}.parquet")
            write_predictions(path, replace(table, probabilities=probabilities))
    title = f"{run.path.name}, {table.metadata['split']} split"
    write_text(report, evaluation_markdown(done, title))
    measured = {
        "accuracy": asdict(done.accuracy),
        "branches": {name: asdict(top1) for name, top1 in done.branches.items()},
        "gate": [asdict(each) for each in done.gate],
        "milliseconds": done.milliseconds,
        **table.metadata,
        **origin,
        "environment": environment(),
    }
    write_json(report.with_suffix(".json"), measured)


def evaluation_markdown(done: Evaluation, title: str) -> str:
    """Return what was measured as Markdown."""
    accuracy = accuracy_markdown(done.accuracy, title, done.branches)
    return f"{accuracy}\n{gate_markdown(done.gate)}" if done.gate else accuracy


def result_row(
    run: Run, split: str, views: TestViews, done: Evaluation, zoom_entropy_threshold: float | None = None
) -> dict[str, object]:
    """Return one row of a results file: what was trained, how, and what came out, in per cent."""
    config, trained = run.config, run.environment()
    accuracy = done.accuracy
    return {
        "method": config.network.method,
        **config.network.settings(),
        "base": config.network.base,
        "dataset": run.description.dataset,
        "split": split,
        "views": views.value,
        "input_size": config.transforms.input_size,
        "source_size": config.transforms.source,
        "seed": config.seed,
        "top1": round(100 * accuracy.top1.value, 2),
        "top5": round(100 * accuracy.top5.value, 2),
        "branches": {name: round(100 * top1.value, 2) for name, top1 in done.branches.items()},
        "milliseconds": done.milliseconds,
        "epochs": config.trained_epochs,
        "schedule": schedule_of(config.optimiser),
        "minutes": run.metrics()["minutes"],
        "command": trained["command"],
        "commit": trained["commit"],
        "hardware": trained["hardware"],
    } | _gated(done, zoom_entropy_threshold)


def _gated(done: Evaluation, zoom_entropy_threshold: float | None) -> dict[str, object]:
    """Return what a row says of where the network looked closer; nothing where it did everywhere."""
    if zoom_entropy_threshold is None:
        return {}
    (gate,) = done.gate
    return {
        "zoom_entropy_threshold": zoom_entropy_threshold,
        "looked_again": round(100 * gate.share, 2),
        "passes": round(gate.passes, 3),
    }


def schedule_of(config: OptimiserConfig) -> str | None:
    """Say how the learning rate moved; None for the usual one-cycle, and in rows that are older than this entry."""
    if config.schedule is Schedule.ONE_CYCLE:
        return None
    drops = [f"{share:.3g}" for share in config.milestones if config.schedule is Schedule.STEP]
    return " ".join([config.schedule.value, *drops])
