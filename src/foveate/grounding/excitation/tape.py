"""The record of one forward pass above the grounding layer, and the way back over it."""

from __future__ import annotations

from collections.abc import Callable, MutableMapping
from typing import NamedTuple, TypeGuard

import torch
from jaxtyping import Int64
from torch import Tensor
from torch.utils.weak import WeakTensorKeyDictionary

from foveate.errors import UserError
from foveate.grounding.excitation.contrast import no_contrast
from foveate.grounding.excitation.convolution import Linear
from foveate.grounding.excitation.relevance import Relevance, Saved
from foveate.grounding.excitation.steps import Step


class NoRule(UserError):
    """Relevance cannot be handed down through a call; the message says what about the call is the reason."""


class Entry(NamedTuple):
    """How an activation came about.

    Attributes:
        sources: The numbers of the activations that went in; None for one that does not rest on the grounding layer.
        step: The way back; None where the activation is its only source itself, perhaps copied.
    """

    sources: tuple[int | None, ...]
    step: Step | None


Rule = Callable[..., Entry]
"""Says what a call of a torch function means for relevance: the entry of its output, given the tape and the call's own
arguments. It is asked before the call, which may overwrite its input."""

Contrast = Callable[[Linear, Relevance], Relevance]
"""Says what the last weights hand down in place of their own rule, given the relevance of what they give."""


class _Place(NamedTuple):
    """Where a tensor stands on the tape as long as nothing else is written to it."""

    number: int
    version: int


class Tape:
    """The operations between the grounding layer and the logits, in the order in which they ran.

    Activations are numbered from 0, the output of the grounding layer.

    Attributes:
        raw: Whether sums split by the raw ratio of their summands.
        path: The modules that are running, the innermost last, in words.
    """

    def __init__(self, images: int, *, raw: bool) -> None:
        self.raw = raw
        self._images = images
        self.path: list[str] = []
        self._entries: list[Entry] = []
        self._places: MutableMapping[Tensor, _Place] = WeakTensorKeyDictionary()

    @property
    def begun(self) -> bool:
        """Whether the grounding layer has run."""
        return bool(self._entries)

    @property
    def module(self) -> str:
        """The module that is running, in words."""
        return self.path[-1] if self.path else "the network"

    def knows(self, value: object) -> TypeGuard[Tensor]:
        """Whether a value is an activation that rests on the grounding layer."""
        return isinstance(value, Tensor) and value in self._places

    def record(self, output: Tensor, entry: Entry) -> None:
        """Note how an activation came about; its first dimension must stay that of the images."""
        number = len(self._entries)
        if output.shape[:1] != (self._images,):
            raise NoRule("that mixes images")
        if entry.step is None and entry.sources:
            (only,) = entry.sources
            assert only is not None
            number = only
        else:
            self._entries.append(entry)
        self._places[output] = _Place(number, output._version)

    def number(self, tensor: Tensor) -> int | None:
        """Return the number of an activation, None for a tensor that does not rest on the grounding layer.

        Raises:
            NoRule: It was written to by something else than a recorded operation.
        """
        place = self._places.get(tensor)
        if place is None:
            return None
        if place.version != tensor._version:
            raise NoRule("on an activation that something else changed in place")
        return place.number

    def producer(self, number: int | None) -> Entry:
        """Return how the activation of a number came about."""
        return Entry((), None) if number is None else self._entries[number]

    def save(self, tensor: Tensor) -> Saved:
        """Keep an activation for the way back."""
        return Saved(tensor, tensor._version, self.module)

    def back(
        self,
        seed: Relevance,
        output: Tensor,
        contrast: Contrast | None = None,
        images: Int64[Tensor, " m"] | None = None,
    ) -> Relevance:
        """Return the relevance of the grounding layer's output.

        Args:
            seed: The relevance of `output`.
            output: A recorded activation.
            contrast: What the last weights hand down; None: as all others do.
            images: The images, by number, that the seed is of; the tape may then be asked again, and what is the same
                for every class is kept. None: all in their order, and the tape is used up.

        Raises:
            UserError: There are no last weights, or several beside each other.
        """
        start = self.number(output)
        assert start is not None
        waiting = {start: seed}
        for number in reversed(range(1, len(self._entries))):
            sources, step = self._entries[number] if images is not None else self._entries.pop()
            relevance = waiting.pop(number, None)
            if relevance is None or step is None:
                continue
            if contrast is not None and isinstance(step, Linear):
                if waiting:
                    break
                last = step if images is None else step.part(images)
                shares: tuple[Relevance, ...] = (contrast(last, relevance),)
                contrast = None
            else:
                if images is not None:
                    step = self._kept(number, relevance.signal.dtype).part(images)
                shares = step.back(relevance)
            for source, part in zip(sources, shares, strict=True):
                if source is not None:
                    waiting[source] = waiting[source].plus(part) if source in waiting else part
        if contrast is not None:
            raise no_contrast()
        return waiting[0]

    def _kept(self, number: int, dtype: torch.dtype) -> Step:
        """Return the step of an entry; that of weights is kept with their excitation, for the next class."""
        sources, step = self._entries[number]
        assert step is not None
        if isinstance(step, Linear):
            step = step.excited(dtype)
            self._entries[number] = Entry(sources, step)
        return step
