"""What the machine can do at best: what limits the other cases, measured in the same run."""

from __future__ import annotations

import torch
from torch.nn import functional

from harness import Built, Case, Side
from networks import dtype_of


def machine(quick: bool) -> Built:
    """Return a large matrix product and a convolution, in float32 and in bf16 where there is bf16, and a copy.

    The operations of the first are counted as those of every case; a copy reads and writes `copied_mb`.
    """
    side, channels, cells = (64, 8, 8) if quick else (2048, 256, 28)
    numbers, images = torch.randn(side, side), torch.randn(16, channels, cells, cells)
    images, kernel = images.contiguous(memory_format=torch.channels_last), torch.randn(channels, channels, 3, 3)
    kernel, many = kernel.contiguous(memory_format=torch.channels_last), torch.randn(16 * side, side)
    sides: dict[str, Side] = {}
    for dtype in dict.fromkeys((torch.float32, dtype_of())):
        name, a, x, w = str(dtype).removeprefix("torch."), numbers.to(dtype), images.to(dtype), kernel.to(dtype)
        sides[f"product_{name}"] = lambda a=a: a @ a  # type: ignore[misc]
        sides[f"convolution_{name}"] = lambda x=x, w=w: functional.conv2d(x, w, padding=1)  # type: ignore[misc]
    sides["copy"] = many.clone
    settings = {"side": side, "channels": channels, "cells": cells, "copied_mb": round(many.nbytes / 1e6)}
    return Built(sides=sides, reference="product_float32", settings=settings)


CASES = (Case(name="machine", build=machine),)
