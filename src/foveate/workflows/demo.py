"""The whole way on drawn birds, in minutes: draw, train, evaluate, look."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from foveate.config import DataConfig, DatasetFormat
from foveate.data.plumage import PlumageConfig, draw_plumage
from foveate.errors import UserError
from foveate.recipes import plain_plumage
from foveate.report.tables import accuracy_markdown
from foveate.runs import Run
from foveate.workflows.evaluate import Evaluation, evaluate
from foveate.workflows.sheet import answer_sheet_of
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
    birds = draw_plumage(out / "plumage", PLUMAGE, progress=every(60, say))
    recipe = plain_plumage()
    config = replace(recipe, data=DataConfig(root=birds, format=DatasetFormat.CUB))
    run = _trained(out / "plain", lambda path: train(config, path, say=say))
    evaluation = evaluate(run, say=say)
    sheet = answer_sheet_of(
        evaluation,
        out / "answers.png",
        title=f"Drawn birds: {evaluation.accuracy.top1.value:.0%} of the plain network's answers are right",
    )
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


def every(count: int, say: Callable[[str], None]) -> Callable[[int, int], None]:
    """Return a progress function that says a line every `count` pictures and at the end."""

    def report(done: int, total: int) -> None:
        if done % count == 0 or done == total:
            say(f"  {done} of {total} pictures")

    return report
