"""Squares around places, whole inside the image, and what is seen in them (MA-CNN's part crops).

Boxes are (left, top, right, bottom) in fractions of the image's side.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor
from torchvision.ops import roi_align


def squares_around(places: Float[Tensor, "*n 2"], side: float) -> Float[Tensor, "*n 4"]:
    """Return a square around each place, moved inward where it would leave the image.

    Args:
        places: (x, y) in fractions of the image's side.
        side: Of the squares, in (0, 1].
    """
    first = (places - side / 2).clamp(0, 1 - side)
    return torch.cat((first, first + side), dim=-1)


def around_all(boxes: Float[Tensor, "b n 4"]) -> Float[Tensor, "b 4"]:
    """Return the smallest box that holds n boxes of each image."""
    return torch.cat((boxes[..., :2].amin(1), boxes[..., 2:].amax(1)), dim=-1)


def cropped(images: Float[Tensor, "b 3 H W"], boxes: Float[Tensor, "b 4"], size: int) -> Float[Tensor, "b 3 s s"]:
    """Resize one box of each image to `size` pixels a side; pixels are averaged where it shrinks.

    The result lies in memory as the images do.
    """
    pixels = boxes * images.new_tensor(images.shape[:1:-1]).repeat(2)
    # sampling_ratio 0: as many samples a pixel as the box has pixels there.
    views: Tensor = roi_align(images.contiguous(), list(pixels[:, None].unbind()), size, aligned=True, sampling_ratio=0)
    return views.contiguous(memory_format=torch.channels_last) if _channels_last(images) else views


def _channels_last(images: Tensor) -> bool:
    return images.is_contiguous(memory_format=torch.channels_last) and not images.is_contiguous()
