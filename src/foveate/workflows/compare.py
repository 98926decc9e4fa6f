"""Compare runs, Guided Zooms and ensembles: accuracy, differences, cost, and the photographs that tell them apart."""

from __future__ import annotations

import statistics
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from foveate.config.data import Split
from foveate.data.records import ImageRecord, number_of_groups
from foveate.drawing.notebook import html_table
from foveate.errors import UserError
from foveate.evaluation.bootstrap import Estimate
from foveate.evaluation.mcnemar import mcnemar
from foveate.evaluation.paired_difference import paired_difference
from foveate.evaluation.predictions import check_classes
from foveate.files.documents import unstructured, write_json, write_text
from foveate.progress import progress
from foveate.report.comparison import ComparisonRow, Cost, comparison_markdown
from foveate.runs.context import HERE, RunContext
from foveate.runs.environment import environment
from foveate.workflows.compared_models import ComparedEntry, ComparedModel, compared_model
from foveate.workflows.compared_sides import ComparedSide, compared_sides, grouped_alike
from foveate.workflows.disagreement_files import file_words, write_disagreements
from foveate.workflows.report_paths import measured_with, report_path
from foveate.workflows.result_rows import add_row

_TIMED_PHOTOGRAPHS, _TIMED_ROUNDS = 16, 4  # the first round warms up
_NAMED = 2  # models that the name of a report names beside the first


@dataclass(frozen=True, slots=True)
class Comparison:
    """What was measured, and where it was written."""

    rows: tuple[ComparisonRow, ...]
    """One for each configuration, in the order in which they were given; all are compared with the first."""
    photographs: int
    report: Path
    """Of the Markdown. JSON, CSV and PNG lie beside it: the numbers, and the photographs that tell the models apart."""
    groups: int | None = None
    """How many groups the photographs are in, over which the intervals are; None: each stands for itself."""

    @property
    def markdown(self) -> str:
        """The report."""
        return self.report.read_text(encoding="utf-8")

    def _repr_html_(self) -> str:
        """Return what a notebook shows: each accuracy, and its difference from the first with its 95% interval."""
        rows = [
            (row.title, f"{100 * row.accuracy.value:.1f}", _points(row.difference), f"{row.cost.milliseconds:.1f}")
            for row in self.rows
        ]
        header = ("", "top-1, %", f"minus {self.rows[0].name}, points", "ms a photograph")
        over = "" if self.groups is None else f"; intervals over {self.groups:,} groups"
        return html_table(header, rows, f"compared on the same {self.photographs:,} photographs{over}")


def _points(difference: Estimate | None) -> str:
    if difference is None:
        return ""
    value, low, high = (100 * each for each in (difference.value, difference.low, difference.high))
    return f"{value:+.1f} ({low:+.1f} to {high:+.1f})"


def compare(
    *models: ComparedEntry | Sequence[ComparedEntry],
    split: Split | str = Split.TEST,
    out: Path | str | None = None,
    context: RunContext = HERE,
) -> Comparison:
    """Compare trained models on the same photographs: accuracy, paired differences from the first, and cost.

    >>> import foveate
    >>> quiet = foveate.RunContext(say=lambda line: None)
    >>> comparison = foveate.compare("runs/plain", "runs/mine", ["runs/mine", "runs/plain"], context=quiet)
    >>> [row.name for row in comparison.rows]  # the last is an ensemble
    ['plain', 'mine', 'mean of mine, plain']
    >>> difference = comparison.rows[1].difference  # mine minus plain: value, low, high
    >>> comparison.rows[2].cost.passes
    4.0

    Runs that differ in their seed alone are one configuration, and so are such Guided Zooms: their accuracies are
    averaged. An interval is over photographs, or groups of them, and over seeds where there are several
    (`foveate.evaluation.paired_difference`). Kept answers are used (`evaluation/<split>-centre.parquet`, `splits/` of a
    Guided Zoom); those that are missing are found, and kept.

    Args:
        models: Two or more runs or Guided Zooms, or their folders. Several in a list are an ensemble: the mean of their
            probabilities, at the cost of all.
        split: Whose photographs are answered for.
        out: The folder of the report; None: the first one's `evaluation/`.
        context: As `RunContext` says; `results` gets a row for each run that is evaluated now, and for each ensemble of
            runs that differ in their seed alone.

    Raises:
        UserError: There is nothing to compare with, a folder is neither a run nor a Guided Zoom or is given twice, a
            training is not finished, or answers are to other photographs, labels or classes: how many differ is said.
    """
    split = Split(split)
    opened = [compared_model(each, split, context) for each in models]
    _check_several(opened)
    for each in opened[1:]:
        check_classes(opened[0].runs[0].class_names, each.runs[0].class_names)  # before any of them is evaluated
    records = _records(opened[0])
    sides = grouped_alike(compared_sides(opened), records)
    costs = answer_costs([side.models[0] for side in sides], records)
    rows = tuple(_row(sides[0], each, cost) for each, cost in zip(sides, costs, strict=True))
    folders = [" + ".join(str(folder.resolve()) for folder in each.folders) for each in opened]
    settings = {**measured_with(context, opened[0].runs[0]), "compared": folders}
    comparison = Comparison(rows, len(records), _report(sides, settings, out), number_of_groups(sides[0].groups))
    beside = ", ".join(each.name for each in _write(comparison, sides, records, settings))
    _add_rows(sides, costs, context)
    context.say(f"{comparison.markdown}\nwritten to {comparison.report} (also .json); the photographs: {beside}")
    return comparison


def _check_several(models: Sequence[ComparedModel]) -> None:
    if len(models) < 2:
        raise UserError(
            f"a comparison has two sides or more; got {len(models)}; give another run, Guided Zoom or ensemble"
        )
    keys = [tuple(sorted(str(folder.resolve()) for folder in each.folders)) for each in models]
    twice = next((key for index, key in enumerate(keys) if key in keys[:index]), None)
    if twice is not None:
        raise UserError(f"each side of a comparison is another one; got {' + '.join(twice)} twice; leave one out")


def _records(model: ComparedModel) -> list[ImageRecord]:
    """Return the photographs that were answered for, in the order of the answers."""
    run, table = model.runs[0], model.table
    known = {record.id: record for record in model.context.photographs_of(run, model.split)}
    missing = [each for each in table.ids if each not in known]
    if missing:
        raise UserError(
            f"kept answers are shown with the photographs that they belong to; {len(missing)} of {len(table.ids)} are "
            f"not in the {model.split} split of {model.context.data_of(run).root}, {missing[0]!r} first; restore them, "
            f"or give `foveate evaluate {run.path}` again"
        )
    return [known[each] for each in table.ids]


def answer_costs(models: Sequence[ComparedModel], records: Sequence[ImageRecord]) -> list[Cost]:
    """Measure what an answer of each costs: all in turn, some photographs at a time; the median of the rounds."""
    count = min(_TIMED_PHOTOGRAPHS, len(records))
    spread = [records[index] for index in np.linspace(0, len(records) - 1, count).astype(int)]
    prepared = [each.prepared(spread) for each in models]
    seconds: list[list[float]] = [[] for _ in models]
    with progress("timing", _TIMED_ROUNDS, models[0].context.say) as advance:
        for number in range(_TIMED_ROUNDS):
            for times, each in zip(seconds, prepared, strict=True):
                began = time.perf_counter()
                each.answer()
                times.append(time.perf_counter() - began)
            advance(number + 1)
    return [
        Cost(float(each.passes), 1e3 * statistics.median(times[1:]) / count, model.megabytes)
        for model, each, times in zip(models, prepared, seconds, strict=True)
    ]


def _row(first: ComparedSide, side: ComparedSide, cost: Cost) -> ComparisonRow:
    right, same, groups = side.right, side is first, first.groups
    return ComparisonRow(
        name=side.name,
        folders=tuple(each.folders for each in side.models),
        seeds=tuple(each.seeds for each in side.models),
        top1=tuple(map(float, right.mean(1))),
        accuracy=side.accuracy,
        cost=cost,
        difference=None if same else paired_difference(first.right, right, groups),
        tests=() if same else tuple(mcnemar(a, b, groups) for a in first.right for b in right),
    )


def _add_rows(sides: Sequence[ComparedSide], costs: Sequence[Cost], context: RunContext) -> None:
    """Add the rows of ensembles to the results, where there are to be any."""
    if context.results is None:
        return
    for side, cost in zip(sides, costs, strict=True):
        if (row := side.models[0].row(cost)) is not None:
            add_row(context.results, row)


def _report(sides: Sequence[ComparedSide], settings: Mapping[str, object], out: Path | str | None) -> Path:
    """Return where the report is to be written: under the names of those that are compared."""
    first, others = sides[0].models[0], [each.name for each in sides[1:]]
    more = [f"{len(others) - _NAMED} more"] if len(others) > _NAMED else []
    words = f"{first.split}-{sides[0].name} against {' and '.join([*others[:_NAMED], *more])}"
    folder = first.folders[0] / "evaluation" if out is None else Path(out).expanduser()
    return report_path(folder, file_words(words), settings, "comparison", first.context.say)


def _write(
    comparison: Comparison,
    sides: Sequence[ComparedSide],
    records: Sequence[ImageRecord],
    settings: Mapping[str, object],
) -> tuple[Path, ...]:
    """Write everything, the JSON last; return the files that show photographs."""
    report, model = comparison.report, sides[0].models[0]
    title = f"{model.split} split of {model.runs[0].description.dataset}"
    write_text(report, comparison_markdown(comparison.rows, title, len(records), comparison.groups))
    beside = write_disagreements(report, sides, records)
    content = {
        "split": model.split.value,
        "dataset": model.runs[0].description.dataset,
        "photographs": len(records),
        "groups": comparison.groups,
        "classes": len(model.runs[0].class_names),
        "compared": [unstructured(row) for row in comparison.rows],
        "settings": dict(settings),
        "environment": environment(),
    }
    write_json(report.with_suffix(".json"), content)
    return beside
