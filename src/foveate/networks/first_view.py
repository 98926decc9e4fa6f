"""The views of the source that networks take."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional


def shrink(images: Float[Tensor, "b 3 Hs Ws"], size: int) -> Float[Tensor, "b 3 H W"]:
    """Resize the source to the first view, without aliasing."""
    if images.shape[-1] == size:
        return images
    return functional.interpolate(images, size=(size, size), mode="bilinear", antialias=True)


def lattice(size: int, like: Tensor) -> Float[Tensor, "size size 2"]:
    """Return `size` x `size` evenly spread places (x, y), from corner to corner, on the device of `like`."""
    line = torch.linspace(-1, 1, size, device=like.device, dtype=like.dtype)
    down, across = torch.meshgrid(line, line, indexing="ij")
    return torch.stack([across, down], dim=-1)
