"""Boxes around thresholded maps, and how well they fit."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose

from foveate.evaluation.localisation import (
    CAM_THRESHOLD,
    THRESHOLDS,
    Overlaps,
    best_threshold,
    box_accuracy,
    box_of,
    cell_edges,
    components,
    intersection_over_union,
    measure_localisation,
    overlaps_of,
    scaled,
)
from oracles.localisation import naive_bounds, naive_components, naive_overlap, naive_overlaps

SEEDS = st.integers(0, 10_000)
COORDINATES = st.floats(-50, 300, width=32)


def box_from(x: float, y: float, width: float, height: float) -> np.ndarray:
    return np.array([x, y, x + width, y + height])


BOXES = st.builds(box_from, COORDINATES, COORDINATES, st.floats(1, 200, width=32), st.floats(1, 200, width=32))


def test_components_by_hand() -> None:
    """Cells that touch at a corner belong together; cells at the same place of two maps do not."""
    drawn = [["x...", ".x..", "...x", "...."], ["...x", "....", "....", "xxx."], ["....", "....", "....", "...."]]
    masks = np.array([[[cell == "x" for cell in row] for row in mask] for mask in drawn])
    parts = components(masks)
    assert parts.mask.tolist() == [0, 0, 1, 1]
    assert parts.area.tolist() == [2, 1, 1, 3]
    assert parts.bounds.tolist() == [[0, 0, 2, 2], [3, 2, 4, 3], [3, 0, 4, 1], [0, 3, 3, 4]]
    assert parts.largest().tolist() == [0, 3]


def test_the_first_of_equally_large_components_counts() -> None:
    assert components(np.array([[[True, False, True]]])).largest().tolist() == [0]


@settings(deadline=None, max_examples=40)
@given(st.integers(1, 4), st.integers(1, 8), st.integers(1, 8), st.floats(0, 1), SEEDS)
def test_components_agree_with_a_flood(maps: int, height: int, width: int, density: float, seed: int) -> None:
    masks = np.random.default_rng(seed).random((maps, height, width)) < density
    found = components(masks)
    expected = [(index, part) for index, mask in enumerate(masks) for part in naive_components(mask)]
    rows = zip(found.mask.tolist(), found.area.tolist(), map(tuple, found.bounds.tolist()), strict=True)
    assert sorted(rows) == sorted((index, len(part), naive_bounds(part)) for index, part in expected)


def test_overlaps_of_boxes_by_hand() -> None:
    box = np.array([0.0, 0.0, 10.0, 10.0])
    others = np.array([[5, 0, 15, 10], [0, 0, 10, 5], [10, 0, 20, 10], [30, 30, 40, 40], [2, 2, 2, 2]], dtype=float)
    assert_allclose(intersection_over_union(box, others), [1 / 3, 1 / 2, 0, 0, 0])
    assert intersection_over_union(others[4], others[4]) == 0  # nothing shared with nothing


@given(BOXES, BOXES, st.floats(0.1, 10), st.floats(-100, 100))
def test_an_overlap_is_a_share_and_does_not_depend_on_the_view(
    a: np.ndarray, b: np.ndarray, scale: float, shift: float
) -> None:
    overlap = intersection_over_union(a, b)
    assert 0 <= overlap <= 1
    assert overlap == pytest.approx(naive_overlap(a.tolist(), b.tolist()))
    assert overlap == intersection_over_union(b, a)
    assert intersection_over_union(a, a) == 1
    moved = [each * [scale, 1, scale, 1] + [shift, 0, shift, 0] for each in (a, b)]
    assert intersection_over_union(*moved) == pytest.approx(overlap, abs=1e-6)


def test_maps_are_scaled_each_for_itself() -> None:
    maps = np.array([[[-1.0, 3.0], [1.0, np.nan]], [[5.0, 5.0], [5.0, 5.0]], [[np.nan, np.nan], [np.nan, np.nan]]])
    assert scaled(maps).tolist() == [[[0, 1], [0.5, 0]], [[0, 0], [0, 0]], [[0, 0], [0, 0]]]


@given(st.integers(2, 200), st.integers(2, 600))
def test_cells_tile_the_view(places: int, size: int) -> None:
    edges = cell_edges(places, size)
    assert (edges[0], edges[-1]) == (pytest.approx(0, abs=0.5), pytest.approx(size, abs=0.5))
    assert (np.diff(edges) > 0).all()
    assert_allclose(edges + edges[::-1], size)


def test_cells_of_every_pixel_are_the_pixels() -> None:
    assert_allclose(cell_edges(5, 5), [0, 1, 2, 3, 4, 5])


def test_a_box_by_hand() -> None:
    values = np.zeros((5, 5))
    values[1:3, 2:5] = [[0.5, 1.0, 0.5], [0.5, 0.5, 0.5]]
    values[4, 0] = 0.9
    assert box_of(values, 5, 0.4) == (2, 1, 5, 3)
    assert box_of(values, 5, 0.6) == (3, 1, 4, 2)  # one of two single cells: the first
    assert box_of(np.zeros((5, 5)), 5, 0.4) is None
    overlaps = overlaps_of(values[None], np.array([[0.0, 4.0, 1.0, 5.0]]), 5, np.array([0.4, 0.6]))
    assert overlaps.largest.tolist() == [[0, 0]]
    assert overlaps.best.tolist() == [[1, 1]]


@settings(deadline=None, max_examples=30)
@given(st.integers(1, 3), st.integers(2, 9), st.integers(2, 40), st.floats(0, 0.5), SEEDS)
def test_overlaps_agree_with_plain_loops(maps: int, places: int, size: int, hidden: float, seed: int) -> None:
    rng = np.random.default_rng(seed)
    values = rng.normal(size=(maps, places, places)).round(1)
    values[rng.random(values.shape) < hidden] = np.nan
    corners = rng.uniform(-2, size, (maps, 2))
    boxes = np.concatenate([corners, corners + rng.uniform(1, size, (maps, 2))], axis=1)
    found = overlaps_of(values, boxes, size)
    for index in range(maps):
        expected = [naive_overlaps(values[index], boxes[index].tolist(), size, each) for each in THRESHOLDS]
        assert_allclose(np.stack([found.largest[index], found.best[index]], axis=1), expected, atol=1e-12)


@given(SEEDS, st.floats(0.1, 0.9), st.floats(0, 0.5))
def test_a_stricter_overlap_never_makes_more_boxes_right(seed: int, least: float, more: float) -> None:
    overlap = np.random.default_rng(seed).random((20, 7))
    assert (box_accuracy(overlap, least + more) <= box_accuracy(overlap, least)).all()


def test_the_best_threshold_is_in_the_middle_of_the_first_best_run() -> None:
    def overlap(*shares: int) -> np.ndarray:
        return np.array([[index < share for share in shares] for index in range(4)], dtype=float)

    assert best_threshold(overlap(1, 3, 3, 3, 0, 3)) == 2
    assert best_threshold(overlap(1, 2, 4, 3)) == 2
    assert best_threshold(overlap(0, 0, 0)) == 1
    assert best_threshold(overlap(0, 1, 1)) == 1


def test_cams_threshold_is_one_of_those_that_are_tried() -> None:
    assert (THRESHOLDS == CAM_THRESHOLD).sum() == 1
    assert (THRESHOLDS > 0).all()  # at 0 the whole view would be an answer
    assert (THRESHOLDS < 1).all()


def test_a_summary_by_hand() -> None:
    """Four photographs, the first three answered rightly; boxes are right where the overlap is 0.5 or more."""
    largest = np.zeros((4, len(THRESHOLDS)))
    cam = THRESHOLDS.tolist().index(CAM_THRESHOLD)
    largest[:, cam] = [0.5, 0.49, 0.0, 0.9]
    largest[:, 20] = [0.6, 0.5, 0.0, 0.0]
    largest[:, 30] = [0.6, 0.5, 0.3, 0.7]
    best = largest.copy()
    best[:, 5] = [0.4, 0.3, 0.3, 0.3]
    found = measure_localisation(np.array([True, True, True, False]), Overlaps(largest, best), 20)
    assert (found.top1, found.localised, found.box) == (0.75, 0.25, 0.5)
    assert (found.chosen_threshold, found.localised_chosen, found.box_chosen) == (THRESHOLDS[20], 0.5, 0.5)
    assert (found.max_box, found.max_box_threshold) == (0.75, THRESHOLDS[30])
    assert found.max_box_v2 == pytest.approx((1 + 0.75 + 0.25) / 3)
    assert found.curve[cam] == 0.5
