"""Sparse attention: peaks in two sets, a Gaussian around each, summed to two sampling maps (S3N Eq. 4, 5 and 6).

And the dense attention that it is compared with in Table 3: a map is its own sampling map.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor, nn

from foveate.s3n.config import AttentionKernel, Partition, S3NConfig
from foveate.s3n.peaks import find_peaks

FLOOR = 1e-3
"""Least response of a peak, whose inverse is an amplitude, and least value of a sampling map."""


class PeakWeights(NamedTuple):
    """How much each cell's peak counts in either set, 0 where there is none; of a dense attention: each cell."""

    discriminative: Float[Tensor, "b g g"]
    complementary: Float[Tensor, "b g g"]


class Attention(NamedTuple):
    """What the zoom is drawn by.

    ``peaks`` marks T, none where the attention is dense; ``weights`` is its division into T_d and T_c;
    ``discriminative`` and ``complementary`` are the sampling maps Q_d and Q_c, at least `FLOOR` everywhere. Cells are
    ordered (row, column).
    """

    peaks: Bool[Tensor, "b g g"]
    weights: PeakWeights
    discriminative: Float[Tensor, "b g g"]
    complementary: Float[Tensor, "b g g"]


class SparseAttention(nn.Module):
    """Response to sampling maps; the two radii are learned, as logarithms, so that they stay positive."""

    def __init__(self, config: S3NConfig) -> None:
        super().__init__()
        self.config = config
        self.log_radius = nn.Parameter(torch.tensor([config.radius, config.radius_complementary]).log())

    def forward(
        self,
        response: Float[Tensor, "b g g"],
        partition: Partition = Partition.EXPECTED,
        draw: Float[Tensor, "b g g"] | None = None,
    ) -> Attention:
        """Return the attention of a whole batch at once.

        Args:
            response: R in [0, 1], float32.
            partition: How peaks are divided between the two views.
            draw: zeta, uniform in [0, 1); needed by PROBABILITY and RANDOM.
        """
        config = self.config
        peaks = find_peaks(response, window=config.peak_window, above_mean=config.peaks_above_mean)
        weights = divide(response, peaks, partition, draw)
        radius = self.log_radius.exp().clamp(min=FLOOR)
        where = _cells_of(peaks)
        discriminative = spread(weights.discriminative * response, response, where, radius[0], config.kernel)
        inverse = weights.complementary / response.clamp(min=FLOOR)
        complementary = spread(inverse, response, where, radius[1], config.kernel)
        maps = (_floored(each, config.sampling_floor) for each in (discriminative, complementary))
        return Attention(peaks, weights, *maps)


def dense_attention(drawing: Float[Tensor, "b g g"], sampling_floor: float) -> Attention:
    """Return the attention that a map draws as it is, without peaks (S3N Table 3).

    Args:
        drawing: M, a response or a saliency, in [0, 1]; 1 - M draws the complementary view.
        sampling_floor: What every cell of a sampling map gets beside it.
    """
    weights = PeakWeights(drawing, 1 - drawing)
    peaks = torch.zeros_like(drawing, dtype=torch.bool)
    return Attention(peaks, weights, *(_floored(each, sampling_floor) for each in weights))


def _floored(sampling_map: Float[Tensor, "b g g"], floor: float) -> Float[Tensor, "b g g"]:
    return (sampling_map + floor).clamp(min=FLOOR)


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


def _cells_of(peaks: Bool[Tensor, "b g g"]) -> Int64[Tensor, "b p"]:
    """Return the indices of each map's peaks, and of other cells up to the largest number of peaks that a map has.

    A photograph has one to a few. Elsewhere than on a processor all cells: to ask for the number would be to wait.
    """
    marked = peaks.flatten(1)
    if peaks.device.type != "cpu":
        return torch.arange(marked.shape[1], device=peaks.device).expand(len(marked), -1)
    most = int(marked.sum(1).max())
    return marked.to(torch.uint8).sort(dim=1, descending=True, stable=True).indices[:, :most]


def spread(
    amplitude: Float[Tensor, "b g g"],
    response: Float[Tensor, "b g g"],
    where: Int64[Tensor, "b p"],
    radius: Float[Tensor, ""],
    kernel: AttentionKernel,
) -> Float[Tensor, "b g g"]:
    """Sum a Gaussian over all peaks: amplitude from `amplitude`, variance in proportion to `response` (S3N Eq. 5, 6).

    A Gaussian is the product of one along the rows and one along the columns, so the sum over peaks is a matrix
    product. Of the cells `where` those without a peak take part with amplitude 0.
    """
    cells = response.shape[1]
    place = torch.arange(cells, device=response.device, dtype=response.dtype) / cells
    squared = (place[:, None] - place) ** 2
    factor = 2.0 if kernel is AttentionKernel.HALF else 1.0
    width = (factor * response.flatten(1).gather(1, where).clamp(min=FLOOR) * radius**2)[..., None]
    rows = torch.exp(-squared[where // cells] / width) * amplitude.flatten(1).gather(1, where)[..., None]
    columns = torch.exp(-squared[where % cells] / width)
    summed: Float[Tensor, "b g g"] = rows.mT @ columns
    return summed
