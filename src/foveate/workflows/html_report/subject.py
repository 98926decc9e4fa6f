"""What a report is about: a model's answers to a split, and the photographs, as far as they are still there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from PIL import Image

from foveate.config.data import Split
from foveate.data.images import ImageError, read_image
from foveate.data.records import ImageRecord
from foveate.errors import UserError
from foveate.evaluation.predictions import PredictionTable
from foveate.hardware import processors
from foveate.runs.run import Run
from foveate.workflows.compared_models import ComparedModel

_NAMED = 3  # photographs that cannot be read


@dataclass
class Subject:
    """The first model of a report, and what is known of its split."""

    model: ComparedModel
    table: PredictionTable | None
    """Its answers; None: there are none, and none can be given."""
    records: Mapping[str, ImageRecord]
    """The photographs of the split by id; none where they are not where they were."""
    train: Sequence[ImageRecord]
    """Those of the training, in the same way."""
    validation: Sequence[ImageRecord]
    """Those of the validation split; there may be none."""
    notes: list[str]
    """What cannot be shown, and why."""
    unread: list[str] = field(default_factory=list)
    """Photographs that were to be shown and cannot be read."""

    @classmethod
    def of(cls, model: ComparedModel) -> Subject:
        """Look for the photographs, and for the model's answers.

        What is missing is noted, and the report does without it.
        """
        notes: list[str] = []
        try:
            run, split = model.runs[0], model.split
            records, train = (model.context.photographs_of(run, each) for each in (split, Split.TRAIN))
            validation = _validation_of(model)
        except UserError as error:
            notes.append(f"Photographs cannot be shown: {error}")
            records, train, validation = (), (), ()
        try:
            table = model.table
        except UserError as error:
            notes.append(f"There are no answers to show: {error}")
            table = None
        return cls(model, table, {record.id: record for record in records}, train, validation, notes)

    @property
    def run(self) -> Run:
        """Of the network that is asked; of a Guided Zoom, the conventional one."""
        return self.model.runs[0]

    def image(self, record: ImageRecord) -> Image.Image | None:
        """Return a photograph, upright; None where it cannot be read, which is remembered."""
        try:
            return read_image(record.image, record.id, largest_megapixels=self.model.context.largest_of(self.run))
        except ImageError:
            self.unread.append(record.id)
            return None

    def images(self, records: Sequence[ImageRecord]) -> list[Image.Image | None]:
        """Return several, decoded by all processors."""
        with ThreadPoolExecutor(processors()) as pool:
            return list(pool.map(self.image, records))

    def all_notes(self) -> tuple[str, ...]:
        """Return everything that a reader is to know."""
        unread = sorted(set(self.unread))
        if not unread:
            return tuple(self.notes)
        named = ", ".join(unread[:_NAMED]) + (f" and {len(unread) - _NAMED} more" if len(unread) > _NAMED else "")
        many = f"{len(unread)} photographs" if len(unread) > 1 else "One photograph"
        return (*self.notes, f"{many} cannot be read, and {'are' if len(unread) > 1 else 'is'} not shown: {named}")


def _validation_of(model: ComparedModel) -> Sequence[ImageRecord]:
    """Return the validation photographs; none where there is no such split."""
    try:
        return model.context.photographs_of(model.runs[0], Split.VALIDATION)
    except UserError:
        return ()
