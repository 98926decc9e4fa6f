"""Is the object where the class map says? Boxes around thresholded maps, against annotated ones.

A wrong answer is a miss wherever its box lies (Zhou et al., CVPR 2016), so boxes are only ever drawn around the map
of the true class: top-1 localisation counts those of right answers, MaxBoxAcc (Choe et al., CVPR 2020) those of all.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy.ndimage import find_objects, label

from foveate.types import Box

CAM_THRESHOLD = 0.2
"""CAM's, as a share of the map's maximum."""

THRESHOLDS = np.round(np.arange(0.02, 1.0, 0.02), 2)
"""Those that are tried; of a map scaled to [0, 1]."""

OVERLAP = 0.5
"""Least intersection over union of a box that counts as right."""

OVERLAPS_V2 = (0.3, 0.5, 0.7)
"""Those that MaxBoxAccV2 is the mean over."""

_TOUCHING = np.zeros((3, 3, 3), dtype=bool)  # a cell's eight neighbours in its own map, none in the next one
_TOUCHING[1] = True


def scaled(maps: Float[np.ndarray, "n y x"]) -> Float[np.ndarray, "n y x"]:
    """Scale each map to [0, 1]; 0 where it is NaN, and everywhere where it has no spread."""
    known = ~np.isnan(maps)
    low = np.where(known, maps, np.inf).min(axis=(1, 2), keepdims=True)
    high = np.where(known, maps, -np.inf).max(axis=(1, 2), keepdims=True)
    spread = high - low
    some = np.isfinite(spread) & (spread > 0)
    between: Float[np.ndarray, "n y x"] = (maps - np.where(some, low, 0)) / np.where(some, spread, 1)
    return np.where(some & known, between, 0.0)


class Components(NamedTuple):
    """The connected parts of n masks: whose each is, its cells, and its bounds (left, top, right, bottom)."""

    mask: Int[np.ndarray, " m"]
    area: Int[np.ndarray, " m"]
    bounds: Int[np.ndarray, "m 4"]

    def largest(self) -> Int[np.ndarray, " p"]:
        """Return the index of the largest part of each mask that has one; the first of equal ones."""
        order = np.argsort(-self.area, kind="stable")
        return order[np.unique(self.mask[order], return_index=True)[1]]


def components(masks: Bool[np.ndarray, "n y x"]) -> Components:
    """Find the parts whose cells touch, at corners too; bounds are from the first cell to one past the last."""
    labels, count = label(masks, structure=_TOUCHING)
    area = np.bincount(labels.ravel(), minlength=count + 1)[1:]
    regions = [
        (index.start, across.start, down.start, across.stop, down.stop) for index, down, across in find_objects(labels)
    ]
    places = np.array(regions, dtype=np.int64).reshape(-1, 5)
    return Components(places[:, 0], area, places[:, 1:])


def cell_edges(places: int, size: int) -> Float[np.ndarray, " e"]:
    """Return where the cells of a lattice of `places` a side begin and end in a view of `size` pixels.

    The outermost places are the middles of the outermost pixels; a cell reaches half-way to its neighbours, and not
    beyond the view.
    """
    edges = (np.arange(places + 1) - 0.5) / (places - 1) * (size - 1) + 0.5
    return edges.clip(0, size)


def intersection_over_union(a: Float[np.ndarray, "... 4"], b: Float[np.ndarray, "... 4"]) -> Float[np.ndarray, ...]:
    """Return the shared share of boxes (left, top, right, bottom), broadcast; 0 where both are empty."""
    sides = np.minimum(a[..., 2:], b[..., 2:]) - np.maximum(a[..., :2], b[..., :2])
    shared = sides.clip(min=0).prod(-1)
    together = (a[..., 2:] - a[..., :2]).prod(-1) + (b[..., 2:] - b[..., :2]).prod(-1) - shared
    shares: Float[np.ndarray, ...] = np.divide(shared, together, out=np.zeros_like(shared), where=together > 0)
    return shares


class Overlaps(NamedTuple):
    """Intersection over union with the annotated box at each of t thresholds; 0 where nothing reaches a threshold."""

    largest: Float[np.ndarray, "n t"]
    """Of the box around the largest part of the map."""
    best: Float[np.ndarray, "n t"]
    """Of whichever part's box fits best, as MaxBoxAccV2 takes it."""


def overlaps_of(
    maps: Float[np.ndarray, "n y y"],
    boxes: Float[np.ndarray, "n 4"],
    size: int,
    thresholds: Float[np.ndarray, " t"] = THRESHOLDS,
) -> Overlaps:
    """Compare the boxes around thresholded maps with annotated ones.

    Args:
        maps: Of the true class, at the places of a lattice over the view.
        boxes: In continuous pixels of the view; they may reach beyond it.
        size: Side of the view in pixels.
        thresholds: Shares of each map's range.
    """
    shares, edges = scaled(maps), cell_edges(maps.shape[1], size)
    largest, best = (np.zeros((len(maps), len(thresholds))) for _ in range(2))
    for column, threshold in enumerate(thresholds):
        parts = components(shares >= threshold)
        overlap = intersection_over_union(edges[parts.bounds], boxes[parts.mask])
        chosen = parts.largest()
        largest[parts.mask[chosen], column] = overlap[chosen]
        np.maximum.at(best[:, column], parts.mask, overlap)
    return Overlaps(largest, best)


def box_of(shares: Float[np.ndarray, "y y"], size: int, threshold: float) -> Box | None:
    """Return the box around the largest part of a scaled map, in pixels of the view; None where there is none."""
    parts = components(shares[None] >= threshold)
    chosen = parts.largest()
    return Box(*map(float, cell_edges(len(shares), size)[parts.bounds[chosen[0]]])) if len(chosen) else None


@dataclass(frozen=True, slots=True)
class Localisation:
    """How well one branch localises, as shares of the photographs; boxes are right from an overlap of 0.5."""

    top1: float
    """Its answer is right."""
    localised: float
    """Answer and box are right, at CAM's threshold: top-1 localisation."""
    box: float
    """The box of the true class is right, at CAM's threshold, whatever the answer."""
    chosen_threshold: float
    """Where boxes are right most often on the photographs that it was chosen on."""
    localised_chosen: float
    """Answer and box are right, at the chosen threshold."""
    box_chosen: float
    """The box of the true class is right, at the chosen threshold."""
    max_box: float
    """MaxBoxAcc: the same at the threshold that is best on these photographs themselves."""
    max_box_threshold: float
    max_box_v2: float
    """MaxBoxAccV2: every part's box counts, mean over overlaps of 0.3, 0.5 and 0.7."""
    curve: tuple[float, ...]
    """The share of right boxes of the true class at each of `THRESHOLDS`."""


def box_accuracy(overlap: Float[np.ndarray, "n t"], least: float = OVERLAP) -> Float[np.ndarray, " t"]:
    """Return the share of right boxes at each threshold."""
    share: Float[np.ndarray, " t"] = (overlap >= least).mean(0)
    return share


def best_threshold(overlap: Float[np.ndarray, "n t"]) -> int:
    """Return the index of the threshold at which boxes are right most often; the middle one of the first best run."""
    share = box_accuracy(overlap)
    first = int(share.argmax())
    others = np.flatnonzero(share[first:] < share[first])
    last = first + int(others[0]) - 1 if len(others) else len(share) - 1
    return (first + last) // 2


def measure_localisation(right: Bool[np.ndarray, " n"], overlaps: Overlaps, chosen: int) -> Localisation:
    """Summarise one branch.

    Args:
        right: Whether its answer is.
        overlaps: At each of `THRESHOLDS`.
        chosen: Index of the threshold that was chosen on other photographs.
    """
    boxes = overlaps.largest >= OVERLAP
    cam = int(np.flatnonzero(THRESHOLDS == CAM_THRESHOLD)[0])
    curve = box_accuracy(overlaps.largest)
    own = int(curve.argmax())
    return Localisation(
        top1=float(right.mean()),
        localised=float((right & boxes[:, cam]).mean()),
        box=float(curve[cam]),
        chosen_threshold=float(THRESHOLDS[chosen]),
        localised_chosen=float((right & boxes[:, chosen]).mean()),
        box_chosen=float(curve[chosen]),
        max_box=float(curve[own]),
        max_box_threshold=float(THRESHOLDS[own]),
        max_box_v2=float(np.mean([box_accuracy(overlaps.best, least).max() for least in OVERLAPS_V2])),
        curve=tuple(map(float, curve)),
    )
