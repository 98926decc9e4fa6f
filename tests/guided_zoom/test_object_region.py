"""What a network takes for the object, whatever its class."""

from __future__ import annotations

import numpy as np
import pytest

from foveate.guided_zoom.object_region import object_region, share_on
from foveate.types import Box


def two_cartons() -> np.ndarray:
    """Maps of two classes: a large region on the left, and a small one on the right with the highest peak."""
    maps = np.zeros((2, 14, 14), np.float32)
    maps[:, 2:12, 1:7] = 0.5
    maps[1, 6:8, 11:13] = 2.0
    return maps


def test_a_patch_on_another_object_lies_off_the_region() -> None:
    region = object_region(two_cartons())
    assert region is not None
    on, off = Box(32.0, 64.0, 96.0, 128.0), Box(160.0, 80.0, 224.0, 144.0)
    assert share_on(region, on, 224) > 0.95
    assert share_on(region, off, 224) == 0
    assert share_on(region, Box(0.0, 0.0, 224.0, 224.0), 224) == pytest.approx(60 / 196, abs=0.05)


def test_the_region_follows_the_map_when_that_is_mirrored() -> None:
    region, mirrored = object_region(two_cartons()), object_region(two_cartons()[:, :, ::-1])
    assert region is not None
    assert mirrored is not None
    assert np.array_equal(mirrored, region[:, ::-1])


@pytest.mark.parametrize("maps", [np.zeros((2, 4, 4)), np.full((1, 4, 4), -1.0), np.full((1, 3, 5), np.nan)])
def test_maps_that_are_flat_have_no_region(maps: np.ndarray) -> None:
    assert object_region(maps) is None


def test_a_patch_of_a_pixel_has_a_share() -> None:
    region = np.ones((112, 112), bool)
    assert share_on(region, Box(0.0, 0.0, 1.0, 1.0), 448) == 1
