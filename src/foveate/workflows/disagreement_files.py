"""The photographs that tell compared models apart: a list of all of them, and pictures of some."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

import numpy as np
import pyarrow as pa

from foveate.data.images import read_image
from foveate.data.records import ImageRecord
from foveate.data.roots import shown_path
from foveate.files.file_names import safe_name
from foveate.report.disagreements import Disagreement, DisagreementSection, ModelAnswer, disagreement_sheet
from foveate.types import RankedClass
from foveate.workflows.answer_files import Row, answer_file, place_of
from foveate.workflows.compared_sides import ComparedSide

_SHOWN = 12  # of each kind on a sheet
_LONGEST = 120  # characters of a part of a file's name


def write_disagreements(
    report: Path, sides: Sequence[ComparedSide], records: Sequence[ImageRecord]
) -> tuple[Path, ...]:
    """Write the list and the sheets beside a report; return all of these files.

    Args:
        report: The Markdown. The list is a CSV of that name; the sheet a PNG of it, or where there are more than two
            sides, PNGs of it and of each name.
        sides: The others are set against the first.
        records: The photographs, in the order of the answers.
    """
    first, others = sides[0], sides[1:]
    listed, sheets = report.with_suffix(".csv"), []
    _write_list(listed, sides, records)
    for other in others:
        ending = "" if len(others) == 1 else f"-{file_words(other.name)}"
        path = report.with_name(f"{report.stem}{ending}.png")
        sections = [_section(other, first, records, gained=True), _section(first, other, records, gained=False)]
        if any(each.count for each in sections):
            disagreement_sheet(sections, path, f"{other.name} against {first.name}")
            sheets.append(path)
        else:
            path.unlink(missing_ok=True)  # of an earlier comparison, which this one replaces
    return (listed, *sheets)


def file_words(words: str) -> str:
    """Return words as a part of a file's name."""
    return safe_name("-".join(re.split(r"[/,\s]+", words))[:_LONGEST])


def _write_list(path: Path, sides: Sequence[ComparedSide], records: Sequence[ImageRecord]) -> None:
    """Write a row for each photograph that some side answers more often rightly than the first one, or less often."""
    gaps = np.abs([each.right.mean(0) - sides[0].right.mean(0) for each in sides[1:]]).max(0)
    columns = {"id": pa.string(), "path": pa.string(), "class": pa.string()}
    for name in (name for side in sides for name in side.names):
        columns |= {f"{name}: right": pa.bool_(), f"{name}: answer": pa.string(), f"{name}: probability": pa.float64()}
    with answer_file(path, pa.schema(list(columns.items()))) as write:
        write([_list_row(sides, records, int(index)) for index in np.argsort(-gaps, kind="stable") if gaps[index]])


def _list_row(sides: Sequence[ComparedSide], records: Sequence[ImageRecord], index: int) -> Row:
    record = records[index]
    row: dict[str, object] = {"id": shown_path(record.id), "path": place_of(record)}
    row["class"] = shown_path(record.class_name)
    for side in sides:
        for name, table, right in zip(side.names, side.tables, side.right[:, index], strict=True):
            best = int(table.probabilities[index].argmax())
            row |= {
                f"{name}: right": bool(right),
                f"{name}: answer": shown_path(table.class_names[best]),
                f"{name}: probability": round(float(table.probabilities[index, best]), 4),
            }
    return row


def _answer(side: ComparedSide, index: int) -> ModelAnswer:
    """Return what most seeds answer; of several such classes the more probable one."""
    mean = np.mean([table.probabilities[index] for table in side.tables], axis=0)
    votes = np.bincount(side.answers[:, index], minlength=len(mean))
    best = int(np.lexsort((-mean, -votes))[0])
    right, seeds = int(side.right[:, index].sum()), len(side.tables)
    name = side.name if seeds == 1 else f"{side.name}, {right} of {seeds} seeds right"
    return ModelAnswer(name, RankedClass(side.tables[0].class_names[best], float(mean[best])))


def _section(
    better: ComparedSide, worse: ComparedSide, records: Sequence[ImageRecord], *, gained: bool
) -> DisagreementSection:
    """Return the photographs that one side answers more often rightly; the clearest are shown."""
    gaps = better.right.mean(0) - worse.right.mean(0)
    surest = np.mean([table.probabilities.max(1) for table in better.tables], axis=0)
    order = [int(index) for index in np.lexsort((-surest, -gaps)) if gaps[index] > 0]
    single = len(better.tables) == len(worse.tables) == 1
    words = f"Only {better.name} is right" if single else f"{better.name} is right more often"
    shown = [
        Disagreement(
            read_image(records[index].image, records[index].id, largest_megapixels=None),
            shown_path(PurePosixPath(records[index].id).name),
            records[index].class_name,
            _answer(better, index),
            _answer(worse, index),
        )
        for index in order[:_SHOWN]
    ]
    return DisagreementSection(words, len(order), shown, gained)
