"""What watches a forward pass and writes the tape."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from torch import Tensor
from torch.overrides import TorchFunctionMode, resolve_name

from foveate.errors import UserError
from foveate.grounding.excitation.functions import RULES
from foveate.grounding.excitation.tape import NoRule, Rule, Tape
from foveate.grounding.layers import WITHOUT_RULES


class Recorder(TorchFunctionMode):
    """Inside this context, torch functions called on activations above the grounding layer are recorded.

    The context is that of one thread. Functions that give no tensor (sizes, types) pass. What else has no rule is
    refused: relevance that took an unknown way would be lost without a sign.
    """

    def __init__(self, tape: Tape) -> None:
        super().__init__()
        self._tape = tape

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: object,
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        """Call the function, and record it where it concerns relevance."""
        kwargs = kwargs or {}
        known = [each for each in leaves((args, kwargs)) if self._tape.knows(each)]
        if not known:
            return func(*args, **kwargs)
        try:
            rule = RULES.get(func)
            return self._passed(func, args, kwargs, known) if rule is None else self._ruled(rule, func, args, kwargs)
        except NoRule as reason:
            raise UserError(
                f"excitation backprop has no rule for {' '.join([_name(func), *reason.args])}, called in "
                f"{self._tape.module}; it takes networks of convolutions, batch norms, ReLUs, poolings, sums and "
                f"concatenations; take such a network, or {WITHOUT_RULES}"
            ) from None

    def _ruled(self, rule: Rule, func: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Tensor:
        """The rule comes first: the function may overwrite what the rule reads."""
        try:
            bound = inspect.signature(rule).bind(self._tape, *args, **kwargs)
        except TypeError:
            raise NoRule("with such arguments") from None
        entry = rule(*bound.args, **bound.kwargs)
        output: Tensor = func(*args, **kwargs)
        self._tape.record(output, entry)
        return output

    def _passed(
        self, func: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any], known: Sequence[Tensor]
    ) -> Any:
        """What has no rule may tell about activations, but neither make nor change any."""
        versions = [each._version for each in known]
        output = func(*args, **kwargs)
        if any(isinstance(each, Tensor) for each in leaves(output)) or versions != [each._version for each in known]:
            raise NoRule
        return output


def leaves(value: object) -> Iterator[object]:
    """Yield what lies in nested sequences and mappings."""
    if isinstance(value, Mapping):
        value = tuple(value.values())
    if isinstance(value, list | tuple):
        for each in value:
            yield from leaves(each)
    else:
        yield value


def _name(func: Callable[..., Any]) -> str:
    return str(resolve_name(func) or getattr(func, "__qualname__", func))
