"""`foveate evaluate`: how often a run is right."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from foveate.commands import existence
from foveate.commands.contexts import MeasurementOptions, context_of
from foveate.config.branches import Branch
from foveate.config.checks import require
from foveate.config.data import Split, TestViews


@dataclass(frozen=True, kw_only=True)
class Evaluate(MeasurementOptions):
    """Measure a run: top-1, top-3, top-5 and mean per-class accuracy with 95% intervals."""

    run_folder: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="RUN")]
    """The run folder."""
    split: Split = Split.TEST
    """Which photographs to answer for."""
    views: TestViews = TestViews.CENTRE
    """Which views of a photograph are averaged."""
    zoom_entropy_threshold: float | None = None
    """Of an S3N run: look closer only where the entropy of the first look, in nats, is above this; None: always, and
    show what thresholds would do."""
    branch: Branch | None = None
    """The one branch that answers: `original` is the first look of an S3N run, for one pass instead of three; None: all
    decide together, and each is measured."""
    batch_size: int = 32
    """Photographs at a time."""
    sheet: Path | None = None
    """Also write a PNG sheet of right and wrong answers here."""

    def __post_init__(self) -> None:
        require(self.batch_size >= 1, "batch_size must be at least 1", self.batch_size)

    def run(self) -> None:
        """Do it."""
        existence.check_run(self.run_folder)
        existence.check_data(self.root)
        from foveate.runs.run import Run
        from foveate.workflows.evaluate import evaluate, evaluation_markdown
        from foveate.workflows.shown_answers import answer_sheet_of

        run = Run.open(self.run_folder)
        evaluation = evaluate(
            run,
            split=self.split,
            views=self.views,
            zoom_entropy_threshold=self.zoom_entropy_threshold,
            branch=self.branch,
            context=context_of(self),
        )
        print(evaluation_markdown(evaluation, f"{self.run_folder.name}, {self.split} split"))
        print(f"{evaluation.milliseconds:.1f} milliseconds a photograph in the network\n")
        if self.sheet is not None:
            print(answer_sheet_of(evaluation, self.sheet, title=f"{self.run_folder.name}, {self.split} split"))
        print(f"written to {evaluation.report} (also .json and .parquet)")
