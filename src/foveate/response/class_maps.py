"""Class response maps (S3N Eq. 1)."""

from __future__ import annotations

import torch
from jaxtyping import Float, Int64
from torch import Tensor
from torch.nn import functional

from foveate.config import CellPlacement


def class_maps(
    features: Float[Tensor, "b d h w"], weight: Float[Tensor, "c d"], classes: Int64[Tensor, "b k"]
) -> Float[Tensor, "b k h w"]:
    """Return the maps M_c = sum_d W_c,d S_d of the classes asked for, and of no others.

    Memory and time go with k, not with c. The mean of a map is its class's logit without the bias.

    Args:
        features: S, the last feature map.
        weight: W^fc of the linear head.
        classes: k classes of each image, in 0..c-1.
    """
    return torch.einsum("bkd,bdhw->bkhw", weight[classes], features)


def on_grid(
    maps: Float[Tensor, "b k h w"], cells: int | None, placement: CellPlacement = CellPlacement.CORNERS
) -> Float[Tensor, "b k g g"]:
    """Interpolate maps bilinearly to `cells` a side; None: leave them as they are.

    Args:
        maps: On the feature map's cells.
        cells: g.
        placement: Where in the photograph the cells of the feature map lie.
    """
    if cells is None:
        return maps
    if placement is CellPlacement.CORNERS:
        return functional.interpolate(maps, size=(cells, cells), mode="bilinear", align_corners=True)
    line = torch.linspace(-1, 1, cells, device=maps.device, dtype=maps.dtype)
    lattice = torch.stack(torch.meshgrid(line, line, indexing="xy"), dim=-1).expand(len(maps), -1, -1, -1)
    return functional.grid_sample(maps, lattice, padding_mode="border", align_corners=False)
