"""Which evidence of a class looks most like the evidence at hand, in the eyes of the Evidence CNN."""

from __future__ import annotations

from typing import NamedTuple

import torch
from jaxtyping import Float, Int64
from torch import Tensor
from torch.nn import functional


class Nearest(NamedTuple):
    """The nearest of a pool, the nearest first; of equally near ones the first row."""

    rows: Int64[Tensor, "n m"]
    """Of the pool; -1 where a class has fewer."""
    distances: Float[Tensor, "n m"]
    """1 - cosine, in [0, 2]; infinite where there is no row."""


def nearest(
    features: Float[Tensor, "n d"],
    classes: Int64[Tensor, " n"],
    pool: Float[Tensor, "p d"],
    labels: Int64[Tensor, " p"],
    count: int,
) -> Nearest:
    """Return the `count` rows of each one's own class that are nearest by cosine distance.

    Args:
        features: What is compared; one that is 0 everywhere is at distance 1 from all.
        classes: The class of each that it is compared with.
        pool: Features of the pool.
        labels: Their classes; a negative one hides its row.
        count: How many; where a pool is smaller, the rest are missing.
    """
    rivals = torch.isin(labels, classes[classes >= 0]).nonzero()[:, 0]  # of a large pool a small part
    distances = (1 - functional.normalize(features) @ functional.normalize(pool[rivals]).T).clamp(0, 2)
    distances = distances.masked_fill(classes[:, None] != labels[rivals], torch.inf)
    ordered = distances.sort(dim=1, stable=True)
    beyond = (0, max(0, count - len(rivals)))
    distances = functional.pad(ordered.values[:, :count], beyond, value=torch.inf)
    rows = functional.pad(rivals[ordered.indices[:, :count]], beyond, value=-1)
    return Nearest(rows.masked_fill(distances.isinf(), -1), distances)
