"""Local maxima of a response."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from foveate.s3n.peaks import find_peaks
from oracles.s3n import Cell, Map, naive_peaks


def random_map(cells: int, seed: int, levels: int) -> Map:
    """Random in [0, 1]; with ``levels``, it takes few values and ties."""
    values = np.random.default_rng(seed).random((cells, cells))
    return np.floor(levels * values) / levels if levels else values


def peaks_of(rows: list[list[float]], *, window: int = 3, above_mean: bool = False) -> list[Cell]:
    marked = find_peaks(torch.tensor([rows]), window=window, above_mean=above_mean)[0]
    return [(y, x) for y, x in marked.nonzero().tolist()]


maps = st.builds(random_map, st.integers(2, 9), st.integers(0, 10_000), st.sampled_from([0, 2, 4]))


@settings(deadline=None, max_examples=30)
@given(maps, st.sampled_from([3, 5, 7]), st.booleans())
def test_agrees_with_plain_loops(response: Map, window: int, above_mean: bool) -> None:
    marked = find_peaks(torch.from_numpy(response)[None], window=window, above_mean=above_mean)[0]
    assert [(y, x) for y, x in marked.nonzero().tolist()] == naive_peaks(response, window, above_mean)


def test_the_one_peak_of_nine_cells() -> None:
    assert peaks_of([[0.1, 0.2, 0.1], [0.3, 0.9, 0.4], [0.0, 0.5, 0.2]]) == [(1, 1)]


def test_corners_can_be_peaks() -> None:
    assert peaks_of([[0.9, 0.1, 0.8], [0.1, 0.0, 0.1], [0.7, 0.1, 0.6]]) == [(0, 0), (0, 2), (2, 0), (2, 2)]


def test_of_equal_neighbours_the_first_in_reading_order_counts() -> None:
    assert peaks_of([[0.0, 0.0, 0.7], [0.0, 0.7, 0.7], [0.0, 0.7, 0.0]]) == [(0, 2)]


def test_equal_cells_in_different_windows_are_two_peaks() -> None:
    row = [0.7, 0.0, 0.7]
    assert peaks_of([row, [0.0] * 3, [0.0] * 3]) == [(0, 0), (0, 2)]
    assert peaks_of([row, [0.0] * 3, [0.0] * 3], window=5) == [(0, 0)]


def test_above_mean_drops_the_low_peaks_and_keeps_those_at_the_mean() -> None:
    rows = [[1.0, 0.25, 0.0, 0.25], [0.25, 0.25, 0.0, 0.0], [0.0, 0.0, 0.0, 0.0], [0.125, 0.0, 0.0, 0.125]]
    assert peaks_of(rows) == [(0, 0), (0, 3), (3, 0), (3, 3)]
    assert peaks_of(rows, above_mean=True) == [(0, 0), (0, 3)]  # the mean is 2.25 / 16 = 0.14
    level = [[1.0, 0.0, 0.25], [0.0, 0.0, 0.0], [0.5, 0.5, 0.0]]  # the mean is 0.25
    assert peaks_of(level, above_mean=True) == [(0, 0), (0, 2), (2, 0)]


@pytest.mark.parametrize("value", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("above_mean", [True, False])
def test_a_constant_map_has_no_peak(value: float, above_mean: bool) -> None:
    assert peaks_of([[value] * 4] * 4, above_mean=above_mean) == []


@settings(deadline=None, max_examples=20)
@given(maps)
def test_the_largest_cell_is_a_peak_and_the_lowest_are_none(response: Map) -> None:
    marked = find_peaks(torch.from_numpy(response)[None], above_mean=True)[0].numpy()
    assert not marked[response == response.min()].any()
    if response.max() > response.min():
        assert marked[np.unravel_index(response.argmax(), response.shape)]


def test_images_of_a_batch_do_not_meet() -> None:
    responses = torch.from_numpy(np.stack([random_map(7, seed, 0) for seed in range(4)]))
    each = [find_peaks(response[None]) for response in responses]
    assert torch.equal(find_peaks(responses), torch.cat(each))


def test_every_class_has_its_own_peaks() -> None:
    maps = torch.rand(2, 3, 7, 5)
    one_by_one = torch.stack([find_peaks(maps[:, each]) for each in range(3)], dim=1)
    assert torch.equal(find_peaks(maps), one_by_one)
    assert torch.equal(find_peaks(maps[0, 0]), one_by_one[0, 0])
