"""Relevance, and how operations without weights hand it down from their output to their inputs.

Excitation backprop: Zhang et al., Top-down Neural Attention by Excitation Backprop (ECCV 2016; IJCV 2018). A step is
the way back through one operation and keeps what it needs of the way forth. Which torch functions make which step is
said in `relevance_rules`, how steps follow one another in `tape`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import prod
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float, Int64
from torch import Tensor
from torch.nn import functional

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


@runtime_checkable
class Step(Protocol):
    """The way back through one operation."""

    def back(self, relevance: Relevance) -> tuple[Relevance, ...]:
        """Return the relevance of each input, given the output's."""


@dataclass(frozen=True, slots=True)
class PassOn:
    """Relevance stays where it is: rectifiers, and a batch norm on its own."""

    def back(self, relevance: Relevance) -> tuple[Relevance]:
        """Return the same relevance."""
        return (relevance,)


@dataclass(frozen=True, slots=True, eq=False)
class Route:
    """Max pooling hands all relevance to the cell that won.

    Attributes:
        winners: Which cell of the input won, counted in reading order.
        size: Height and width of the input.
    """

    winners: Int64[Tensor, "b d y x"]
    size: tuple[int, int]

    def back(self, relevance: Relevance) -> tuple[Relevance]:
        """Return the relevance of the pooled cells, channels last in memory."""
        winners = self.winners.flatten(2).mT[:, None]
        cells = relevance.total().reshape(*relevance.signal.shape[:2], *self.winners.flatten(2).shape[1:]).mT
        batch, classes, _, channels = cells.shape
        routed = cells.new_zeros(batch, classes, prod(self.size), channels)
        routed.scatter_add_(2, winners.expand_as(cells), cells)
        return (Relevance(routed.mT.reshape(batch, classes, channels, *self.size)),)


@dataclass(frozen=True, slots=True, eq=False)
class Split:
    """A sum hands each summand its share.

    Attributes:
        shares: Each summand's, in [0, 1] unless raw; together 1, or 0 where no summand is positive.
    """

    shares: tuple[Float[Tensor, "b d *cells"], Float[Tensor, "b d *cells"]]

    @classmethod
    def of(cls, first: Float[Tensor, "b d *cells"], second: Float[Tensor, "b d *cells"], *, raw: bool) -> Split:
        """Share by the summands' positive parts; raw: by themselves, which explodes where they nearly cancel."""
        if not raw:
            first, second = first.clamp(min=0), second.clamp(min=0)
        unit = inverse(first + second)
        return cls((first * unit, second * unit))

    def back(self, relevance: Relevance) -> tuple[Relevance, ...]:
        """Return each summand's relevance."""
        return tuple(relevance.times(share) for share in self.shares)


@dataclass(frozen=True, slots=True)
class Slices:
    """A concatenation hands each part the slice it was.

    Attributes:
        dim: Along which the parts follow one another; not that of the images.
        lengths: Of the parts.
    """

    dim: int
    lengths: tuple[int, ...]

    def back(self, relevance: Relevance) -> tuple[Relevance, ...]:
        """Return each part's relevance."""
        signals = torch.split(relevance.signal, list(self.lengths), self.dim + 1)
        if relevance.gain is None:
            return tuple(map(Relevance, signals))
        return tuple(map(Relevance, signals, torch.split(relevance.gain, list(self.lengths), self.dim)))


@dataclass(frozen=True, slots=True)
class Reshape:
    """What only changes the shape of each image's values.

    Attributes:
        shape: That of one image's values before.
    """

    shape: tuple[int, ...]

    def back(self, relevance: Relevance) -> tuple[Relevance]:
        """Return the relevance in the shape before."""
        signal, gain = relevance.signal, relevance.gain
        each = arranged(signal.reshape(-1, *self.shape), signal.dtype)
        gain = None if gain is None else arranged(gain.reshape(-1, *self.shape), gain.dtype)
        return (Relevance(each.view(*signal.shape[:2], *self.shape), gain),)


@dataclass(frozen=True, slots=True)
class Crop:
    """Padding takes its relevance with it.

    Attributes:
        pad: What was added before and after, last dimension first, as `torch.nn.functional.pad` orders it.
    """

    pad: tuple[int, ...]

    def back(self, relevance: Relevance) -> tuple[Relevance]:
        """Return the relevance without that of the padding."""
        signal, gain, cut = relevance.signal, relevance.gain, [-each for each in self.pad]
        return (Relevance(functional.pad(signal, cut), None if gain is None else functional.pad(gain, cut)),)


def arranged(values: Tensor, dtype: torch.dtype) -> Tensor:
    """Return values in a type, and feature maps channels last in memory, whatever the network does: that is faster."""
    values = values.to(dtype)
    return values.contiguous(memory_format=torch.channels_last) if values.ndim == 4 else values


def inverse(values: Tensor) -> Tensor:
    """Return 1 / values, and 0 where they are zero, or so small that their products lose digits."""
    limits = torch.finfo(values.dtype)
    return values.reciprocal().masked_fill_(values.abs() <= limits.tiny / limits.eps, 0)
