"""The hit rate: how often sparse attention falls on the object, and on which parts (S3N, Table 1 and section 4.1)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float

from foveate.evaluation.pointing_game import Annotations, hits_of


class PeakList(NamedTuple):
    """The peaks of n photographs by falling response, p of each at most: (x, y) in pixels of the photograph."""

    places: Float[np.ndarray, "n p 2"]
    found: Bool[np.ndarray, "n p"]
    """False where a photograph has fewer; such places mean nothing."""


def peaks_by_strength(response: Float[np.ndarray, "n g g"], peaks: Bool[np.ndarray, "n g g"], size: int) -> PeakList:
    """List the peaks of each response, in pixels of a view of `size` pixels a side; equal ones in reading order.

    The outermost cells of the response grid lie on the middles of the view's outermost pixels.
    """
    cells = response.shape[1]
    strength = np.where(peaks, response, -np.inf).reshape(len(response), -1)
    most = int(peaks.sum(axis=(1, 2)).max(initial=0))
    order = np.argsort(-strength, axis=1, kind="stable")[:, :most]
    present = np.take_along_axis(peaks.reshape(len(peaks), -1), order, axis=1)
    rows, columns = np.divmod(order, cells)
    return PeakList(np.stack([columns, rows], axis=-1) / (cells - 1) * (size - 1) + 0.5, present)


def joined(lists: Sequence[PeakList]) -> PeakList:
    """Put the peaks of several groups of photographs into one list."""
    most = max(each.found.shape[1] for each in lists)
    wider = [((0, 0), (0, most - each.found.shape[1])) for each in lists]
    return PeakList(
        np.concatenate([np.pad(each.places, (*more, (0, 0))) for each, more in zip(lists, wider, strict=True)]),
        np.concatenate([np.pad(each.found, more) for each, more in zip(lists, wider, strict=True)]),
    )


@dataclass(frozen=True, slots=True)
class PartCounts:
    """Of how many photographs an extreme of the attention has this part as the nearest one."""

    strongest: int
    """The strongest of several peaks."""
    weakest: int
    """The weakest of several peaks."""
    only: int
    """The only peak, which is both."""

    @property
    def lead(self) -> int:
        """By how much the strongest outnumber the weakest: the order of Figure 6."""
        return self.strongest - self.weakest


@dataclass(frozen=True, slots=True)
class AttentionSummary:
    """Where the peaks of the photographs with a box fall."""

    photographs: int
    without_peaks: int
    """Photographs without a peak, which have no hit rate."""
    mean_hit_rate: float
    """Mean over photographs of the share of their peaks inside the box (S3N, Table 1)."""
    strongest_hit_rate: float
    """Share of photographs whose strongest peak is inside the box."""
    peaks: tuple[int, ...]
    """How many photographs have 0, 1, 2, ... peaks."""
    hits: tuple[int, ...]
    """How many photographs have 0, 1, 2, ... peaks inside the box (S3N, Figure 5)."""
    with_parts: int
    """Photographs with a peak and a visible part, which `parts` counts."""
    parts: Mapping[str, PartCounts]
    """By annotated part, from strong to weak (S3N, Figure 6); empty where none is annotated."""


def summarise_attention(listed: PeakList, annotations: Annotations) -> AttentionSummary | None:
    """Count hits and nearest parts; None where no box is annotated or no photograph has a peak.

    Photographs without a box are left out. A peak's nearest part is that among the visible ones, however far away.
    """
    counted = ~np.isnan(annotations.boxes).any(1)
    places, found = listed.places[counted], listed.found[counted]
    if not found.any():
        return None
    boxes, parts = annotations.boxes[counted], annotations.parts[counted]
    hits = hits_of(places, found, Annotations(boxes, parts, annotations.part_names), reach=np.inf)
    peaks, inside = found.sum(1), hits.in_box.sum(1)
    some = peaks > 0
    with_part = (hits.part >= 0).any(1)
    return AttentionSummary(
        photographs=len(found),
        without_peaks=int((~some).sum()),
        mean_hit_rate=float((inside[some] / peaks[some]).mean()),
        strongest_hit_rate=float(hits.in_box[some, 0].mean()),
        peaks=tuple(map(int, np.bincount(peaks))),
        hits=tuple(map(int, np.bincount(inside))),
        with_parts=int(with_part.sum()),
        parts=_part_counts(hits.part[with_part], peaks[with_part], annotations.part_names),
    )


def _part_counts(nearest: np.ndarray, peaks: np.ndarray, names: Sequence[str]) -> Mapping[str, PartCounts]:
    """Count parts at the first and at the last peak of each photograph."""
    weakest = np.take_along_axis(nearest, peaks[:, None] - 1, axis=1)[:, 0]
    several = peaks > 1
    columns = (nearest[several, 0], weakest[several], nearest[~several, 0])
    counts = [np.bincount(each, minlength=len(names)) for each in columns]
    rows = [(name, PartCounts(*map(int, each))) for name, *each in zip(names, *counts, strict=True)]
    return dict(sorted(rows, key=lambda row: -row[1].lead)) if len(nearest) else {}
