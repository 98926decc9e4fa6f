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


def at_places(maps: Float[Tensor, "b k h w"], places: Float[Tensor, "b y x 2"], size: int) -> Float[Tensor, "b k y x"]:
    """Interpolate maps bilinearly at places of the view; each cell lies in the middle of the pixels that it stands for.

    Args:
        maps: On the feature map's cells.
        places: (x, y) as a grid has them: -1 is the centre of the view's first pixel, +1 that of its last.
        size: Side of the view in pixels.
    """
    return functional.grid_sample(maps, places * ((size - 1) / size), padding_mode="border", align_corners=False)
