"""Grounding by masks: RISE asks what the class's probability is when only random parts of the image are seen."""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn
from torch.nn import functional

from foveate.grounding.layers import chosen_classes, private_copy
from foveate.types import Grounded

_CELL = 8  # pixels for each cell of the maps; masks are smooth, finer maps would only cost memory


class RISE:
    """The mean of random smooth masks, each weighted by the class's probability behind it.

    Petsiuk et al., RISE (BMVC 2018), Eq. 6: a mask is a coarse random grid, enlarged bilinearly and shifted at random.
    All images and classes share the masks, so that one pass over an image serves all its classes. The network is asked
    in evaluation mode, and stays as it is.

    >>> import torch, torchvision
    >>> from foveate import RISE
    >>> rise = RISE(torchvision.models.resnet18(num_classes=10), masks=20)  # the paper takes 4,000 to 8,000
    >>> rise(torch.randn(2, 3, 96, 96), 3).maps.shape  # a cell for 8 x 8 pixels
    torch.Size([2, 3, 12, 12])

    Args:
        network: From normalised images to logits.
        masks: How many.
        cells: Along each side of a mask before it is enlarged.
        keep: Probability that a cell is seen.
        seed: Of the masks.
        batch_size: Masked images at a time.
        dtype: Of the passes; bfloat16 runs them under autocast.
    """

    def __init__(
        self,
        network: nn.Module,
        *,
        masks: int = 500,
        cells: int = 7,
        keep: float = 0.5,
        seed: int = 0,
        batch_size: int = 64,
        dtype: torch.dtype = torch.float32,
    ) -> None:
        self._network = private_copy(network)
        self._masks = masks
        self._cells = cells
        self._keep = keep
        self._seed = seed
        self._batch_size = batch_size
        self._dtype = dtype

    @torch.no_grad()
    def __call__(self, images: Float[Tensor, "b 3 H W"], classes: Int64[Tensor, "b k"] | int) -> Grounded:
        """Return one map for each class of each image; arguments and errors as `ExcitationBackprop` has them."""
        logits = self._passed(images)
        chosen = chosen_classes(logits, classes)
        height, width = images.shape[2:]
        total = logits.new_zeros(*chosen.shape, -(-height // _CELL), -(-width // _CELL))
        all_masks = Masks(self._seed, self._masks, self._cells, self._keep, height, width)
        at_a_time = max(1, self._batch_size // len(images))
        for start in range(0, self._masks, at_a_time):
            masks = all_masks[start : start + at_a_time].to(images)
            masked_logits = self._passed((images[:, None] * masks[None, :, None]).flatten(0, 1))
            probabilities = masked_logits.softmax(-1).view(len(images), len(masks), -1)
            weights = probabilities.gather(2, chosen[:, None].expand(-1, len(masks), -1))
            coarse = functional.adaptive_avg_pool2d(masks, (total.shape[2], total.shape[3]))
            total += torch.einsum("bnk,nhw->bkhw", weights, coarse.to(weights))
        return Grounded(logits, chosen, total / (self._masks * self._keep))

    def _passed(self, images: Float[Tensor, "n 3 H W"]) -> Float[Tensor, "n c"]:
        with torch.autocast(images.device.type, self._dtype, enabled=self._dtype is not torch.float32):
            logits: Tensor = self._network(images.contiguous(memory_format=torch.channels_last))
        return logits.float()


class Masks:
    """Smooth masks in [0, 1]: coarse random grids, enlarged by a cell more than the image and cut out at random."""

    def __init__(self, seed: int, count: int, cells: int, keep: float, height: int, width: int) -> None:
        """Draw them all; none is enlarged yet."""
        generator = np.random.default_rng(seed)
        self._grids = torch.from_numpy((generator.random((count, 1, cells, cells)) < keep).astype(np.float32))
        step_y, step_x = -(-height // cells), -(-width // cells)
        self._size, self._cut = ((cells + 1) * step_y, (cells + 1) * step_x), (height, width)
        self._tops, self._lefts = (generator.integers(0, step, count).tolist() for step in (step_y, step_x))

    def __getitem__(self, chosen: slice) -> Float[Tensor, "n H W"]:
        """Return some of them."""
        large = functional.interpolate(self._grids[chosen], size=self._size, mode="bilinear", align_corners=False)
        height, width = self._cut
        places = zip(large[:, 0], self._tops[chosen], self._lefts[chosen], strict=True)
        return torch.stack([mask[top : top + height, left : left + width] for mask, top, left in places])
