"""The whole way on drawn birds, in minutes: draw, train, evaluate, look."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from foveate.config.data import DataConfig, DatasetFormat
from foveate.data.images import read_image
from foveate.files.locks import working_in
from foveate.plumage import PlumageConfig, draw_plumage
from foveate.recipes import plain_plumage, s3n_plumage
from foveate.report.tables import markdown_table
from foveate.runs.context import RunContext
from foveate.runs.run import Run
from foveate.workflows.evaluate import Evaluation, evaluate
from foveate.workflows.explain import Explainer
from foveate.workflows.shown_answers import answer_sheet_of
from foveate.workflows.train import trained

PLUMAGE = PlumageConfig(species=12, train_per_species=30, test_per_species=10, size=256)


@dataclass(frozen=True, slots=True)
class Demo:
    """What the demo made."""

    plain: Evaluation
    s3n: Evaluation
    sheet: Path
    explanation: Path


def demo(out: Path, *, say: Callable[[str], None] = print) -> Demo:
    """Draw birds of 12 species, train the plain network and S3N on them, and show S3N's answers and their way.

    What an earlier call finished is kept and used again.

    Args:
        out: A folder for everything that is made.
        say: Receives lines of progress.
    """
    with working_in(out, lambda: any(out.glob("plumage/images/*/*.jpg"))):
        return _demo(out, say)


def _demo(out: Path, say: Callable[[str], None]) -> Demo:
    say(f"drawing {PLUMAGE.species} species of birds")
    birds = draw_plumage(out / "plumage", PLUMAGE, progress=every(60, say))
    plain, s3n = (
        trained(replace(recipe, data=DataConfig(root=birds, format=DatasetFormat.CUB)), out / name, say=say)
        for name, recipe in (("plain", plain_plumage()), ("s3n", s3n_plumage()))
    )
    context = RunContext(say=say)
    plain_answers, answers = evaluate(plain, context=context), evaluate(s3n, context=context)
    title = f"Drawn birds: {answers.accuracy.top1.value:.0%} of S3N's answers are right"
    sheet = answer_sheet_of(answers, out / "answers.png", title=title)
    explanation = _explained(s3n, answers, plain_answers, out / "explanation.png")
    say("")
    say(_comparison({"plain": (plain, plain_answers), "S3N": (s3n, answers)}))
    say(f"numbers  {plain_answers.report}, {answers.report}")
    say(f"pictures {sheet}: S3N's answers beside the truth")
    say(f"         {explanation}: where it looked for one of them")
    say(_gained(plain_answers, answers))
    return Demo(plain_answers, answers, sheet, explanation)


def _explained(run: Run, answers: Evaluation, plain: Evaluation, target: Path) -> Path:
    """Show the way to the surest right answer, if there is one where the plain network is wrong."""
    labels, probabilities = answers.table.labels, answers.table.probabilities
    right = probabilities.argmax(1) == labels
    missed = plain.table.probabilities.argmax(1) != labels
    index = int(np.argmax(probabilities.max(1) + 2.0 * right + 1.0 * (right & missed)))
    record = answers.records[index]
    explanation = Explainer.of(run).explain(
        read_image(record.image, largest_megapixels=None), Path(record.id).name, record.class_name
    )
    explanation.draw(target)
    return target


def _gained(plain: Evaluation, s3n: Evaluation) -> str:
    """Say in one sentence what looking closer changed."""
    before, after = (each.table.probabilities.argmax(1) == each.table.labels for each in (plain, s3n))
    return (
        f"Of {len(after)} birds that neither had seen, S3N named {int((after & ~before).sum())} right where plain was "
        f"wrong, and {int((before & ~after).sum())} wrong where plain was right."
    )


def _comparison(measured: dict[str, tuple[Run, Evaluation]]) -> str:
    rows = []
    for name, (run, evaluation) in measured.items():
        top1, transforms = evaluation.accuracy.top1, run.config.transforms
        rows.append(
            (
                name,
                str(transforms.input_size),
                str(transforms.source),
                f"{100 * top1.value:.1f}",
                f"{100 * top1.low:.1f} to {100 * top1.high:.1f}",
                f"{run.metrics()['minutes']:.1f}",
            )
        )
    return markdown_table(("network", "input", "source", "top-1, %", "95% interval", "minutes of training"), rows)


def every(count: int, say: Callable[[str], None]) -> Callable[[int, int], None]:
    """Return a progress function that says a line every `count` pictures and at the end."""

    def report(number: int, total: int) -> None:
        if number % count == 0 or number == total:
            say(f"  {number} of {total} pictures")

    return report
