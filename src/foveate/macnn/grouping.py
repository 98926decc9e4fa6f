"""Channel grouping: channels whose peaks lie together make one attention map (MA-CNN, ICCV 2017, section 3.1).

Places are (x, y) in fractions of the view's side: the middle of a cell, wherever the map's cells lie.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn

from foveate.macnn.config import AttentionForm, MACNNConfig

_SMALLEST_VARIANCE = 1e-6


class PartAttention(NamedTuple):
    """Where each of N groups of channels responds."""

    maps: Float[Tensor, "b n h w"]
    """M_i; they add up to 1 over positions unless the form is `sigmoid`."""
    peaks: Float[Tensor, "b n 2"]
    """Where each map is largest."""


class ChannelGrouping(nn.Module):
    """How much each channel belongs to each group in an image: d_i, from its globally averaged features."""

    def __init__(self, config: MACNNConfig, channels: int) -> None:
        super().__init__()
        branches = (
            nn.Sequential(nn.Linear(channels, config.hidden), nn.Tanh(), nn.Linear(config.hidden, channels))
            for _ in range(config.parts)
        )
        self.branches = nn.ModuleList(branches)

    def scores(self, pooled: Float[Tensor, "b d"]) -> Float[Tensor, "b n d"]:
        """Return the logits of d_i."""
        return torch.stack([branch(pooled) for branch in self.branches], dim=1)

    def forward(self, pooled: Float[Tensor, "b d"]) -> Float[Tensor, "b n d"]:
        """Return d_i, in (0, 1)."""
        return self.scores(pooled).sigmoid()


def part_attention(
    features: Float[Tensor, "b d h w"], weights: Float[Tensor, "b n d"], form: AttentionForm
) -> PartAttention:
    """Return the attention of each group: its channels' weighted sum, through a sigmoid.

    The peaks are those of the sum itself, since a sigmoid that is 1 at several positions has none.
    """
    total = torch.einsum("bnd,bdhw->bnhw", weights.float(), features.float())
    peaks = largest_cells(total)
    if form is AttentionForm.STANDARDISED:
        variance, mean = torch.var_mean(total, dim=(2, 3), correction=0, keepdim=True)
        total = (total - mean) / (variance + _SMALLEST_VARIANCE).sqrt()
    maps = total.sigmoid()
    if form is not AttentionForm.SIGMOID:
        # A sum far below 0 has a sigmoid of 0 everywhere; the smallest number that divides keeps 0 / 0 away.
        maps = maps / maps.sum(dim=(2, 3), keepdim=True).clamp(min=torch.finfo(maps.dtype).tiny)
    return PartAttention(maps, peaks)


def largest_cells(maps: Float[Tensor, "b n h w"]) -> Float[Tensor, "b n 2"]:
    """Return the middle of each map's largest cell, of equal ones the first; of a flat map, the view's middle."""
    height, width = maps.shape[-2:]
    flat = maps.detach().flatten(2)
    most, index = flat.max(2)
    cell = torch.stack((index % width, index // width), dim=-1)
    places = (cell + 0.5) / torch.tensor([width, height], device=maps.device)
    return torch.where((most > flat.amin(2))[..., None], places, 0.5)
