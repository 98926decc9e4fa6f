"""`foveate evaluate`: how often a run is right."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import tyro

from foveate.commands import existence
from foveate.commands.contexts import MeasurementOptions, context_of
from foveate.config.branches import Branch
from foveate.config.checks import require
from foveate.config.data import Split, TestViews
from foveate.config.engine import EngineConfig
from foveate.config.trackers import Tracker
from foveate.errors import UserError

if TYPE_CHECKING:
    from foveate.workflows.shown_answers import EvaluatedAnswers


@dataclass(frozen=True, kw_only=True)
class Evaluate(MeasurementOptions):
    """Measure a run or a Guided Zoom: top-1, top-3, top-5 and mean per-class accuracy with 95% intervals."""

    run_folder: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="RUN_OR_ZOOM")]
    """The run folder, or a Guided Zoom's: then also what the evidence changed."""
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
    out: Path | None = None
    """Also write a list of all photographs here (.csv, .json or .parquet): true class, answer, whether it is right, the
    best five; the wrong ones first."""
    sheet: Path | None = None
    """Also write PNG sheets here: every wrong answer with the name of its file, then some right ones."""

    engine: Annotated[EngineConfig, tyro.conf.arg(name="")] = field(default_factory=EngineConfig)
    logger: Tracker | None = None
    """The tracker that the training wrote to: the accuracies are added there."""

    def __post_init__(self) -> None:
        require(self.batch_size >= 1, "batch_size must be at least 1", self.batch_size)

    def run(self) -> None:
        """Do it."""
        existence.check_run_or_zoom(self.run_folder)
        existence.check_data(self.root)
        from foveate.runs.guided_zoom_run import GuidedZoomRun
        from foveate.workflows.answer_files import check_file
        from foveate.workflows.shown_answers import check_sheet

        if self.out is not None:
            check_file(self.out)  # what cannot be written is said before the work, not after
        if self.sheet is not None:
            check_sheet(self.sheet)
        if self.logger is not None:
            from foveate.training.trackers import check_tracked

            check_tracked(self.logger, self.run_folder.expanduser())
        if GuidedZoomRun.is_at(self.run_folder.expanduser()):
            self._evaluate_zoom()
        else:
            self._evaluate_run()

    def _evaluate_run(self) -> None:
        from foveate.hardware import autocast_dtype
        from foveate.runs.run import Run
        from foveate.workflows.evaluate import evaluate, evaluation_markdown

        evaluation = evaluate(
            Run.open(self.run_folder),
            split=self.split,
            views=self.views,
            zoom_entropy_threshold=self.zoom_entropy_threshold,
            branch=self.branch,
            context=context_of(self),
        )
        print(evaluation_markdown(evaluation, self._title))
        if self.logger is not None:
            from foveate.training.trackers import add_numbers

            add_numbers(self.logger, self.run_folder.expanduser(), evaluation.numbers)
        precision = str(autocast_dtype(self.hardware)).removeprefix("torch.")
        print(f"{evaluation.milliseconds:.1f} milliseconds a photograph in the network, in {precision}\n")
        self._show(evaluation)
        print(f"written to {evaluation.report} (also .json and .parquet)")

    def _evaluate_zoom(self) -> None:
        from foveate.workflows.evaluate_zoom import evaluate_zoom

        if (self.views, self.zoom_entropy_threshold, self.branch) != (TestViews.CENTRE, None, None):
            raise UserError(
                f"--views, --zoom-entropy-threshold and --branch are of runs; {self.run_folder} is a Guided Zoom; "
                "leave them out, or evaluate the run that it questions"
            )
        evaluation = evaluate_zoom(self.run_folder, split=self.split, context=context_of(self))
        self._show(evaluation, evaluation.first)
        print(f"written to {evaluation.report.file} (also .json)")

    def _show(self, evaluation: "EvaluatedAnswers", first: Any = None) -> None:
        """Write the list and the sheets that were asked for; `first` is what a Guided Zoom's network says alone."""
        from foveate.workflows.answer_list import write_answer_list
        from foveate.workflows.shown_answers import answer_sheets_of

        if self.out is not None:
            write_answer_list(self.out, evaluation.table, evaluation.records, first)
            print(f"{len(evaluation.records)} photographs in {self.out}, the wrong answers first")
        if self.sheet is not None:
            _, said = answer_sheets_of(evaluation, self.sheet, title=self._title)
            print(said)

    @property
    def _title(self) -> str:
        return f"{self.run_folder.name}, {self.split} split"
