"""Views of squashed photographs, whole batches at once, on whatever device these are."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional
from torchvision.ops import roi_align

_LEVELS = 31  # of TrivialAugment's strength


def windows(images: Tensor, boxes: Tensor, size: int, flipped: Tensor) -> Tensor:
    """Resize a window of each image.

    Args:
        images: (b, 3, S, S), any type.
        boxes: (b, 4): left, top, right, bottom, as shares of the sides.
        size: s, in pixels.
        flipped: (b,), whether each is mirrored.

    Returns:
        (b, 3, s, s) in 0 to 255.
    """
    numbers = torch.arange(len(images), device=images.device, dtype=torch.float32)
    places = torch.cat([numbers[:, None], boxes * images.shape[-1]], dim=1)
    views = roi_align(images.float(), places, size, sampling_ratio=2, aligned=True)
    return torch.where(flipped[:, None, None, None], views.flip(-1), views)


def training_boxes(
    aspects: Tensor, smallest: float, jitter: float, generator: torch.Generator, *, square: bool
) -> Tensor:
    """Draw a window for each photograph: a share of its area, and an aspect around its own (or, `square`, around 1)."""
    draws = torch.rand(4, len(aspects), generator=generator, device=aspects.device)
    side = (smallest + draws[0] * (1 - smallest)).sqrt()
    stretch = ((draws[1] - 0.5) * math.log(jitter)).exp()
    if square:
        stretch = stretch / aspects.sqrt()
    width, height = (side * stretch).clamp(max=1), (side / stretch).clamp(max=1)
    left, top = draws[2] * (1 - width), draws[3] * (1 - height)
    return torch.stack([left, top, left + width, top + height], dim=1)


def test_boxes(aspects: Tensor, share: float, *, square: bool) -> Tensor:
    """Return the centre window of each photograph: a share of each side (or, `square`, of the shorter one)."""
    width = share / aspects.clamp(min=1) if square else torch.full_like(aspects, share)
    height = share * aspects.clamp(max=1) if square else torch.full_like(aspects, share)
    return torch.stack([0.5 - width / 2, 0.5 - height / 2, 0.5 + width / 2, 0.5 + height / 2], dim=1)


def trivial_augment(images: Tensor, generator: torch.Generator) -> Tensor:
    """Change each image by one operation of random strength (TrivialAugment, ICCV 2021, its wide space).

    Args:
        images: (b, 3, s, s) in 0 to 255.
        generator: On their device.
    """
    count, device = len(images), images.device
    level = torch.randint(_LEVELS, (count,), generator=generator, device=device) / (_LEVELS - 1)
    sign = torch.randint(2, (count,), generator=generator, device=device) * 2 - 1
    signed = (level * sign)[:, None, None, None]
    operation = torch.randint(12, (count,), generator=generator, device=device)
    factor = 1 + 0.99 * signed
    grey = (images * images.new_tensor([0.299, 0.587, 0.114]).view(3, 1, 1)).sum(1, keepdim=True)
    smooth = functional.avg_pool2d(images, 3, 1, 1, count_include_pad=False)
    bits = 2 ** (6 * level[:, None, None, None]).round().clamp(max=6)
    solarised = torch.where(images >= 255 * (1 - level[:, None, None, None]), 255 - images, images)
    results = [
        images,
        images * factor,
        grey + (images - grey) * factor,
        grey.mean((2, 3), keepdim=True) + (images - grey.mean((2, 3), keepdim=True)) * factor,
        smooth + (images - smooth) * factor,
        (images / bits).floor() * bits,
        solarised,
    ]
    changed = torch.stack(results)[operation.clamp(max=6), torch.arange(count, device=device)].clamp(0, 255)
    moved = _moved(images, operation, level * sign)
    return torch.where((operation > 6)[:, None, None, None], moved, changed)


def _moved(images: Tensor, operation: Tensor, signed: Tensor) -> Tensor:
    zero, one = torch.zeros_like(signed), torch.ones_like(signed)
    angle = torch.where(operation == 7, signed * math.radians(135), zero)
    shear_x, shear_y = (torch.where(operation == each, signed * 0.99, zero) for each in (8, 9))
    shift_x, shift_y = (torch.where(operation == each, signed * 64 / images.shape[-1], zero) for each in (10, 11))
    rows = torch.stack(
        [
            torch.stack([angle.cos() * one, angle.sin() + shear_x, shift_x], dim=1),
            torch.stack([shear_y - angle.sin(), angle.cos() * one, shift_y], dim=1),
        ],
        dim=1,
    )
    grid = functional.affine_grid(rows, list(images.shape), align_corners=False)
    return functional.grid_sample(images, grid, align_corners=False)
