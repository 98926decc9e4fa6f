"""How good grounding maps are: where their weight lies, what the network answers without it, whether weights matter.

A map's cells cover the view, each its own rectangle of it; coordinates are continuous pixels, see `foveate.types`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int64
from scipy.stats import rankdata
from torch import Tensor
from torch.nn import functional
from torchvision.transforms.v2 import functional as pictures

from foveate.backbones.backbone import Normalisation
from foveate.evaluation.accuracy import Estimate
from foveate.evaluation.config import Background, CurveConfig
from foveate.types import Size

_RESAMPLES = 2000


def energy_inside(maps: Float[Tensor, "b h w"], boxes: Float[Tensor, "b 4"], size: Size) -> Float[Tensor, " b"]:
    """Return the share of each map's weight that lies inside a box (Score-CAM's energy-based pointing game).

    A cell that the box's edge cuts counts by the share of it that is inside. A map without weight has none inside.

    Args:
        maps: Relevance; negative values count as none.
        boxes: In pixels of the view; they may leave it. NaN gives NaN.
        size: Of the view.
    """
    maps, boxes = maps.clamp(min=0).double(), boxes.double()
    rows = _covered(boxes[:, 1] / size.height, boxes[:, 3] / size.height, maps.shape[1])
    columns = _covered(boxes[:, 0] / size.width, boxes[:, 2] / size.width, maps.shape[2])
    inside = torch.einsum("bhw,bh,bw->b", maps, rows, columns)
    return (inside / maps.sum((1, 2)).clamp(min=torch.finfo(torch.float64).tiny)).float()


def _covered(start: Float[Tensor, " b"], end: Float[Tensor, " b"], cells: int) -> Float[Tensor, "b n"]:
    """Return how much of each of n equal parts of [0, 1] lies between start and end."""
    left = torch.arange(cells, device=start.device, dtype=start.dtype)
    first, last = (torch.clamp(each[:, None] * cells - left, 0, 1) for each in (start, end))
    return last - first


class Curves(NamedTuple):
    """The class's probability while pixels are deleted from an image, and while they are inserted."""

    shares: Float[Tensor, " s"]
    """Of the pixels that are deleted, or inserted: 0 to 1."""
    deletion: Float[Tensor, "b s"]
    insertion: Float[Tensor, "b s"]


def deletion_and_insertion(
    network: Callable[[Tensor], Tensor],
    images: Float[Tensor, "b 3 H W"],
    maps: Float[Tensor, "b h w"],
    classes: Int64[Tensor, " b"],
    normalisation: Normalisation,
    config: CurveConfig,
) -> Curves:
    """Take the pixels away, or bring them in, most relevant first (Petsiuk et al., RISE, BMVC 2018, section 4.1).

    Maps are enlarged bilinearly; of equal pixels the first in reading order goes first.

    Args:
        network: From normalised images to logits.
        images: Normalised.
        maps: Relevance of the class.
        classes: Whose probability is followed.
        normalisation: Of the images.
        config: Steps and backgrounds.
    """
    ranks = _ranks(maps, Size(images.shape[3], images.shape[2]))
    shares = torch.linspace(0, 1, config.steps + 1)
    without = background(images, config.deletion, normalisation, config.blur)
    before = background(images, config.insertion, normalisation, config.blur)
    deletion: list[Tensor] = []
    insertion: list[Tensor] = []
    pixels = ranks[0].numel()
    for step in range(config.steps + 1):
        reached = (ranks < (2 * step * pixels + config.steps) // (2 * config.steps))[:, None]  # rounded, halves up
        for curve, seen in (
            (deletion, torch.where(reached, without, images)),
            (insertion, torch.where(reached, images, before)),
        ):
            probabilities = network(seen).float().softmax(1)
            curve.append(probabilities.gather(1, classes[:, None])[:, 0].cpu())
    return Curves(shares, torch.stack(deletion, 1), torch.stack(insertion, 1))


def _ranks(maps: Float[Tensor, "b h w"], size: Size) -> Int64[Tensor, "b H W"]:
    """Return each pixel's place in the order of falling relevance, 0 for the first."""
    enlarged = functional.interpolate(maps[:, None].float(), (size.height, size.width), mode="bilinear")
    order = enlarged.flatten(1).argsort(dim=1, descending=True, stable=True)
    places = torch.arange(order.shape[1], device=order.device).expand_as(order)
    return torch.empty_like(order).scatter_(1, order, places).view(-1, size.height, size.width)


def background(
    images: Float[Tensor, "b 3 H W"], kind: Background, normalisation: Normalisation, blur: float
) -> Float[Tensor, "b 3 H W"]:
    """Return what stands where pixels are taken away, normalised; `blur` as in `CurveConfig`."""
    if kind is Background.MEAN:
        return torch.zeros_like(images)
    if kind is Background.BLACK:
        black = normalisation(torch.zeros(1, 3, 1, 1, dtype=torch.uint8, device=images.device))
        return black.expand_as(images)
    side = min(images.shape[2:])
    sigma = blur * side
    reach = min(math.ceil(3 * sigma), side - 1)
    blurred: Tensor = pictures.gaussian_blur(images, [2 * reach + 1] * 2, [sigma] * 2)
    return blurred


def area(shares: Float[Tensor, " s"], curves: Float[Tensor, "b s"]) -> Float[Tensor, " b"]:
    """Return the area under each curve, by the trapezoidal rule."""
    return torch.trapezoid(curves, shares, dim=1)


def rank_correlation(first: Float[Tensor, "n h w"], second: Float[Tensor, "n h w"]) -> Float[np.ndarray, " n"]:
    """Return Spearman's correlation of the cells of two maps; 0 where one of them is flat and ranks nothing."""
    ranks = [rankdata(each.flatten(1).double().cpu().numpy(), axis=1) for each in (first, second)]
    one, other = (each - each.mean(1, keepdims=True) for each in ranks)
    spread = np.sqrt((one**2).sum(1) * (other**2).sum(1))
    correlation: Float[np.ndarray, " n"] = (one * other).sum(1) / np.where(spread == 0, 1, spread)
    return correlation


def mean_of(values: Float[np.ndarray, " n"], seed: int = 0) -> Estimate | None:
    """Return the mean and its 95% percentile-bootstrap interval over photographs; NaN does not count.

    None where nothing counts.
    """
    counted = values[~np.isnan(values)].astype(float)
    if not counted.size:
        return None
    drawn = np.random.default_rng(seed).integers(0, counted.size, (_RESAMPLES, counted.size))
    low, high = np.quantile(counted[drawn].mean(1), (0.025, 0.975))
    return Estimate(float(counted.mean()), float(low), float(high))
