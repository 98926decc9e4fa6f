"""From a photograph to what a model looks at of it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from foveate.config.data import TestViews, TransformConfig
from foveate.data.geometry import Geometry
from foveate.data.images import blank_warning
from foveate.data.photographs import Photograph, name_of, read_photograph_views
from foveate.data.raster import Raster
from foveate.data.roots import shown_path
from foveate.data.transforms import evaluation_geometries
from foveate.types import Size
from foveate.workflows.decoded_batches import Decoded


@dataclass(frozen=True)
class Decoding:
    """Turns a photograph into what a model looks at; small, and may be called in any thread or process."""

    transforms: tuple[TransformConfig, ...]
    """What a photograph is turned into: what the network sees, and of a Guided Zoom what patches are cut from."""
    views: TestViews = TestViews.CENTRE
    largest_megapixels: int | None = None
    """A photograph with more million pixels cannot be read; None: any can."""

    def __call__(self, photograph: Photograph) -> Decoded:
        """Read a photograph and decode it.

        Raises:
            ImageError: As `read_photograph_views` does.
        """
        raster = read_photograph_views(photograph, self._geometries, largest_megapixels=self.largest_megapixels).raster
        return self.viewed(raster, shown_path(name_of(photograph)))

    def viewed(self, raster: Raster, name: str) -> Decoded:
        """Return what is looked at of an upright photograph, whole or as fine as the views need it."""
        geometries = (evaluation_geometries(raster.source, each, self.views) for each in self.transforms)
        pixels = tuple(np.stack([np.asarray(raster.view(view)) for view in each]) for each in geometries)
        return Decoded(pixels, blank_warning(raster.image, name))

    def _geometries(self, size: Size) -> tuple[Geometry, ...]:
        return tuple(view for each in self.transforms for view in evaluation_geometries(size, each, self.views))
