"""Evidence as a patch: the peak of a map, the square around it, and the image without it (Guided Zoom, section 3).

Places are (x, y) in continuous pixels, boxes (left, top, right, bottom) in whole ones: see `foveate.types`.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int64, UInt8
from torch import Tensor
from torchvision.ops import roi_align

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
    found = flat.isfinite().all(-1) & (most > 0) & (most > flat.amin(-1))
    cell = torch.stack((index % width, index // width), dim=-1)
    scale = torch.tensor([size.width / width, size.height / height], device=maps.device)
    middle = torch.tensor([size.width / 2, size.height / 2], device=maps.device)
    return Peak(torch.where(found[..., None], (cell + 0.5) * scale, middle), found)


def boxes_around(places: Float[Tensor, "*n 2"], side: int, size: Size) -> Int64[Tensor, "*n 4"]:
    """Return the squares of `side` whole pixels around places, cut off where they leave the image.

    Args:
        places: (x, y) in continuous pixels; the square's middle is at most half a pixel from it.
        side: In pixels; where it exceeds the image's, the box is the whole of that side.
        size: Of the image.
    """
    limit = torch.tensor([size.width, size.height], device=places.device)
    first = (places - side / 2).round().long()
    return torch.cat((first.clamp(min=0), torch.minimum(first + side, limit)), dim=-1)


def erase(images: UInt8[Tensor, "n H W 3"], boxes: Int64[Tensor, "n r 4"]) -> UInt8[Tensor, "n H W 3"]:
    """Blacken r boxes in each image; an empty box (right = left) blackens nothing.

    Raw pixels, before they are normalised: black is 0.
    """
    rows = torch.arange(images.shape[1], device=images.device)[:, None]
    columns = torch.arange(images.shape[2], device=images.device)
    left, top, right, bottom = boxes[..., None, None].unbind(2)
    inside = (columns >= left) & (columns < right) & (rows >= top) & (rows < bottom)
    return images.masked_fill(inside.any(1)[..., None], 0)


def elsewhere(maps: Float[Tensor, "n h w"], boxes: Int64[Tensor, "n r 4"], size: Size) -> Float[Tensor, "n h w"]:
    """Leave no relevance in the cells of each map whose middle lies in one of r boxes.

    Args:
        maps: Relevance.
        boxes: In whole pixels of the image that the maps cover.
        size: Of that image.
    """
    height, width = maps.shape[1:]
    rows = (torch.arange(height, device=maps.device)[:, None] + 0.5) * size.height / height
    columns = (torch.arange(width, device=maps.device) + 0.5) * size.width / width
    left, top, right, bottom = boxes[..., None, None].unbind(2)
    inside = (columns > left) & (columns < right) & (rows > top) & (rows < bottom)
    return maps.masked_fill(inside.any(1), 0)


def cut(
    images: UInt8[Tensor, "n H W 3"], which: Int64[Tensor, " m"], boxes: Float[Tensor, "m 4"], size: Size
) -> Float[Tensor, "m 3 h w"]:
    """Cut boxes out of images and resize each to `size`, bilinearly, as Pillow enlarges them; values stay in 0..255.

    Args:
        images: The views to cut from.
        which: The image of each box.
        boxes: Inside their image and not larger than `size`: nothing here averages pixels.
        size: Of the patches.
    """
    regions = torch.cat((which[:, None].to(boxes), boxes), dim=1)
    pixels = images.permute(0, 3, 1, 2).float().contiguous()
    patches: Tensor = roi_align(pixels, regions, (size.height, size.width), sampling_ratio=1, aligned=True)
    return patches
