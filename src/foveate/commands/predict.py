"""`foveate predict`: what is in photographs."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import tyro

from foveate.commands import existence
from foveate.commands.contexts import context_of
from foveate.config.branches import Branch
from foveate.config.checks import require, require_count
from foveate.config.data import OnError, TestViews
from foveate.config.engine import EngineConfig
from foveate.config.hardware import HardwareConfig
from foveate.data.paths import check_named
from foveate.errors import UserError


@dataclass(frozen=True, kw_only=True)
class Predict:
    """Name what is in photographs: files, folders, globs."""

    run_folder: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="RUN")]
    """The run folder, or a Guided Zoom's, for refined answers."""
    paths: Annotated[
        tyro.conf.Positional[tuple[str, ...]], tyro.conf.arg(metavar="PATHS...", help_behavior_hint="(required)")
    ]
    """Photographs, folders of them, globs."""
    top: int = 5
    """How many classes each answer ranks."""
    entropy_threshold: float | None = None
    """Nats; an answer whose entropy is above it is reported as not sure. None: all are sure."""
    error_rate: float | None = None
    """In place of it: of the answers that are not reported as not sure at most so many are wrong, 0.02 for 2%, with
    90% confidence, by the answers that the run keeps to photographs held out of its training."""
    coverage: float | None = None
    """Also name the set of classes that holds the true one so often, 0.95 for 95%, by the same answers."""
    views: TestViews = TestViews.CENTRE
    """Which views of a photograph are averaged."""
    zoom_entropy_threshold: float | None = None
    """Of an S3N run: look closer only where the entropy of the first look, in nats, is above this; None: always.
    `evaluate --split validation` shows what each threshold saves; at most the entropy threshold."""
    branch: Branch | None = None
    """The one branch that answers: `original` is the first look of an S3N run, for one pass instead of three; None: all
    decide together."""
    group_by: str | None = None
    """Answer once for several photographs of one object: `folder`, where each folder holds those of one; else a regular
    expression whose first group, such as in '(plant\\d+)_', names the object in each path."""
    names_only: bool = False
    """Name each photograph's class and nothing else. A Guided Zoom of several rounds then looks at less evidence,
    for the same classes."""
    out: Path | None = None
    """Write the answers here (.csv, .json or .parquet) rather than to the screen."""
    on_error: OnError = OnError.STOP
    """What to do about photographs that cannot be read."""
    largest_megapixels: int | None = None
    """Photographs with more million pixels count as those that cannot be read; None: as in the training."""
    engine: Annotated[EngineConfig, tyro.conf.arg(name="")] = field(default_factory=EngineConfig)
    hardware: HardwareConfig = field(default_factory=HardwareConfig)

    def __post_init__(self) -> None:
        require(self.top >= 1, "top must be at least 1", self.top)
        threshold = self.entropy_threshold
        require(threshold is None or threshold >= 0, "entropy_threshold must not be negative, in nats", threshold)
        given = {"error_rate": (self.error_rate, "0.02 for 2%"), "coverage": (self.coverage, "0.95 for 95%")}
        for name, (share, example) in given.items():
            holds = share is None or 0 < share < 1
            require(holds, f"{name} must be a fraction between 0 and 1, {example}", share)
        require(
            threshold is None or self.error_rate is None,
            "an answer is sure by --entropy-threshold or by --error-rate, not by both",
            f"{threshold} and {self.error_rate}",
        )
        if self.largest_megapixels is not None:
            require_count("largest_megapixels", self.largest_megapixels)

    def run(self) -> None:
        """Do it.

        Raises:
            UserError: Something the user can mend: see its message.
        """
        existence.check_run_or_zoom(self.run_folder)
        check_named(self.paths)
        from foveate.workflows.predict import name_paths, predict_paths

        if self.names_only:
            doubt = (self.entropy_threshold, self.error_rate, self.coverage)
            if (self.top, *doubt, self.views, self.group_by) != (5, None, None, None, TestViews.CENTRE, None):
                raise UserError(
                    "--names-only names one class of one view, whatever the doubt; leave it out, or leave out --top, "
                    "--entropy-threshold, --error-rate, --coverage, --views and --group-by"
                )
            name_paths(
                self.run_folder,
                self.paths,
                zoom_entropy_threshold=self.zoom_entropy_threshold,
                branch=self.branch,
                out=self.out,
                context=context_of(self),
            )
            return
        predict_paths(
            self.run_folder,
            self.paths,
            top=self.top,
            entropy_threshold=self.entropy_threshold,
            error_rate=self.error_rate,
            coverage=self.coverage,
            views=self.views,
            zoom_entropy_threshold=self.zoom_entropy_threshold,
            branch=self.branch,
            group_by=self.group_by,
            out=self.out,
            context=context_of(self),
        )
