"""Class response maps (S3N Eq. 1)."""

from __future__ import annotations

import torch
from jaxtyping import Float, Int64
from torch import Tensor
from torch.nn import functional

from foveate.config import CellPlacement

_FALL = 1e-3


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


def at_places(maps: Float[Tensor, "b k h w"], places: Float[Tensor, "b y x 2"], size: int) -> Float[Tensor, "b k y x"]:
    """Interpolate maps bilinearly at places of the view; each cell lies in the middle of the pixels that it stands for.

    Args:
        maps: On the feature map's cells.
        places: (x, y) as a grid has them: -1 is the centre of the view's first pixel, +1 that of its last.
        size: Side of the view in pixels.
    """
    return functional.grid_sample(maps, places * ((size - 1) / size), padding_mode="border", align_corners=False)


def fall_off_edges(maps: Float[Tensor, "b g g"], cells: tuple[int, int]) -> Float[Tensor, "b g g"]:
    """Lower what `on_grid` repeats between the middles of the outermost cells and the edges of the photograph.

    Nothing is known there but the value of the cell, so its peak belongs to the cell's middle and not to the edge. The
    fall is a thousandth of what a value has above the map's lowest, for each cell's breadth beyond the middle: it
    decides among equals only, and makes no peak in a map's lowest plain.

    Args:
        maps: As `on_grid` made them with `CellPlacement.CENTRES`.
        cells: h and w of the feature map that they were made of.
    """
    line = torch.linspace(-1, 1, maps.shape[-1], device=maps.device, dtype=maps.dtype).abs()
    down, across = ((line - 1 + 1 / count).clamp(min=0) * count / 2 for count in cells)
    return maps - _FALL * (maps - maps.amin(dim=(1, 2), keepdim=True)) * (down[:, None] + across)
