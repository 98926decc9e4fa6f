"""`foveate report`: one HTML file about a trained model, to read and to hand on."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from foveate.commands import existence
from foveate.commands.contexts import MeasurementOptions, context_of
from foveate.config.checks import require
from foveate.config.data import Split


@dataclass(frozen=True, kw_only=True)
class Report(MeasurementOptions):
    """Write one HTML file: every wrong photograph and why, look-alike classes side by side, when to trust an answer.

    Further runs and Guided Zooms are compared with the first. The file fetches nothing.
    """

    models: Annotated[
        tyro.conf.Positional[tuple[Path, ...]],
        tyro.conf.arg(metavar="RUN_OR_ZOOM [RUN_OR_ZOOM ...]", help_behavior_hint="(required)"),
    ]
    """The folder of a run or of a Guided Zoom, and of those that are compared with it."""
    split: Split = Split.TEST
    """Whose photographs to answer for."""
    out: Path | None = None
    """The file; None: report.html in the first folder."""
    pairs: int = 6
    """Pairs of look-alike classes that are shown side by side."""
    evidence: int = 200
    """Wrong photographs whose evidence is shown, the surest first; all are listed."""
    results: Path | None = None
    """A file of JSON lines to which each run that is evaluated now adds its row."""
    batch_size: int = 32
    """Photographs at a time, where a run is evaluated."""

    def __post_init__(self) -> None:
        require(self.batch_size >= 1, "batch_size must be at least 1", self.batch_size)

    def run(self) -> None:
        """Do it."""
        for each in self.models:
            existence.check_run_or_zoom(each)
        from foveate.workflows.html_report.write_report import ReportConfig, write_report

        config = ReportConfig(pairs=self.pairs, evidence=self.evidence)
        write_report(*self.models, split=self.split, out=self.out, config=config, context=context_of(self))
