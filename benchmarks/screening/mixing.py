"""Put a box of another photograph into each one of a batch, and say how much of each class is left."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional
from torchvision.ops import roi_align

from foveate.networks.plain import PlainNetwork
from screening.settings import Settings


def patched(
    network: PlainNetwork, settings: Settings, views: Tensor, labels: Tensor, targets: Tensor, step: int
) -> tuple[Tensor, Tensor]:
    """Put a box of the next photograph, enlarged or shrunk, into each one (CutMix; SnapMix, AAAI 2021).

    Args:
        network: Whose class maps say how much of a class lies in a box.
        settings: `patched`, `box` and `seed`.
        views: (b, 3, s, s) in 0 to 255.
        labels: (b,).
        targets: (b, c), one-hot.
        step: What the boxes are drawn by.

    Returns:
        The views, and targets that need not add up to 1.
    """
    draws = np.random.default_rng([settings.seed, step, 1])
    if draws.random() >= settings.share_patched:
        return views, targets
    into, out_of = (_box(draws, settings.box) for _ in range(2))
    others = views.roll(1, 0)
    if settings.patched == "cutmix":
        area = (into[2] - into[0]) * (into[3] - into[1])
        kept, added = views.new_full((len(views),), 1 - area), views.new_full((len(views),), area)
        out_of = into
    else:
        maps = _shares(network, views, labels)
        kept, added = 1 - _inside(maps, into), _inside(maps, out_of).roll(1, 0)
    size = views.shape[-1]
    left, top, right, bottom = (round(each * size) for each in into)
    if right <= left or bottom <= top:
        return views, targets
    places = views.new_tensor(out_of)[None] * size
    numbers = torch.arange(len(views), device=views.device, dtype=views.dtype)[:, None]
    rows = torch.cat([numbers, places.expand(len(views), 4)], dim=1)
    views = views.clone()
    views[:, :, top:bottom, left:right] = roi_align(others, rows, (bottom - top, right - left), aligned=True)
    return views, kept[:, None] * targets + added[:, None] * targets.roll(1, 0)


def _box(draws: np.random.Generator, parameter: float) -> tuple[float, float, float, float]:
    side = math.sqrt(1 - draws.beta(parameter, parameter))
    middle = draws.random(2)
    left, top = (max(0.0, float(each) - side / 2) for each in middle)
    right, bottom = (min(1.0, float(each) + side / 2) for each in middle)
    return left, top, right, bottom


@torch.no_grad()
def _shares(network: PlainNetwork, views: Tensor, labels: Tensor) -> Tensor:
    """Return (b, s, s): what share of a photograph's evidence for its class lies in each pixel."""
    modes = {module: module.training for module in network.modules()}
    network.eval()
    with torch.autocast(views.device.type, torch.bfloat16):
        pixels = views.byte().contiguous(memory_format=torch.channels_last)
        features = network.backbone(network.backbone.normalisation(pixels)).float()
    for module, mode in modes.items():
        module.training = mode
    maps = torch.einsum("bkhw,bk->bhw", features, network.backbone.classifier.weight[labels])
    maps = functional.interpolate(maps[:, None], views.shape[-2:], mode="bilinear")[:, 0]
    maps = maps - maps.amin((1, 2), keepdim=True)
    return maps / maps.sum((1, 2), keepdim=True).clamp(min=1e-8)


def _inside(maps: Tensor, box: tuple[float, float, float, float]) -> Tensor:
    left, top, right, bottom = (round(each * maps.shape[-1]) for each in box)
    return maps[:, top:bottom, left:right].sum((1, 2))
