"""Peaks, patches and erasing (Guided Zoom, section 3)."""

from __future__ import annotations

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from torch import Tensor
from torch.testing import assert_close

from foveate.config.data import TransformConfig
from foveate.data.geometry import Geometry
from foveate.guided_zoom.erasing import elsewhere, erase
from foveate.guided_zoom.evidence_peak import strongest
from foveate.guided_zoom.patches import boxes_around, centre_part, cut
from foveate.types import Size
from oracles.guided_zoom import naive_box, naive_elsewhere, naive_erased, naive_interpolated


def noise(*shape: int, seed: int = 0) -> Tensor:
    return torch.randint(0, 256, shape, dtype=torch.uint8, generator=torch.Generator().manual_seed(seed))


@settings(deadline=None, max_examples=30)
@given(st.integers(2, 6), st.integers(2, 6), st.integers(0, 10_000))
def test_the_peak_is_where_the_interpolated_map_is_largest(height: int, width: int, seed: int) -> None:
    maps = torch.rand(height, width, generator=torch.Generator().manual_seed(seed)).double()
    size = Size(width * 8, height * 8)
    pixels = naive_interpolated(maps.numpy(), size.height, size.width)
    x, y = strongest(maps, size).places.tolist()
    assert pixels[int(y - 0.5), int(x - 0.5)] >= pixels.max() - 0.13  # between two pixels: an eighth of a cell off
    first, second = maps.flatten().topk(2).values
    if first - second < 0.13:
        return  # the sampled pixels may prefer the other cell
    row, column = np.unravel_index(pixels.argmax(), pixels.shape)
    assert abs(column + 0.5 - x) <= 4  # half a cell: at the border interpolation repeats the outermost cell
    assert abs(row + 0.5 - y) <= 4


def test_the_peak_by_hand() -> None:
    maps = torch.tensor([[[0.0, 1.0, 0.0], [0.0, 0.0, 7.0]]])
    peak = strongest(maps, Size(30, 40))
    assert peak.places.tolist() == [[25.0, 30.0]]
    assert peak.found.tolist() == [True]


def test_a_map_without_a_peak_is_flagged_and_looks_at_the_middle() -> None:
    maps = torch.stack([torch.zeros(3, 3), torch.full((3, 3), 2.0), -torch.rand(3, 3), torch.full((3, 3), torch.nan)])
    peak = strongest(maps, Size(30, 20))
    assert peak.found.tolist() == [False] * 4
    assert peak.places.tolist() == [[15.0, 10.0]] * 4


@given(
    st.floats(0, 20).map(lambda x: round(x * 4) / 4),
    st.floats(0, 30).map(lambda y: round(y * 4) / 4),
    st.integers(1, 40),
)
def test_the_square_is_the_nearest_and_is_cut_off_at_the_edges(x: float, y: float, side: int) -> None:
    box = boxes_around(torch.tensor([x, y]), side, Size(20, 30))
    assert tuple(box.tolist()) == naive_box(x, y, side, 30, 20)


def test_an_odd_square_has_its_peaks_pixel_in_the_middle() -> None:
    assert boxes_around(torch.tensor([10.5, 20.5]), 5, Size(40, 40)).tolist() == [8, 18, 13, 23]
    assert boxes_around(torch.tensor([1.0, 39.0]), 6, Size(40, 40)).tolist() == [0, 36, 4, 40]
    assert boxes_around(torch.tensor([10.0, 10.0]), 60, Size(40, 40)).tolist() == [0, 0, 40, 40]


@settings(deadline=None)
@given(st.integers(0, 10_000), st.integers(0, 3))
def test_erasing_agrees_with_plain_loops(seed: int, count: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    images = noise(2, 12, 9, 3, seed=seed)
    boxes = boxes_around(torch.rand(2, count, 2, generator=generator) * 12, 4, Size(9, 12))
    expected = [naive_erased(image.numpy(), each.tolist()) for image, each in zip(images, boxes, strict=True)]
    assert torch.equal(erase(images, boxes), torch.from_numpy(np.array(expected)))


def test_erasing_leaves_the_callers_image_and_an_empty_box_alone() -> None:
    images = noise(1, 8, 8, 3)
    before = images.clone()
    erase(images, torch.tensor([[[0, 0, 8, 8]]]))
    assert torch.equal(images, before)
    assert torch.equal(erase(images, torch.tensor([[[3, 3, 3, 3]]])), before)


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 10_000), st.floats(0, 32), st.floats(0, 24), st.integers(4, 20))
def test_patches_are_what_pillow_enlarges(seed: int, x: float, y: float, side: int) -> None:
    images = noise(2, 24, 32, 3, seed=seed)
    box = boxes_around(torch.tensor([x, y]), side, Size(32, 24)).float()
    patch = cut(images, torch.tensor([1]), box[None], Size(40, 40))[0].permute(1, 2, 0)
    expected = Image.fromarray(images[1].numpy()).resize((40, 40), Image.Resampling.BILINEAR, box=tuple(box.tolist()))
    assert_close(patch, torch.from_numpy(np.array(expected)).float(), rtol=0, atol=1.01)  # Pillow rounds twice


def test_a_patch_that_shrinks_is_averaged() -> None:
    """By hand: each pixel of half the size is the mean of four; those of stripes one pixel wide are grey."""
    stripes = torch.arange(16).remainder(2).mul(200).to(torch.uint8).view(1, 1, 16, 1).expand(1, 16, 16, 3)
    patch = cut(stripes, torch.tensor([0]), torch.tensor([[0.0, 0.0, 16.0, 16.0]]), Size(8, 8))
    assert_close(patch, torch.full((1, 3, 8, 8), 100.0))


def test_a_patch_of_its_own_size_is_the_pixels_themselves() -> None:
    images = noise(2, 24, 32, 3)
    patch = cut(images, torch.tensor([1]), torch.tensor([[5.0, 3.0, 15.0, 13.0]]), Size(10, 10))
    assert_close(patch[0].permute(1, 2, 0), images[1, 3:13, 5:15].float())


def test_no_patches_from_no_boxes() -> None:
    assert cut(noise(1, 8, 8, 3), torch.zeros(0, dtype=torch.long), torch.zeros(0, 4), Size(4, 4)).shape == (0, 3, 4, 4)


def test_no_relevance_is_left_in_a_box_by_hand() -> None:
    """Of four cells of 10 pixels, the middles 5 and 15 lie in 5..16 exclusively of 5."""
    maps = torch.ones(1, 1, 4)
    left = elsewhere(maps, torch.tensor([[[5, 0, 16, 10], [0, 0, 0, 0]]]), Size(40, 10))
    assert left.tolist() == [[[1.0, 0.0, 1.0, 1.0]]]


@settings(deadline=None, max_examples=20)
@given(st.integers(1, 6), st.integers(1, 6), st.integers(0, 3), st.integers(0, 10_000))
def test_relevance_in_boxes_agrees_with_plain_loops(height: int, width: int, boxes: int, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    maps = torch.rand(2, height, width, generator=generator)
    corners = torch.randint(0, 40, (2, boxes, 4), generator=generator)
    left = elsewhere(maps, corners, Size(48, 48))
    for one, other, own in zip(left, maps, corners.tolist(), strict=True):
        assert np.array_equal(one.numpy(), naive_elsewhere(other.numpy(), [tuple(box) for box in own], 48))


def test_the_centre_of_a_patch_is_what_a_centre_crop_shows() -> None:
    part = centre_part(torch.tensor([[10, 20, 50, 60]]), TransformConfig(input_size=32, resize_size=40))
    crop = Geometry.identity(Size(40, 40)).resize(Size(40, 40)).centre_crop(Size(32, 32)).window
    assert part[0].tolist() == [10 + crop.left, 20 + crop.top, 10 + crop.right, 20 + crop.bottom]
