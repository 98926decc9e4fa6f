"""The peak of a map: the place of a class's evidence."""

from __future__ import annotations

from typing import NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from foveate.types import Size


class Peak(NamedTuple):
    """Where maps are largest."""

    places: Float[Tensor, "*n 2"]
    """(x, y) in continuous pixels of the image."""
    found: Bool[Tensor, "*n"]
    """False where a map is constant, negative everywhere or not finite: its place is the image's middle."""


def strongest(maps: Float[Tensor, "*n h w"], size: Size) -> Peak:
    """Return the middle of the largest cell of each map, of equal ones the first in reading order.

    Interpolated bilinearly to the image's pixels a map is mostly largest there, too, to half a pixel; where cells are
    nearly equal, their neighbours may make another the largest (docs/deviations.md says how often). On the image's
    border, where interpolation only repeats the outermost cells, it is still the cell's middle and not the border.

    Args:
        maps: Relevance, one map for each image and class; negative values count as none.
        size: Of the image that the maps cover.
    """
    height, width = maps.shape[-2:]
    flat = maps.flatten(-2).float()
    most, index = flat.max(-1)
    is_peak = flat.isfinite().all(-1) & (most > 0) & (most > flat.amin(-1))
    cell = torch.stack((index % width, index // width), dim=-1)
    scale = torch.tensor([size.width / width, size.height / height], device=maps.device)
    middle = torch.tensor([size.width / 2, size.height / 2], device=maps.device)
    return Peak(torch.where(is_peak[..., None], (cell + 0.5) * scale, middle), is_peak)
