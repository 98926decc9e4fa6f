"""Compare runs, Guided Zooms and ensembles: accuracy, differences, cost, and the photographs that tell them apart."""

from __future__ import annotations

import statistics
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from foveate.config.data import Split
from foveate.data.records import ImageRecord
from foveate.errors import UserError
from foveate.evaluation.mcnemar import mcnemar
from foveate.evaluation.paired_difference import paired_difference
from foveate.evaluation.predictions import check_classes
from foveate.files.documents import unstructured, write_json, write_text
from foveate.progress import progress
from foveate.report.comparison import ComparisonRow, Cost, comparison_markdown
from foveate.runs.context import HERE, RunContext
from foveate.runs.environment import environment
from foveate.workflows.compared_groups import ComparedGroup, compared_groups
from foveate.workflows.compared_models import ComparedEntry, ComparedModel, compared_model
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

    @property
    def markdown(self) -> str:
        """The report."""
        return self.report.read_text(encoding="utf-8")


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
    averaged. An interval is over photographs, and over seeds where there are several
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
    groups = compared_groups(opened)
    records = _records(groups[0].models[0])
    costs = answer_costs([group.models[0] for group in groups], records)
    rows = tuple(_row(groups[0], each, cost) for each, cost in zip(groups, costs, strict=True))
    folders = [" + ".join(str(folder.resolve()) for folder in each.folders) for each in opened]
    settings = {**measured_with(context, opened[0].runs[0]), "compared": folders}
    comparison = Comparison(rows, len(records), _report(groups, settings, out))
    beside = ", ".join(each.name for each in _write(comparison, groups, records, settings))
    _add_rows(groups, costs, context)
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
    with progress("timing", _TIMED_ROUNDS) as advance:
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


def _row(first: ComparedGroup, group: ComparedGroup, cost: Cost) -> ComparisonRow:
    right, same = group.right, group is first
    return ComparisonRow(
        name=group.name,
        folders=tuple(each.folders for each in group.models),
        seeds=tuple(each.seeds for each in group.models),
        top1=tuple(map(float, right.mean(1))),
        accuracy=group.accuracy,
        cost=cost,
        difference=None if same else paired_difference(first.right, right),
        tests=() if same else tuple(mcnemar(a, b) for a in first.right for b in right),
    )


def _add_rows(groups: Sequence[ComparedGroup], costs: Sequence[Cost], context: RunContext) -> None:
    """Add the rows of ensembles to the results, where there are to be any."""
    if context.results is None:
        return
    for group, cost in zip(groups, costs, strict=True):
        if (row := group.models[0].row(cost)) is not None:
            add_row(context.results, row)


def _report(groups: Sequence[ComparedGroup], settings: Mapping[str, object], out: Path | str | None) -> Path:
    """Return where the report is to be written: under the names of those that are compared."""
    first, others = groups[0].models[0], [each.name for each in groups[1:]]
    more = [f"{len(others) - _NAMED} more"] if len(others) > _NAMED else []
    words = f"{first.split}-{groups[0].name} against {' and '.join([*others[:_NAMED], *more])}"
    folder = first.folders[0] / "evaluation" if out is None else Path(out).expanduser()
    return report_path(folder, file_words(words), settings, "comparison", first.context.say)


def _write(
    comparison: Comparison,
    groups: Sequence[ComparedGroup],
    records: Sequence[ImageRecord],
    settings: Mapping[str, object],
) -> tuple[Path, ...]:
    """Write everything, the JSON last; return the files that show photographs."""
    report, model = comparison.report, groups[0].models[0]
    title = f"{model.split} split of {model.runs[0].description.dataset}"
    write_text(report, comparison_markdown(comparison.rows, title, len(records)))
    beside = write_disagreements(report, groups, records)
    content = {
        "split": model.split.value,
        "dataset": model.runs[0].description.dataset,
        "photographs": len(records),
        "classes": len(model.runs[0].class_names),
        "compared": [unstructured(row) for row in comparison.rows],
        "settings": dict(settings),
        "environment": environment(),
    }
    write_json(report.with_suffix(".json"), content)
    return beside
