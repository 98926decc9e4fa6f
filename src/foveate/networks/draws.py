"""Uniform numbers as a function of keys: the same on every device, in every batch, and after a resume."""

from __future__ import annotations

from typing import Final

import torch
from jaxtyping import Float, Int64
from torch import Tensor

_BITS = 24  # a float32 holds that many exactly, so that no draw is rounded up to 1


def _signed(constant: int) -> int:
    return constant - (1 << 64) if constant >> 63 else constant


_STEP: Final = _signed(0x9E3779B97F4A7C15)
_FIRST: Final = _signed(0xBF58476D1CE4E5B9)
_SECOND: Final = _signed(0x94D049BB133111EB)


def draw_keys(seed: int, epoch: int, position: Int64[Tensor, " b"]) -> Int64[Tensor, " b"]:
    """Return one key for each photograph of an epoch, by its place in the list of records."""
    key = torch.full_like(position, _signed(seed % (1 << 64)))
    for word in (epoch, position):
        key = _mixed(key) ^ word
    return _mixed(key)


def uniform_draw(keys: Int64[Tensor, " b"], cells: int) -> Float[Tensor, "b g g"]:
    """Return zeta: for each cell of a grid a number in [0, 1), by SplitMix64 (Steele et al. 2014) from the key."""
    count = torch.arange(1, cells * cells + 1, device=keys.device).view(cells, cells)
    mixed = _mixed(keys[:, None, None] + count * _STEP)
    return _shifted(mixed, 64 - _BITS).float() / (1 << _BITS)


def _mixed(words: Int64[Tensor, "*shape"]) -> Int64[Tensor, "*shape"]:
    """SplitMix64's finaliser; int64 products wrap, as its unsigned ones do."""
    words = (words ^ _shifted(words, 30)) * _FIRST
    words = (words ^ _shifted(words, 27)) * _SECOND
    return words ^ _shifted(words, 31)


def _shifted(words: Int64[Tensor, "*shape"], bits: int) -> Int64[Tensor, "*shape"]:
    """Shift right without the sign."""
    return (words >> bits) & ((1 << (64 - bits)) - 1)
