"""Names in a state dict, fitted to those of an architecture: what programs put before them, and around the head."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from torch import Tensor

from foveate.backbones.foreign_weights import is_averaged

_ALIKE = 0.9  # of the best place's matching names: what another place must have to be weights of the same network


class Fit(NamedTuple):
    """Weights as an architecture names them."""

    place: str
    """Where in the file they lie: the keys and the prefix of their names, joined by dots."""
    weights: dict[str, Tensor]
    matching: int
    """How many of them the architecture has."""
    beside: tuple[str, ...]
    """Names in the same state dict that lie outside of the prefix."""


def fits(state_dicts: Mapping[str, Mapping[str, Tensor]], expected: Mapping[str, Tensor]) -> list[Fit]:
    """Return the weights in a file that an architecture may have, the likeliest first; there is one at least.

    Plain weights come before those that a training averaged (EMA).

    Args:
        state_dicts: As `read_foreign_weights` returns them.
        expected: The architecture's own state dict.
    """
    every = [each for place, weights in state_dicts.items() for each in _fits(place, weights, expected)]
    enough = _ALIKE * max(each.matching for each in every)
    return sorted(every, key=lambda each: (each.matching < enough, is_averaged(each.place)))


def alike(ranked: list[Fit]) -> list[Fit]:
    """Return those of `fits` that match an architecture as well as the first."""
    return [each for each in ranked if each.matching >= _ALIKE * ranked[0].matching]


def without_wrapping(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Leave out the modules that all names lie in."""
    first, *others = [name.split(".")[:-1] for name in weights] or [[]]
    shared = 0
    while shared < len(first) and all(each[shared : shared + 1] == [first[shared]] for each in others):
        shared += 1
    return {".".join(name.split(".")[shared:]): each for name, each in weights.items()}


def with_head(weights: Mapping[str, Tensor], expected: Mapping[str, Tensor]) -> tuple[dict[str, Tensor], str | None]:
    """Rename a last layer that lies in a container, or in none: `fc.1` where an architecture has `fc`.

    Dropout and flattening, with which it shares the container, have no weights.

    Returns:
        The weights, and the layer's name in the file where it was another.
    """
    missing, unknown = expected.keys() - weights.keys(), weights.keys() - expected.keys()
    owns, theirs = ({name.rpartition(".")[0] for name in names} for names in (missing, unknown))
    if len(owns) != 1 or len(theirs) != 1:
        return dict(weights), None
    (own,), (other,) = owns, theirs
    nested = own.startswith(f"{other}.") or other.startswith(f"{own}.")
    renamed = {f"{own}.{name.rpartition('.')[2]}": weights[name] for name in unknown}
    if (
        not nested
        or renamed.keys() != missing
        or any(expected[name].ndim != each.ndim for name, each in renamed.items())
    ):
        return dict(weights), None
    return {name: each for name, each in weights.items() if name not in unknown} | renamed, other


def _fits(place: str, weights: Mapping[str, Tensor], expected: Mapping[str, Tensor]) -> Iterator[Fit]:
    counts = Counter(prefix for name in weights for prefix, rest in _cuts(name) if rest in expected)
    most = max(counts.values(), default=0)
    if 2 * most < len(expected):  # another network's
        yield Fit(place, without_wrapping(weights), 0, ())
        return
    prefixes = [prefix for prefix, count in counts.items() if count >= _ALIKE * most]
    for prefix in prefixes:
        others = tuple(each for each in prefixes if each != prefix and len(each) >= len(prefix))
        mine = {
            name.removeprefix(prefix): each
            for name, each in weights.items()
            if name.startswith(prefix) and not (others and name.startswith(others))
        }
        beside = tuple(name for name in weights if not name.startswith(tuple(prefixes)))
        yield Fit(".".join(filter(None, (place, prefix.rstrip(".")))), mine, counts[prefix], beside)


def _cuts(name: str) -> Iterator[tuple[str, str]]:
    """Yield every way to take modules off the front of a name."""
    start = 0
    while start or name:
        yield name[:start], name[start:]
        start = name.find(".", start) + 1
        if not start:
            return
