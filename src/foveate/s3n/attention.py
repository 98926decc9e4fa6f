"""Sparse attention: a Gaussian around each peak, as high and as wide as its response says (S3N Eq. 5).

And the dense attention that it is compared with in Table 3: a map is its own sampling map.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor, nn

from foveate.s3n.config import AttentionKernel, Partition, S3NConfig
from foveate.s3n.partition import PeakWeights, divide
from foveate.s3n.peaks import find_peaks
from foveate.s3n.sampler import floored, sum_attention

_FLOOR = 1e-3
"""Least response of a peak, whose inverse is an amplitude, and least radius."""


class Attention(NamedTuple):
    """What the zoom is drawn by.

    ``peaks`` marks T, none where the attention is dense; ``weights`` is its division into T_d and T_c;
    ``discriminative`` and ``complementary`` are the sampling maps Q_d and Q_c, at least a thousandth everywhere. Cells
    are ordered (row, column).
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
        radius = self.log_radius.exp().clamp(min=_FLOOR)
        cells = _cells_of(peaks)
        discriminative = gaussians(weights.discriminative * response, response, cells, radius[0], config.kernel)
        inverse = weights.complementary / response.clamp(min=_FLOOR)
        complementary = gaussians(inverse, response, cells, radius[1], config.kernel)
        maps = (floored(sum_attention(*each), config.sampling_floor) for each in (discriminative, complementary))
        return Attention(peaks, weights, *maps)


def dense_attention(dense_map: Float[Tensor, "b g g"], sampling_floor: float) -> Attention:
    """Return the attention that a map draws as it is, without peaks (S3N Table 3).

    Args:
        dense_map: M, a response or a saliency, in [0, 1]; 1 - M draws the complementary view.
        sampling_floor: What every cell of a sampling map gets beside it.
    """
    weights = PeakWeights(dense_map, 1 - dense_map)
    peaks = torch.zeros_like(dense_map, dtype=torch.bool)
    return Attention(peaks, weights, *(floored(each, sampling_floor) for each in weights))


def _cells_of(peaks: Bool[Tensor, "b g g"]) -> Int64[Tensor, "b p"]:
    """Return the indices of each map's peaks, and of other cells up to the largest number of peaks that a map has.

    A photograph has one to a few. Elsewhere than on a processor all cells, for to ask for the number would be to wait;
    and so in what is exported, where no size may depend on it.
    """
    marked = peaks.flatten(1)
    if peaks.device.type != "cpu" or torch.compiler.is_compiling():
        return torch.arange(marked.shape[1], device=peaks.device).expand(marked.shape[0], -1)
    most = int(marked.sum(1).max())
    return marked.to(torch.uint8).sort(dim=1, descending=True, stable=True).indices[:, :most]


class Gaussians(NamedTuple):
    """The attention of p peaks of each image: for each the product of its values along the rows and the columns."""

    rows: Float[Tensor, "b p g"]
    """The amplitude is in these."""
    columns: Float[Tensor, "b p g"]


def gaussians(
    amplitude: Float[Tensor, "b g g"],
    response: Float[Tensor, "b g g"],
    cells: Int64[Tensor, "b p"],
    radius: Float[Tensor, ""],
    kernel: AttentionKernel,
) -> Gaussians:
    """Return the Gaussian around each peak (S3N Eq. 5): its variance is in proportion to the response.

    Args:
        amplitude: Of each cell's Gaussian; 0 where there is no peak.
        response: R.
        cells: Which cells take part, counted in reading order: each peak's, and any others.
        radius: beta, a fraction of the grid.
        kernel: How the variance depends on R and beta.
    """
    side = response.shape[1]
    place = torch.arange(side, device=response.device, dtype=response.dtype) / side
    squared = (place[:, None] - place) ** 2
    factor = 2.0 if kernel is AttentionKernel.HALF else 1.0
    width = (factor * response.flatten(1).gather(1, cells).clamp(min=_FLOOR) * radius**2)[..., None]
    rows = torch.exp(-squared[cells // side] / width) * amplitude.flatten(1).gather(1, cells)[..., None]
    return Gaussians(rows, torch.exp(-squared[cells % side] / width))
