"""The papers' pipelines, offset by offset."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from foveate.config.data import TestViews, TrainCrop, TransformConfig
from foveate.data.geometry import Geometry
from foveate.data.transforms import evaluation_geometries, train_geometry
from foveate.types import Box, Size

GUIDED_ZOOM = TransformConfig(input_size=448, resize_size=475, train_crop=TrainCrop.OFFSET, flip=0.0)
S3N = TransformConfig(input_size=448, resize_size=600, train_crop=TrainCrop.AREA)
DRAWS = 1200


def centre_geometry(source: Size, config: TransformConfig) -> Geometry:
    """The only view of a test photograph by default."""
    (view,) = evaluation_geometries(source, config, TestViews.CENTRE)
    return view


def drawn(source: Size, config: TransformConfig, seed: int) -> Geometry:
    return train_geometry(source, config, np.random.default_rng(seed))


def many(config: TransformConfig, source: Size) -> list[Geometry]:
    generator = np.random.default_rng(0)
    return [train_geometry(source, config, generator) for _ in range(DRAWS)]


def area_share(view: Geometry) -> float:
    return view.window.width * view.window.height / (view.source.width * view.source.height)


def aspect_change(view: Geometry) -> float:
    return (view.window.width / view.source.width) / (view.window.height / view.source.height)


@pytest.mark.parametrize(("config", "offset"), [(GUIDED_ZOOM, 13), (S3N, 76)], ids=["guided-zoom", "s3n"])
def test_centre_crop_of_the_squashed_photograph(config: TransformConfig, offset: int) -> None:
    side = config.resize_size
    squashed = centre_geometry(Size(side, side), config)
    assert squashed.window == Box(offset, offset, offset + 448, offset + 448)
    pixels = np.random.default_rng(0).integers(0, 256, (side, side, 3), dtype=np.uint8)
    seen = np.asarray(squashed.pixels(Image.fromarray(pixels)))
    assert np.array_equal(seen, pixels[offset : offset + 448, offset : offset + 448])
    oblong = centre_geometry(Size(2 * side, 3 * side), config)
    assert oblong.window == pytest.approx([2 * offset, 3 * offset, 2 * (offset + 448), 3 * (offset + 448)])
    assert not oblong.flipped


def test_random_offsets_cover_every_whole_pixel() -> None:
    views = many(GUIDED_ZOOM, Size(475, 475))
    lefts, tops = ([window[axis] for window in (view.window for view in views)] for axis in (0, 1))
    assert set(lefts) == set(tops) == set(range(28))
    assert np.mean(lefts) == pytest.approx(13.5, abs=0.6)
    assert abs(np.corrcoef(lefts, tops)[0, 1]) < 0.08
    assert all((view.window.width, view.window.height) == (448, 448) for view in views)


@settings(deadline=None)
@given(
    source=st.builds(Size, st.integers(8, 4000), st.integers(8, 4000)),
    smallest=st.floats(0.05, 0.75),
    jitter=st.floats(1.0, 4 / 3),
    seed=st.integers(0, 2**32),
)
def test_area_window_keeps_its_bounds(source: Size, smallest: float, jitter: float, seed: int) -> None:
    config = TransformConfig(input_size=64, resize_size=72, smallest_area=smallest, aspect_jitter=jitter)
    view = drawn(source, config, seed)
    window = view.window
    assert min(window.left, window.top) >= -1e-6
    assert window.right <= source.width * (1 + 1e-9)
    assert window.bottom <= source.height * (1 + 1e-9)
    assert smallest - 1e-9 <= area_share(view) <= 1 + 1e-9
    assert 1 / jitter - 1e-9 <= aspect_change(view) <= jitter + 1e-9
    assert view.output == Size(64, 64)


def test_area_share_place_and_aspect_are_spread_evenly() -> None:
    source = Size(300, 200)
    plain = TransformConfig(input_size=64, resize_size=64, smallest_area=0.2, aspect_jitter=1.0, flip=0.0)
    views = many(plain, source)
    areas = [area_share(view) for view in views]
    assert [aspect_change(view) for view in views] == pytest.approx([1.0] * DRAWS)
    assert np.histogram(areas, bins=4, range=(0.2, 1.0))[0] == pytest.approx([DRAWS / 4] * 4, rel=0.15)
    windows = np.array([view.window for view in views])
    for start, extent, length in ((0, 2, source.width), (1, 3, source.height)):
        place = windows[:, start] / (length - (windows[:, extent] - windows[:, start]))
        assert np.histogram(place, bins=4, range=(0, 1))[0] == pytest.approx([DRAWS / 4] * 4, rel=0.15)
    jittered = TransformConfig(input_size=64, resize_size=64, smallest_area=0.05, aspect_jitter=1.2)
    changes = [abs(math.log(aspect_change(view))) for view in many(jittered, source) if area_share(view) < 0.8]
    assert np.mean(changes) == pytest.approx(math.log(1.2) / 2, rel=0.05)
    assert max(changes) == pytest.approx(math.log(1.2), rel=0.01)


@pytest.mark.parametrize("crop", TrainCrop)
@pytest.mark.parametrize(("flip", "least", "most"), [(0.0, 0, 0), (1.0, 1, 1), (0.5, 0.46, 0.54), (0.1, 0.08, 0.12)])
def test_flips_come_as_often_as_asked(crop: TrainCrop, flip: float, least: float, most: float) -> None:
    config = TransformConfig(input_size=64, resize_size=72, train_crop=crop, flip=flip)
    share = np.mean([view.flipped for view in many(config, Size(90, 70))])
    assert least <= share <= most


@pytest.mark.parametrize("crop", TrainCrop)
def test_a_draw_depends_on_the_generator_only(crop: TrainCrop) -> None:
    config = TransformConfig(input_size=64, resize_size=96, train_crop=crop)
    source = Size(90, 70)
    assert drawn(source, config, 5) == drawn(source, config, 5)
    assert len({drawn(source, config, seed) for seed in range(20)}) == 20


def test_views_whose_answers_are_averaged() -> None:
    config = TransformConfig(input_size=64, resize_size=96)
    source = Size(96, 96)
    squashed = Geometry.identity(source).resize(Size(config.resize_size, config.resize_size))
    cut = squashed.centre_crop(Size(config.input_size, config.input_size))
    assert evaluation_geometries(source, config, TestViews.CENTRE) == (cut,)
    centre, mirrored = evaluation_geometries(source, config, TestViews.FLIP)
    assert (centre, mirrored) == (cut, cut.flip())
    ten = evaluation_geometries(source, config, TestViews.TEN_CROP)
    corners = [(view.window.left, view.window.top) for view in ten]
    assert corners[::2] == corners[1::2] == [(16, 16), (0, 0), (32, 0), (0, 32), (32, 32)]
    assert [view.flipped for view in ten] == [False, True] * 5
    assert {(view.window.width, view.window.height) for view in ten} == {(64, 64)}
