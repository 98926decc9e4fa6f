"""The start of channel grouping."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from foveate.macnn.channel_clusters import cluster_channels, learn_groups
from foveate.macnn.config import MACNNConfig
from foveate.macnn.grouping import ChannelGrouping
from oracles.macnn import best_spread


def test_channels_that_peak_together_are_a_group() -> None:
    """By hand: two photographs; channels 0, 2, 4 peak top left, then right; 1 and 3 bottom right, then left."""
    one, other = torch.tensor([0.1, 0.1, 0.9, 0.5]), torch.tensor([0.9, 0.9, 0.1, 0.5])
    places = torch.stack([one, other, one + 0.01, other - 0.01, one - 0.01])
    clusters = cluster_channels(places, 2)
    first = clusters.groups[0]
    assert (clusters.groups == first).tolist() == [True, False, True, False, True]
    # Distances 0, 0.01, 0.01 and twice 0.005 from the means, in each of four coordinates.
    assert clusters.spread == pytest.approx(4 * (2 * 0.01**2 + 2 * 0.005**2), rel=1e-3)


@settings(deadline=None, max_examples=25)
@given(st.integers(0, 10_000), st.integers(1, 3))
def test_no_division_is_much_better(seed: int, count: int) -> None:
    torch.manual_seed(seed)
    places = torch.rand(6, 4)
    clusters = cluster_channels(places, count)
    best = best_spread(places.double().numpy(), count)
    members = [places[clusters.groups == group] for group in range(count)]
    spread = sum(float((each - each.mean(0)).square().sum()) for each in members)
    assert clusters.spread == pytest.approx(spread, rel=1e-4)
    assert best <= spread + 1e-5
    assert spread <= 1.5 * best + 1e-5
    assert all(len(each) for each in members)


@pytest.mark.parametrize("count", [1, 3, 5])
def test_every_group_has_a_channel_even_where_all_peak_at_one_place(count: int) -> None:
    torch.manual_seed(0)
    clusters = cluster_channels(torch.full((5, 2), 0.5), count)
    assert torch.bincount(clusters.groups, minlength=count).min() >= 1
    assert clusters.spread == 0


def test_the_grouping_learns_the_groups() -> None:
    torch.manual_seed(0)
    grouping = ChannelGrouping(MACNNConfig(parts=2, hidden=16), 6)
    groups = torch.tensor([0, 1, 1, 0, 0, 1])
    pooled = torch.rand(10, 6)
    before = learn_groups(grouping, pooled, groups, 0)
    away = learn_groups(grouping, pooled, groups, 300)
    assert away < 0.05 < before
    with torch.no_grad():
        weights = grouping(pooled)
    assert torch.equal(weights > 0.5, torch.stack([groups == 0, groups == 1]).expand(10, 2, 6))
    assert (weights * (1 - weights)).min() > 0.005  # it can still learn
    assert all(parameter.grad is None for parameter in grouping.parameters())
