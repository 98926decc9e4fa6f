"""The papers' figures, zoom of one's own runs."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float

from foveate.config.data import Split
from foveate.errors import UserError
from foveate.evaluation.predictions import PredictionTable, read_predictions
from foveate.reproduction.paper_runs import PaperRuns
from foveate.reproduction.tables import ON_CUB, Scale
from foveate.runs.context import HERE
from foveate.runs.run import Run
from foveate.workflows.analysis.analyse_attention import analyse_attention
from foveate.workflows.evaluate import evaluate
from foveate.workflows.explain import explain
from foveate.workflows.split_evidence import evidence_of_split

_SHOWN = 4
_EPOCHS = (1, 5, 20)


def make_figure(name: str, runs: PaperRuns, out: Path, scale: Scale, seed: int) -> Path:
    """Make a figure's pictures in a folder and return it; pictures of an earlier call are replaced.

    Args:
        name: One of `foveate.reproduction.tables.FIGURES`.
        runs: What it is zoom with.
        out: The folder.
        scale: Of the networks.
        seed: Of their training.

    Raises:
        UserError: As training, evaluating and explaining do.
    """

    def run(what: str) -> Run:
        return runs.run(dict(ON_CUB[what])[scale], seed)

    out.mkdir(parents=True, exist_ok=True)
    MAKERS[name](runs, out, run)
    runs.say(f"pictures {out}")
    return out


_Make = Callable[[PaperRuns, Path, Callable[[str], Run]], None]


def _epochs(runs: PaperRuns, out: Path, run: Callable[[str], Run]) -> None:
    """The evidence at epochs 1, 5 and 20."""
    s3n = run("s3n-epochs")
    table = _answers(runs, s3n)
    indices = [round(each) for each in np.linspace(0, len(table.ids) - 1, _SHOWN)]
    _explain(runs, s3n, table, indices, out, epochs=_EPOCHS)


def _attention(runs: PaperRuns, out: Path, run: Callable[[str], Run]) -> None:
    """How many peaks hit the box, and which parts are nearest to the strongest and the weakest."""
    s3n = run("s3n")
    runs.read(s3n, "test-attention.json", analyse_attention)
    for ending in ("md", "json", "png"):
        shutil.copyfile(s3n.path / "evaluation" / f"test-attention.{ending}", out / f"attention.{ending}")


def _failures(runs: PaperRuns, out: Path, run: Callable[[str], Run]) -> None:
    """Where the baseline fails and S3N does not, and S3N's own failures, the surest first."""
    s3n = run("s3n")
    table, other = _answers(runs, s3n), _answers(runs, run("plain"))
    right, other_right = table.right, other.right
    sure = table.probabilities.max(1)
    for name, wanted in (("baseline-fails", right & ~other_right), ("s3n-fails", ~right)):
        _explain(runs, s3n, table, surest(wanted, sure), out / name)


def _refined(runs: PaperRuns, out: Path, run: Callable[[str], Run]) -> None:
    """Answers that the evidence mends."""
    zoom = runs.zoom(run("guided-zoom"))
    decision = zoom.description.refinement
    table = evidence_of_split(zoom, "test", decision, context=runs.context)
    mended = ~table.right_before & table.right_after(decision)
    indices = surest(mended, table.probabilities.max(1).values.numpy())
    paths = _paths(zoom.base_run(), [table.ids[index] for index in indices])
    explain(zoom, paths, out=out, context=runs.context)


def _erased(runs: PaperRuns, out: Path, run: Callable[[str], Run]) -> None:
    """Round after round of evidence, and the parts that each finds."""
    zoom = runs.zoom(run("guided-zoom"))
    shutil.copyfile(zoom.path / "evaluation" / "test.md", out / "rounds.md")
    base = zoom.base_run()
    table = _answers(runs, base)
    right = table.right
    paths = _paths(base, [table.ids[index] for index in surest(right, table.probabilities.max(1))])
    explain(zoom, paths, out=out, context=runs.context)


MAKERS: dict[str, _Make] = {
    "s3n-fig4": _epochs,
    "s3n-fig5": _attention,
    "s3n-fig6": _attention,
    "s3n-fig7": _failures,
    "gz-fig2": _refined,
    "gz-fig3": _erased,
}
"""By the names of `FIGURES`; the two of S3N's attention are one picture."""


def surest(wanted: Bool[np.ndarray, " n"], sure: Float[np.ndarray, " n"]) -> list[int]:
    """Return a few of the wanted photographs, those that the network is surest of first."""
    indices = np.flatnonzero(wanted)
    return [int(index) for index in indices[np.argsort(-sure[indices], kind="stable")][:_SHOWN]]


def _answers(runs: PaperRuns, run: Run) -> PredictionTable:
    runs.read(run, "test-centre.json", evaluate)
    return read_predictions(run.path / "evaluation" / "test-centre.parquet")


def _explain(
    runs: PaperRuns,
    run: Run,
    table: PredictionTable,
    indices: Sequence[int],
    out: Path,
    epochs: Sequence[int] | None = None,
) -> None:
    paths = _paths(run, [table.ids[index] for index in indices])
    explain(run, paths, epochs=epochs, out=out, context=runs.context)


def _paths(run: Run, ids: Sequence[str]) -> list[str]:
    """Return the files of test photographs.

    Raises:
        UserError: There is none to show, or they are no files of their own.
    """
    if not ids:
        raise UserError(f"no test photograph of {run.path.name} is what the figure shows; try another seed")
    images = {record.id: record.image for record in HERE.photographs_of(run, Split.TEST)}
    files = [images[each] for each in ids]
    if not all(isinstance(each, Path) for each in files):
        raise UserError(f"a figure shows photographs that are files; those of {run.config.data.root} are not")
    return [str(each) for each in files]
