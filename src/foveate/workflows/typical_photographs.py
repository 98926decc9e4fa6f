"""A typical training photograph of a class: the one in the middle of some of them, as the network sees them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import UInt8
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


class Candidate(NamedTuple):
    """A training photograph that may be the typical one of its class."""

    shown: Image.Image
    """No larger than it is to be shown."""
    view: UInt8[np.ndarray, "h w 3"]
    """What the backbone sees."""


@dataclass(frozen=True)
class TypicalPhotographs:
    """The training photographs of a run, by class."""

    run: Run
    classifier: Classifier
    records: dict[int, list[ImageRecord]]
    largest_megapixels: int
    """Those with more million pixels are left out."""

    @classmethod
    def of(cls, run: Run, classifier: Classifier, context: RunContext = HERE) -> TypicalPhotographs:
        """List the training photographs.

        Raises:
            UserError: The data set is gone, or another.
        """
        records: dict[int, list[ImageRecord]] = {}
        for record in context.photographs_of(run, Split.TRAIN):
            records.setdefault(record.label, []).append(record)
        return cls(run, classifier, records, context.largest_of(run))

    def candidates(self, label: int, longest: int) -> list[Candidate]:
        """Decode a few photographs, evenly spread over a class; what cannot be read is left out. From any thread.

        Args:
            label: The class.
            longest: Pixels of the longer side of what is shown.
        """
        records = self.records.get(label, [])
        count = min(_CANDIDATES, len(records))
        spread = [number * (len(records) - 1) // max(count - 1, 1) for number in range(count)]
        transforms = replace(self.run.config.transforms, source_size=None)  # what the backbone sees
        found = []
        for record in (records[place] for place in spread):
            try:
                image = read_image(record.image, record.id, largest_megapixels=self.largest_megapixels)
            except ImageError:
                continue
            (view,) = evaluation_geometries(Size(*image.size), transforms, TestViews.CENTRE)
            pixels = np.asarray(view.pixels(image))
            image.thumbnail((longest, longest), Image.Resampling.LANCZOS)
            found.append(Candidate(image, pixels))
        return found

    def typical(self, candidates: Sequence[Candidate]) -> Candidate:
        """Return the one whose features are nearest to their mean; the first, where those are not known."""
        try:
            views = torch.from_numpy(np.stack([each.view for each in candidates]))
            features = functional.normalize(self.classifier.features(views))
        except UserError:
            return candidates[0]
        return candidates[int((features @ features.mean(0)).argmax())]
