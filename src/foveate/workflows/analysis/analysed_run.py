"""What analyses of a run share: the photographs that are annotated, and how they are shown."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from jaxtyping import Float

from foveate.config.data import Split, TestViews
from foveate.data.geometry import Geometry
from foveate.data.images import upright_size
from foveate.data.loading import Batch, EvaluationViews, evaluation_loader
from foveate.data.records import ImageRecord
from foveate.data.transforms import evaluation_geometries
from foveate.errors import UserError
from foveate.inference.classifier import Classifier
from foveate.progress import progress
from foveate.runs.context import RunContext
from foveate.runs.run import Run
from foveate.workflows.report_paths import measured_with, report_path


@dataclass(frozen=True)
class Analysis:
    """A run's network, and how it is shown photographs; the first view of each, its centre, is what is analysed."""

    run: Run
    classifier: Classifier
    context: RunContext

    @classmethod
    def of(cls, run: Run | Path | str, context: RunContext) -> Analysis:
        """Load the network; errors as in `RunContext.classifier_of`."""
        run = Run.of(run)
        return cls(run, context.classifier_of(run), context)

    @property
    def size(self) -> int:
        """Side of the first view, in pixels."""
        return self.run.config.transforms.input_size

    @property
    def settings(self) -> dict[str, object]:
        """What is measured depends on beside the run and the split."""
        return measured_with(self.context, self.run, self.classifier)

    def report(self, name: str, what: str) -> Path:
        """Return where a report is to be written, as `report_path` does."""
        return report_path(self.run.path / "evaluation", name, self.settings, what, self.context.say)

    def boxed(self, records: Sequence[ImageRecord], what: str) -> Sequence[ImageRecord]:
        """Return the photographs that have a box and can be read; say how many have none.

        Raises:
            UserError: None has a box, or one cannot be read and that stops.
        """
        boxed = [record for record in records if record.box is not None]
        if not boxed:
            root = self.context.data_of(self.run).root
            raise UserError(
                f"{what} is measured against annotated boxes; none of the {len(records)} photographs of "
                f"{self.run.description.dataset} in {root} has one; take a data set with boxes, such as "
                "CUB-200-2011, FGVC-Aircraft, Stanford Cars or plumage, or a list with box columns"
            )
        if len(boxed) < len(records):
            self.context.say(f"left out {len(records) - len(boxed)} of {len(records)} photographs without a box")
        return self.context.readable(self.run, boxed)

    def batches(self, records: Sequence[ImageRecord], what: str) -> Iterator[tuple[Batch, tuple[Geometry, ...]]]:
        """Yield photographs, `batch_size` at a time, with the geometry of the first view of each."""
        views = EvaluationViews(records, self.run.config.transforms)
        count = 0
        with progress(what, len(records), self.context.say) as advance:
            for batch in evaluation_loader(views, self.context.batch_size, workers=self.context.hardware.workers):
                yield batch, tuple(self.first_view(records[index]) for index in batch.position.tolist())
                count += len(batch.position)
                advance(count)

    def first_view(self, record: ImageRecord) -> Geometry:
        """Return the map from a photograph to the network's first view of it."""
        shown = replace(self.run.config.transforms, source_size=None)  # the same window, whatever the zoom reads from
        (view,) = evaluation_geometries(
            upright_size(record.image, record.id, largest_megapixels=None), shown, TestViews.CENTRE
        )
        return view

    def document(self, split: Split) -> dict[str, object]:
        """Return what the JSON of a report says before what was measured."""
        return {
            "run": str(self.run.path),
            "dataset": self.run.description.dataset,
            "root": str(self.context.data_of(self.run).root),
            "split": split.value,
        }


def boxes_in_view(records: Sequence[ImageRecord], views: Sequence[Geometry]) -> Float[np.ndarray, "n 4"]:
    """Carry annotated boxes into views; they are not clipped. NaN where a photograph has none."""
    boxes = [
        (np.nan,) * 4 if record.box is None else view.box(record.box)
        for record, view in zip(records, views, strict=True)
    ]
    return np.array(boxes, dtype=np.float64)
