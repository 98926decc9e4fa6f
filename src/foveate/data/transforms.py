"""The papers' training and test pipelines, as geometries.

Guided Zoom squashes the photograph to 475x475 and cuts 448x448, at random in training and in the centre at test time.
S3N's reference code squashes to 600x600 and cuts the centre at test time, and in training cuts a window of half to all
of the area. Both are values of `TransformConfig`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from foveate.config.data import TestViews, TrainCrop, TransformConfig
from foveate.data.geometry import Geometry
from foveate.types import Box, Size


def train_geometry(source: Size, config: TransformConfig, generator: np.random.Generator) -> Geometry:
    """Draw one training view of a photograph of `source` pixels; it has the configuration's source size."""
    whole = Geometry.identity(source)
    output = Size(config.input_size, config.input_size)
    if config.train_crop is TrainCrop.OFFSET:
        slack = config.resize_size - config.input_size
        left, top = map(float, generator.integers(0, slack, size=2, endpoint=True))
        view = whole.resize(Size(config.resize_size, config.resize_size)).crop(left, top, output)
    else:
        view = whole.view(_area_window(source, config, generator), output)
    view = view.resize(Size(config.source, config.source))
    return view.flip() if generator.random() < config.flip else view


def _area_window(source: Size, config: TransformConfig, generator: np.random.Generator) -> Box:
    """A window whose share of the area is uniform, and its aspect log-uniform around the photograph's own.

    Where the drawn aspect makes one side longer than the photograph, that side is cut to it.
    """
    side = math.sqrt(generator.uniform(config.smallest_area, 1.0))
    limit = math.log(config.aspect_jitter) / 2
    stretch = math.exp(generator.uniform(-limit, limit))
    width = min(side * stretch, 1.0) * source.width
    height = min(side / stretch, 1.0) * source.height
    left = generator.uniform(0.0, source.width - width)
    top = generator.uniform(0.0, source.height - height)
    return Box(left, top, left + width, top + height)


def evaluation_geometries(source: Size, config: TransformConfig, views: TestViews) -> tuple[Geometry, ...]:
    """Return the views of a test photograph whose answers are averaged, in a fixed order and of the source size."""
    squashed = Geometry.identity(source).resize(Size(config.resize_size, config.resize_size))
    output = Size(config.input_size, config.input_size)
    larger = Size(config.source, config.source)
    centre = squashed.centre_crop(output).resize(larger)
    if views is TestViews.CENTRE:
        return (centre,)
    if views is TestViews.FLIP:
        return (centre, centre.flip())
    slack = float(config.resize_size - config.input_size)
    corners = (squashed.crop(left, top, output).resize(larger) for top in (0.0, slack) for left in (0.0, slack))
    return tuple(view for crop in (centre, *corners) for view in (crop, crop.flip()))


def centres(source: Size, transforms: Sequence[TransformConfig]) -> tuple[Geometry, ...]:
    """Return the centre view of a test photograph by each of some transforms."""
    return tuple(view for each in transforms for view in evaluation_geometries(source, each, TestViews.CENTRE))
