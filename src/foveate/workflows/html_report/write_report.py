"""Write a report of trained models as one HTML file: `foveate report`."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

import numpy as np
from PIL import Image

from foveate import __version__
from foveate.config.data import Split
from foveate.data.records import ImageRecord, photograph_of
from foveate.data.roots import shown_path
from foveate.errors import UserError
from foveate.evaluation.accuracy import measure_accuracy
from foveate.evaluation.predictions import PredictionTable
from foveate.files.file_names import safe_name
from foveate.networks.explanation import PanelGroup
from foveate.progress import progress
from foveate.report.html.contents import (
    EvidenceGroup,
    PhotographCard,
    Picture,
    ReportContents,
    Table,
    WrongPhotograph,
)
from foveate.report.html.page import write_page
from foveate.report.html.pictures import PictureStore
from foveate.runs.context import HERE, RunContext
from foveate.workflows.compare import Comparison, answer_costs, compare
from foveate.workflows.compared_models import ComparedEntry, ComparedModel, Explain, compared_model
from foveate.workflows.html_report.answers import accuracy_by_class, cards, refinement, trust_charts
from foveate.workflows.html_report.origin import data_glance, ladder_of, learning_charts, made_by, method_words
from foveate.workflows.html_report.subject import Subject
from foveate.workflows.html_report.suspected import suspects_of
from foveate.workflows.html_report.twins import TwinView

_IN_PAGE = 1500  # photographs, of more the pictures lie in a folder beside the page
_THUMBNAIL, _PHOTOGRAPH, _PANEL = 128, 360, 168  # pixels of the longer side
_MARK = '<meta name="generator" content="foveate report">'
_CHUNK = 256  # photographs that are held at a time
_LISTED = 1000  # wrong photographs that can be opened; the gallery has all
_TOP5_ABOVE = 5  # classes: of fewer the first five hold them all


@dataclass(frozen=True, slots=True)
class ReportConfig:
    """How much a report shows.

    Raises:
        UserError: A number is negative.
    """

    pairs: int = 6
    """Pairs of classes in the twin view."""
    evidence: int = 200
    """Wrong photographs whose way to the answer is shown, the surest first; all are listed."""

    def __post_init__(self) -> None:
        for name in ("pairs", "evidence"):
            if getattr(self, name) < 0:
                raise UserError(f"{name} must be 0 or more; got {getattr(self, name)}")


def write_report(
    *models: ComparedEntry,
    split: Split | str = Split.TEST,
    out: Path | str | None = None,
    config: ReportConfig | None = None,
    context: RunContext = HERE,
) -> Path:
    """Write one HTML file about a trained model: what it gets wrong and why, its twins, when to trust it.

    >>> import foveate
    >>> quiet = foveate.RunContext(say=lambda line: None)
    >>> foveate.write_report("runs/mine", context=quiet).name
    'report.html'

    The page fetches nothing and can be handed on. Kept answers are used; those that are missing are found, and kept.
    Where photographs have moved, the report says so and shows the rest. Of more than 1,500 photographs the pictures lie
    in a folder beside the page.

    Args:
        models: A run or a Guided Zoom, or its folder; further ones are compared with it.
        split: Whose photographs are answered for.
        out: The file; None: `report.html` in the first one's folder, and with several `report-against-...html`.
        config: How much is shown; None: the defaults.
        context: As `RunContext` says.

    Returns:
        The file.

    Raises:
        UserError: No model is given, a folder is neither a run nor a Guided Zoom or of a newer version, a training is
            not finished, models answer for other classes or photographs, or another file lies where the report is to
            be.
    """
    if not models:
        raise UserError("a report is of a run or a Guided Zoom; got none; name its folder")
    began, config, split = time.monotonic(), config or ReportConfig(), Split(split)
    opened = [compared_model(each, split, context) for each in models]
    path = _target(opened, out)
    subject = Subject.of(opened[0])
    comparison = compare(*models, split=split, context=context) if len(models) > 1 else None
    beside = path.with_name(f"{path.stem}_files") if _answered(subject) > _IN_PAGE else None
    store = PictureStore(beside)
    contents, evidence_words = _Gathering(opened, subject, store, config, comparison).contents()
    write_page(contents, path, beside, evidence_words)
    size = path.stat().st_size / 1e6
    with_folder = "" if beside is None else f", with its pictures in {shown_path(beside)}"
    for note in contents.notes:
        context.say(f"warning: {note}")
    context.say(f"report: {shown_path(path)} ({size:.1f} MB, {time.monotonic() - began:.0f} s){with_folder}")
    return path


def _answered(subject: Subject) -> int:
    return 0 if subject.table is None else len(subject.table.ids)


def _target(models: Sequence[ComparedModel], out: Path | str | None) -> Path:
    """Return where the report is to lie.

    Raises:
        UserError: Something else lies there.
    """
    if out is None:
        others = [safe_name(each.folders[0].name) for each in models[1:]]
        name = "report" if not others else f"report-against-{'-'.join(others)}"[:100]
        path = models[0].folders[0] / f"{name}.html"
    else:
        path = Path(out).expanduser()
        path = path / "report.html" if path.is_dir() else path
    if path.exists() and _MARK not in path.read_text(encoding="utf-8", errors="replace")[:2000]:
        raise UserError(
            f"a report replaces an earlier report and nothing else; {shown_path(path)} is another file; name another "
            "with --out"
        )
    return path


@dataclass(frozen=True)
class _Gathering:
    """Gathers the contents of one report."""

    models: Sequence[ComparedModel]
    subject: Subject
    store: PictureStore
    config: ReportConfig
    comparison: Comparison | None

    def contents(self) -> tuple[ReportContents, str]:
        """Return what the report shows, and what is said of a wrong photograph without evidence."""
        subject, model, run = self.subject, self.models[0], self.subject.run
        report = ReportContents(
            title=model.folders[0].name,
            method=method_words(model),
            made=f"{datetime.now():%Y-%m-%d %H:%M}, Foveate {__version__}",
            split=str(model.split),
            notes=(),
            accuracy=None,
            top5=None,
            photographs=_answered(subject),
            classes=len(run.class_names),
            cost=(),
            data=data_glance(subject, self.store),
            learning=learning_charts(run),
            ladder=ladder_of(model.folders[0]),
            comparison=None if self.comparison is None else _compared(self.comparison),
            made_by=made_by([each for model in self.models for each in model.runs]),
        )
        words = ""
        if subject.table is not None:
            report, words = self._answered(report, subject.table)
        return replace(report, notes=subject.all_notes()), words

    def _answered(self, report: ReportContents, table: PredictionTable) -> tuple[ReportContents, str]:
        """Add everything that rests on the answers."""
        model, others = self.models[0], self.models[1:]
        before = model.first_answers
        gallery = cards(table, before, [each.table for each in others], self._thumbnails(table))
        accuracy = measure_accuracy(table.probabilities, table.labels, table.groups)
        twins = TwinView(self.subject, self.store).pairs(table, gallery, self.config.pairs)
        wrong, words = self._wrong(gallery)
        report = replace(
            report,
            accuracy=accuracy.top1,
            groups=accuracy.groups,
            top5=accuracy.top5 if len(table.class_names) > _TOP5_ABOVE else None,
            cost=self._cost(table),
            by_class=accuracy_by_class(table),
            twins=twins,
            wrong=wrong,
            gallery=gallery,
            others=tuple(each.folders[0].name for each in others),
            trust=trust_charts(model.folders[0].name, table, before),
            refinement=refinement(gallery),
            suspects=suspects_of(self.subject, table, self.store),
        )
        return report, words

    def _thumbnails(self, table: PredictionTable) -> dict[str, Picture]:
        """Return a small picture of each photograph that is there."""
        present = [self.subject.records[each] for each in table.ids if each in self.subject.records]
        pictures: dict[str, Picture] = {}
        with progress("photographs", len(present), self.models[0].context.say) as advance:
            for start in range(0, len(present), _CHUNK):
                chunk = present[start : start + _CHUNK]
                for record, image in zip(chunk, self.subject.images(chunk), strict=True):
                    if image is not None:
                        words = f"{record.class_name}, {record.id}"
                        pictures[record.id] = self.store.put(image, _THUMBNAIL, words, square=True)
                advance(start + len(chunk))
        return pictures

    def _cost(self, table: PredictionTable) -> tuple[tuple[str, str], ...]:
        """Return what an answer costs; nothing where the photographs to time it with are not there."""
        if self.comparison is not None:
            cost = self.comparison.rows[0].cost
        else:
            present = [self.subject.records[each] for each in table.ids if each in self.subject.records]
            if not present:
                return ()
            try:
                (cost,) = answer_costs(self.models[:1], present)
            except UserError:  # one cannot be read, which is noted where it is to be shown
                return ()
        return (
            ("runs of a network for an answer (passes)", f"{cost.passes:.1f}"),
            ("an answer, decoding left out", f"{cost.milliseconds:.0f} ms"),
            ("file of its weights", f"{cost.megabytes:.0f} MB"),
        )

    def _wrong(self, gallery: Sequence[PhotographCard]) -> tuple[tuple[WrongPhotograph, ...], str]:
        """Return the photographs that were answered wrongly, the surest first, and why some have no evidence."""
        wrong = sorted((card for card in gallery if not card.right), key=lambda card: -card.top[0][1])[:_LISTED]
        shown = [card for card in wrong if card.name in self.subject.records][: self.config.evidence]
        explain = self.models[0].explainer() if shown else None
        shown_names = {card.name for card in shown}
        found: list[WrongPhotograph] = []
        with progress("evidence of wrong photographs", len(wrong), self.models[0].context.say) as advance:
            for number, card in enumerate(wrong, 1):
                asked = card.name in shown_names and not self.store.full
                found.append(self._explained(card, explain) if asked else WrongPhotograph(card, None, ()))
                advance(number)
        return tuple(found), _words_without(explain, self.models[0])

    def _explained(self, card: PhotographCard, explain: Explain | None) -> WrongPhotograph:
        record = self.subject.records[card.name]
        image = self.subject.image(record)
        if image is None:
            return WrongPhotograph(card, None, ())
        photograph = self.store.put(image, _PHOTOGRAPH, f"{card.truth}, {card.name}")
        groups = self._groups(explain, image, card, record)
        return WrongPhotograph(card, photograph, tuple(self._group(each) for each in groups))

    def _groups(
        self, explain: Explain | None, image: Image.Image, card: PhotographCard, record: ImageRecord
    ) -> tuple[PanelGroup, ...]:
        if explain is None:
            return ()
        try:
            return explain(image, card.name, card.truth, _path_of(record))
        except UserError as error:
            note = f"Evidence cannot be shown: {error}"
            if note not in self.subject.notes:
                self.subject.notes.append(note)
            return ()

    def _group(self, group: PanelGroup) -> EvidenceGroup:
        pictures = (self.store.put(each.picture, _PANEL, each.words) for each in group.panels)
        return EvidenceGroup(group.title, group.words, tuple(pictures))


def _words_without(explain: Explain | None, model: ComparedModel) -> str:
    if explain is None:
        return ""
    return f"More evidence: foveate explain {shown_path(model.folders[0])} PHOTOGRAPH"


def _path_of(record: ImageRecord) -> Path | None:
    source = photograph_of(record.image)
    return source if isinstance(source, Path) else None


def _compared(comparison: Comparison) -> Table:
    """Return the table of a comparison."""
    first = comparison.rows[0].name
    header = ("", "top-1, %", f"minus {first}, points", "p", "it alone right", f"{first} alone right")
    rows = []
    for row in comparison.rows:
        difference = row.difference
        against = ("", "", "", "")
        if difference is not None:
            values = (f"{100 * each:+.1f}" for each in (difference.value, difference.low, difference.high))
            p_value = float(np.median([each.p_value for each in row.tests]))
            against = (
                "{} ({} to {})".format(*values),
                f"{p_value:.2g}",
                f"{row.it_alone:.0f}",
                f"{row.first_alone:.0f}",
            )
        estimate = row.accuracy
        top1 = f"{100 * estimate.value:.1f} ({100 * estimate.low:.1f} to {100 * estimate.high:.1f})"
        cost = (f"{row.cost.passes:.1f}", f"{row.cost.milliseconds:.0f}", f"{row.cost.megabytes:.0f}")
        rows.append((row.title, top1, *against, *cost))
    over, test = "", "McNemar's exact test"
    if comparison.groups is not None:
        over, test = f", over {comparison.groups:,} groups of photographs", "exact, of whole groups"
    words = f"{comparison.photographs:,} photographs, the same for all; in brackets 95% intervals{over}; p: {test}."
    return Table((*header, "passes", "ms", "MB"), tuple(rows), words)
