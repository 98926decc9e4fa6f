"""Peaks: the local maxima of a response (S3N, section 3.2)."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn import functional


def find_peaks(
    response: Float[Tensor, "*n h w"], *, window: int = 3, above_mean: bool = False
) -> Bool[Tensor, "*n h w"]:
    """Mark the cells that are the largest of the window around them, in each map by itself.

    Of equal cells in one window the first in reading order counts. The lowest cells of a map are never peaks, so a map
    without spread has none.

    Args:
        response: R, one map for each image, or class maps (b, k, h, w) for per-class peaks. Where it is float16 or
            bfloat16, ties make spurious peaks: give float32.
        window: Side of the window in cells; odd.
        above_mean: Whether a peak must also reach the mean of its map.
    """
    maps = response.flatten(0, -3)[:, None] if response.ndim > 2 else response[None, None]
    _, first = functional.max_pool2d(maps, window, stride=1, padding=window // 2, return_indices=True)
    itself = torch.arange(first[0].numel(), device=response.device).view(response.shape[-2:])
    least = response.mean(dim=(-2, -1), keepdim=True) if above_mean else response.new_zeros(()) - torch.inf
    lowest = response.amin(dim=(-2, -1), keepdim=True)
    return (first.view(response.shape) == itself) & (response >= least) & (response > lowest)
