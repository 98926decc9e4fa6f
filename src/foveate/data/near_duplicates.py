"""Equal and nearly equal photographs: candidates by perceptual hashes, each verified by its pixels."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from foveate.data.fingerprints import BITS, Fingerprint

MOST_BITS = 12
"""In how many of its 64 bits a hash may differ; re-encoding and resizing change up to 4, mirroring up to 8."""
LEAST_CORRELATION = 0.975
"""Of the grey levels of two thumbnails."""
_ROWS = 2048  # hashes that are compared with all others at a time


class Pair(NamedTuple):
    """Two photographs that show the same, by their places in the list, the earlier one first."""

    first: int
    second: int
    correlation: float
    """Of their thumbnails' grey levels; 1 where the pixels are equal."""
    words: str
    """How they are equal: the same pixels, nearly equal, mirrored."""


def equal_pairs(prints: Sequence[Fingerprint]) -> list[Pair]:
    """Return the pairs of photographs that show the same; nearly blank ones only where their pixels are equal.

    Of photographs with the same pixels each is paired with the first of them, and that one alone with others that are
    nearly equal: `same_pixels` says which belong to it.
    """
    groups = same_pixels(prints)
    pairs = {
        (group[0], other): Pair(group[0], other, 1.0, "the same pixels") for group in groups for other in group[1:]
    }
    firsts = [group[0] for group in groups if prints[group[0]].blank is None]
    straight = np.array([prints[place].bits for place in firsts], dtype=bool).reshape(-1, BITS)
    mirrored = np.array([prints[place].mirrored_bits for place in firsts], dtype=bool).reshape(-1, BITS)
    for words, other_bits in (("nearly equal", straight), ("mirrored", mirrored)):
        for one, other in _near(straight, other_bits):
            first, second = firsts[one], firsts[other]
            if (first, second) not in pairs and (pair := _verified(prints, first, second, words)) is not None:
                pairs[first, second] = pair
    return sorted(pairs.values())


def same_pixels(prints: Sequence[Fingerprint]) -> list[list[int]]:
    """Return the places of photographs with the same pixels together, in their order; most are alone."""
    groups: dict[bytes, list[int]] = {}
    for place, each in enumerate(prints):
        groups.setdefault(each.digest, []).append(place)
    return list(groups.values())


def numbered_components(count: int, links: Sequence[tuple[int, int]]) -> list[int]:
    """Return a number for each of `count` photographs, the same for all that links join."""
    ends = np.array(links, dtype=np.int64).reshape(-1, 2).T
    graph = coo_array((np.ones(len(links)), (ends[0], ends[1])), shape=(count, count))
    return [int(each) for each in connected_components(graph, directed=False)[1]]


def _near(one: Bool[np.ndarray, "n 64"], other: Bool[np.ndarray, "n 64"]) -> Iterator[tuple[int, int]]:
    """Yield the places of hashes of `one` and later ones of `other` that differ in few bits."""
    signs, against = (np.where(bits, 1, -1).astype(np.float32) for bits in (one, other))
    for start in range(0, len(signs), _ROWS):
        alike = signs[start : start + _ROWS] @ against.T >= BITS - 2 * MOST_BITS
        for row, column in np.argwhere(alike):
            if start + row < column:
                yield int(start + row), int(column)


def _verified(prints: Sequence[Fingerprint], first: int, second: int, words: str) -> Pair | None:
    one, other = prints[first], prints[second]
    thumbnail = other.thumbnail[:, ::-1] if words == "mirrored" else other.thumbnail
    correlation = _correlation(one.thumbnail.astype(np.float64), thumbnail.astype(np.float64))
    return Pair(first, second, correlation, words) if correlation >= LEAST_CORRELATION else None


def _correlation(one: Float[np.ndarray, "h w"], other: Float[np.ndarray, "h w"]) -> float:
    one, other = one - one.mean(), other - other.mean()
    norm = float(np.sqrt((one**2).sum() * (other**2).sum()))
    return float((one * other).sum() / norm) if norm else 0.0
