"""Channel grouping: attention, peaks, both losses."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.testing import assert_close

from foveate.macnn.config import AttentionForm, MACNNConfig
from foveate.macnn.grouping import ChannelGrouping, PartAttention, largest_cells, part_attention
from foveate.macnn.losses import distance_loss, diversity_loss
from oracles.macnn import naive_attention, naive_distance, naive_diversity, naive_peak


def drawn(seed: int, *shape: int) -> Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed))


@settings(deadline=None, max_examples=30)
@given(
    st.integers(0, 10_000),
    st.sampled_from(AttentionForm),
    st.integers(1, 2),
    st.integers(1, 4),
    st.integers(1, 5),
    st.integers(1, 4),
)
def test_agrees_with_plain_loops(seed: int, form: AttentionForm, b: int, n: int, h: int, w: int) -> None:
    features, weights = 3 * drawn(seed, b, 5, h, w) - 1, drawn(seed + 1, b, n, 5)
    attention = part_attention(features, weights, form)
    expected = [
        naive_attention(each.double().numpy(), row.double().numpy(), form)
        for each, row in zip(features, weights, strict=True)
    ]
    assert_close(attention.maps, torch.tensor(np.array(expected)).float(), rtol=1e-4, atol=1e-5)
    peaks = [[naive_peak(values) for values in maps] for maps in expected]
    assert_close(attention.peaks, torch.tensor(peaks).float())
    distance = sum(naive_distance(*each) for each in zip(expected, peaks, strict=True)) / b
    assert distance_loss(attention).item() == pytest.approx(distance, rel=1e-4, abs=1e-6)
    diversity = sum(naive_diversity(maps, 0.02) for maps in expected) / b if n > 1 else 0.0
    assert diversity_loss(attention, 0.02).item() == pytest.approx(diversity, rel=1e-4, abs=1e-6)


def test_attention_by_hand() -> None:
    """Two channels of 1 x 2 cells; the group takes the first whole and half of the second."""
    features = torch.tensor([[[[0.0, 2.0]], [[2.0, 0.0]]]])
    weights = torch.tensor([[[1.0, 0.5]]])
    low, high = 1 / (1 + math.exp(-1)), 1 / (1 + math.exp(-2))
    raw = part_attention(features, weights, AttentionForm.SIGMOID)
    assert_close(raw.maps, torch.tensor([[[[low, high]]]]))
    assert_close(raw.peaks, torch.tensor([[[0.75, 0.5]]]))
    share = part_attention(features, weights, AttentionForm.NORMALISED).maps
    assert_close(share, torch.tensor([[[[low / (low + high), high / (low + high)]]]]))
    standard = part_attention(features, weights, AttentionForm.STANDARDISED).maps  # sums of 1, 2 become -1, 1
    one = 1 / (1 + math.exp(-1))
    assert_close(standard, torch.tensor([[[[1 - one, one]]]]), atol=1e-5, rtol=0)


def test_losses_by_hand() -> None:
    """A row of two cells, whose middles are half a side apart."""
    maps = torch.tensor([[[[0.75, 0.25]], [[0.5, 0.5]]]])
    attention = PartAttention(maps, largest_cells(maps))
    # The second map is flat: its peak is the middle, a quarter of a side from both cells.
    assert distance_loss(attention).item() == pytest.approx(0.25 * 0.5**2 + 0.25**2)
    by_hand = 0.75 * (0.5 - 0.1) + 0.25 * (0.5 - 0.1) + 0.5 * (0.75 - 0.1) + 0.5 * (0.25 - 0.1)
    assert diversity_loss(attention, 0.1).item() == pytest.approx(by_hand)


def test_a_single_group_has_nobody_to_differ_from() -> None:
    assert diversity_loss(PartAttention(drawn(0, 2, 1, 3, 3), drawn(1, 2, 1, 2)), 0.02).item() == 0


def test_points_that_lie_apart_cost_nothing() -> None:
    maps = torch.zeros(1, 2, 3, 3)
    maps[0, 0, 0, 0] = maps[0, 1, 2, 1] = 1
    attention = PartAttention(maps, largest_cells(maps))
    assert_close(attention.peaks, torch.tensor([[[1 / 6, 1 / 6], [0.5, 5 / 6]]]))
    assert distance_loss(attention).item() == 0
    assert diversity_loss(attention, 0.02).item() == pytest.approx(-0.04)


@pytest.mark.parametrize("form", AttentionForm)
def test_flat_features_give_numbers_and_the_middle(form: AttentionForm) -> None:
    features, weights = torch.full((1, 6, 3, 3), 4.0), drawn(2, 1, 2, 6).requires_grad_()
    attention = part_attention(features, weights, form)
    loss = distance_loss(attention) + diversity_loss(attention, 0.02)
    torch.autograd.backward(loss)
    assert torch.isfinite(loss)
    assert weights.grad is not None
    assert torch.isfinite(weights.grad).all()
    if form is not AttentionForm.SIGMOID:
        assert_close(attention.maps, torch.full((1, 2, 3, 3), 1 / 9))


@pytest.mark.parametrize("form", [AttentionForm.NORMALISED, AttentionForm.STANDARDISED])
def test_sums_far_from_zero_still_divide(form: AttentionForm) -> None:
    for size in (1e4, -1e4):
        attention = part_attention(size * drawn(3, 1, 6, 3, 3), torch.ones(1, 2, 6), form)
        assert torch.isfinite(attention.maps).all()


def test_a_saturated_sigmoid_keeps_its_peak() -> None:
    features = torch.full((1, 1, 3, 3), 100.0)
    features[0, 0, 2, 1] = 101
    attention = part_attention(features, torch.ones(1, 1, 1), AttentionForm.NORMALISED)
    assert (attention.maps == attention.maps[0, 0, 0, 0]).all()
    assert_close(attention.peaks, torch.tensor([[[0.5, 5 / 6]]]))


def test_standardised_attention_does_not_depend_on_the_size_of_features() -> None:
    features, weights = drawn(4, 2, 6, 4, 4), drawn(5, 2, 3, 6)
    small, large = (part_attention(size * features, weights, AttentionForm.STANDARDISED).maps for size in (10, 1000))
    assert_close(small, large, rtol=1e-3, atol=1e-5)


def test_grouping_is_two_layers_for_each_group() -> None:
    grouping = ChannelGrouping(MACNNConfig(parts=3, hidden=5), 7)
    weights = grouping(drawn(0, 2, 7))
    assert weights.shape == (2, 3, 7)
    assert ((weights > 0) & (weights < 1)).all()
    branch = grouping.branches[1]
    inner, _, outer = branch.children()
    by_hand = torch.sigmoid(outer(torch.tanh(inner(drawn(0, 2, 7)))))
    assert_close(weights[:, 1], by_hand)
    assert inner.out_features == 5
