"""What peaks fall on: hits of the box, and the parts nearest to the extremes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose

from foveate.data.records import ImageRecord
from foveate.evaluation.hit_rate import PartCounts, PeakList, joined, peaks_by_strength, summarise_attention
from foveate.evaluation.pointing_game import annotations_of
from foveate.types import Box, PartPoint
from oracles.localisation import naive_peaks

BOX = Box(10, 10, 50, 50)
BEAK, TAIL = PartPoint("beak", 12, 12), PartPoint("tail", 45, 45)


def record(box: Box | None, *parts: PartPoint) -> ImageRecord:
    return ImageRecord("a", Path("a.jpg"), 0, "wren", box, parts)


def listed(*photographs: list[tuple[float, float]]) -> PeakList:
    """Peaks of each photograph, the strongest first."""
    most = max(map(len, photographs))
    places = np.array([[*each, *[(0.0, 0.0)] * (most - len(each))] for each in photographs], dtype=float)
    found = np.array([[index < len(each) for index in range(most)] for each in photographs])
    return PeakList(places.reshape(len(photographs), most, 2), found)


def test_by_hand() -> None:
    """Hits 2 of 3, 1 of 1, 0 of 2; the fourth has no peak, the fifth no box."""
    records = [*[record(BOX, BEAK, TAIL)] * 4, record(None, BEAK)]
    peaks = listed([(13, 13), (90, 90), (44, 40)], [(46, 44)], [(5, 5), (99, 99)], [], [(20, 20)])
    found = summarise_attention(peaks, annotations_of(records))
    assert found is not None
    assert (found.photographs, found.without_peaks, found.with_parts) == (4, 1, 3)
    assert found.mean_hit_rate == pytest.approx((2 / 3 + 1 + 0) / 3)
    assert found.strongest_hit_rate == pytest.approx(2 / 3)
    assert found.peaks == (1, 1, 1, 1)
    assert found.hits == (2, 1, 1)
    assert found.parts == {"beak": PartCounts(2, 0, 0), "tail": PartCounts(0, 2, 1)}
    assert list(found.parts) == ["beak", "tail"]  # from strong to weak
    assert [each.lead for each in found.parts.values()] == [2, -2]


def test_the_edge_of_the_box_is_inside() -> None:
    found = summarise_attention(listed([(10, 50)], [(10, 50.01)]), annotations_of([record(BOX)] * 2))
    assert found is not None
    assert found.hits == (1, 1)


def test_parts_that_are_all_invisible_are_not_counted() -> None:
    """A photograph without a visible part counts for hits alone, though other photographs show parts."""
    records = [record(BOX), record(BOX, TAIL)]
    found = summarise_attention(listed([(20, 20), (30, 30)], [(0, 0)]), annotations_of(records))
    assert found is not None
    assert (found.photographs, found.with_parts) == (2, 1)
    assert found.parts == {"tail": PartCounts(0, 0, 1)}


def test_without_parts_hits_are_counted_all_the_same() -> None:
    found = summarise_attention(listed([(20, 20), (60, 30)]), annotations_of([record(BOX)]))
    assert found is not None
    assert (found.mean_hit_rate, found.with_parts, found.parts) == (0.5, 0, {})


def test_without_boxes_or_peaks_there_is_nothing_to_say() -> None:
    assert summarise_attention(listed([(20, 20)]), annotations_of([record(None, BEAK)])) is None
    assert summarise_attention(listed([], []), annotations_of([record(BOX)] * 2)) is None


def test_peaks_lie_where_the_sampler_has_their_cells() -> None:
    """The outermost cells of 5 lie on the middles of the outermost of 9 pixels, which are 0.5 and 8.5."""
    response, peaks = np.zeros((1, 5, 5)), np.zeros((1, 5, 5), dtype=bool)
    for cell, strength in (((0, 4), 0.4), ((2, 1), 1.0), ((4, 0), 0.4)):
        response[0][cell], peaks[0][cell] = strength, True
    found = peaks_by_strength(response, peaks, 9)
    assert found.found.tolist() == [[True, True, True]]
    assert found.places.tolist() == [[[2.5, 4.5], [8.5, 0.5], [0.5, 8.5]]]


@settings(deadline=None, max_examples=30)
@given(st.integers(1, 4), st.integers(2, 7), st.integers(2, 50), st.floats(0, 0.6), st.integers(0, 10_000))
def test_peaks_agree_with_plain_loops(photographs: int, cells: int, size: int, share: float, seed: int) -> None:
    rng = np.random.default_rng(seed)
    response, peaks = rng.random((photographs, cells, cells)).round(1), rng.random((photographs, cells, cells)) < share
    together = joined([peaks_by_strength(r[None], p[None], size) for r, p in zip(response, peaks, strict=True)])
    for one in (peaks_by_strength(response, peaks, size), together):
        for index in range(photographs):
            expected = naive_peaks(response[index], peaks[index], size)
            assert_allclose(one.places[index][one.found[index]].reshape(-1, 2), np.array(expected).reshape(-1, 2))
            assert one.found[index].tolist() == sorted(one.found[index], reverse=True)
