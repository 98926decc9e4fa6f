"""The pointing game: do peaks, and the weight of maps, fall inside the object's box, and near which annotated part?

Guided Zoom, Figure 3, right; Zhang et al., Excitation Backprop (IJCV 2018); Score-CAM's game by energy. A map's cells
cover the view, each its own rectangle of it; coordinates are continuous pixels, see `foveate.types`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from foveate.data.records import ImageRecord
from foveate.types import Size

REACH = 0.1
"""How near a peak is near a part: at most this share of the longer side of the object's box (PCK at 0.1)."""


class Annotations(NamedTuple):
    """What is annotated in n photographs, in their pixels; NaN where something is not."""

    boxes: Float[np.ndarray, "n 4"]
    parts: Float[np.ndarray, "n p 2"]
    part_names: tuple[str, ...]


def annotations_of(records: Sequence[ImageRecord]) -> Annotations:
    """Collect boxes and visible parts; the parts' names are in alphabetical order."""
    names = tuple(sorted({part.name for record in records for part in record.parts}))
    place = {name: index for index, name in enumerate(names)}
    boxes = np.full((len(records), 4), np.nan)
    parts = np.full((len(records), len(names), 2), np.nan)
    for index, record in enumerate(records):
        if record.box is not None:
            boxes[index] = record.box
        for part in record.parts:
            parts[index, place[part.name]] = part.x, part.y
    return Annotations(boxes, parts, names)


class Hits(NamedTuple):
    """What the peaks of n photographs fall on, in each of r rounds."""

    in_box: Bool[np.ndarray, "n r"]
    """False where no box is annotated."""
    part: Int[np.ndarray, "n r"]
    """Index of the nearest visible part; -1 where none is within reach."""


def hits_of(
    places: Float[np.ndarray, "n r 2"], found: Bool[np.ndarray, "n r"], annotations: Annotations, reach: float = REACH
) -> Hits:
    """Compare peaks with annotations; a peak that was not found hits nothing.

    Args:
        places: (x, y) in pixels of the photograph.
        found: Whether there is a peak at all.
        annotations: Of the same photographs.
        reach: As a share of the box's longer side; infinite: a visible part is always within reach.
    """
    corners, extent = annotations.boxes[:, None, :2], annotations.boxes[:, 2:] - annotations.boxes[:, :2]
    inside = (places >= corners) & (places <= corners + extent[:, None])
    if not annotations.part_names:
        return Hits(inside.all(-1) & found, np.full(found.shape, -1))
    away = np.linalg.norm(places[:, :, None] - annotations.parts[:, None], axis=-1)
    away = np.where(np.isnan(away), np.inf, away)
    nearest = away.min(-1)
    near = found & np.isfinite(nearest) & (nearest <= reach * extent.max(-1)[:, None])
    return Hits(inside.all(-1) & found, np.where(near, away.argmin(-1), -1))


@dataclass(frozen=True, slots=True)
class HitSummary:
    """Shares of the peaks of each round, over the photographs in which a box is annotated."""

    photographs: int
    in_box: tuple[float, ...]
    near_part: tuple[float, ...]
    parts: Mapping[str, tuple[int, ...]]
    """For each part, how many peaks of each round it is the nearest one to, within reach."""


def summarise(hits: Hits, annotations: Annotations) -> HitSummary | None:
    """Return the shares of all photographs; None where no box is annotated."""
    counted = ~np.isnan(annotations.boxes).any(1)
    if not counted.any():
        return None
    part = hits.part[counted]
    return HitSummary(
        photographs=int(counted.sum()),
        in_box=tuple(map(float, hits.in_box[counted].mean(0))),
        near_part=tuple(map(float, (part >= 0).mean(0))),
        parts={name: tuple(map(int, (part == index).sum(0))) for index, name in enumerate(annotations.part_names)},
    )


def energy_inside(maps: Float[Tensor, "b h w"], boxes: Float[Tensor, "b 4"], size: Size) -> Float[Tensor, " b"]:
    """Return the share of each map's weight that lies inside a box (Score-CAM's energy-based pointing game).

    A cell that the box's edge cuts counts by the share of it that is inside. A map without weight has none inside.

    Args:
        maps: Relevance; negative values count as none.
        boxes: In pixels of the view; they may leave it. NaN gives NaN.
        size: Of the view.
    """
    maps, boxes = maps.clamp(min=0).double(), boxes.double()
    rows = _covered(boxes[:, 1] / size.height, boxes[:, 3] / size.height, maps.shape[1])
    columns = _covered(boxes[:, 0] / size.width, boxes[:, 2] / size.width, maps.shape[2])
    inside = torch.einsum("bhw,bh,bw->b", maps, rows, columns)
    return (inside / maps.sum((1, 2)).clamp(min=torch.finfo(torch.float64).tiny)).float()


def _covered(start: Float[Tensor, " b"], end: Float[Tensor, " b"], cells: int) -> Float[Tensor, "b n"]:
    """Return how much of each of n equal parts of [0, 1] lies between start and end."""
    left = torch.arange(cells, device=start.device, dtype=start.dtype)
    first, last = (torch.clamp(each[:, None] * cells - left, 0, 1) for each in (start, end))
    return last - first
