"""The whole way on drawn birds, in minutes: draw, train, evaluate, look."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from foveate.config import DataConfig
from foveate.data.datasets import DatasetFormat
from foveate.data.images import read_image
from foveate.data.plumage import PlumageConfig, draw_plumage
from foveate.errors import UserError
from foveate.recipes import plain_plumage
from foveate.report.sheet import SheetAnswer, answer_sheet
from foveate.report.tables import accuracy_markdown
from foveate.runs import Run
from foveate.types import RankedClass
from foveate.workflows.evaluate import Evaluation, evaluate
from foveate.workflows.train import train

PLUMAGE = PlumageConfig(species=12, train_per_species=30, test_per_species=10, size=256)


@dataclass(frozen=True, slots=True)
class Demo:
    """What the demo made."""

    evaluation: Evaluation
    sheet: Path


def demo(out: Path, *, say: Callable[[str], None] = print) -> Demo:
    """Draw birds of 12 species, train the plain network on them, and make a sheet of right and wrong answers.

    What an earlier call finished is kept and used again.

    Args:
        out: A folder for everything that is made.
        say: Receives lines of progress.
    """
    say(f"drawing {PLUMAGE.species} species of birds")
    birds = draw_plumage(out / "plumage", PLUMAGE, progress=_every(60, say))
    recipe = plain_plumage()
    config = replace(recipe, data=DataConfig(root=birds, format=DatasetFormat.CUB))
    run = _trained(out / "plain", lambda path: train(config, path, say=say))
    evaluation = evaluate(run, say=say)
    sheet = answer_sheet_of(evaluation, out / "answers.png", title="Drawn birds: the plain network's answers")
    say("")
    say(accuracy_markdown(evaluation.accuracy, "Plain network on plumage, 128 pixels"))
    say(f"numbers  {evaluation.report}")
    say(f"pictures {sheet}")
    return Demo(evaluation, sheet)


def _trained(path: Path, run: Callable[[Path], Run]) -> Run:
    try:
        finished = Run.open(path)
    except UserError:
        return run(path)
    return finished if finished.finished else run(path)


def answer_sheet_of(evaluation: Evaluation, path: Path, *, title: str, each: int = 12) -> Path:
    """Make a sheet of the surest wrong answers and of some right ones, evenly spread over the split.

    Args:
        evaluation: The answers.
        path: The PNG to write.
        title: The sheet's heading.
        each: How many wrong and how many right answers to show at most.
    """
    table = evaluation.table
    best = table.probabilities.argmax(axis=1)
    right, wrong = (np.flatnonzero(chosen) for chosen in (best == table.labels, best != table.labels))
    surest = wrong[np.argsort(-table.probabilities.max(axis=1)[wrong], kind="stable")][:each]
    spread = right[np.unique(np.linspace(0, max(len(right) - 1, 0), min(each, len(right))).astype(int))]
    answer_sheet([_answer(evaluation, int(index)) for index in (*surest, *spread)], path, title)
    return path


def _answer(evaluation: Evaluation, index: int) -> SheetAnswer:
    record, row = evaluation.records[index], evaluation.table.probabilities[index]
    names = evaluation.table.class_names
    top = tuple(RankedClass(names[label], float(row[label])) for label in np.argsort(-row, kind="stable")[:3])
    return SheetAnswer(read_image(record.image), record.class_name, top)


def _every(count: int, say: Callable[[str], None]) -> Callable[[int, int], None]:
    def report(done: int, total: int) -> None:
        if done % count == 0 or done == total:
            say(f"  {done} of {total} pictures")

    return report
