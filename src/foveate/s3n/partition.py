"""The partition of the peaks between the discriminative and the complementary view (S3N Eq. 4; Table 4)."""

from __future__ import annotations

from typing import NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from foveate.s3n.config import Partition


class PeakWeights(NamedTuple):
    """How much each cell's peak counts in either set, 0 where there is none; of a dense attention: each cell."""

    discriminative: Float[Tensor, "b g g"]
    complementary: Float[Tensor, "b g g"]


def divide(
    response: Float[Tensor, "b g g"],
    peaks: Bool[Tensor, "b g g"],
    partition: Partition,
    draw: Float[Tensor, "b g g"] | None = None,
) -> PeakWeights:
    """Divide peaks between the discriminative and the complementary view (S3N Eq. 4).

    Raises:
        ValueError: The partition is a random one and there is no draw.
    """
    present = peaks.to(response.dtype)
    if partition is Partition.ALL:
        return PeakWeights(present, present)
    if partition is Partition.EXPECTED:
        return PeakWeights(present * response, present * (1 - response))
    if partition is Partition.EXTREMES:
        return PeakWeights(_first_best(response, peaks), _first_best(-response, peaks))
    if draw is None:
        raise ValueError(f"partition {partition.value!r} is random and needs a draw; got None")
    strong = (response if partition is Partition.PROBABILITY else 0.5) > draw
    return PeakWeights(present * strong, present * ~strong)


def _first_best(score: Float[Tensor, "b g g"], peaks: Bool[Tensor, "b g g"]) -> Float[Tensor, "b g g"]:
    best = score.masked_fill(~peaks, -torch.inf).flatten(1).argmax(1, keepdim=True)
    chosen = torch.zeros_like(score).flatten(1).scatter(1, best, 1.0).view_as(score)
    return chosen * peaks
