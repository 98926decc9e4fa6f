"""Peaks: the local maxima of a response (S3N, section 3.2)."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn import functional


def find_peaks(response: Float[Tensor, "b g g"], *, window: int = 3, above_mean: bool = False) -> Bool[Tensor, "b g g"]:
    """Mark the cells that are the largest of the window around them.

    Of equal cells in one window the first in reading order counts. The lowest cells of a map are never peaks, so a map
    without spread has none.

    Args:
        response: R; where it is float16 or bfloat16, ties make spurious peaks: give float32.
        window: Side of the window in cells; odd.
        above_mean: Whether a peak must also reach the mean of its map.
    """
    cells = response.shape[1] * response.shape[2]
    _, first = functional.max_pool2d(response[:, None], window, stride=1, padding=window // 2, return_indices=True)
    itself = torch.arange(cells, device=response.device).view(response.shape[1:])
    least = response.mean(dim=(1, 2), keepdim=True) if above_mean else response.new_zeros(())
    lowest = response.amin(dim=(1, 2), keepdim=True)
    return (first[:, 0] == itself) & (response >= least) & (response > lowest)
