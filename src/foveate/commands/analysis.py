"""The commands that analyse a run: where its objects are, what its maps fall on, and whether to trust it."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import tyro

from foveate.commands import existence
from foveate.commands.contexts import MeasurementOptions, context_of
from foveate.config.checks import require
from foveate.config.data import Split, TestViews
from foveate.evaluation.config import GroundingStudy, TrustStudy


@dataclass(frozen=True, kw_only=True)
class _Analysis(MeasurementOptions):
    """What both commands are told."""

    run_folder: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="RUN")]
    """The run folder."""
    split: Split = Split.TEST
    """Which photographs to look at; they need annotated boxes."""
    batch_size: int = 32
    """Photographs at a time."""

    def __post_init__(self) -> None:
        require(self.batch_size >= 1, "batch_size must be at least 1", self.batch_size)

    def _check_paths(self) -> None:
        existence.check_run(self.run_folder)
        existence.check_data(self.root)


@dataclass(frozen=True, kw_only=True)
class Localise(_Analysis):
    """Measure whether a run's class maps say where the object is: top-1 localisation and MaxBoxAcc, view by view."""

    def run(self) -> None:
        """Do it."""
        self._check_paths()
        from foveate.workflows.analysis.localise import localise

        report = localise(self.run_folder, split=self.split, context=context_of(self))
        print(report.markdown)
        print(f"written to {report.report} (also .json, .png and -examples.png)")


@dataclass(frozen=True, kw_only=True)
class Attention(_Analysis):
    """Measure what an S3N run's sparse attention falls on: hits of the object's box, and the nearest parts."""

    def run(self) -> None:
        """Do it."""
        self._check_paths()
        from foveate.workflows.analysis.analyse_attention import analyse_attention

        report = analyse_attention(self.run_folder, split=self.split, context=context_of(self))
        print(report.markdown)
        print(f"written to {report.report} (also .json and .png)")


@dataclass(frozen=True, kw_only=True)
class Grounding(MeasurementOptions):
    """Measure where each method of grounding sees a run's classes: pointing, energy, deletion, insertion, sanity."""

    run_folder: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="RUN")]
    """The run folder."""
    study: Annotated[GroundingStudy, tyro.conf.arg(name="")] = field(default_factory=GroundingStudy)
    split: Split = Split.TEST
    """Which photographs to ground."""

    def run(self) -> None:
        """Do it."""
        existence.check_run(self.run_folder)
        existence.check_data(self.root)
        from foveate.workflows.analysis.measure_grounding import measure_grounding

        measure_grounding(self.run_folder, self.study, split=self.split, context=context_of(self))


@dataclass(frozen=True, kw_only=True)
class Trust(MeasurementOptions):
    """Judge the kept answers of a run or a Guided Zoom: calibration, risk by coverage, alarms, confused classes."""

    folder: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="RUN_OR_ZOOM")]
    """The run folder, evaluated before; or a Guided Zoom's, for its answers before and after refinement."""
    study: Annotated[TrustStudy, tyro.conf.arg(name="")] = field(default_factory=TrustStudy)
    split: Split = Split.TEST
    """Whose answers to judge."""
    views: TestViews = TestViews.CENTRE
    """Which evaluation of a run."""

    def run(self) -> None:
        """Do it."""
        existence.check_run_or_zoom(self.folder)
        existence.check_data(self.root)
        from foveate.workflows.analysis.measure_trust import measure_trust

        measure_trust(self.folder, self.study, split=self.split, views=self.views, context=context_of(self))
