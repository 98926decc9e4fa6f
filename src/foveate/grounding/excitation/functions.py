"""Which torch function is which step of excitation backprop.

What is not in `RULES` has no rule, on purpose: gates and other products, activations that are not zero below zero,
norms over channels, attention. Each rule takes the tape, then the arguments of its torch function under their names.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from foveate.grounding.excitation.convolution import Convolution, Dense, Linear
from foveate.grounding.excitation.pooling import Average, Route
from foveate.grounding.excitation.steps import Crop, PassOn, Reshape, Slices, Split
from foveate.grounding.excitation.tape import Entry, NoRule, Rule, Tape

_Sizes = int | Sequence[int]


def _linear(tape: Tape, input: Tensor, weight: Tensor, bias: Tensor | None = None) -> Entry:
    _check_constant(tape, weight, bias)
    return Entry((tape.number(input),), Linear(tape.save(input), weight, Dense()))


def _conv2d(
    tape: Tape,
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: _Sizes = 1,
    padding: str | _Sizes = 0,
    dilation: _Sizes = 1,
    groups: int = 1,
) -> Entry:
    _check_constant(tape, weight, bias)
    dilations = _pair(dilation)
    if padding == "same":
        input, padding = _padded_to_same(tape, input, weight, dilations)
    sides = (0, 0) if isinstance(padding, str) else _pair(padding)
    weighting = Convolution(_pair(stride), sides, dilations, groups, (input.shape[2], input.shape[3]))
    return Entry((tape.number(input),), Linear(tape.save(input), weight, weighting))


def _padded_to_same(
    tape: Tape, input: Tensor, weight: Tensor, dilation: tuple[int, int]
) -> tuple[Tensor, tuple[int, int]]:
    """Return the padding that "same" stands for; what it adds at the end only is added to the input."""
    rows, columns = (step * (size - 1) for step, size in zip(dilation, weight.shape[2:], strict=True))
    uneven = (0, columns % 2, 0, rows % 2)
    padded = input
    if any(uneven):
        padded = functional.pad(input, uneven)
        tape.record(padded, Entry((tape.number(input),), Crop(uneven)))
    return padded, (rows // 2, columns // 2)


def _batch_norm(
    tape: Tape,
    input: Tensor,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    training: bool = False,
    momentum: object = 0.1,
    eps: object = 1e-5,
) -> Entry:
    """After weights the scale's sign flips theirs, and its size cancels in R / (W+ a)."""
    _check_constant(tape, running_mean, running_var, weight, bias)
    if training:
        raise NoRule("with the statistics of the batch")
    number = tape.number(input)
    sources, step = tape.producer(number)
    if not isinstance(step, Linear):
        return Entry((number,), PassOn())
    return Entry(sources, step if weight is None else step.signed(weight.sign()))


def _rectifier(tape: Tape, input: Tensor, inplace: object = False) -> Entry:
    return Entry((tape.number(input),), PassOn())


def _clamp(tape: Tape, input: Tensor, min: object = None, max: object = None) -> Entry:
    if isinstance(min, Tensor) or min != 0:
        raise NoRule("that does not cut off at zero")
    return Entry((tape.number(input),), PassOn())


def _hardtanh(
    tape: Tape, input: Tensor, min_val: object = -1.0, max_val: object = 1.0, inplace: object = False
) -> Entry:
    return _clamp(tape, input, min_val)


def _dropout(tape: Tape, input: Tensor, p: object = 0.5, training: bool = True, inplace: object = False) -> Entry:
    if training and p != 0:
        raise NoRule("that drops values outside of training")
    return _same(tape, input)


def _same(tape: Tape, input: Tensor, *args: object, **kwargs: object) -> Entry:
    return Entry((tape.number(input),), None)


def _add(tape: Tape, input: object, other: object, *, alpha: object = 1) -> Entry:
    if not (isinstance(input, Tensor) and isinstance(other, Tensor)) or input.shape != other.shape or alpha != 1:
        raise NoRule("of a number, of another shape or of a multiple")
    return Entry((tape.number(input), tape.number(other)), Split.of(input, other, raw=tape.raw))


def _cat(tape: Tape, tensors: Sequence[Tensor], dim: int = 0) -> Entry:
    dim %= tensors[0].ndim
    if dim == 0:
        raise NoRule("of images")
    return Entry(tuple(map(tape.number, tensors)), Slices(dim, tuple(each.shape[dim] for each in tensors)))


def _reshape(tape: Tape, input: Tensor, *args: object, **kwargs: object) -> Entry:
    return Entry((tape.number(input),), Reshape(tuple(input.shape[1:])))


def _pad(tape: Tape, input: Tensor, pad: Sequence[int], mode: str = "constant", value: object = None) -> Entry:
    if mode != "constant" or len(pad) > 2 * (input.ndim - 1):
        raise NoRule("of images, or with other values than a constant")
    return Entry((tape.number(input),), Crop(tuple(pad)))


def _avg_pool2d(
    tape: Tape,
    input: Tensor,
    kernel_size: _Sizes,
    stride: _Sizes | None = None,
    padding: _Sizes = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: object = None,
) -> Entry:
    """Whatever the divisor, it cancels in R / (W a)."""
    sides = zip(_pair(kernel_size), _pair(stride or kernel_size), _pair(padding), strict=True)
    rows, columns = (
        partial(
            functional.avg_pool1d,
            kernel_size=kernel,
            stride=step,
            padding=side,
            ceil_mode=ceil_mode,
            count_include_pad=count_include_pad,
        )
        for kernel, step, side in sides
    )
    return _average(tape, input, rows, columns)


def _adaptive_avg_pool2d(tape: Tape, input: Tensor, output_size: Any) -> Entry:
    shape = (output_size, output_size) if isinstance(output_size, int) else output_size
    sizes = [cells if size is None else size for size, cells in zip(shape, input.shape[2:], strict=True)]
    rows, columns = (partial(functional.adaptive_avg_pool1d, output_size=size) for size in sizes)
    return _average(tape, input, rows, columns)


def _mean(tape: Tape, input: Tensor, dim: Any = None, keepdim: object = False) -> Entry:
    _check_whole_map(input, dim)
    return _adaptive_avg_pool2d(tape, input, 1)


def _average(tape: Tape, input: Tensor, *pools: Callable[[Tensor], Tensor]) -> Entry:
    rows, columns = (
        pool(torch.eye(cells, device=input.device)[None])[0].mT
        for pool, cells in zip(pools, input.shape[2:], strict=True)
    )
    return Entry((tape.number(input),), Average(tape.save(input), rows, columns))


def _max_pool2d(tape: Tape, input: Tensor, *args: Any, **kwargs: Any) -> Entry:
    return _route(tape, functional.max_pool2d(input, *args, **(kwargs | {"return_indices": True})), input)


def _adaptive_max_pool2d(tape: Tape, input: Tensor, output_size: Any, return_indices: object = False) -> Entry:
    return _route(tape, functional.adaptive_max_pool2d(input, output_size, return_indices=True), input)


def _amax(tape: Tape, input: Tensor, dim: Any = (), keepdim: object = False) -> Entry:
    _check_whole_map(input, dim)
    return _adaptive_max_pool2d(tape, input, 1)


def _route(tape: Tape, pooled: tuple[Tensor, Tensor], input: Tensor) -> Entry:
    return Entry((tape.number(input),), Route(pooled[1], (input.shape[2], input.shape[3])))


def _check_constant(tape: Tape, *weights: Tensor | None) -> None:
    if any(map(tape.knows, weights)):
        raise NoRule("with weights that depend on the image")


def _check_whole_map(input: Tensor, dim: Any) -> None:
    dims = {dim} if isinstance(dim, int) else set(dim or ())
    if input.ndim != 4 or {each % 4 for each in dims} != {2, 3}:
        raise NoRule("over anything else than the rows and columns of a feature map")


def _pair(value: _Sizes) -> tuple[int, int]:
    rows, columns = (value, value) if isinstance(value, int) else (*value, *value)[:2]
    return rows, columns


_FUNCTIONS: dict[Rule, tuple[Callable[..., Any], ...]] = {
    _linear: (functional.linear,),
    _conv2d: (functional.conv2d,),
    _batch_norm: (functional.batch_norm,),
    _rectifier: (
        functional.relu,
        functional.relu6,
        torch.relu,
        torch.relu_,
        Tensor.relu,
        Tensor.relu_,
    ),
    _hardtanh: (functional.hardtanh, functional.hardtanh_),
    _clamp: (
        torch.clamp,
        torch.clamp_,
        torch.clamp_min,
        torch.clamp_min_,
        Tensor.clamp,
        Tensor.clamp_,
        Tensor.clamp_min,
        Tensor.clamp_min_,
    ),
    _dropout: (functional.dropout, functional.dropout1d, functional.dropout2d, torch.dropout, torch.dropout_),
    _same: (Tensor.contiguous, Tensor.clone, torch.clone, Tensor.detach, torch.detach, Tensor.to, Tensor.float),
    _add: (torch.add, Tensor.add, Tensor.add_, Tensor.__add__, Tensor.__iadd__, Tensor.__radd__),
    _cat: (torch.cat, torch.concat, torch.concatenate),
    _reshape: (
        torch.flatten,
        torch.reshape,
        torch.squeeze,
        torch.unsqueeze,
        Tensor.flatten,
        Tensor.reshape,
        Tensor.view,
        Tensor.squeeze,
        Tensor.unsqueeze,
    ),
    _pad: (functional.pad,),
    _avg_pool2d: (functional.avg_pool2d,),
    _adaptive_avg_pool2d: (functional.adaptive_avg_pool2d,),
    _mean: (torch.mean, Tensor.mean),
    _max_pool2d: (functional.max_pool2d, torch.max_pool2d),
    _adaptive_max_pool2d: (functional.adaptive_max_pool2d,),
    _amax: (torch.amax, Tensor.amax),
}

RULES: dict[Callable[..., Any], Rule] = {function: rule for rule, group in _FUNCTIONS.items() for function in group}
"""The rule of each torch function that has one."""
