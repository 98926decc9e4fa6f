"""What analyses of a run share: the photographs that are annotated, how they were shown, and the row they leave."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from jaxtyping import Float

from foveate.config.checks import require
from foveate.config.data import DataConfig, OnError, TestViews
from foveate.config.hardware import HardwareConfig
from foveate.data.geometry import Geometry
from foveate.data.images import upright_size
from foveate.data.loading import Batch, EvaluationViews, evaluation_loader
from foveate.data.preparation import checked
from foveate.data.records import ImageRecord
from foveate.data.transforms import evaluation_geometries
from foveate.errors import UserError
from foveate.hardware import device_of
from foveate.inference.classifier import Classifier
from foveate.progress import progress
from foveate.runs.run import Run, commit
from foveate.workflows.reports import measured_with, report_path


@dataclass(frozen=True)
class Analysis:
    """A run's network, and how it is shown photographs; the first view of each, its centre, is what is analysed."""

    run: Run
    classifier: Classifier
    data: DataConfig
    on_error: OnError
    batch_size: int
    hardware: HardwareConfig
    say: Callable[[str], None]

    @classmethod
    def of(
        cls,
        run: Run | Path | str,
        *,
        root: Path | None,
        on_error: OnError | None,
        batch_size: int,
        hardware: HardwareConfig | None,
        say: Callable[[str], None],
    ) -> Analysis:
        """Load the network; arguments as `foveate.evaluate` takes them, errors as `Run.load_network`."""
        require(batch_size >= 1, "batch_size must be at least 1", batch_size)
        run = run if isinstance(run, Run) else Run.open(Path(run).expanduser())
        hardware = hardware or HardwareConfig()
        device_of(hardware)  # what is not there is said before the weights are read
        data = run.config.data if root is None else replace(run.config.data, root=root)
        classifier = Classifier.place(run.load_network(), hardware)
        return cls(run, classifier, data, on_error or data.on_error, batch_size, hardware, say)

    @property
    def size(self) -> int:
        """Side of the first view, in pixels."""
        return self.run.config.transforms.input_size

    @property
    def settings(self) -> dict[str, object]:
        """What is measured depends on beside the run and the split."""
        return measured_with(self.data.root, self.on_error, self.classifier, self.hardware)

    def report(self, name: str, what: str) -> Path:
        """Return where a report is to be written, as `report_path` does."""
        return report_path(self.run.path / "evaluation", name, self.settings, what, self.say)

    def boxed(self, records: Sequence[ImageRecord], what: str) -> Sequence[ImageRecord]:
        """Return the photographs that have a box and can be read; say how many have none.

        Raises:
            UserError: None has a box, or one cannot be read and that stops.
        """
        boxed = [record for record in records if record.box is not None]
        if not boxed:
            raise UserError(
                f"{what} is measured against annotated boxes; none of the {len(records)} photographs of "
                f"{self.run.description.dataset} in {self.data.root} has one; take a data set with boxes, such as "
                "CUB-200-2011, FGVC-Aircraft, Stanford Cars or plumage, or a list with box columns"
            )
        if len(boxed) < len(records):
            self.say(f"left out {len(records) - len(boxed)} of {len(records)} photographs without a box")
        return checked(boxed, self.on_error, self.say, self.data.largest_megapixels)

    def batches(self, records: Sequence[ImageRecord], what: str) -> Iterator[tuple[Batch, tuple[Geometry, ...]]]:
        """Yield photographs, `batch_size` at a time, with the geometry of the first view of each."""
        views = EvaluationViews(records, self.run.config.transforms)
        done = 0
        with progress(what, len(records)) as advance:
            for batch in evaluation_loader(views, self.batch_size, workers=self.hardware.workers):
                yield batch, tuple(self.first_view(records[index]) for index in batch.position.tolist())
                done += len(batch.position)
                advance(done)

    def first_view(self, record: ImageRecord) -> Geometry:
        """Return the map from a photograph to the network's first view of it."""
        shown = replace(self.run.config.transforms, source_size=None)  # the same window, whatever the zoom reads from
        (view,) = evaluation_geometries(
            upright_size(record.image, record.id, largest_megapixels=None), shown, TestViews.CENTRE
        )
        return view

    def row(self, split: str, photographs: int) -> dict[str, object]:
        """Return what a row of results says of the run and the measurement, before what was measured."""
        config, trained = self.run.config, self.run.environment()
        return {
            "run": self.run.path.name,
            "method": config.network.method,
            "base": config.network.base,
            "dataset": self.run.description.dataset,
            "split": split,
            "photographs": photographs,
            "input_size": config.transforms.input_size,
            "source_size": config.transforms.source,
            "seed": config.seed,
            "epochs": config.trained_epochs,
            "command": trained["command"],
            "commit": trained["commit"],
            "hardware": trained["hardware"],
            "measured_commit": commit(),
        }


def boxes_in_view(records: Sequence[ImageRecord], views: Sequence[Geometry]) -> Float[np.ndarray, "n 4"]:
    """Carry annotated boxes into views; they are not clipped. NaN where a photograph has none."""
    boxes = [
        (np.nan,) * 4 if record.box is None else view.box(record.box)
        for record, view in zip(records, views, strict=True)
    ]
    return np.array(boxes, dtype=np.float64)
