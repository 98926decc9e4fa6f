"""Pixels, points and boxes go through the same map, there and back."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from foveate.data.geometry import Geometry
from foveate.errors import UserError
from foveate.types import Box, Size
from oracles.geometry import Crop, Flip, Resize, Step, naive_point, naive_view

WHOLE = Geometry.identity(Size(40, 30))


@dataclass(frozen=True)
class Chain:
    """A map and the steps that built it."""

    geometry: Geometry
    steps: tuple[Step, ...]


@st.composite
def chains(draw: st.DrawFn, largest: int = 60) -> Chain:
    """Draw any chain of up to five steps; every view on the way is 4 to `largest` pixels wide and high."""
    sides = st.integers(4, largest)
    geometry = Geometry.identity(Size(draw(sides), draw(sides)))
    steps: list[Step] = []
    for kind in draw(st.lists(st.sampled_from([Resize, Crop, Flip]), max_size=5)):
        step: Step = Flip()
        if kind is Resize:
            step = Resize(draw(sides), draw(sides))
            geometry = geometry.resize(Size(*step))
        elif kind is Crop:
            have = geometry.output
            size = Size(draw(st.integers(4, have.width)), draw(st.integers(4, have.height)))
            left, top = (draw(st.floats(0, a - b)) for a, b in zip(have, size, strict=True))
            step = Crop(left, top, *size)
            geometry = geometry.crop(left, top, size)
        else:
            geometry = geometry.flip()
        steps.append(step)
    return Chain(geometry, tuple(steps))


def shares(count: int = 2) -> st.SearchStrategy[list[float]]:
    return st.lists(st.floats(-0.5, 1.5), min_size=count, max_size=count)


def one(x: float, y: float) -> NDArray[np.float64]:
    return np.array([[x, y]])


def same(image: Image.Image, expected: Image.Image | NDArray[np.uint8]) -> bool:
    return np.array_equal(np.asarray(image), np.asarray(expected))


def noise(size: Size, seed: int = 0) -> Image.Image:
    shape = (size.height, size.width, 3)
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8))


def test_coordinates_by_hand() -> None:
    """4x2 doubled to 8x4, 4x2 cut at (2, 1), mirrored: pixel 1 of row 0 has its centre at (1.5, 0.5)."""
    view = Geometry.identity(Size(4, 2)).resize(Size(8, 4)).crop(2.0, 1.0, Size(4, 2)).flip()
    assert view.points(one(1.5, 0.5)).tolist() == [[3.0, 0.0]]
    assert view.points_back(one(3.0, 0.0)).tolist() == [[1.5, 0.5]]
    assert view.window == Box(1.0, 0.5, 3.0, 1.5)
    assert view.box(Box(1.0, 1.0, 2.0, 1.5)) == Box(2.0, 1.0, 4.0, 2.0)
    assert view.box_back(Box(2.0, 1.0, 4.0, 2.0)) == Box(1.0, 1.0, 2.0, 1.5)
    assert view.flipped
    assert not view.flip().flipped


def test_pixels_by_hand() -> None:
    """Halving weighs the four columns (3, 3, 1, 0) / 7 and (0, 1, 3, 3) / 7; the rows are alike."""
    picture = Image.fromarray(np.array([[0, 70, 140, 210]] * 2, dtype=np.uint8))
    half = Geometry.identity(Size(4, 2)).resize(Size(2, 1))
    assert np.asarray(half.pixels(picture)).tolist() == [[50, 160]]
    assert np.asarray(half.flip().pixels(picture)).tolist() == [[160, 50]]
    assert np.asarray(half.crop(1.0, 0.0, Size(1, 1)).pixels(picture)).tolist() == [[160]]


def test_whole_crop_is_a_slice_and_flip_a_reversal() -> None:
    picture = noise(WHOLE.source)
    pixels = np.asarray(picture)
    crop = WHOLE.crop(5.0, 7.0, Size(20, 11))
    assert same(crop.pixels(picture), pixels[7:18, 5:25])
    assert same(crop.flip().pixels(picture), pixels[7:18, 5:25][:, ::-1])
    assert same(WHOLE.flip().crop(5.0, 7.0, Size(20, 11)).pixels(picture), pixels[:, ::-1][7:18, 5:25])
    assert same(crop.crop(2.0, 3.0, Size(9, 8)).pixels(picture), pixels[10:18, 7:16])
    assert same(WHOLE.centre_crop(Size(35, 9)).pixels(picture), pixels[10:19, 2:37])


@pytest.mark.parametrize("source", [Size(97, 64), Size(30, 41)], ids=["shrinks", "grows"])
def test_one_resampling_is_pillows_resize_then_crop(source: Size) -> None:
    picture = noise(source)
    view = Geometry.identity(source).resize(Size(47, 47)).crop(3.0, 1.0, Size(40, 44)).flip()
    squashed = picture.resize((47, 47), Image.Resampling.BILINEAR)
    expected = squashed.crop((3, 1, 43, 45)).transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    difference = np.asarray(view.pixels(picture), dtype=int) - np.asarray(expected, dtype=int)
    assert np.abs(difference).max() <= 1  # a grey level of rounding


@settings(max_examples=25, deadline=None)
@given(chain=chains(largest=12), seed=st.integers(0, 99))
def test_pixels_agree_with_the_oracle(chain: Chain, seed: int) -> None:
    view = chain.geometry
    picture = noise(view.source, seed).convert("L")
    expected = naive_view(np.asarray(picture).tolist(), view.window, view.output, view.flipped)
    assert np.abs(np.asarray(view.pixels(picture), dtype=float) - np.array(expected)).max() < 1.1


@settings(deadline=None)
@given(chain=chains(), share=shares())
def test_points_agree_with_the_oracle_and_come_back(chain: Chain, share: list[float]) -> None:
    source, view = chain.geometry.source, chain.geometry
    x, y = share[0] * source.width, share[1] * source.height
    seen = view.points(one(x, y))
    assert seen[0] == pytest.approx(naive_point(source, chain.steps, x, y), abs=1e-6)
    assert view.points_back(seen)[0] == pytest.approx((x, y), abs=1e-6)


@settings(deadline=None)
@given(chain=chains(), share=shares(4))
def test_boxes_come_back(chain: Chain, share: list[float]) -> None:
    view = chain.geometry
    (left, right), (top, bottom) = sorted(share[::2]), sorted(share[1::2])
    assume(left < right and top < bottom)
    box = Box(*np.multiply((left, top, right, bottom), (*view.source, *view.source)).tolist())
    seen = view.box(box)
    assert seen.left <= seen.right
    assert seen.top <= seen.bottom
    assert view.box_back(seen) == pytest.approx(box, abs=1e-6)


@settings(deadline=None)
@given(chain=chains())
def test_the_window_fills_the_view(chain: Chain) -> None:
    view = chain.geometry
    window = view.window
    assert view.box(window) == pytest.approx((0, 0, *view.output), abs=1e-6)
    assert min(window.left, window.top) >= -1e-6
    assert window.right <= view.source.width + 1e-6
    assert window.bottom <= view.source.height + 1e-6
    assert view.flipped == (sum(isinstance(step, Flip) for step in chain.steps) % 2 == 1)


@settings(deadline=None)
@given(share=st.tuples(*[st.floats(0.01, 0.99)] * 8))
def test_a_view_of_a_view_is_one_view(share: tuple[float, ...]) -> None:
    outer = Box(share[0] * 20, share[1] * 15, 20 + share[2] * 20, 15 + share[3] * 15)
    inner = Box(share[4] * 8, share[5] * 6, 8 + share[6] * 8, 6 + share[7] * 6)
    zoom = (outer.width / 16, outer.height / 12)
    direct = Box(
        outer.left + inner.left * zoom[0],
        outer.top + inner.top * zoom[1],
        outer.left + inner.right * zoom[0],
        outer.top + inner.bottom * zoom[1],
    )
    twice = WHOLE.view(outer, Size(16, 12)).view(inner, Size(7, 9))
    once = WHOLE.view(direct, Size(7, 9))
    assert twice.scale == pytest.approx(once.scale)
    assert twice.shift == pytest.approx(once.shift)
    assert (twice.source, twice.output) == (once.source, once.output)


@pytest.mark.parametrize(
    ("view", "apart"),
    [
        (WHOLE.flip(), 0.0),
        (WHOLE.crop(9.0, 4.0, Size(25, 22)), 0.0),
        (WHOLE.crop(9.0, 4.0, Size(25, 22)).flip(), 0.0),
        (WHOLE.flip().crop(9.0, 4.0, Size(25, 22)), 0.0),
        (WHOLE.resize(Size(80, 90)).crop(20.0, 12.0, Size(50, 60)).flip(), 0.05),
        (WHOLE.resize(Size(27, 20)).flip(), 0.05),
    ],
    ids=["flip", "crop", "crop-flip", "flip-crop", "enlarged", "shrunk"],
)
def test_a_drawn_dot_lands_where_its_point_says(view: Geometry, apart: float) -> None:
    picture = Image.new("RGB", WHOLE.source)
    picture.paste((255, 0, 0), (17, 9, 20, 12))  # centre (18.5, 10.5)
    red = np.asarray(view.pixels(picture), dtype=float)[..., 0]
    rows, columns = np.indices(red.shape) + 0.5
    seen = one(float((columns * red).sum() / red.sum()), float((rows * red).sum() / red.sum()))
    assert np.abs(seen - view.points(one(18.5, 10.5))).max() <= apart + 1e-9


@pytest.mark.parametrize(
    "box",
    [
        Box(-1.0, 0.0, 10.0, 10.0),
        Box(0.0, -0.001, 10.0, 10.0),
        Box(0.0, 0.0, 40.001, 30.0),
        Box(0.0, 0.0, 40.0, 31.0),
        Box(5.0, 5.0, 5.0, 10.0),
        Box(10.0, 5.0, 5.0, 10.0),
        Box(5.0, 9.0, 10.0, 9.0),
        Box(math.nan, 0.0, 10.0, 10.0),
    ],
)
def test_a_box_outside_the_view_or_empty_is_refused(box: Box) -> None:
    with pytest.raises(UserError, match=r"non-empty box inside the view of 40x30 pixels.*; got .*; clip it") as caught:
        WHOLE.view(box, Size(8, 8))
    assert str(tuple(box)) in str(caught.value)


def test_an_empty_output_is_refused() -> None:
    with pytest.raises(UserError, match=r"output of at least 1x1; got .* to \(0, 8\); clip it first"):
        WHOLE.view(Box(0.0, 0.0, 10.0, 10.0), Size(0, 8))


def test_a_crop_is_checked_against_the_view_and_not_the_photograph() -> None:
    with pytest.raises(UserError, match="inside the view of 10x10 pixels"):
        WHOLE.resize(Size(10, 10)).crop(3.0, 0.0, Size(8, 8))


def test_rounding_past_an_edge_is_forgiven() -> None:
    view = WHOLE.view(Box(-1e-7, 0.0, 40 + 1e-7, 30.0), Size(40, 30))
    picture = noise(WHOLE.source)
    assert same(view.pixels(picture), picture)


def test_a_picture_of_another_size_is_refused() -> None:
    with pytest.raises(UserError, match=r"\(40, 30\); got \(30, 40\); build one for this image"):
        WHOLE.flip().pixels(noise(Size(30, 40)))
