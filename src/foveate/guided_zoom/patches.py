"""Evidence as a patch: the square around a peak, and how it is cut out of the photograph (Guided Zoom, section 3).

Places are (x, y) in continuous pixels, boxes (left, top, right, bottom) in whole ones: see `foveate.types`.
"""

from __future__ import annotations

import torch
from jaxtyping import Float, Int64, UInt8
from torch import Tensor
from torchvision.ops import roi_align

from foveate.config.data import TransformConfig
from foveate.types import Size


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


def cut(
    images: UInt8[Tensor, "n H W 3"], which: Int64[Tensor, " m"], boxes: Float[Tensor, "m 4"], size: Size
) -> Float[Tensor, "m 3 h w"]:
    """Cut boxes out of images and resize each to `size`, bilinearly, as Pillow does; values stay in 0..255.

    What is enlarged is Pillow's; what shrinks is the mean of a grid of samples, where Pillow weighs its pixels.

    Args:
        images: The views to cut from.
        which: The image of each box.
        boxes: Inside their image.
        size: Of the patches.
    """
    regions = torch.cat((which[:, None].to(boxes), boxes), dim=1)
    pixels = images.permute(0, 3, 1, 2).float().contiguous()
    patches: Tensor = roi_align(pixels, regions, (size.height, size.width), sampling_ratio=0, aligned=True)
    return patches


def centre_part(boxes: Int64[Tensor, "m 4"], transforms: TransformConfig) -> Float[Tensor, "m 4"]:
    """Return the part of each patch that a centre crop of `input_size` shows once it is resized to `resize_size`."""
    start = (transforms.resize_size - transforms.input_size) // 2 / transforms.resize_size
    end = start + transforms.input_size / transforms.resize_size
    corner, size = boxes[:, :2].float(), (boxes[:, 2:] - boxes[:, :2]).float()
    return torch.cat((corner + start * size, corner + end * size), dim=1)
