"""What the folder of a run does not say: where its photographs lie now, what computes, and who is told."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from foveate.config.branches import Branch
from foveate.config.checks import require_count
from foveate.config.data import DataConfig, OnError, Split
from foveate.config.engine import EngineConfig
from foveate.config.hardware import HardwareConfig
from foveate.data.preparation import Splits, checked
from foveate.data.records import ImageRecord
from foveate.engines.ray_engine import mapped_by
from foveate.errors import UserError
from foveate.files.remote_path import located
from foveate.hardware import device_of
from foveate.inference.classifier import Classifier
from foveate.recipes.datasets import load_splits
from foveate.runs.held_out import read_calibration
from foveate.runs.run import Run


@dataclass(frozen=True, kw_only=True)
class RunContext:
    """Here and now: what everything that is done with a run, or with a Guided Zoom, has in common.

    ::

        here = foveate.RunContext(root=Path("/data/CUB_200_2011"), results=Path("rows.jsonl"))
        foveate.evaluate("runs/plain", context=here)
        foveate.localise("runs/plain", context=here)

    Raises:
        UserError: A number is out of range.
    """

    root: Path | None = None
    """Where the data set lies now, if it has moved since the training."""
    on_error: OnError | None = None
    """What to do about photographs that cannot be read; None: as the training did, and of photographs that are named
    one by one: stop."""
    largest_megapixels: int | None = None
    """A photograph with more million pixels cannot be read; None: as in the training."""
    batch_size: int = 32
    """Photographs that are measured at a time, where no study or pool says how many."""
    hardware: HardwareConfig = field(default_factory=HardwareConfig)
    """Where to compute; by default as this machine does it fast."""
    engine: EngineConfig = field(default_factory=EngineConfig)
    """Who does the bulk of the work."""
    results: Path | None = None
    """A file of JSON lines to which each measurement adds its rows."""
    say: Callable[[str], None] = print
    """Receives lines of progress, warnings, and what was written where."""

    def __post_init__(self) -> None:
        if self.root is not None:
            object.__setattr__(self, "root", located(self.root))
        require_count("batch_size", self.batch_size)
        if self.largest_megapixels is not None:
            require_count("largest_megapixels", self.largest_megapixels)

    def data_of(self, run: Run) -> DataConfig:
        """Return a run's data set where it lies now."""
        return run.config.data if self.root is None else replace(run.config.data, root=self.root)

    def on_error_of(self, run: Run) -> OnError:
        """Return what is done about photographs of a run's data set that cannot be read."""
        return self.on_error or run.config.data.on_error

    @property
    def on_error_of_named(self) -> OnError:
        """What is done about photographs that cannot be read and are named one by one."""
        return self.on_error or OnError.STOP

    def largest_of(self, run: Run) -> int:
        """Return how many million pixels a photograph may have that a run looks at."""
        return self.largest_megapixels or run.config.data.largest_megapixels

    def photographs_of(self, run: Run, split: Split | str, *, announced: bool = False) -> Sequence[ImageRecord]:
        """Return the photographs of a split of a run's data set; where announced, say what is to be known of that.

        Raises:
            UserError: It has other classes than the run, no such split, or photographs of a test were trained on.
        """
        split = Split(split)
        splits = self.splits_of(run, announced=announced)
        records = splits.named(split)
        shared = frozenset() if split is Split.TRAIN else run.trained_among(record.id for record in records)
        if shared:
            raise UserError(
                f"photographs of the {split} split must not have been trained on; {len(shared)} of {len(records)} "
                f"were, {min(shared)!r} first: the data set has changed since the training; restore it or train anew"
            )
        return records

    def splits_of(self, run: Run, *, announced: bool = False) -> Splits:
        """Return a run's data set, divided; where announced, say what is to be known of that.

        Raises:
            UserError: It has other classes than the run.
        """
        data = self.data_of(run)
        splits = load_splits(data, self.say if announced else None)
        if splits.class_names != run.class_names:
            raise UserError(
                f"a run works with the classes that it was trained on, {len(run.class_names)} of them, "
                f"{run.class_names[0]!r} first; {data.root} has {len(splits.class_names)}, {splits.class_names[0]!r} "
                "first; give the data set of the training"
            )
        return splits

    def readable(self, run: Run, records: Sequence[ImageRecord]) -> Sequence[ImageRecord]:
        """Return the photographs that can be read; say which were left out, and why.

        Raises:
            UserError: One cannot be read and that stops, or none can.
        """
        return checked(records, self.on_error_of(run), self.say, self.largest_of(run), mapped_by(self.engine))

    def classifier_of(
        self,
        run: Run,
        *,
        epoch: int | None = None,
        zoom_entropy_threshold: float | None = None,
        branch: Branch | str | None = None,
    ) -> Classifier:
        """Load a run's network onto the hardware, calibrated as the run says.

        Arguments and errors as in `Run.load_network` and `Classifier.place`.

        Raises:
            UserError: The hardware is not there, or the calibration is damaged.
        """
        device_of(self.hardware)  # what is not there is said before the weights are read
        calibration = read_calibration(run.path) if epoch is None else None  # it is of the trained network
        return Classifier.place(
            run.load_network(epoch),
            self.hardware,
            zoom_entropy_threshold=zoom_entropy_threshold,
            calibration=calibration,
            branch=branch,
        )


HERE = RunContext()
"""Where nothing is said of it."""
