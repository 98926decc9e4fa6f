"""Relevance, the signal of excitation backprop, and the activations that its way back reads again.

Excitation backprop: Zhang et al., Top-down Neural Attention by Excitation Backprop (ECCV 2016; IJCV 2018).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from foveate.errors import UserError


@dataclass(frozen=True, slots=True, eq=False)
class Relevance:
    """What each value of an activation counts for each of k classes: signal times gain.

    Most of what scales relevance on its way is the same for every class. Kept apart, it is worked out once instead of k
    times, and the product is taken only where it must be.

    Attributes:
        signal: What differs between the classes.
        gain: What they share; None: 1.
    """

    signal: Float[Tensor, "b k d *cells"]
    gain: Float[Tensor, "b d *cells"] | None = None

    def times(self, factor: Float[Tensor, "b d *cells"]) -> Relevance:
        """Scale every class alike."""
        factor = arranged(factor, self.signal.dtype)
        return replace(self, gain=factor if self.gain is None else self.gain * factor)

    def total(self) -> Float[Tensor, "b k d *cells"]:
        """Return the product; it may share memory with the signal."""
        return self.signal if self.gain is None else self.signal * self.gain[:, None]

    def plus(self, other: Relevance, sign: int = 1) -> Relevance:
        """Return the sum of both; with sign -1 their difference."""
        total = self.signal.clone() if self.gain is None else self.total()
        if other.gain is None:
            return Relevance(total.add_(other.signal, alpha=sign))
        return Relevance(total.addcmul_(other.signal, other.gain[:, None], value=sign))


@dataclass(frozen=True, slots=True, eq=False)
class Saved:
    """An activation that the way back reads again. It is not copied, so that later changes must be noticed.

    Attributes:
        tensor: The activation.
        version: How often it had been written to when it was saved.
        reader: The module that read it.
    """

    tensor: Tensor
    version: int
    reader: str

    def read(self, dtype: torch.dtype) -> Tensor:
        """Return the activation.

        Raises:
            UserError: It was written to since.
        """
        if self.tensor._version != self.version:
            raise UserError(
                f"excitation backprop reads activations twice; the input of {self.reader} was changed in place after "
                "it; make the operation that changes it an ordinary one (inplace=False)"
            )
        return arranged(self.tensor, dtype)

    def part(self, images: Int64[Tensor, " m"]) -> Saved:
        """Return what was saved of some images of the batch; errors as in `read`."""
        some = self.read(self.tensor.dtype)[images]
        return replace(self, tensor=some, version=some._version)


def arranged(values: Tensor, dtype: torch.dtype) -> Tensor:
    """Return values in a type, and feature maps channels last in memory, whatever the network does: that is faster."""
    values = values.to(dtype)
    return values.contiguous(memory_format=torch.channels_last) if values.ndim == 4 else values


def inverse(values: Tensor) -> Tensor:
    """Return 1 / values, and 0 where they are zero, or so small that their products lose digits."""
    limits = torch.finfo(values.dtype)
    return values.reciprocal().masked_fill_(values.abs() <= limits.tiny / limits.eps, 0)
