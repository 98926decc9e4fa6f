"""EB's rule for convolutions and linear layers: relevance goes to the inputs that excited an output.

Zhang et al., Top-down Neural Attention by Excitation Backprop (ECCV 2016; IJCV 2018).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from jaxtyping import Float, Int64
from torch import Tensor
from torch.nn import functional

from foveate.grounding.excitation.relevance import Relevance, Saved, arranged, inverse


@dataclass(frozen=True, slots=True)
class Dense:
    """The weighting of a linear layer."""

    def forth(self, values: Float[Tensor, "*b d"], weight: Float[Tensor, "e d"]) -> Float[Tensor, "*b e"]:
        """Return W a."""
        return functional.linear(values, weight)

    def back(self, shares: Float[Tensor, "*b e"], weight: Float[Tensor, "e d"]) -> Float[Tensor, "*b d"]:
        """Return the transposed map."""
        return shares @ weight


@dataclass(frozen=True, slots=True)
class Convolution:
    """The weighting of a 2-D convolution; pairs are (rows, columns).

    Attributes:
        stride: In cells.
        padding: Zeros on either side.
        dilation: In cells.
        groups: Number of groups of channels.
        size: Height and width of the input.
    """

    stride: tuple[int, int]
    padding: tuple[int, int]
    dilation: tuple[int, int]
    groups: int
    size: tuple[int, int]

    def forth(self, values: Float[Tensor, "b d h w"], weight: Float[Tensor, "e _ v u"]) -> Float[Tensor, "b e y x"]:
        """Return W a."""
        return functional.conv2d(values, weight, None, self.stride, self.padding, self.dilation, self.groups)

    def back(self, shares: Float[Tensor, "b k e y x"], weight: Float[Tensor, "e _ v u"]) -> Float[Tensor, "b k d h w"]:
        """Return the transposed map."""
        sides = zip(
            self.size, shares.shape[3:], weight.shape[2:], self.stride, self.padding, self.dilation, strict=True
        )
        unread = [
            size - ((cells - 1) * stride + (kernel - 1) * dilation + 1 - 2 * padding)
            for size, cells, kernel, stride, padding, dilation in sides
        ]
        handed = functional.conv_transpose2d(
            shares.flatten(0, 1), weight, None, self.stride, self.padding, unread, self.groups, self.dilation
        )
        return handed.view(*shares.shape[:2], *handed.shape[1:])


Exciting = list[tuple[Tensor, Tensor]]
"""Inputs and weights whose products are never negative: (a+, W+), and (a-, W-) where there are any."""


@dataclass(frozen=True, slots=True, eq=False)
class Excited:
    """A linear layer or convolution whose excitation is known.

    Attributes:
        step: Its own.
        unit: 1 / excitation, or 0.
    """

    step: Linear
    unit: Tensor

    def back(self, relevance: Relevance) -> tuple[Relevance]:
        """Return R_in."""
        return self.step.handed(relevance, self.unit, self.step.exciting(relevance.signal.dtype))

    def part(self, images: Int64[Tensor, " m"]) -> Excited:
        """Return the step for some images."""
        return Excited(self.step.part(images), self.unit[images])


@dataclass(frozen=True, slots=True, eq=False)
class Linear:
    """A linear layer or convolution hands relevance to its inputs by how much they excite each output.

    Of non-negative inputs a that is R_in = a W+^T (R / (W+ a)), zero where W+ a is zero: the marginal winning
    probability of Zhang et al. (2018). Where inputs are negative too, as in linear bottlenecks, the positive
    contributions a+ W+ + a- W- take the place of a W+: our extension. The bias takes no relevance.

    Attributes:
        input: a.
        weight: W as the network has it, its outputs first.
        weighting: What W does.
        sign: What the weights of each output are multiplied by: the sign of the scale of a batch norm after it.
    """

    input: Saved
    weight: Tensor
    weighting: Dense | Convolution
    sign: Float[Tensor, " e"] | None = None

    def signed(self, sign: Float[Tensor, " e"]) -> Linear:
        """Return the step of the weights multiplied by a sign for each output."""
        return replace(self, sign=sign if self.sign is None else self.sign * sign)

    def back(self, relevance: Relevance) -> tuple[Relevance]:
        """Return R_in."""
        exciting = self.exciting(relevance.signal.dtype)
        return self.handed(relevance, self._unit(exciting), exciting)

    def part(self, images: Int64[Tensor, " m"]) -> Linear:
        """Return the step for some images."""
        return replace(self, input=self.input.part(images))

    def excited(self, dtype: torch.dtype) -> Excited:
        """Return the step with what is the same for every class: worth keeping where classes come one by one."""
        return Excited(self, self._unit(self.exciting(dtype)))

    def handed(self, relevance: Relevance, unit: Tensor, exciting: Exciting) -> tuple[Relevance]:
        """Return R_in, given 1 / excitation and what excites."""
        shares = relevance.times(unit).total()
        first, *rest = (Relevance(self.weighting.back(shares, weight), values) for values, weight in exciting)
        for each in rest:
            first = first.plus(each)
        return (first,)

    def _unit(self, exciting: Exciting) -> Tensor:
        excitation = sum((self.weighting.forth(*each) for each in exciting[1:]), self.weighting.forth(*exciting[0]))
        return inverse(excitation)

    def exciting(self, dtype: torch.dtype) -> Exciting:
        """Return inputs and weights whose products are never negative: (a+, W+), and (a-, W-) where there are any."""
        values, weight = self.input.read(dtype), arranged(self.weight, dtype)
        if self.sign is not None:
            weight = weight * self.sign.to(dtype).view(-1, *[1] * (weight.ndim - 1))
        if values.numel() == 0 or values.amin() >= 0:
            return [(values, weight.clamp(min=0))]
        return [(values.clamp(min=0), weight.clamp(min=0)), (values.clamp(max=0), weight.clamp(max=0))]
