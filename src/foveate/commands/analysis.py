"""The commands that analyse a run: where its objects are, what its maps fall on, and whether to trust it."""

from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Annotated, Any, Literal

import tyro

from foveate.commands import existence
from foveate.config.checks import require
from foveate.config.data import OnError, TestViews
from foveate.config.hardware import HardwareConfig
from foveate.evaluation.config import GroundingStudy, TrustStudy


@dataclass(frozen=True, kw_only=True)
class _Analysis:
    """What both commands are told."""

    run_folder: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="RUN")]
    """The run folder."""
    split: Literal["test", "validation", "train"] = "test"
    """Which photographs to look at; they need annotated boxes."""
    root: Path | None = None
    """Where the data set lies now, if it has moved since the training."""
    on_error: OnError | None = None
    """What to do about photographs that cannot be read; None: as the training did."""
    batch_size: int = 32
    """Photographs at a time."""
    hardware: HardwareConfig = field(default_factory=HardwareConfig)
    results: Path | None = None
    """A file of JSON lines to which one row is added; not that of `evaluate`."""

    def __post_init__(self) -> None:
        require(self.batch_size >= 1, "batch_size must be at least 1", self.batch_size)

    def _check_paths(self) -> None:
        existence.check_run(self.run_folder)
        existence.check_data(self.root)

    def _options(self) -> dict[str, Any]:
        return {each.name: getattr(self, each.name) for each in fields(self) if each.name != "run_folder"}


@dataclass(frozen=True, kw_only=True)
class Localise(_Analysis):
    """Measure whether a run's class maps say where the object is: top-1 localisation and MaxBoxAcc, view by view."""

    def run(self) -> None:
        """Do it."""
        self._check_paths()
        from foveate.workflows.analysis.localise import localise

        report = localise(self.run_folder, **self._options())
        print(report.markdown)
        print(f"written to {report.report} (also .json, .png and -examples.png)")


@dataclass(frozen=True, kw_only=True)
class Attention(_Analysis):
    """Measure what an S3N run's sparse attention falls on: hits of the object's box, and the nearest parts."""

    def run(self) -> None:
        """Do it."""
        self._check_paths()
        from foveate.workflows.analysis.attention import analyse_attention

        report = analyse_attention(self.run_folder, **self._options())
        print(report.markdown)
        print(f"written to {report.report} (also .json and .png)")


@dataclass(frozen=True, kw_only=True)
class Grounding:
    """Measure where each method of grounding sees a run's classes: pointing, energy, deletion, insertion, sanity."""

    run_folder: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="RUN")]
    """The run folder."""
    study: Annotated[GroundingStudy, tyro.conf.arg(name="")] = field(default_factory=GroundingStudy)
    split: Literal["test", "validation", "train"] = "test"
    """Which photographs to ground."""
    root: Path | None = None
    """Where the data set lies now, if it has moved since the training."""
    on_error: OnError | None = None
    """What to do about photographs that cannot be read; None: as the training did."""
    hardware: HardwareConfig = field(default_factory=HardwareConfig)
    results: Path | None = None
    """A file of JSON lines to which one row for each method is added."""

    def run(self) -> None:
        """Do it."""
        existence.check_run(self.run_folder)
        existence.check_data(self.root)
        from foveate.workflows.analysis.measure_grounding import measure_grounding

        measure_grounding(
            self.run_folder,
            self.study,
            split=self.split,
            root=self.root,
            on_error=self.on_error,
            hardware=self.hardware,
            results=self.results,
        )


@dataclass(frozen=True, kw_only=True)
class Trust:
    """Judge the kept answers of a run or a Guided Zoom: calibration, risk by coverage, alarms, confused classes."""

    folder: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="RUN_OR_ZOOM")]
    """The run folder, evaluated before; or a Guided Zoom's, for its answers before and after refinement."""
    study: Annotated[TrustStudy, tyro.conf.arg(name="")] = field(default_factory=TrustStudy)
    split: Literal["test", "validation", "train"] = "test"
    """Whose answers to judge."""
    views: TestViews = TestViews.CENTRE
    """Which evaluation of a run."""
    root: Path | None = None
    """Where the data set lies now, if it has moved since the training."""
    on_error: OnError | None = None
    """What to do about photographs that cannot be read; None: as the training did."""
    hardware: HardwareConfig = field(default_factory=HardwareConfig)
    results: Path | None = None
    """A file of JSON lines to which one row is added."""

    def run(self) -> None:
        """Do it."""
        existence.check_run_or_zoom(self.folder)
        existence.check_data(self.root)
        from foveate.workflows.analysis.trust import measure_trust

        measure_trust(
            self.folder,
            self.study,
            split=self.split,
            views=self.views,
            root=self.root,
            on_error=self.on_error,
            hardware=self.hardware,
            results=self.results,
        )
