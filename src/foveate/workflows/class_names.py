"""Where the classes of two networks differ that must know the same ones."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import zip_longest
from typing import NamedTuple


class DifferingClass(NamedTuple):
    """The first class that is not the same, ready to be said."""

    place: int
    """Counted from 1."""
    one: str
    other: str


def differing_class(one: Sequence[str], other: Sequence[str]) -> DifferingClass | None:
    """Return the first class in which two lists differ; None: they are the same, in the same order."""
    pairs = enumerate(zip_longest(one, other), 1)
    return next((DifferingClass(place, *map(_said, names)) for place, names in pairs if names[0] != names[1]), None)


def _said(name: str | None) -> str:
    return "none" if name is None else repr(name)
