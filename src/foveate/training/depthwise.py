"""Depthwise convolutions whose gradients are made of the kernels that are fast in bfloat16.

On processors oneDNN has fast bfloat16 kernels for the forward pass of a depthwise convolution and for the gradient of
3x3 weights, but falls back to generic ones for the gradients of 5x5 weights and of strided inputs: four to eighty times
slower. EfficientNets spend more than half of a bfloat16 training step there (docs/log.md).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import product
from typing import Any, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional
from torch.overrides import TorchFunctionMode

_Pair = int | Sequence[int]


class FastDepthwiseGradients(TorchFunctionMode):
    """Inside this context depthwise `conv2d` calls under CPU bfloat16 autocast get their gradients from fast kernels.

    Only where that is faster: kernels above 3x3, or strided. The forward pass is unchanged to the bit.

    Nothing is patched: the mode is scoped to the thread and the `with` block, modules and weights stay as they are.
    """

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: object,
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> object:
        """Replace the calls in question, pass on all others."""
        if func is functional.conv2d and torch.is_autocast_enabled("cpu"):
            return _conv2d(*args, **(kwargs or {}))
        return func(*args, **(kwargs or {}))


def _conv2d(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: _Pair = 1,
    padding: str | _Pair = 0,
    dilation: _Pair = 1,
    groups: int = 1,
) -> Tensor:
    depthwise = groups > 1 and groups == weight.shape[0] and weight.shape[1] == 1
    slow = weight.shape[-1] > 3 or _pair(stride) != [1, 1]
    if not (depthwise and slow) or bias is not None or isinstance(padding, str) or input.device.type != "cpu":
        return functional.conv2d(input, weight, bias, stride, padding, dilation, groups)
    output: Tensor = _DepthwiseConv2d.apply(input, weight, _pair(stride), _pair(padding), _pair(dilation))
    return output


def _pair(value: _Pair) -> list[int]:
    return [value, value] if isinstance(value, int) else list(value)


class _Geometry(NamedTuple):
    stride: list[int]
    padding: list[int]
    dilation: list[int]


class _DepthwiseConv2d(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, input: Tensor, weight: Tensor, stride: list[int], padding: list[int], dilation: list[int]
    ) -> Tensor:
        input = input.to(torch.bfloat16)
        ctx.save_for_backward(input, weight)
        ctx.geometry = _Geometry(stride, padding, dilation)
        return functional.conv2d(
            input, weight.to(torch.bfloat16), None, stride, padding, dilation, groups=weight.shape[0]
        )

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, Tensor | None, None, None, None]:
        input, weight = ctx.saved_tensors
        needed: Sequence[bool] = ctx.needs_input_grad
        by_input = _by_input(gradient, input, weight, ctx.geometry) if needed[0] else None
        by_weight = _by_weight(gradient, input, weight, ctx.geometry).to(weight.dtype) if needed[1] else None
        return by_input, by_weight, None, None, None


def _by_input(
    gradient: Float[Tensor, "b d u v"],
    input: Float[Tensor, "b d h w"],
    weight: Float[Tensor, "d 1 i j"],
    geometry: _Geometry,
) -> Float[Tensor, "b d h w"]:
    """Convolve with the kernel turned by 180 degrees where there is no stride, else compute in float32."""
    sides, (stride, padding, dilation) = weight.shape[2:], geometry
    reach = [(side - 1) * step - edge for side, step, edge in zip(sides, dilation, padding, strict=True)]
    if stride != [1, 1] or min(reach) < 0:
        return _library(gradient.float(), input.float(), weight, geometry, 0).to(gradient.dtype)
    turned = weight.to(gradient.dtype).flip(2, 3)
    return functional.conv2d(gradient, turned, None, 1, reach, dilation, groups=len(weight))


def _by_weight(
    gradient: Float[Tensor, "b d u v"],
    input: Float[Tensor, "b d h w"],
    weight: Float[Tensor, "d 1 i j"],
    geometry: _Geometry,
) -> Float[Tensor, "d 1 i j"]:
    """Take the gradient of a 5x5 kernel as that of the four 3x3 kernels in its corners; of others, in float32."""
    if weight.shape[2:] == (3, 3):
        return _library(gradient, input, weight, geometry, 1)
    if weight.shape[2:] != (5, 5) or geometry.dilation != [1, 1]:
        return _library(gradient.float(), input.float(), weight, geometry, 1)
    down, across = geometry.padding
    padded = functional.pad(input, (across, across, down, down))
    height, width = ((side - 1) * step + 3 for side, step in zip(gradient.shape[2:], geometry.stride, strict=True))
    whole, corner, unpadded = torch.empty_like(weight), weight[:, :, :3, :3], geometry._replace(padding=[0, 0])
    for top, left in product((0, 2), repeat=2):
        window = padded[:, :, top : top + height, left : left + width].contiguous(memory_format=torch.channels_last)
        whole[:, :, top : top + 3, left : left + 3] = _library(gradient, window, corner, unpadded, 1)
    return whole


def _library(
    gradient: Float[Tensor, "b d u v"],
    input: Float[Tensor, "b d h w"],
    weight: Float[Tensor, "d 1 i j"],
    geometry: _Geometry,
    which: int,
) -> Tensor:
    """Return torch's own gradient by the input (0) or the weight (1)."""
    mask = [which == 0, which == 1, False]
    weight = weight.to(gradient.dtype)
    gradients = torch.ops.aten.convolution_backward(
        gradient, input, weight, None, *geometry, False, [0, 0], len(weight), mask
    )
    chosen: Tensor = gradients[which]
    return chosen
