"""Judge the kept answers of a run or a Guided Zoom: calibration, risk by coverage, alarms, confused classes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int

from foveate.config.data import OnError, TestViews
from foveate.config.hardware import HardwareConfig
from foveate.data.images import read_image
from foveate.errors import UserError
from foveate.evaluation.calibration import (
    Alarm,
    Judged,
    alarm,
    confused_pairs,
    confusion_matrix,
    highest,
    reliability,
    risk_coverage,
)
from foveate.evaluation.config import TrustStudy
from foveate.evaluation.predictions import read_predictions
from foveate.files.documents import append_json_line, unstructured, write_json, write_text
from foveate.guided_zoom.refined_probabilities import refined_probabilities
from foveate.networks.answers import ranked_classes
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
from foveate.runs.guided_zoom_run import GuidedZoomRun
from foveate.runs.run import Run, environment
from foveate.workflows.evaluate import records_of
from foveate.workflows.reports import kept_report, measured_with, report_path
from foveate.workflows.split_evidence import evidence_of_split

FIRST, REFINED = "first answer", "refined answer"


class _Kept(NamedTuple):
    """Answers to the same photographs, the ones that count last."""

    run: Run
    """Of the network; a Guided Zoom's conventional one."""
    ids: tuple[str, ...]
    labels: Int[np.ndarray, " n"]
    probabilities: Mapping[str, Float[np.ndarray, "n c"]]
    name: str
    """Of the report."""
    settings: Mapping[str, object]
    """How the answers were made, beside the run, as far as the report's name does not say it."""
    folder: Path
    """Of the report."""


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
    split: str = "test",
    views: TestViews = TestViews.CENTRE,
    root: Path | None = None,
    on_error: OnError | None = None,
    hardware: HardwareConfig | None = None,
    results: Path | None = None,
    say: Callable[[str], None] = print,
) -> TrustReport:
    """Judge kept answers; of a Guided Zoom those before and those after refinement.

    Writes `evaluation/<split>-trust` (of a run with the views' name) as Markdown and JSON, and pictures beside it.

    Args:
        folder: A run whose split `foveate evaluate` has answered for, or a Guided Zoom, whose evidence is looked for
            where it is not kept.
        study: Bins and pairs; None: 15 and 8.
        split: train, validation or test.
        views: Which evaluation of a run.
        root: Where the data set lies now, if it has moved since the training.
        on_error: What to do about photographs that cannot be read; None: as the training did.
        hardware: Where to look for evidence; None: the fast choice of this machine.
        results: A file of JSON lines to which one row is added.
        say: Receives lines of progress.

    Raises:
        UserError: The answers are not kept, or the data set is not theirs.
    """
    study = study or TrustStudy()
    folder = Path(folder).expanduser() if isinstance(folder, Path | str) else folder
    if isinstance(folder, Path):
        folder = GuidedZoomRun.open(folder) if GuidedZoomRun.is_at(folder) else Run.open(folder)
    if isinstance(folder, GuidedZoomRun):
        kept = _refined(folder, split, root, on_error, hardware, say)
    else:
        kept = _predicted(folder, split, views, root, say)
    judged = {name: Judged.of(each, kept.labels) for name, each in kept.probabilities.items()}
    measures = {name: _measures(each, study.bins) for name, each in judged.items()}
    settings = {**kept.settings, **unstructured(study)}
    report = report_path(kept.folder, kept.name, settings, "judgement", say)
    done = TrustReport(measures, _alarms(judged), _pairs(kept, judged, study), report)
    say(_written(kept, done, judged, study, split, root, settings))
    if results is not None:
        append_json_line(results, _row(kept, done, split))
    return done


def _predicted(run: Run, split: str, views: TestViews, root: Path | None, say: Callable[[str], None]) -> _Kept:
    folder = run.path / "evaluation"
    file = kept_report(folder, f"{split}-{views.value}", root, say).with_suffix(".parquet")
    if not file.exists():
        raise UserError(
            f"answers are judged that are kept; {run.path} keeps none of the {split} split, views {views.value}; give "
            f"`foveate evaluate {run.path} --split {split} --views {views.value}` first"
        )
    table = read_predictions(file)
    return _Kept(run, table.ids, table.labels, {"answer": table.probabilities}, f"{file.stem}-trust", {}, folder)


def _refined(
    made: GuidedZoomRun,
    split: str,
    root: Path | None,
    on_error: OnError | None,
    hardware: HardwareConfig | None,
    say: Callable[[str], None],
) -> _Kept:
    config = made.description.refinement
    table = evidence_of_split(made, split, config, root=root, on_error=on_error, hardware=hardware, say=say)
    refined = refined_probabilities(table.probabilities, table.evidence.classes, table.refined(config), config.scores)
    answers = {FIRST: table.probabilities.numpy(), REFINED: refined.numpy()}
    run, folder = made.base_run(), made.path / "evaluation"
    data = run.config.data if root is None else replace(run.config.data, root=root)
    settings = {**measured_with(data.root, on_error or data.on_error), **unstructured(config)}
    return _Kept(run, table.ids, table.labels, answers, f"{split}-trust", settings, folder)


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


def _pairs(kept: _Kept, judged: Mapping[str, Judged], study: TrustStudy) -> tuple[NamedPair, ...]:
    names = kept.run.class_names
    last = list(judged.values())[-1]
    return tuple(
        NamedPair(
            names[each.first], names[each.second], each.first_as_second, each.second_as_first, kept.ids[each.example]
        )
        for each in confused_pairs(last, len(names), study.pairs)
    )


def _written(
    kept: _Kept,
    done: TrustReport,
    judged: Mapping[str, Judged],
    study: TrustStudy,
    split: str,
    root: Path | None,
    settings: Mapping[str, object],
) -> str:
    """Write everything that was measured, and return it as Markdown."""
    counting, names = list(judged)[-1], kept.run.class_names
    title = f"{done.report.parent.parent.name}, {split} split"
    markdown = trust_markdown(done.measures, f"{title}, trust", len(kept.ids), study.bins)
    if done.alarms:
        markdown += f"\n{alarms_markdown(done.alarms)}"
    markdown += f"\n{pairs_markdown(done.pairs, counting)}"
    write_text(done.report, markdown)
    matrix = confusion_matrix(judged[counting], len(names))
    content = {
        "photographs": len(kept.ids),
        "answers": {name: _told(each) for name, each in done.measures.items()},
        "alarms": _told_alarms(done),
        "confusion": {"answers": counting, "class_names": list(names), "matrix": matrix.tolist()},
        "pairs": [unstructured(each) for each in done.pairs],
        "settings": dict(settings),
        "environment": environment(),
    }
    write_json(done.report.with_suffix(".json"), content)
    plot_reliability(done.measures, _beside(done.report, "reliability"))
    plot_risk(done.measures, _beside(done.report, "risk"))
    plot_confusion(matrix, names, f"{title}, {counting}", _beside(done.report, "confusion"))
    shown = _examples(kept, done, counting, split, root)
    if shown:
        answer_sheet(shown, _beside(done.report, "pairs"), f"{title}: the most confused classes, {counting}")
    pictures = ", ".join(f"-{name}.png" for name in ("reliability", "risk", "confusion", *(["pairs"] if shown else [])))
    return f"{markdown}\nwritten to {done.report} (also .json, {pictures})"


def _beside(report: Path, name: str) -> Path:
    return report.with_name(f"{report.stem}-{name}.png")


def _told(measures: TrustMeasures) -> dict[str, object]:
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


def _told_alarms(done: TrustReport) -> dict[str, object]:
    return {name: {key: unstructured(each) for key, each in every.items()} for name, every in done.alarms.items()}


def _examples(kept: _Kept, done: TrustReport, counting: str, split: str, root: Path | None) -> list[SheetAnswer]:
    data = kept.run.config.data if root is None else replace(kept.run.config.data, root=root)
    known = {record.id: record for record in records_of(kept.run, data, split)} if done.pairs else {}
    row = {name: index for index, name in enumerate(kept.ids)}
    shown = []
    for each in done.pairs:
        record = known.get(each.example)
        if record is None:
            raise UserError(
                f"kept answers are shown with the photographs that they belong to; {each.example!r} is not in the "
                f"{split} split of {data.root}; restore it, or give `foveate evaluate` again"
            )
        top = ranked_classes(kept.probabilities[counting][row[each.example]], kept.run.class_names, 3)
        shown.append(SheetAnswer(read_image(record.image, record.id, largest_megapixels=None), record.class_name, top))
    return shown


def _row(kept: _Kept, done: TrustReport, split: str) -> dict[str, object]:
    """Return one row of a results file, in per cent."""
    config, here = kept.run.config, environment()
    measured = {
        name: {
            "accuracy": round(100 * each.accuracy, 2),
            "ece": round(100 * each.reliability.error, 2),
            "aurc": round(100 * each.risk.area, 3),
            "excess_aurc": round(100 * each.risk.excess, 3),
        }
        for name, each in done.measures.items()
    }
    return {
        "measured": "trust",
        "run": kept.run.path.name,
        "method": "guided-zoom" if REFINED in done.measures else config.network.method,
        "base": config.network.base,
        "conventional": config.network.method,
        "dataset": kept.run.description.dataset,
        "split": split,
        "input_size": config.transforms.input_size,
        "seed": config.seed,
        "photographs": len(kept.ids),
        "answers": measured,
        "alarms": _told_alarms(done),
        "command": here["command"],
        "commit": here["commit"],
        "hardware": here["hardware"],
    }
