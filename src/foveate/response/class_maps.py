"""Class response maps (S3N Eq. 1)."""

from __future__ import annotations

import torch
from jaxtyping import Float, Int64
from torch import Tensor
from torch.nn import functional


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


def on_grid(maps: Float[Tensor, "b k h w"], cells: int | None) -> Float[Tensor, "b k g g"]:
    """Interpolate maps bilinearly to `cells` a side, their corner cells staying at the corners; None: as they are."""
    if cells is None:
        return maps
    return functional.interpolate(maps, size=(cells, cells), mode="bilinear", align_corners=True)
