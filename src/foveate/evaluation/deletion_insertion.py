"""Deletion and insertion: what the network answers without the pixels that a map calls relevant, and with them alone.

Petsiuk et al., RISE (BMVC 2018), section 4.1.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import torch
from jaxtyping import Float, Int64
from torch import Tensor
from torch.nn import functional
from torchvision.transforms.v2 import functional as pictures

from foveate.backbones.backbone import Normalisation
from foveate.evaluation.config import Background, CurveConfig
from foveate.types import Size


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
    blank = background(images, config.insertion, normalisation, config.blur)
    deletion: list[Tensor] = []
    insertion: list[Tensor] = []
    pixels = ranks[0].numel()
    for step in range(config.steps + 1):
        reached = (ranks < (2 * step * pixels + config.steps) // (2 * config.steps))[:, None]  # rounded, halves up
        for curve, views in (
            (deletion, torch.where(reached, without, images)),
            (insertion, torch.where(reached, images, blank)),
        ):
            probabilities = network(views).float().softmax(1)
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
