"""Squares around places, and what is seen in them."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn import functional
from torch.testing import assert_close

from foveate.macnn.part_crops import around_all, cropped, squares_around

SHARES = st.floats(0, 1, width=32)


def test_by_hand() -> None:
    boxes = squares_around(torch.tensor([[0.5, 0.5], [0.0, 0.9]]), 0.25)
    assert_close(boxes, torch.tensor([[0.375, 0.375, 0.625, 0.625], [0.0, 0.75, 0.25, 1.0]]))
    assert_close(around_all(boxes[None]), torch.tensor([[0.0, 0.375, 0.625, 1.0]]))


@given(SHARES, SHARES, st.floats(0.0625, 1, width=32))
def test_squares_are_whole_inside_and_hold_their_place(x: float, y: float, side: float) -> None:
    box = squares_around(torch.tensor([x, y]), side)
    assert box.min() >= 0
    assert box.max() <= 1 + 1e-6
    assert_close(box[2:] - box[:2], torch.full((2,), side), atol=1e-6, rtol=0)
    assert (box[:2] <= torch.tensor([x, y]) + 1e-6).all()
    assert (box[2:] >= torch.tensor([x, y]) - 1e-6).all()


def test_a_crop_of_its_own_size_is_the_pixels() -> None:
    images = torch.rand(2, 3, 8, 8)
    boxes = torch.tensor([[0.25, 0.5, 0.75, 1.0], [0.0, 0.0, 0.5, 0.5]])
    views = cropped(images, boxes, 4)
    assert_close(views[0], images[0, :, 4:, 2:6])
    assert_close(views[1], images[1, :, :4, :4])


def test_enlarging_is_bilinear_and_shrinking_averages() -> None:
    images = torch.rand(1, 3, 8, 8)
    inner = torch.tensor([[0.25, 0.25, 0.75, 0.75]])
    enlarged = cropped(images, inner, 8)
    whole = functional.interpolate(images, scale_factor=2, mode="bilinear")
    assert_close(enlarged, whole[..., 4:12, 4:12])
    assert_close(cropped(images, torch.tensor([[0.0, 0.0, 1.0, 1.0]]), 4), functional.avg_pool2d(images, 2))


@pytest.mark.parametrize("layout", [torch.channels_last, torch.contiguous_format])
def test_the_layout_is_that_of_the_images(layout: torch.memory_format) -> None:
    images = torch.rand(2, 3, 8, 8).contiguous(memory_format=layout)
    views = cropped(images, torch.tensor([[0.0, 0.0, 0.5, 0.5]]).expand(2, 4), 6)
    assert views.is_contiguous(memory_format=layout)
