"""A typical training photograph of a class: the one in the middle of some of them, as the network sees them."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
import torch
from PIL import Image
from torch.nn import functional

from foveate.config.data import Split, TestViews
from foveate.data.images import ImageError, read_image
from foveate.data.records import ImageRecord
from foveate.data.transforms import evaluation_geometries
from foveate.errors import UserError
from foveate.inference.classifier import Classifier
from foveate.runs.context import HERE, RunContext
from foveate.runs.run import Run
from foveate.types import Size

_CANDIDATES = 6


@dataclass(frozen=True)
class TypicalPhotographs:
    """The training photographs of a run, by class."""

    run: Run
    classifier: Classifier
    records: dict[int, list[ImageRecord]]
    _chosen: dict[int, ImageRecord | None] = field(default_factory=dict)

    @classmethod
    def of(cls, run: Run, classifier: Classifier, context: RunContext = HERE) -> TypicalPhotographs:
        """List the training photographs.

        Raises:
            UserError: The data set is gone, or another.
        """
        records: dict[int, list[ImageRecord]] = {}
        for record in context.photographs_of(run, Split.TRAIN):
            records.setdefault(record.label, []).append(record)
        return cls(run, classifier, records)

    def of_class(self, label: int) -> Image.Image | None:
        """Return the one of a few, evenly spread over its class, whose features are nearest to their mean.

        Where the network's features are not known, the first; None where none can be read.
        """
        if label not in self._chosen:
            self._chosen[label] = self._choose(label)
        record = self._chosen[label]
        try:
            return None if record is None else read_image(record.image, record.id, largest_megapixels=None)
        except ImageError:
            return None

    def _choose(self, label: int) -> ImageRecord | None:
        records = self.records.get(label, [])
        count = min(_CANDIDATES, len(records))
        spread = [number * (len(records) - 1) // max(count - 1, 1) for number in range(count)]
        transforms = replace(self.run.config.transforms, source_size=None)  # what the backbone sees
        views: list[np.ndarray] = []
        read: list[ImageRecord] = []
        for record in (records[place] for place in spread):
            try:
                image = read_image(record.image, record.id)
            except ImageError:
                continue
            (view,) = evaluation_geometries(Size(*image.size), transforms, TestViews.CENTRE)
            views.append(np.asarray(view.pixels(image)))
            read.append(record)
        if not read:
            return None
        try:
            features = functional.normalize(self.classifier.features(torch.from_numpy(np.stack(views))))
        except UserError:
            return read[0]
        return read[int((features @ features.mean(0)).argmax())]
