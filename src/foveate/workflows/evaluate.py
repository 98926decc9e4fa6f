"""Measure a run on a split, and keep every answer."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float

from foveate.config.branches import Branch
from foveate.config.data import Split, TestViews
from foveate.data.records import ImageRecord, groups_of, labels_of
from foveate.drawing.notebook import html_table
from foveate.evaluation.accuracy import Accuracy, measure_accuracy
from foveate.evaluation.bootstrap import Estimate
from foveate.evaluation.calibration_check import CalibrationCheck, check_calibration
from foveate.evaluation.frequency_groups import FrequencyGroup, frequency_groups
from foveate.evaluation.gating import Gated, at_threshold, gate_curve
from foveate.evaluation.predictions import PredictionTable, write_predictions
from foveate.evaluation.view_weights import better_view
from foveate.files.documents import unstructured, write_json, write_text
from foveate.inference.classifier import Classifier
from foveate.progress import progress
from foveate.report.result_versions import Measured
from foveate.report.tables import accuracy_markdown, calibration_markdown, frequency_markdown, gate_markdown
from foveate.runs.context import HERE, RunContext
from foveate.runs.environment import environment
from foveate.runs.held_out import read_held_out
from foveate.runs.run import Run
from foveate.workflows.answered_batches import AnsweredBatch, answered_batches
from foveate.workflows.operations import gflop_of_an_answer
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
    passes: float
    """Passes of the network for the answer to one photograph, on average."""
    calibration: CalibrationCheck
    """Whether the answers, and what the run's held-out answers promise of them, keep their word."""
    gate: tuple[Gated, ...] = ()
    """Of an S3N that looked closer: what the threshold that was asked for did; without one, what others would do."""
    frequency: tuple[FrequencyGroup, ...] = ()
    """Accuracy of frequent and rare classes, where the training photographs are uneven."""

    @property
    def numbers(self) -> dict[str, float]:
        """The accuracies with their intervals, in [0, 1], by names that begin with the split's."""
        split = self.table.metadata["split"]
        measures = {**self.accuracy.telling, "mean per class": self.accuracy.mean_per_class}
        return {
            f"{split}/{name}{ending}": value
            for name, each in measures.items()
            for ending, value in (("", each.value), (" low", each.low), (" high", each.high))
        }

    def _repr_html_(self) -> str:
        """Return what a notebook shows: the accuracy, and each branch where there are several."""
        if len(self.branches) < 2:
            return self.accuracy._repr_html_()
        rows = [(name, f"{100 * each.value:.1f}") for name, each in self.branches.items()]
        return self.accuracy._repr_html_() + html_table(("", "top-1, %"), rows, "what each view says alone")


def evaluate(
    run: Run | Path | str,
    *,
    split: Split | str = Split.TEST,
    views: TestViews = TestViews.CENTRE,
    zoom_entropy_threshold: float | None = None,
    branch: Branch | str | None = None,
    context: RunContext = HERE,
) -> Evaluation:
    """Evaluate the run's network; write `evaluation/<split>-<views>` as JSON, Markdown and Parquet.

    With `zoom_entropy_threshold` or `branch` the name ends in it, and the full evaluation's files stay as they are. So
    do those of one with another root, precision or the like: the name then says what differs (`report_path`). Where
    one of a network's views is right more often than its decision, that is said.

    Args:
        run: A finished run, or its folder.
        split: Whose photographs are answered for.
        views: Which views of a photograph are averaged.
        zoom_entropy_threshold: Of an S3N: look closer only where the entropy of the first look, in nats, is above this;
            None: always, and the report of one view shows what thresholds would do.
        branch: The one branch that answers, as in `load`; None: all decide, and each is measured.
        context: As `RunContext` says.

    Raises:
        UserError: The hardware is not there, the split is empty, the data set's classes are not the run's, something
            cannot be read, the network's answer is not finite, or `zoom_entropy_threshold` is negative, there are
            several views, or the run's network looks once, or has no such branch.
    """
    run, split = Run.of(run), Split(split)
    classifier = context.classifier_of(run, zoom_entropy_threshold=zoom_entropy_threshold, branch=branch)
    records = context.readable(run, context.photographs_of(run, split, announced=True))
    batches = answered_batches(classifier, run, records, views, context)
    answers, milliseconds = _collected(batches, len(records), context.say)
    origin = {"run": run.path, "split": split, "views": views, "root": context.data_of(run).root}
    table = _table(run, records, _decided(classifier, answers), origin, classifier)
    name = f"{split}-{views.value}{_ending(classifier)}"
    settings = measured_with(context, run, classifier)
    report = report_path(run.path / "evaluation", name, settings, "evaluation", context.say)
    evaluation = _measured(run, classifier, answers, table, records, views, report, milliseconds)
    if context.results is not None:
        add_row(context.results, _row(run, split, views, evaluation, classifier))
    _write(run, evaluation, _reported(classifier, answers), {"report": name, "settings": settings})
    if branch is None and zoom_entropy_threshold is None and (warning := _said_of_views(run, answers, evaluation)):
        context.say(warning)
    return evaluation


def _measured(
    run: Run,
    classifier: Classifier,
    answers: Mapping[Branch, Float[np.ndarray, "n c"]],
    table: PredictionTable,
    records: Sequence[ImageRecord],
    views: TestViews,
    report: Path,
    milliseconds: float,
) -> Evaluation:
    gate = _gate(classifier, answers, table, views)
    gated = classifier.zoom_entropy_threshold is not None
    return Evaluation(
        accuracy=measure_accuracy(table.probabilities, table.labels, table.groups),
        table=table,
        records=records,
        report=report,
        branches=_branch_top1(_reported(classifier, answers), table),
        milliseconds=milliseconds,
        passes=views.number * (gate[0].passes if gated else classifier.passes),
        calibration=check_calibration(
            _decided(classifier, answers, calibrated=False), table, _held_out(run, classifier)
        ),
        gate=gate,
        frequency=frequency_groups(table.probabilities, table.labels, run.training_counts(), table.groups),
    )


def _ending(classifier: Classifier) -> str:
    """Return what the name of a report ends in where not all views decide."""
    if classifier.branch is not None:
        return f"-{classifier.branch}-alone"
    above = classifier.zoom_entropy_threshold
    return "" if above is None else f"-above-{above:g}"


def _table(
    run: Run,
    records: Sequence[ImageRecord],
    probabilities: Float[np.ndarray, "n c"],
    origin: Mapping[str, object],
    classifier: Classifier,
) -> PredictionTable:
    alone, weights = classifier.branch, classifier.calibration.view_weights
    answering = {
        "zoom_entropy_threshold": classifier.zoom_entropy_threshold,
        "branch": alone,
        "view_weights": None if alone is not None else weights,
        "temperature": None if classifier.calibration.temperature == 1 else classifier.calibration.temperature,
    }
    origin = {**origin, "dataset": run.description.dataset}
    origin |= {name: value for name, value in answering.items() if value is not None}
    return PredictionTable(
        tuple(record.id for record in records),
        np.array(labels_of(records)),
        probabilities,
        run.class_names,
        {name: str(value) for name, value in origin.items()},
        groups_of(records),
    )


def _collected(
    batches: Iterable[AnsweredBatch], photographs: int, say: Callable[[str], None]
) -> tuple[dict[Branch, Float[np.ndarray, "n c"]], float]:
    """Return every branch's probabilities, and the milliseconds of one photograph in the network."""
    collected, seconds, count = [], 0.0, 0
    with progress("answering", photographs, say) as advance:
        for batch in batches:
            collected.append(batch.answers)
            seconds += batch.seconds
            count += batch.photographs
            advance(count)
    answers = {branch: np.concatenate([each[branch] for each in collected]) for branch in collected[0]}
    return answers, round(1e3 * seconds / count, 2)


def _decided(
    classifier: Classifier, answers: Mapping[Branch, Float[np.ndarray, "n c"]], *, calibrated: bool = True
) -> Float[np.ndarray, "n c"]:
    """Return the answers that count."""
    calibration = classifier.calibration if calibrated else replace(classifier.calibration, temperature=1.0)
    return calibration.decided({branch: torch.from_numpy(each) for branch, each in answers.items()}).numpy()


def _held_out(run: Run, classifier: Classifier) -> PredictionTable | None:
    """Return the run's held-out answers, decided as `classifier` does; None where it has none."""
    held_out = read_held_out(run.path)
    if held_out is None:
        return None
    return held_out.gated(classifier.zoom_entropy_threshold).decided(classifier.calibration)


def _reported(
    classifier: Classifier, answers: Mapping[Branch, Float[np.ndarray, "n c"]]
) -> Mapping[Branch, Float[np.ndarray, "n c"]]:
    """Return the answers that are those of the branches; of a gated network, its zoomed views' are not everywhere."""
    if classifier.zoom_entropy_threshold is None:
        return answers
    return {branch: answers[branch] for branch in (Branch.ORIGINAL, Branch.JOINT)}


def _branch_top1(answers: Mapping[Branch, Float[np.ndarray, "n c"]], table: PredictionTable) -> dict[str, Estimate]:
    named = {branch.value: probabilities for branch, probabilities in answers.items()}
    if len(named) > 2:  # a gated joint answer repeats the first one
        named["mean"] = np.mean(list(answers.values()), axis=0)
    return {name: measure_accuracy(each, table.labels, table.groups).top1 for name, each in named.items()}


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
    return gate_curve(*measured) if views and classifier.branch is None and shown is TestViews.CENTRE else ()


def _write(
    run: Run,
    evaluation: Evaluation,
    answers: Mapping[Branch, Float[np.ndarray, "n c"]],
    origin: Mapping[str, object],
) -> None:
    """Write everything; the JSON last, which `reproduce` takes for the sign that all is there."""
    report, table = evaluation.report, evaluation.table
    write_predictions(report.with_suffix(".parquet"), table)
    if len(answers) > 1 and "branch" not in table.metadata:
        for branch, probabilities in answers.items():
            path = report.with_name(f"{report.stem}-{branch.value}.parquet")
            write_predictions(path, replace(table, probabilities=probabilities))
    title = f"{run.path.name}, {table.metadata['split']} split"
    write_text(report, evaluation_markdown(evaluation, title))
    measured = {
        "accuracy": asdict(evaluation.accuracy),
        "branches": {name: asdict(top1) for name, top1 in evaluation.branches.items()},
        "gate": [asdict(each) for each in evaluation.gate],
        "frequency": [asdict(each) for each in evaluation.frequency],
        "calibration": unstructured(evaluation.calibration),
        "milliseconds": evaluation.milliseconds,
        "passes": evaluation.passes,
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
        *([frequency_markdown(evaluation.frequency)] if evaluation.frequency else []),
        *([gate_markdown(evaluation.gate)] if evaluation.gate else []),
    ]
    return "\n".join(blocks)


def _said_of_views(run: Run, answers: Mapping[Branch, Float[np.ndarray, "n c"]], evaluation: Evaluation) -> str | None:
    """Return a warning where one of the network's views is right more often than its decision."""
    table = evaluation.table
    better = better_view(answers, table.probabilities, table.labels, table.groups)
    if better is None:
        return None
    branch, accuracy, decided, lost = better
    mend = "" if "view_weights" in table.metadata else f"`foveate tune {run.path}` lets held-out photographs choose; "
    chance = "beyond" if lost.beyond_one_error else "within"
    return (
        f"warning: all views together are right on {100 * decided:.1f}% of these photographs, the {branch} view alone "
        f"on {100 * accuracy:.1f}%, {100 * lost.value:.1f} points more, {chance} "
        f"one standard error ({100 * lost.standard_error:.1f}, paired); {mend}--branch {branch} answers by that alone"
    )


def _row(run: Run, split: Split, views: TestViews, evaluation: Evaluation, classifier: Classifier) -> dict[str, object]:
    """Return one row of a results file, in per cent."""
    accuracy = evaluation.accuracy
    return {
        **result_row(Measured.ACCURACY, run, split, len(evaluation.records)),
        "views": views.value,
        "passes": round(evaluation.passes, 3),
        "gflop": _gflop(run, views, classifier),
        "top1": round(100 * accuracy.top1.value, 2),
        "top5": round(100 * accuracy.top5.value, 2),
        "branches": {name: round(100 * top1.value, 2) for name, top1 in evaluation.branches.items()},
        "milliseconds": evaluation.milliseconds,
        "minutes": run.metrics()["minutes"],
    } | _deciding(evaluation, classifier)


def _gflop(run: Run, views: TestViews, classifier: Classifier) -> float | None:
    """Return what an answer costs; None where that depends on the photograph."""
    if classifier.zoom_entropy_threshold is not None:
        return None
    return float(f"{views.number * gflop_of_an_answer(classifier, run.config.transforms.source):.3g}")


def _deciding(evaluation: Evaluation, classifier: Classifier) -> dict[str, object]:
    """Return what a row says of which views decide; nothing where the network's own decision counts everywhere."""
    if classifier.branch is not None:
        return {"branch": classifier.branch.value}
    weights, above = classifier.calibration.view_weights, classifier.zoom_entropy_threshold
    said: dict[str, object] = {} if weights is None else {"view_weights": weights}
    if above is None:
        return said
    (gate,) = evaluation.gate
    return said | {"zoom_entropy_threshold": above, "looked_again": round(100 * gate.share, 2)}
