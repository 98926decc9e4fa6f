"""Judge the kept answers of a run or a Guided Zoom: calibration, risk by coverage, alarms, confused classes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int

from foveate.config.data import Split, TestViews
from foveate.data.images import read_image
from foveate.errors import UserError
from foveate.evaluation.alarms import Alarm, alarm, highest
from foveate.evaluation.calibration import Judged, reliability
from foveate.evaluation.config import TrustStudy
from foveate.evaluation.confusion import confused_pairs, confusion_matrix
from foveate.evaluation.predictions import read_predictions
from foveate.evaluation.risk_coverage import risk_coverage
from foveate.files.documents import unstructured, write_json, write_text
from foveate.guided_zoom.refined_probabilities import refined_probabilities
from foveate.networks.answers import ranked_classes
from foveate.report.result_versions import Measured
from foveate.report.sheet import SheetAnswer, answer_sheet
from foveate.report.trust import (
    NamedPair,
    TrustMeasures,
    alarms_markdown,
    pairs_markdown,
    plot_confusion,
    plot_reliability,
    plot_risk,
    trust_markdown,
)
from foveate.runs.context import HERE, RunContext
from foveate.runs.environment import environment
from foveate.runs.guided_zoom_run import GuidedZoomRun
from foveate.runs.run import Run
from foveate.workflows.report_paths import kept_report, measured_with, report_path
from foveate.workflows.result_rows import add_row, result_row, zoom_row
from foveate.workflows.split_evidence import evidence_of_split

FIRST, REFINED = "first answer", "refined answer"


class _Answers(NamedTuple):
    """Answers to the same photographs, the ones that count last."""

    run: Run
    """Of the network; a Guided Zoom's conventional one."""
    zoom: GuidedZoomRun | None
    ids: tuple[str, ...]
    labels: Int[np.ndarray, " n"]
    probabilities: Mapping[str, Float[np.ndarray, "n c"]]
    name: str
    """Of the report."""
    title: str
    """What is judged."""
    settings: Mapping[str, object]
    """How the answers were made, beside the run, as far as the report's name does not say it."""
    folder: Path
    """Of the report."""

    @property
    def counting(self) -> str:
        """The kind of answers that counts."""
        return list(self.probabilities)[-1]


@dataclass(frozen=True, slots=True)
class TrustReport:
    """What was measured, by the kind of answers; the answers that count come last."""

    measures: Mapping[str, TrustMeasures]
    alarms: Mapping[str, Mapping[str, Alarm]]
    """For each kind of answers, by what raises the alarm; nothing for a run, whose answers nobody disagrees with."""
    pairs: tuple[NamedPair, ...]
    """The classes most often taken for each other by the answers that count."""
    report: Path
    """Of the Markdown; JSON and pictures lie beside it."""


def measure_trust(
    folder: Run | GuidedZoomRun | Path | str,
    study: TrustStudy | None = None,
    *,
    split: Split | str = Split.TEST,
    views: TestViews = TestViews.CENTRE,
    context: RunContext = HERE,
) -> TrustReport:
    """Judge kept answers; of a Guided Zoom those before and those after refinement.

    Those of a Guided Zoom are compared alike: neither is divided by a temperature, and the report's title says so. The
    answers of a run are as `foveate evaluate` kept them, calibrated where the run is.

    Writes `evaluation/<split>-trust` (of a run with the views' name) as Markdown and JSON, and pictures beside it.

    Args:
        folder: A run whose split `foveate evaluate` has answered for, or a Guided Zoom, whose evidence is looked for
            where it is not kept.
        study: Bins and pairs; None: 15 and 8.
        split: Whose answers are judged.
        views: Which evaluation of a run.
        context: As `RunContext` says.

    Raises:
        UserError: The answers are not kept, or the data set is not theirs.
    """
    study, split = study or TrustStudy(), Split(split)
    folder = Path(folder).expanduser() if isinstance(folder, Path | str) else folder
    if isinstance(folder, Path):
        folder = GuidedZoomRun.open(folder) if GuidedZoomRun.is_at(folder) else Run.open(folder)
    if isinstance(folder, GuidedZoomRun):
        answers = _refined(folder, split, context)
    else:
        answers = _predicted(folder, split, views, context)
    judged = {name: Judged.of(each, answers.labels) for name, each in answers.probabilities.items()}
    measures = {name: _measures(each, study.bins) for name, each in judged.items()}
    settings = {**answers.settings, **unstructured(study)}
    path = report_path(answers.folder, answers.name, settings, "judgement", context.say)
    report = TrustReport(measures, _alarms(judged), _pairs(answers, judged, study), path)
    examples = _examples(answers, report, split, context)
    context.say(_written(answers, report, judged, study, examples, settings))
    if context.results is not None:
        add_row(context.results, _row(answers, report, split))
    return report


def _predicted(run: Run, split: Split, views: TestViews, context: RunContext) -> _Answers:
    folder = run.path / "evaluation"
    file = kept_report(folder, f"{split}-{views.value}", context.root, context.say).with_suffix(".parquet")
    if not file.exists():
        raise UserError(
            f"answers are judged that are kept; {run.path} keeps none of the {split} split, views {views.value}; give "
            f"`foveate evaluate {run.path} --split {split} --views {views.value}` first"
        )
    table, title = read_predictions(file), f"{run.path.name}, {split} split"
    name = f"{file.stem}-trust"
    return _Answers(run, None, table.ids, table.labels, {"answer": table.probabilities}, name, title, {}, folder)


def _refined(zoom: GuidedZoomRun, split: Split, context: RunContext) -> _Answers:
    config = zoom.description.refinement
    table = evidence_of_split(zoom, split, config, context=context)
    refined = refined_probabilities(table.probabilities, table.evidence.classes, table.refined(config), config.scores)
    answers = {FIRST: table.probabilities.numpy(), REFINED: refined.numpy()}
    run, title = zoom.base_run(), f"{zoom.path.name}, {split} split, not calibrated"
    settings = {**measured_with(context, run), **unstructured(config)}
    folder = zoom.path / "evaluation"
    return _Answers(run, zoom, table.ids, table.labels, answers, f"{split}-trust", title, settings, folder)


def _measures(judged: Judged, bins: int) -> TrustMeasures:
    accuracy, confidence = float(judged.right.mean()), float(judged.confidence.mean())
    return TrustMeasures(accuracy, confidence, reliability(judged, bins), risk_coverage(judged))


def _alarms(judged: Mapping[str, Judged]) -> dict[str, dict[str, Alarm]]:
    """Compare disagreement with entropy, the first answer's, as often raised: for the errors of both answers."""
    if REFINED not in judged:
        return {}
    disagreement: Bool[np.ndarray, " n"] = judged[REFINED].answers != judged[FIRST].answers
    raised = {
        "the two disagree": disagreement,
        "highest entropy of the first": highest(judged[FIRST].entropy, int(disagreement.sum())),
        "highest entropy of the refined": highest(judged[REFINED].entropy, int(disagreement.sum())),
    }
    return {answers: {name: alarm(each, judged[answers].right) for name, each in raised.items()} for answers in judged}


def _pairs(answers: _Answers, judged: Mapping[str, Judged], study: TrustStudy) -> tuple[NamedPair, ...]:
    names = answers.run.class_names
    last = judged[answers.counting]
    return tuple(
        NamedPair(
            names[each.first], names[each.second], each.first_as_second, each.second_as_first, answers.ids[each.example]
        )
        for each in confused_pairs(last, len(names), study.pairs)
    )


def _written(
    answers: _Answers,
    report: TrustReport,
    judged: Mapping[str, Judged],
    study: TrustStudy,
    examples: Sequence[SheetAnswer],
    settings: Mapping[str, object],
) -> str:
    """Write everything that was measured, and return it as Markdown."""
    counting, names, title = answers.counting, answers.run.class_names, answers.title
    markdown = trust_markdown(report.measures, f"{title}, trust", len(answers.ids), study.bins)
    if report.alarms:
        markdown += f"\n{alarms_markdown(report.alarms)}"
    markdown += f"\n{pairs_markdown(report.pairs, counting)}"
    write_text(report.report, markdown)
    matrix = confusion_matrix(judged[counting], len(names))
    content = {
        "photographs": len(answers.ids),
        "answers": {name: _document(each) for name, each in report.measures.items()},
        "alarms": _alarms_document(report),
        "confusion": {"answers": counting, "class_names": list(names), "matrix": matrix.tolist()},
        "pairs": [unstructured(each) for each in report.pairs],
        "settings": dict(settings),
        "environment": environment(),
    }
    write_json(report.report.with_suffix(".json"), content)
    plot_reliability(report.measures, _beside(report.report, "reliability"))
    plot_risk(report.measures, _beside(report.report, "risk"))
    plot_confusion(matrix, names, f"{title}, {counting}", _beside(report.report, "confusion"))
    if examples:
        answer_sheet(examples, _beside(report.report, "pairs"), f"{title}: the most confused classes, {counting}")
    drawn = ("reliability", "risk", "confusion", *(["pairs"] if examples else []))
    return f"{markdown}\nwritten to {report.report} (also .json, {', '.join(f'-{name}.png' for name in drawn)})"


def _beside(report: Path, name: str) -> Path:
    return report.with_name(f"{report.stem}-{name}.png")


def _document(measures: TrustMeasures) -> dict[str, object]:
    """Return what was measured as JSON can hold it; an empty bin has no accuracy."""

    def column(values: np.ndarray) -> list[float | None]:
        return [None if np.isnan(value) else value for value in values.tolist()]

    bins, risk = measures.reliability, measures.risk
    return {
        "accuracy": measures.accuracy,
        "confidence": measures.confidence,
        "ece": bins.error,
        "aurc": risk.area,
        "excess_aurc": risk.excess,
        "bins": {name: column(each) for name, each in bins._asdict().items()},
        "coverage": column(risk.coverage),
        "risk": column(risk.risk),
    }


def _alarms_document(report: TrustReport) -> dict[str, object]:
    return {name: {key: unstructured(each) for key, each in every.items()} for name, every in report.alarms.items()}


def _examples(answers: _Answers, report: TrustReport, split: Split, context: RunContext) -> list[SheetAnswer]:
    """Return a photograph of each pair of classes that are taken for each other."""
    records = context.photographs_of(answers.run, split) if report.pairs else ()
    known = {record.id: record for record in records}
    row = {name: index for index, name in enumerate(answers.ids)}
    examples = []
    for each in report.pairs:
        record = known.get(each.example)
        if record is None:
            raise UserError(
                f"kept answers are shown with the photographs that they belong to; {each.example!r} is not in the "
                f"{split} split of {context.data_of(answers.run).root}; restore it, or give `foveate evaluate` again"
            )
        probabilities = answers.probabilities[answers.counting][row[each.example]]
        image = read_image(record.image, record.id, largest_megapixels=None)
        top = ranked_classes(probabilities, answers.run.class_names, 3)
        examples.append(SheetAnswer(image, record.class_name, top))
    return examples


def _row(answers: _Answers, report: TrustReport, split: Split) -> dict[str, object]:
    """Return one row of a results file, in per cent."""
    count, zoom = len(answers.ids), answers.zoom
    row = (
        result_row(Measured.TRUST, answers.run, split, count)
        if zoom is None
        else zoom_row(Measured.TRUST, zoom, split, count)
    )
    measured = {
        name: {
            "accuracy": round(100 * each.accuracy, 2),
            "ece": round(100 * each.reliability.error, 2),
            "aurc": round(100 * each.risk.area, 3),
            "excess_aurc": round(100 * each.risk.excess, 3),
        }
        for name, each in report.measures.items()
    }
    return {**row, "answers": measured, "alarms": _alarms_document(report)}
