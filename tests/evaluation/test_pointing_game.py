"""Where peaks fall."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.testing import assert_close

from foveate.data.records import ImageRecord
from foveate.evaluation.pointing_game import HitSummary, annotations_of, energy_inside, hits_of, summarise
from foveate.types import Box, PartPoint, Size
from oracles.trust import energy_share


def record(box: Box | None, *parts: PartPoint) -> ImageRecord:
    return ImageRecord("a", Path("a.jpg"), 0, "wren", box, parts)


BEAK, TAIL = PartPoint("beak", 20, 20), PartPoint("tail", 80, 40)


def test_by_hand() -> None:
    """The box is 100 wide and 50 high: a part reaches 10 pixels."""
    annotations = annotations_of([record(Box(10, 10, 110, 60), TAIL, BEAK), record(None, BEAK)])
    assert annotations.part_names == ("beak", "tail")
    places = np.array([[[20, 29.9], [20, 30.1], [5, 20], [80, 40]], [[20, 20]] * 4], dtype=float)
    found = np.array([[True, True, True, False], [True] * 4])
    hits = hits_of(places, found, annotations)
    assert hits.in_box.tolist() == [[True, True, False, False], [False] * 4]
    assert hits.part.tolist() == [[0, -1, -1, -1], [-1] * 4]
    expected = HitSummary(1, (1.0, 1.0, 0.0, 0.0), (1.0, 0.0, 0.0, 0.0), {"beak": (1, 0, 0, 0), "tail": (0, 0, 0, 0)})
    assert summarise(hits, annotations) == expected


def test_without_annotations_there_is_nothing_to_say() -> None:
    annotations = annotations_of([record(None)])
    hits = hits_of(np.zeros((1, 2, 2)), np.ones((1, 2), dtype=bool), annotations)
    assert not hits.in_box.any()
    assert summarise(hits, annotations) is None


def test_a_box_alone_has_no_parts() -> None:
    annotations = annotations_of([record(Box(0, 0, 10, 10))])
    summary = summarise(hits_of(np.full((1, 1, 2), 5.0), np.ones((1, 1), dtype=bool), annotations), annotations)
    assert summary == HitSummary(1, (1.0,), (0.0,), {})


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 10_000), st.integers(1, 4), st.integers(1, 3), st.integers(0, 4))
def test_agrees_with_plain_loops(seed: int, photographs: int, rounds: int, parts: int) -> None:
    rng = np.random.default_rng(seed)
    records = []
    for _ in range(photographs):
        left, top = rng.uniform(0, 40, 2)
        points = [PartPoint(f"p{i}", *rng.uniform(0, 100, 2)) for i in range(parts) if rng.random() < 0.7]
        records.append(record(Box(left, top, left + rng.uniform(5, 60), top + rng.uniform(5, 60)), *points))
    places, found = rng.uniform(0, 100, (photographs, rounds, 2)), rng.random((photographs, rounds)) < 0.8
    annotations = annotations_of(records)
    hits = hits_of(places, found, annotations, reach=0.5)
    for index, each in enumerate(records):
        for number in range(rounds):
            (x, y), box = places[index, number], each.box
            assert box is not None
            inside = box.left <= x <= box.right and box.top <= y <= box.bottom
            assert hits.in_box[index, number] == (inside and found[index, number])
            away = sorted((np.hypot(part.x - x, part.y - y), part.name) for part in each.parts)
            near = bool(away) and bool(found[index, number]) and away[0][0] <= 0.5 * max(box.width, box.height)
            name = annotations.part_names[hits.part[index, number]] if hits.part[index, number] >= 0 else None
            assert name == (away[0][1] if near else None)


def test_energy_by_hand() -> None:
    """Four cells of a view of 8 x 4 pixels: the box holds the left cells' right half, and nothing of the others."""
    maps = torch.tensor([[[4.0, 1.0], [2.0, 3.0]]] * 4 + [[[0.0, 0.0], [0.0, 0.0]], [[-1.0, 0.0], [2.0, 0.0]]])
    nan = float("nan")
    boxes = torch.tensor(
        [[2, 0, 4, 4], [-5, -5, 20, 20], [6, 3, 90, 90], [nan] * 4, [0, 0, 8, 4], [0, 0, 4, 4]], dtype=torch.float64
    )
    shares = energy_inside(maps, boxes, Size(8, 4))
    expected = torch.tensor([0.3, 1.0, 0.25 * 3 / 10, nan, 0.0, 1.0])
    assert_close(shares, expected, equal_nan=True)


@settings(deadline=None, max_examples=20)
@given(st.integers(0, 10_000), st.integers(1, 4), st.integers(1, 4))
def test_energy_agrees_with_counting_points(seed: int, rows: int, columns: int) -> None:
    rng = np.random.default_rng(seed)
    values = rng.normal(size=(rows, columns)).astype(np.float32)
    fine, width, height = 8, 8.0 * columns, 8.0 * rows
    left, top = rng.integers(-5, 20, 2)
    box = (left, top, left + rng.integers(0, 30), top + rng.integers(0, 30))  # whole pixels: a point each
    share = energy_inside(torch.from_numpy(values)[None], torch.tensor([box]).double(), Size(int(width), int(height)))
    assert float(share) == pytest.approx(energy_share(values, box, width, height, fine), abs=1e-5)
    assert 0 <= float(share) <= 1 + 1e-6
