"""The start of channel grouping: clusters of channels that peak at the same places of the training photographs."""

from __future__ import annotations

from typing import NamedTuple

import torch
from jaxtyping import Float, Int64
from torch import Tensor
from torch.nn import functional

from foveate.macnn.grouping import ChannelGrouping

_TRIALS, _MOVES = 5, 100
_RATE, _BATCH = 1e-3, 64
_SOFTNESS = 0.02  # d_i is taught 0.02 and 0.98: at 0 and 1 its sigmoid has no gradient for the grouping to learn from


class Clusters(NamedTuple):
    """``groups``: the group of each channel; ``spread``: the sum of squared distances from the groups' means."""

    groups: Int64[Tensor, " d"]
    spread: float


def cluster_channels(places: Float[Tensor, "d m"], count: int) -> Clusters:
    """Divide channels into groups by k-means: the best of five trials, each from centres drawn far apart (k-means++).

    Every group has at least one channel.

    Args:
        places: For each channel the (x, y) of its peak in each photograph, one after the other.
        count: N, the number of groups; at most the number of channels.
    """
    trials = [_moved(places, _far_apart(places, count)) for _ in range(_TRIALS)]
    return min(trials, key=lambda each: each.spread)


def _far_apart(places: Float[Tensor, "d m"], count: int) -> Float[Tensor, "n m"]:
    """Draw channels as centres, each with a probability in proportion to its squared distance from those before."""
    chosen = [int(torch.randint(len(places), ()))]
    for _ in range(count - 1):
        distance = _squared(places, places[chosen]).amin(1)
        distance[chosen] = 0
        remaining = torch.ones(len(places)).index_fill(0, torch.tensor(chosen), 0)
        chosen.append(int(torch.multinomial(distance if distance.any() else remaining, 1)))
    return places[chosen]


def _moved(places: Float[Tensor, "d m"], centres: Float[Tensor, "n m"]) -> Clusters:
    """Assign channels to the nearest centre and move centres to the mean, until nothing changes."""
    groups = _nearest(places, centres)
    for _ in range(_MOVES):
        members = functional.one_hot(groups, len(centres)).T.to(places)
        centres = members @ places / members.sum(1, keepdim=True)
        new_groups = _nearest(places, centres)
        if torch.equal(new_groups, groups):
            break
        groups = new_groups
    return Clusters(groups, float((places - centres[groups]).square().sum()))


def _nearest(places: Float[Tensor, "d m"], centres: Float[Tensor, "n m"]) -> Int64[Tensor, " d"]:
    """Return the nearest centre of each channel; a centre that is nearest to none gets the channel furthest off."""
    distance, groups = _squared(places, centres).min(1)
    for empty in (torch.bincount(groups, minlength=len(centres)) == 0).nonzero()[:, 0].tolist():
        lonely = torch.bincount(groups, minlength=len(centres))[groups] == 1
        furthest = int(distance.masked_fill(lonely, -1).argmax())
        groups[furthest], distance[furthest] = empty, 0
    return groups


def _squared(places: Float[Tensor, "d m"], centres: Float[Tensor, "n m"]) -> Float[Tensor, "d n"]:
    return torch.stack([(places - centre).square().sum(1) for centre in centres], dim=1)


@torch.enable_grad()
def learn_groups(
    grouping: ChannelGrouping, pooled: Float[Tensor, "p d"], groups: Int64[Tensor, " d"], steps: int
) -> float:
    """Regress d_i to the indicator of group i, somewhat softened; return how far it is from that on average.

    Args:
        grouping: What learns.
        pooled: The globally averaged features of p photographs.
        groups: The group of each channel, on the same device.
        steps: Gradient steps, each of up to 64 photographs.
    """
    members = functional.one_hot(groups, len(grouping.branches)).T.to(pooled)
    indicators = _SOFTNESS + (1 - 2 * _SOFTNESS) * members
    optimiser = torch.optim.Adam(grouping.parameters(), lr=_RATE)
    for _ in range(steps):
        some = pooled[torch.randint(len(pooled), (min(_BATCH, len(pooled)),)).to(pooled.device)]
        scores = grouping.scores(some)
        loss = functional.binary_cross_entropy_with_logits(scores, indicators.expand_as(scores))
        optimiser.zero_grad()
        torch.autograd.backward(loss)
        optimiser.step()
    optimiser.zero_grad()
    with torch.no_grad():
        return float(
            torch.stack([(grouping(each) - indicators).abs().mean() for each in torch.split(pooled, _BATCH)]).mean()
        )
