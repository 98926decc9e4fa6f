"""The entropy of the best classes, which decides whose maps become the response (S3N Eq. 2)."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from foveate.s3n.config import CellPlacement
from foveate.s3n.response_grid import on_grid

TOP = 5
"""How many of the best classes the gate looks at; all of them where there are fewer."""


def responding(classes: int) -> int:
    """Return how many of so many classes respond where the network is in doubt: five, or all but the least likely one.

    The maps of all classes together say nothing. A constant added to every class's weights changes no probability, so
    their sum is what the training happened to begin with; that of a logistic regression is 0.
    """
    return max(1, min(TOP, classes - 1))


def top_entropy(logits: Float[Tensor, "b c"]) -> Float[Tensor, " b"]:
    """Return the entropy in nats of the five best of all classes' probabilities, which are not scaled to sum to 1."""
    best = logits.softmax(-1).topk(min(TOP, logits.shape[1])).values
    entropy: Tensor = torch.special.entr(best).sum(-1)
    return entropy


def mean_of_class_maps(
    features: Float[Tensor, "b d h w"],
    weight: Float[Tensor, "c d"],
    cells: int | None,
    placement: CellPlacement = CellPlacement.CORNERS,
) -> Float[Tensor, "b c"]:
    """Return the mean over the response grid of every class's map, without the bias and without making one of them.

    The mean of an interpolated map is a weighted sum of its cells: pool the features with these weights first.
    """
    area = features.shape[2] * features.shape[3]
    unit = torch.eye(area, device=features.device).view(area, *features.shape[2:])
    share = on_grid(unit[None], cells, placement).mean(dim=(2, 3))[0]
    return features.flatten(2) @ share @ weight.T
