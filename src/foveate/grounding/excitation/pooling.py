"""EB's rules for max and average pooling: the winner takes all; each cell takes the share of a linear map."""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import prod

from jaxtyping import Float, Int64
from torch import Tensor

from foveate.grounding.excitation.relevance import Relevance, Saved, inverse
from foveate.grounding.excitation.steps import Reshape


@dataclass(frozen=True, slots=True, eq=False)
class Route:
    """Max pooling hands all relevance to the cell that won.

    Attributes:
        winners: Which cell of the input won, counted in reading order.
        size: Height and width of the input.
    """

    winners: Int64[Tensor, "b d y x"]
    size: tuple[int, int]

    def back(self, relevance: Relevance) -> tuple[Relevance]:
        """Return the relevance of the pooled cells, channels last in memory."""
        winners = self.winners.flatten(2).mT[:, None]
        cells = relevance.total().reshape(*relevance.signal.shape[:2], *self.winners.flatten(2).shape[1:]).mT
        batch, classes, _, channels = cells.shape
        routed = cells.new_zeros(batch, classes, prod(self.size), channels)
        routed.scatter_add_(2, winners.expand_as(cells), cells)
        return (Relevance(routed.mT.reshape(batch, classes, channels, *self.size)),)

    def part(self, images: Int64[Tensor, " m"]) -> Route:
        """Return the winners of some images."""
        return replace(self, winners=self.winners[images])


@dataclass(frozen=True, slots=True, eq=False)
class Average:
    """Average pooling hands relevance on like the linear map it is; what is negative excites nothing.

    Attributes:
        input: What is averaged.
        rows: How much each input row counts for each output row.
        columns: The same for columns.
    """

    input: Saved
    rows: Float[Tensor, "y h"]
    columns: Float[Tensor, "x w"]

    def back(self, relevance: Relevance) -> tuple[Relevance]:
        """Return the relevance of the averaged cells."""
        dtype = relevance.signal.dtype
        values = self.input.read(dtype).clamp(min=0)
        rows, columns = self.rows.to(dtype), self.columns.to(dtype)
        (relevance,) = Reshape((values.shape[1], len(rows), len(columns))).back(relevance)
        shares = relevance.times(inverse(rows @ values @ columns.mT)).total()
        if shares.shape[-2:] == (1, 1):  # the global average: spread without a copy
            return (Relevance(shares.expand(*shares.shape[:3], *values.shape[2:]), values * (rows.mT @ columns)),)
        return (Relevance(rows.mT @ shares @ columns, values),)

    def part(self, images: Int64[Tensor, " m"]) -> Average:
        """Return the step for some images."""
        return replace(self, input=self.input.part(images))
