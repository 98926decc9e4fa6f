"""The patches of a pool that look most like one at hand."""

from __future__ import annotations

import math

import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.testing import assert_close

from foveate.guided_zoom.nearest_patches import nearest
from oracles.guided_zoom import naive_nearest

POOL = torch.tensor([[3.0, 0.0], [0.0, 2.0], [1.0, 1.0], [-1.0, 0.0]])
LABELS = torch.tensor([0, 0, 1, 1])


def test_by_hand() -> None:
    """Of class 0 the first axis lies along; of class 1 the diagonal at 45 degrees, then what points away."""
    done = nearest(torch.tensor([[5.0, 0.0], [5.0, 0.0]]), torch.tensor([0, 1]), POOL, LABELS, 2)
    assert done.rows.tolist() == [[0, 1], [2, 3]]
    assert_close(done.distances, torch.tensor([[0.0, 1.0], [1 - math.sqrt(0.5), 2.0]]))


def test_what_is_not_there_has_no_row() -> None:
    done = nearest(torch.tensor([[1.0, 0.0], [1.0, 0.0]]), torch.tensor([2, 0]), POOL, LABELS, 6)
    assert done.rows.tolist() == [[-1] * 6, [0, 1, -1, -1, -1, -1]]
    assert done.distances[0].isinf().all()


def test_a_hidden_row_is_never_found() -> None:
    done = nearest(torch.tensor([[1.0, 0.0]]), torch.tensor([0]), POOL, torch.tensor([-1, 0, 1, 1]), 1)
    assert done.rows.tolist() == [[1]]


def test_of_equally_near_ones_the_first_is_found() -> None:
    done = nearest(torch.tensor([[1.0, 0.0]]), torch.tensor([0]), POOL[[1, 1, 0, 0]], torch.zeros(4).long(), 3)
    assert done.rows.tolist() == [[2, 3, 0]]


def test_features_of_nothing_are_as_far_from_all() -> None:
    done = nearest(torch.zeros(1, 2), torch.tensor([0]), POOL, LABELS, 2)
    assert done.distances.tolist() == [[1.0, 1.0]]


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 10_000), st.integers(1, 5), st.integers(1, 12), st.integers(1, 4))
def test_agrees_with_the_search_row_by_row(seed: int, queries: int, patches: int, count: int) -> None:
    generator = torch.Generator().manual_seed(seed)

    def drawn(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator)

    features, pool = drawn(queries, 4), drawn(patches, 4)
    classes, labels = (torch.randint(3, (n,), generator=generator) for n in (queries, patches))
    done = nearest(features, classes, pool, labels, count)
    for index in range(queries):
        target = int(classes[index])
        expected = naive_nearest(features[index].tolist(), target, pool.tolist(), labels.tolist(), count)
        there = done.rows[index] >= 0
        assert done.rows[index, there].tolist() == [row for _, row in expected]
        assert_close(done.distances[index, there], torch.tensor([d for d, _ in expected]), atol=1e-5, rtol=0)
