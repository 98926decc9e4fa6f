"""Batch norms of a training batch that has one value a channel: a single photograph whose feature map is one cell."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from torch import Tensor
from torch.nn import functional
from torch.overrides import TorchFunctionMode


class SingleValues(TorchFunctionMode):
    """Inside this context a batch norm that is shown one value a channel uses the statistics it has seen so far.

    One value has no variance, and torch refuses it. Here it is normalised as in evaluation: its gradient exists, and
    the running statistics stay. A batch norm that keeps no statistics answers with its bias, since one value less
    its own mean is 0. Whatever has two values a channel or more is computed as ever.

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
        if func is functional.batch_norm:
            return _batch_norm(*args, **(kwargs or {}))
        return func(*args, **(kwargs or {}))


def _batch_norm(
    input: Tensor,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Tensor:
    if training and input.numel() == input.shape[1]:
        if running_mean is None:
            scaled = input - input if weight is None else (input - input) * weight.view_as(input)
            return (scaled if bias is None else scaled + bias.view_as(input)).to(input.dtype)
        training = False
    return functional.batch_norm(input, running_mean, running_var, weight, bias, training, momentum, eps)
