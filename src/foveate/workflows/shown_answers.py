"""The answers of an evaluation on sheets: every wrong one with the name of its file, and some right ones."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import Protocol

import numpy as np
from PIL import Image

from foveate.data.images import read_image
from foveate.data.records import ImageRecord
from foveate.data.roots import shown_path
from foveate.errors import UserError
from foveate.evaluation.predictions import PredictionTable
from foveate.networks.answers import ranked_classes
from foveate.report.sheet import SheetAnswer, answer_sheet
from foveate.workflows.answer_list import wrong_first

_PAGE, _PAGES = 60, 10  # photographs on a page; a page is a picture of at most 15 rows
_RIGHT = 12
_SHEET = "foveate sheet"
"""Keyword of what a page says of itself: the name of the first page's file."""


class EvaluatedAnswers(Protocol):
    """What an evaluation of a run or of a Guided Zoom leaves."""

    @property
    def table(self) -> PredictionTable:
        """The answers that count."""
        ...

    @property
    def records(self) -> Sequence[ImageRecord]:
        """The photographs, in the order of the answers."""
        ...


def answer_sheet_of(evaluation: EvaluatedAnswers, path: Path, *, title: str, each: int = _RIGHT) -> Path:
    """Make a sheet of the surest wrong answers and of some right ones, evenly spread over the split.

    Args:
        evaluation: The answers.
        path: The PNG to write.
        title: The sheet's heading.
        each: How many wrong and how many right answers to show at most.
    """
    wrong, right = _wrong(evaluation)[:each], _right(evaluation, each)
    answer_sheet([_answer(evaluation, index) for index in (*wrong, *right)], path, title)
    return path


def check_sheet(path: Path) -> None:
    """Refuse sheets that cannot be written, or whose further pages would take the place of other files.

    Args:
        path: The PNG of the first, which takes the place of what is there.

    Raises:
        UserError: It is a folder or no PNG, or a further page's file is there and is none of an earlier sheet.
    """
    if path.suffix.lower() != ".png":
        raise UserError(f"sheets are written as .png; got {path.name!r}; choose this ending")
    if path.is_dir():
        raise UserError(f"sheets are written to files; {path} is a folder; name a file in it")
    for page in _further_pages(path):
        if page.exists() and not _is_page_of(page, path):
            raise UserError(
                f"further pages of a sheet take the place only of its own earlier ones; {page} is none of {path.name}; "
                "move it away, or choose another name"
            )


def _further_pages(path: Path) -> list[Path]:
    return [path.with_stem(f"{path.stem}-{number}") for number in range(2, _PAGES + 1)]


def _is_page_of(page: Path, path: Path) -> bool:
    try:
        with Image.open(page) as picture:
            return bool(picture.info.get(_SHEET) == path.name)
    except (OSError, ValueError, SyntaxError):  # what Pillow raises of other and of damaged files
        return False


def answer_sheets_of(evaluation: EvaluatedAnswers, path: Path, *, title: str) -> tuple[tuple[Path, ...], str]:
    """Make sheets of all wrong answers, the surest first, 60 on each of at most ten; some right ones end the last.

    Args:
        evaluation: The answers.
        path: The PNG of the first; the number of each further one is added to its name. Further pages of a longer
            earlier evaluation are removed.
        title: The sheets' heading.

    Returns:
        The sheets, and a line that says what they show.

    Raises:
        UserError: As `check_sheet`.
    """
    check_sheet(path)
    wrong, count = _wrong(evaluation), len(evaluation.records)
    shown = wrong[: _PAGE * _PAGES]
    pages = [shown[start : start + _PAGE] for start in range(0, len(shown), _PAGE)] or [[]]
    paths = (path, *_further_pages(path))[: len(pages)]
    for number, (page, file) in enumerate(zip(pages, paths, strict=True)):
        last = number == len(pages) - 1
        begin = number * _PAGE + 1
        span = f"numbers {begin} to {begin + len(page) - 1} of these, page {number + 1} of {len(pages)}; "
        summary = f"{len(wrong)} of {count} answers are wrong; {span if len(pages) > 1 else ''}the surest come first"
        indices = (*page, *(_right(evaluation, _RIGHT) if last else ()))
        answer_sheet([_answer(evaluation, index) for index in indices], file, title, summary, {_SHEET: path.name})
    for stale in _further_pages(path)[len(pages) - 1 :]:
        stale.unlink(missing_ok=True)
    if not wrong:
        return paths, f"no answer is wrong; some that are right, with the names of their files: {paths[-1]}"
    said = f"all {len(wrong)} wrong answers" if len(shown) == len(wrong) else _too_many(len(shown), len(wrong))
    return paths, f"{said}, with the names of their files: {', '.join(map(str, paths))}"


def _too_many(shown: int, wrong: int) -> str:
    return f"the surest {shown} of {wrong} wrong answers (a list given by --out has all of them)"


def _wrong(evaluation: EvaluatedAnswers) -> list[int]:
    table = evaluation.table
    count = int((table.probabilities.argmax(1) != table.labels).sum())
    indices: list[int] = wrong_first(table)[:count].tolist()
    return indices


def _right(evaluation: EvaluatedAnswers, most: int) -> list[int]:
    table = evaluation.table
    right = np.flatnonzero(table.probabilities.argmax(axis=1) == table.labels)
    spread = np.unique(np.linspace(0, max(len(right) - 1, 0), min(most, len(right))).astype(int))
    indices: list[int] = right[spread].tolist()
    return indices


def _answer(evaluation: EvaluatedAnswers, index: int) -> SheetAnswer:
    record, table = evaluation.records[index], evaluation.table
    top = ranked_classes(table.probabilities[index], table.class_names, 3)
    image = read_image(record.image, largest_megapixels=None)
    return SheetAnswer(image, record.class_name, top, shown_path(PurePosixPath(record.id).name))
