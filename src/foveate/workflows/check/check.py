"""Look a data set over before anything is trained on it: leaks, copies, suspected labels, what cannot be used."""

from __future__ import annotations

import shlex
import shutil
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
from jaxtyping import Int64

from foveate.config.data import DataConfig
from foveate.config.engine import EngineConfig
from foveate.config.hardware import HardwareConfig
from foveate.data.datasets.checks import first_few
from foveate.data.fingerprints import Fingerprint, fingerprints_of
from foveate.data.near_duplicates import Pair, equal_pairs, numbered_components
from foveate.data.preparation import Splits
from foveate.data.records import ImageRecord
from foveate.data.roots import shown_path
from foveate.engines.ray_engine import mapped_by
from foveate.errors import UserError
from foveate.evaluation.data_report import DataReport, FindingKind, SplitSummary, median_size, ordered
from foveate.files.free_folders import is_free
from foveate.files.locks import working_in
from foveate.files.remote_path import located
from foveate.progress import about, progress
from foveate.recipes.config import TrainConfig
from foveate.recipes.datasets import load_splits
from foveate.report.data_check import data_check_markdown
from foveate.runs.run import Run
from foveate.workflows.check.check_files import (
    EXCLUDE,
    FINDINGS,
    RELABEL,
    SHEET,
    SUSPECTS,
    is_listed,
    printable,
    write_check,
)
from foveate.workflows.check.check_folder import check_new, default_folder
from foveate.workflows.check.equal_photographs import Looked, equal, small_classes, torn_groups, unusable
from foveate.workflows.check.label_evidence import LabelEvidence, evidence_by_probe, judgeable, usual_method
from foveate.workflows.check.run_evidence import Judge, evidence_by_run
from foveate.workflows.check.suspects import suspected_labels, typical_photographs
from foveate.workflows.fit.benchmark import measure_speed
from foveate.workflows.fit.method_rungs import solving_seconds

_FEATURES = ".features"
_SURE = 0.95
"""Share of the labels with which a judge agrees, from which on most of what it suspects may be wrong."""
_VIEWS = 2
"""Of each photograph, of which features are kept."""


def check(
    folder: Path | str,
    *,
    run: Run | Path | str | None = None,
    out: Path | str | None = None,
    labels: bool = True,
    data: DataConfig | None = None,
    hardware: HardwareConfig | None = None,
    method: TrainConfig | None = None,
    engine: EngineConfig | None = None,
    say: Callable[[str], None] = print,
) -> DataReport:
    """Find equal photographs, leaks between splits, suspected labels, and photographs that cannot be used.

    Photographs are equal where perceptual hashes are near and thumbnails correlate, mirrored ones too. A label is
    suspected where probes that were fitted to other photographs, closer looks among them, and the nearest photographs
    together speak for another class. Nothing is removed: lists are written, for `DataConfig.exclude` and `relabel`.

    Args:
        folder: The photographs, as `DataConfig.root` has it.
        run: A finished run on these photographs, or the folder of a Guided Zoom, whose held-out answers and answers to
            the test split judge the labels in place of the probes.
        out: A new or empty folder that is not among the photographs; None: as `default_folder` says.
        labels: Whether labels are looked at; without, a minute or more is saved.
        data: How the photographs are read and divided; its root is not used.
        hardware: Where to compute; None: as this machine does it fast.
        method: What judges the labels where no run does: one whose heads are solved for; None: S3N's frozen preset.
        engine: Who reads the photographs and computes features; None: this process.
        say: Receives lines of progress and the tables.

    Raises:
        UserError: The data set is not as it should be, the folder holds something or is among the photographs, or the
            run has no such answers.
    """
    root, engine = located(folder).expanduser().resolve(), engine or EngineConfig()
    config = replace(data or DataConfig(root=root), root=root).resolved()
    place = default_folder(root) if out is None else Path(out).expanduser()
    check_new(place, root)
    judge = None if run is None else Judge.of(run)
    splits = load_splits(config, say)
    with working_in(place, lambda: is_free(place) and any((place / _FEATURES).glob("*"))):
        report, records = _looked_over(
            splits, config, place, judge, labels, hardware, method, engine or EngineConfig(), say
        )
        files = write_check(report, records)
        shutil.rmtree(place / _FEATURES, ignore_errors=True)
    say(data_check_markdown(printable(report)))
    _say_end(report, files, say)
    return report


def _looked_over(
    splits: Splits,
    config: DataConfig,
    out: Path,
    judge: Judge | None,
    labels: bool,
    hardware: HardwareConfig | None,
    method: TrainConfig | None,
    engine: EngineConfig,
    say: Callable[[str], None],
) -> tuple[DataReport, dict[str, ImageRecord]]:
    photographs = _read(splits, config, engine, say)
    readable = [each for each in photographs if isinstance(each.print, Fingerprint)]
    prints = [each.print for each in readable if isinstance(each.print, Fingerprint)]
    if not prints:
        raise UserError(f"a check needs a photograph that can be read; none of {len(photographs)} in {config.root} can")
    pairs = equal_pairs(prints)
    findings = [*unusable(photographs), *equal(readable, pairs), *torn_groups(photographs), *small_classes(photographs)]
    evidence = None
    if labels:
        method = method or usual_method(config.root)
        method = method if hardware is None else replace(method, hardware=hardware)
        evidence = _evidence(readable, pairs, judge, config, method, out, engine, say)
    if evidence is not None:
        findings += suspected_labels(evidence, {each.record.id: each.split for each in photographs})
    sizes = sorted(((each.size.width, each.size.height) for each in prints), key=lambda size: size[0] * size[1])
    report = DataReport(
        name=splits.name,
        root=config.root,
        class_names=splits.class_names,
        splits=tuple(_summary(name, part, splits.class_names) for name, part in splits.parts().items()),
        smallest=sizes[0],
        median=median_size(sizes),
        largest=sizes[-1],
        findings=ordered(findings),
        labels_by=None if evidence is None else evidence.source,
        labels_accuracy=None if evidence is None else round(evidence.accuracy, 4),
        typical=() if evidence is None else typical_photographs(evidence),
        path=out,
    )
    return report, {each.record.id: each.record for each in photographs}


def _read(splits: Splits, config: DataConfig, engine: EngineConfig, say: Callable[[str], None]) -> list[Looked]:
    named = [(record, name) for name, part in splits.parts().items() for record in part]
    say(f"reading {len(named)} photographs once")
    with progress("reading", len(named)) as advance:
        prints = fingerprints_of([record for record, _ in named], advance, config.largest_megapixels, mapped_by(engine))
    return [Looked(record, name, each) for (record, name), each in zip(named, prints, strict=True)]


def _evidence(
    readable: Sequence[Looked],
    pairs: Sequence[Pair],
    judge: Judge | None,
    config: DataConfig,
    method: TrainConfig,
    out: Path,
    engine: EngineConfig,
    say: Callable[[str], None],
) -> LabelEvidence | None:
    """Return what speaks for and against labels; None: too few photographs or classes can be judged."""
    records = [each.record for each in readable]
    if judge is not None:
        return evidence_by_run(judge, readable, config, method.hardware, say)
    groups = _held_out_together(records, pairs)
    places = judgeable(records, groups.tolist())
    classes = len({records[place].label for place in places})
    if not places:
        say("labels are not looked at: that takes two classes with two photographs each that are not equal")
        return None
    if passed := len({record.label for record in records}) - classes:
        say(f"labels of {passed} classes are not looked at: that takes two photographs of a class that are not equal")
    speed = measure_speed(method, classes)
    seconds = _VIEWS * len(places) * speed.answer + solving_seconds(len(places), classes, speed)
    say(f"looking at the labels of {len(places)} photographs: {about(seconds)}")
    judged = [records[place] for place in places]
    return evidence_by_probe(judged, groups[places], method, out / _FEATURES, say, engine)


def _held_out_together(records: Sequence[ImageRecord], pairs: Sequence[Pair]) -> Int64[np.ndarray, " n"]:
    """Return numbers of what no answer may have learned from: equal photographs and those of one group."""
    members: dict[str, list[int]] = {}
    for place, record in enumerate(records):
        if record.group is not None:
            members.setdefault(record.group, []).append(place)
    links = [pair[:2] for pair in pairs] + [link for group in members.values() for link in pairwise(group)]
    return np.array(numbered_components(len(records), links))


def _summary(name: str, records: Sequence[ImageRecord], class_names: Sequence[str]) -> SplitSummary:
    counts = Counter(record.label for record in records)
    return SplitSummary(name=name, photographs=tuple(counts[label] for label in range(len(class_names))))


def _say_end(report: DataReport, files: Sequence[Path], say: Callable[[str], None]) -> None:
    names = {file.name for file in files}
    suspects = len(report.of(FindingKind.LABEL))
    left_out, relabelled = report.path / EXCLUDE, report.path / RELABEL
    root = shlex.quote(shown_path(report.root))
    if not report.findings:
        say(f"nothing was found: go on with foveate fit {root}; written to {report.path}")
        return
    lines = {
        FINDINGS: "every finding",
        SHEET: "suspected labels beside typical photographs: look at these first",
        EXCLUDE: f"{len(report.excluded)} better left out: foveate fit {root} --data.exclude {left_out}",
        SUSPECTS: f"{suspects} suspected labels, to be left out in the same way once you have looked",
        RELABEL: f"or given the likelier class: foveate fit {root} --data.relabel {relabelled}",
    }
    say(f"written to {report.path}:")
    for name, words in lines.items():
        if name in names and (suspects or name not in (SUSPECTS, RELABEL)) and (report.excluded or name != EXCLUDE):
            say(f"  {name:13} {words}")
    if suspects and report.labels_accuracy is not None and report.labels_accuracy < _SURE:
        say(
            f"note: what judged the labels agrees with {report.labels_accuracy:.0%} of them, so that many suspects are "
            "merely hard to tell; the first ones are the surest"
        )
    if report.spared:
        spared = first_few([shown_path(each) for each in report.spared], 3)
        say(
            f"note: {EXCLUDE} leaves at least one training photograph of each class and one photograph of each split; "
            f"for that it spares {len(report.spared)} with a finding: {spared}"
        )
    if unlisted := {each.photograph for each in report.findings if not is_listed(each.photograph)}:
        say(
            f"note: {len(unlisted)} photographs are in {FINDINGS} only, since no list can name them (not UTF-8, or "
            f"broken in two lines): {first_few(sorted(map(shown_path, unlisted)), 3)}. Rename them"
        )
