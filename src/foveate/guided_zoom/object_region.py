"""What a network takes for the object, whatever its class: where the maps of its best classes have their weight.

No box is known when a photograph is explained. The largest connected region above the mean stands for the object, as
in Wei et al., Selective Convolutional Descriptor Aggregation (2017), of a layer's activations.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float
from PIL import Image
from scipy import ndimage

from foveate.types import Box

_CELLS = 112
"""Along each side, to which maps are enlarged first."""


def object_region(maps: Float[np.ndarray, "k h w"]) -> Bool[np.ndarray, "g g"] | None:
    """Return the region that holds the most weight of those where the mean of the maps is above its own mean.

    Args:
        maps: Of the best classes, each with the weight that it has; negative values count as none.

    Returns:
        Cells that cover the view; None where the maps are flat.
    """
    mean = np.nan_to_num(maps).clip(min=0).mean(0).astype(np.float32)
    if mean.max() <= mean.min():
        return None
    cells = np.asarray(Image.fromarray(mean).resize((_CELLS, _CELLS), Image.Resampling.BILINEAR))
    parts, count = ndimage.label(cells > cells.mean(), structure=np.ones((3, 3)))
    weights = ndimage.sum(cells, parts, np.arange(1, count + 1))
    region: Bool[np.ndarray, "g g"] = parts == 1 + int(np.argmax(weights))
    return region


def share_on(region: Bool[np.ndarray, "g g"], box: Box, side: int) -> float:
    """Return the share of a box's cells that lie on a region.

    Args:
        region: Whose cells cover a view.
        box: In pixels of the view.
        side: Of the view, in pixels.
    """
    left, top, right, bottom = (round(each * len(region) / side) for each in box)
    return float(region[top : max(bottom, top + 1), left : max(right, left + 1)].mean())
