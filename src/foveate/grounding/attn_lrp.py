"""AttnLRP: what each token of a transformer, or each place of a CNN, adds to a class's logit.

Achtibat et al., AttnLRP: Attention-Aware Layer-Wise Relevance Propagation for Transformers (ICML 2024).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, MutableMapping, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.overrides import TorchFunctionMode, resolve_name
from torch.utils.weak import WeakTensorKeyDictionary

from foveate.errors import UserError
from foveate.grounding import attn_lrp_rules as rules
from foveate.grounding.excitation.recorder import leaves
from foveate.grounding.grad_cam import GradientTimesActivation
from foveate.grounding.gradients import Target, alone

_ALONE: tuple[rules.Function, ...] = (
    *(functional.gelu, functional.silu, functional.mish, functional.elu, functional.relu6, functional.hardtanh),
    *(functional.hardswish, functional.softplus, functional.hardsigmoid, functional.sigmoid, functional.tanh),
    *(torch.sigmoid, Tensor.sigmoid, torch.tanh, Tensor.tanh, functional.leaky_relu, functional.logsigmoid),
)
"""Of one activation each. A rectifier's gradient is its rule already."""
_RULES: dict[rules.Function, rules.Function] = {
    **{each: rules.elementwise(each) for each in _ALONE},
    **dict.fromkeys((functional.layer_norm, torch.layer_norm), rules.layer_norm),
    **dict.fromkeys((functional.rms_norm, torch.rms_norm), rules.rms_norm),
    **dict.fromkeys((functional.group_norm, torch.group_norm), rules.group_norm),
    functional.normalize: rules.normalize,
    functional.scaled_dot_product_attention: rules.scaled_dot_product_attention,
    functional.multi_head_attention_forward: rules.multi_head_attention_forward,
}
_PRODUCTS = frozenset({"mul", "mul_", "matmul", "bmm", "einsum", "baddbmm"})
"""By the last part of their names, as the next: where two factors are activations, each gets half."""
_LINEAR = frozenset(
    """
    add add_ sub sub_ rsub neg mean sum norm cat stack chunk split unbind unfold fold flatten unflatten reshape
    view view_as permute transpose movedim squeeze unsqueeze expand repeat roll flip pad contiguous clone to
    type_as float double __getitem__ __setitem__ select index_select gather addcmul masked_fill masked_fill_
    dropout batch_norm alpha_dropout relu relu_ softmax max_pool2d avg_pool2d adaptive_avg_pool2d
    adaptive_max_pool2d interpolate where pixel_unshuffle pixel_shuffle identity amax max feature_dropout linear
    conv2d t
    """.split()  # noqa: SIM905  # a list of so many strings is no better to read
)
"""Their gradients are their rule: linear, of no higher degree than one, or the softmax."""


class AttnLRP(GradientTimesActivation):
    """Relevance of a layer's places by AttnLRP; the network stays as it is. May be called from several threads.

    Computed as the authors' efficient form: activation times gradient, while functions that are not linear have others
    (`attn_lrp_rules`). A map adds up to what its places add to the logit; the rest is that of tokens of no place, of
    biases and of softmaxes, which keep some. What speaks against a class is left out.

    >>> import timm, torch
    >>> from foveate import AttnLRP
    >>> attn_lrp = AttnLRP(timm.create_model("test_vit", num_classes=10), "blocks.0")
    >>> attn_lrp(torch.randn(2, 3, 160, 160), 3).maps.shape
    torch.Size([2, 3, 10, 10])
    """

    def __init__(
        self, network: nn.Module, layer: str, *, target: Target = alone, gamma: float = 0.05, stem_gamma: float = 0.25
    ) -> None:
        """Look into a copy of the network's modules.

        Args:
            network: From images to logits, of functions that all have a rule.
            layer: Names the module whose output has relevance: a feature map, or tokens.
            target: What is grounded: the class's logit alone, or against its `Rivals`.
            gamma: Of the gamma rule in linear layers; 0: none.
            stem_gamma: The same in convolutions.

        Raises:
            UserError: There is no such layer, the network cannot be copied, or a gamma is negative.
        """
        if min(gamma, stem_gamma) < 0:
            raise UserError(f"gamma must be 0 or more; got {gamma} and {stem_gamma}; take 0 for no such rule")
        table = dict(_RULES)
        if gamma:
            table[functional.linear] = rules.gamma_rule(functional.linear, gamma)
        if stem_gamma:
            table[functional.conv2d] = rules.gamma_rule(functional.conv2d, stem_gamma)
        super().__init__(network, layer, target=target, rules=partial(RelevanceRules, table=table))


class RelevanceRules(TorchFunctionMode):
    """Inside this context, torch functions called on activations get the gradients of their rules.

    The context is that of one thread. Functions that give no tensor pass; what else has no rule is refused.
    """

    def __init__(self, begun: Sequence[Tensor], table: Mapping[rules.Function, rules.Function]) -> None:
        """Watch what rests on tensors, which are there as soon as they are made.

        Args:
            begun: The first activations: what the grounding layer gives. Below it no rule is needed.
            table: The rules.
        """
        super().__init__()
        self._table = table
        self._begun = begun
        self._known: MutableMapping[Tensor, None] = WeakTensorKeyDictionary()

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: object,
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        """Call the function, or its rule where it concerns activations."""
        kwargs = dict(kwargs or {})
        if self._counts(args, kwargs) == 0:
            return func(*args, **kwargs)
        try:
            output = self._ruled(func, args, kwargs)
        except rules.NoAttnLRPRule as reason:
            raise UserError(
                f"AttnLRP has no rule for {' '.join([resolve_name(func) or func.__name__, *reason.args])}; "
                "take grad-cam, finer-cam or gradient-activation, which need no rule"
            ) from None
        for each in leaves(output):
            if isinstance(each, Tensor):
                self._known[each] = None
        return output

    def _counts(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> int:
        """Return how many of a call's arguments are activations."""
        return sum(isinstance(each, Tensor) and self._knows(each) for each in leaves((args, kwargs)))

    def _knows(self, tensor: Tensor) -> bool:
        return tensor in self._known or any(tensor is each for each in self._begun)

    def _ruled(self, func: rules.Function, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        name = func.__name__.strip("_").removeprefix("i").removeprefix("r") if "mul" in func.__name__ else func.__name__
        if (rule := self._table.get(func)) is not None:
            return rule(*args, **kwargs)
        if name in _PRODUCTS:
            product = func(*args, **kwargs)
            return rules.halved(product) if self._counts(args, kwargs) > 1 else product
        if name in ("div", "__truediv__", "true_divide", "div_"):
            return rules.quotient(*args, **kwargs)
        output = func(*args, **kwargs)
        if name not in _LINEAR and any(
            isinstance(each, Tensor) and each.is_floating_point() for each in leaves(output)
        ):
            raise rules.NoAttnLRPRule
        return output
