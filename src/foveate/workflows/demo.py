"""The whole way on drawn birds, in minutes: draw, train, compare, refine, report."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from foveate.data.images import read_image
from foveate.data.roots import shown_path
from foveate.evaluation.bootstrap import Estimate
from foveate.evaluation.mcnemar import PairedTest, mcnemar
from foveate.files.locks import working_in
from foveate.guided_zoom.config import Keep, PatchConfig, PoolConfig, RefinementConfig
from foveate.plumage import Difference, PlumageConfig, draw_plumage
from foveate.recipes.demo import SOURCE, VIEW, evidence_demo, plain_demo, s3n_demo
from foveate.report.tables import markdown_table
from foveate.runs.context import RunContext
from foveate.runs.guided_zoom_run import GuidedZoomRun
from foveate.runs.run import Run
from foveate.workflows.build_guided_zoom import build_guided_zoom
from foveate.workflows.evaluate import Evaluation, evaluate
from foveate.workflows.evidence_training import EvidenceTraining
from foveate.workflows.explain import Explainer
from foveate.workflows.html_report.write_report import ReportConfig, write_report
from foveate.workflows.refinement_report import RefinementRow
from foveate.workflows.shown_answers import answer_sheet_of
from foveate.workflows.train import trained

PLUMAGE = PlumageConfig(
    species=8,
    train_per_species=60,
    test_per_species=50,
    size=SOURCE,
    marks=1.5,
    difference=Difference.WING,
)
POOL = PoolConfig(patches=PatchConfig(source_size=SOURCE), keep=Keep.FIRST_ALWAYS, whole=False)
REFINEMENT = RefinementConfig(top_k=3)
_EVIDENCE_SHOWN = 24  # wrong answers whose way is in the report
_CHANCE = 0.05  # of the paired test, below which a difference is called one


@dataclass(frozen=True, slots=True)
class Trained:
    """Both networks and the Guided Zoom of the plain one, of one seed, and what they answered."""

    plain: Run
    s3n: Run
    zoom: GuidedZoomRun
    plain_answers: Evaluation
    s3n_answers: Evaluation
    refined: RefinementRow

    @property
    def looking_closer(self) -> PairedTest:
        """S3N (a) against plain (b)."""
        answers = (self.s3n_answers, self.plain_answers)
        right = (each.table.right for each in answers)
        return mcnemar(*right)

    @property
    def best_first(self) -> tuple[Run | GuidedZoomRun, ...]:
        """The three, by how many pictures they name rightly."""
        right: tuple[tuple[float, Run | GuidedZoomRun], ...] = (
            (self.refined.change.after, self.zoom),
            (self.s3n_answers.accuracy.top1.value, self.s3n),
            (self.plain_answers.accuracy.top1.value, self.plain),
        )
        return tuple(model for _, model in sorted(right, key=lambda each: -each[0]))


@dataclass(frozen=True, slots=True)
class Demo:
    """What the demo made."""

    trained: Trained
    sheet: Path
    explanation: Path
    report: Path


def demo(out: Path, *, say: Callable[[str], None] = print) -> Demo:
    """Draw birds of 8 species, twins by their wings, train the plain network and S3N, refine the plain one, and report.

    What an earlier call finished is kept and used again.

    Args:
        out: A folder for everything that is made.
        say: Receives lines of progress.
    """
    with working_in(out, lambda: any(out.glob("plumage/images/*/*.jpg"))):
        return _demo(out, say)


def _demo(out: Path, say: Callable[[str], None]) -> Demo:
    say("About five minutes on two cores; twice that on slow ones. A stopped demo goes on where it was.")
    birds = drawn(out, say)
    made = train_and_measure(birds, out / "runs", 0, say)
    say("")
    say(_comparison(made))
    for line in _findings(made):
        say(line)
    s3n_answers = made.s3n_answers
    title = f"Drawn birds: {s3n_answers.accuracy.top1.value:.0%} of S3N's answers are right"
    sheet = answer_sheet_of(s3n_answers, out / "answers.png", title=title)
    explanation = _explained(made, out / "explanation.png")
    say(f"pictures: {shown_path(sheet)}, {shown_path(explanation)}")
    report = write_report(
        *made.best_first,
        out=out / "report.html",
        config=ReportConfig(evidence=_EVIDENCE_SHOWN),
        context=RunContext(say=_nothing),
    )
    best, *_ = made.best_first
    say("")
    say(f"open   {shown_path(report)} in a browser: what is right, what is wrong, and why")
    say(f"serve  {_command()} serve {shown_path(best.path)}, and drop a picture of {shown_path(birds)} on the page")
    return Demo(made, sheet, explanation, report)


def _command() -> str:
    """Return how this Foveate is called: by its path, where its name alone would not find it."""
    called = Path(sys.argv[0])
    return "foveate" if shutil.which("foveate") or called.name != "foveate" else shown_path(called)


def drawn(out: Path, say: Callable[[str], None]) -> Path:
    """Draw the demo's birds into the folder `plumage` of another, and return it."""
    pictures = PLUMAGE.species * PLUMAGE.per_species
    say(f"1 of 4  drawing {pictures} birds of {PLUMAGE.species} species, which are pairs of twins:")
    say("        one has a broad bar across its wing, the other two narrow ones")
    return draw_plumage(out / "plumage", PLUMAGE, progress=every(pictures // 4, say))


def train_and_measure(birds: Path, runs: Path, seed: int, say: Callable[[str], None]) -> Trained:
    """Train what the demo compares, and answer for the test pictures.

    Args:
        birds: As `drawn` leaves them.
        runs: The folder of the runs.
        seed: Of the trainings.
        say: Receives lines of progress.
    """
    context, progress = RunContext(say=_nothing), _progress(say)
    say(f"2 of 4  a plain network looks at each picture once, at {VIEW} pixels")
    plain = trained(plain_demo(birds, seed), runs / "plain", say=progress)
    plain_answers = evaluate(plain, context=context)
    say("3 of 4  S3N looks at it too, and twice more, closer, where it saw something")
    s3n = trained(s3n_demo(birds, plain.path, seed), runs / "s3n", say=progress)
    s3n_answers = evaluate(s3n, context=context)
    say("4 of 4  Guided Zoom asks the plain network for its evidence, cuts it out, and has a second network judge it")
    zoom = runs / "plain-zoom"
    evidence = EvidenceTraining(config=evidence_demo(zoom / "pool", plain.path, seed))
    refined, *_ = build_guided_zoom(
        plain, zoom, pool=POOL, evidence=evidence, refinement=REFINEMENT, context=RunContext(say=progress)
    )
    return Trained(plain, s3n, GuidedZoomRun.open(zoom), plain_answers, s3n_answers, refined)


def _comparison(made: Trained) -> str:
    """Return a table of the three, and of what guessing would give."""
    classes = PLUMAGE.species
    rows = [("guessing", f"{100 / classes:.1f}", "", "")]
    for name, run, answers in (("plain", made.plain, made.plain_answers), ("S3N", made.s3n, made.s3n_answers)):
        rows.append((name, *_percent(answers.accuracy.top1), f"{run.metrics()['minutes']:.1f}"))
    minutes = made.plain.metrics()["minutes"] + made.zoom.evidence_run().metrics()["minutes"]
    rows.insert(2, ("plain, with Guided Zoom", f"{100 * made.refined.change.after:.1f}", "", f"{minutes:.1f}"))
    return markdown_table(("network", "right, %", "95% interval", "minutes of training"), rows)


def _percent(share: Estimate) -> tuple[str, str]:
    return f"{100 * share.value:.1f}", f"{100 * share.low:.1f} to {100 * share.high:.1f}"


def _findings(made: Trained) -> Iterator[str]:
    """Say what the table means."""
    closer, change = made.looking_closer, made.refined.change
    yield (
        f"S3N against plain: right on {closer.only_a} pictures where plain is wrong, wrong on {closer.only_b} where "
        f"plain is right; {_said(closer.p_value)}"
    )
    yield (
        f"Guided Zoom: {change.mended} wrong answers of plain mended, {change.spoiled} right ones spoiled; "
        f"{_said(made.refined.p_value)}"
    )
    yield "S3N and the second network go on from what plain learned, so they have learned for longer."


def _said(p_value: float) -> str:
    return f"beyond chance (p = {p_value:.1g})" if p_value < _CHANCE else f"may be chance (p = {p_value:.2f})"


def _explained(made: Trained, target: Path) -> Path:
    """Show the way to the surest right answer, if there is one where the plain network is wrong."""
    answers, plain = made.s3n_answers, made.plain_answers
    labels, probabilities = answers.table.labels, answers.table.probabilities
    right = probabilities.argmax(1) == labels
    missed = plain.table.probabilities.argmax(1) != labels
    index = int(np.argmax(probabilities.max(1) + 2.0 * right + 1.0 * (right & missed)))
    record = answers.records[index]
    explanation = Explainer.of(made.s3n).explain(
        read_image(record.image, largest_megapixels=None), Path(record.id).name, record.class_name
    )
    explanation.draw(target)
    return target


def every(count: int, say: Callable[[str], None]) -> Callable[[int, int], None]:
    """Return a progress function that says a line every `count` pictures and at the end."""

    def report(number: int, total: int) -> None:
        if number % count == 0 or number == total:
            say(f"  {number} of {total} pictures")

    return report


def _progress(say: Callable[[str], None]) -> Callable[[str], None]:
    """Return what passes on lines of progress, without tables and what was measured on the way."""
    return lambda line: None if "|" in line or "cross-validated" in line else say(line)


def _nothing(line: str) -> None:
    """Take a line of progress and say nothing."""
