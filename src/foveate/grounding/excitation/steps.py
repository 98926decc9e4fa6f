"""Steps: EB's rules for operations without weights, rectifiers, sums, concatenations and changes of shape.

A step is the way back through one operation and keeps what it needs of the way forth. Steps with weights are in
`convolution`, those of pooling in `pooling`; which torch function makes which step is said in `functions`, how steps
follow one another in `tape`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, TypeVar, runtime_checkable

import torch
from jaxtyping import Float, Int64
from torch import Tensor
from torch.nn import functional

from foveate.grounding.excitation.relevance import Relevance, arranged, inverse


@runtime_checkable
class Step(Protocol):
    """The way back through one operation."""

    def back(self, relevance: Relevance) -> tuple[Relevance, ...]:
        """Return the relevance of each input, given the output's."""

    def part(self, images: Int64[Tensor, " m"]) -> Step:
        """Return the way back for some images of the batch."""


_Same = TypeVar("_Same", bound="SameForAll")


class SameForAll:
    """A step that keeps nothing of single images."""

    __slots__ = ()

    def part(self: _Same, images: Int64[Tensor, " m"]) -> _Same:
        """Return itself."""
        return self


@dataclass(frozen=True, slots=True)
class PassOn(SameForAll):
    """Relevance stays where it is: rectifiers, and a batch norm on its own."""

    def back(self, relevance: Relevance) -> tuple[Relevance]:
        """Return the same relevance."""
        return (relevance,)


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

    def part(self, images: Int64[Tensor, " m"]) -> Split:
        """Return the shares of some images."""
        first, second = self.shares
        return Split((first[images], second[images]))


@dataclass(frozen=True, slots=True)
class Slices(SameForAll):
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
class Reshape(SameForAll):
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
class Crop(SameForAll):
    """Padding takes its relevance with it.

    Attributes:
        pad: What was added before and after, last dimension first, as `torch.nn.functional.pad` orders it.
    """

    pad: tuple[int, ...]

    def back(self, relevance: Relevance) -> tuple[Relevance]:
        """Return the relevance without that of the padding."""
        signal, gain, cut = relevance.signal, relevance.gain, [-each for each in self.pad]
        return (Relevance(functional.pad(signal, cut), None if gain is None else functional.pad(gain, cut)),)
