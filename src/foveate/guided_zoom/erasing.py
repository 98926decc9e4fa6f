"""Adversarial erasing (Guided Zoom, section 3): the evidence of a round is hidden from the next under a black square.

Boxes are (left, top, right, bottom) in whole pixels: see `foveate.types`.
"""

from __future__ import annotations

import torch
from jaxtyping import Float, Int64, UInt8
from torch import Tensor

from foveate.types import Size


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
