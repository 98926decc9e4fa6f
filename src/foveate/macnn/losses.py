"""The losses of the channel grouping: L_dis, compact attention, and L_div, diverse attention (MA-CNN, section 3.2)."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from foveate.macnn.grouping import PartAttention


def distance_loss(attention: PartAttention) -> Float[Tensor, ""]:
    """Return L_dis: the squared distance of each map's attention from its peak, in sides of the view.

    Summed over groups and positions, mean over images.
    """
    maps, peaks = attention
    height, width = maps.shape[-2:]
    across, down = (
        (torch.arange(count, device=maps.device) + 0.5) / count - peaks[..., axis, None]
        for axis, count in enumerate((width, height))
    )
    distance = down.square()[..., :, None] + across.square()[..., None, :]
    return (maps * distance).sum(dim=(1, 2, 3)).mean()


def diversity_loss(attention: PartAttention, margin: float) -> Float[Tensor, ""]:
    """Return L_div: where a group attends, by how much the strongest of the others exceeds the margin there.

    Summed over groups and positions, mean over images; 0 for a single group.
    """
    maps = attention.maps
    if maps.shape[1] == 1:
        return maps.new_zeros(())
    most, second = maps.topk(2, dim=1).values.unbind(1)
    first = maps.topk(1, dim=1).indices == torch.arange(maps.shape[1], device=maps.device)[:, None, None]
    others = torch.where(first, second[:, None], most[:, None])
    return (maps * (others - margin)).sum(dim=(1, 2, 3)).mean()
