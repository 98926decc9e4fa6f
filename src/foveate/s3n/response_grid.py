"""From the cells of the feature map to those of the response grid."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from foveate.s3n.config import CellPlacement

_FALL = 1e-3


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
    lattice = torch.stack(torch.meshgrid(line, line, indexing="xy"), dim=-1).expand(maps.shape[0], -1, -1, -1)
    return functional.grid_sample(maps, lattice, padding_mode="border", align_corners=False)


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
