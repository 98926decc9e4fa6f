"""What a network saw, as pictures."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float
from PIL import Image
from torch import Tensor


def picture_of(images: Float[Tensor, "1 3 H W"], normalisation: tuple[Sequence[float], Sequence[float]]) -> Image.Image:
    """Undo the normalisation of a network's input, a batch of one."""
    mean, std = (np.array(each) * 255 for each in normalisation)
    pixels = images[0].float().permute(1, 2, 0).cpu().numpy() * std + mean
    return Image.fromarray(np.clip(np.rint(pixels), 0, 255).astype(np.uint8))
