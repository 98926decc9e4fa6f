"""Rules of AttnLRP: what takes the place of a torch function, so that activation times gradient is relevance.

Achtibat et al., AttnLRP (ICML 2024). A rule computes what the function does, from terms of which some count as
constants; what gradients then are is relevance over activation. Where functions are linear, without their biases, and
for the softmax (Eq. 13), gradients are that already.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

Function = Callable[..., Any]


def with_gradient_of(values: Tensor, stand_in: Tensor) -> Tensor:
    """Return values whose gradient is that of others, nearly equal or not."""
    return stand_in + (values - stand_in).detach()


def halved(values: Tensor) -> Tensor:
    """Return a product of two activations, each of which gets half of its relevance (Eq. 7)."""
    return values / 2 + (values / 2).detach()


def elementwise(function: Function) -> Function:
    """Return a function of each activation alone, which keeps all of its relevance (Eq. 9)."""

    def rule(values: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        if "inplace" in kwargs:
            kwargs["inplace"] = False
        elif args and isinstance(args[-1], bool):
            args = (*args[:-1], False)
        fixed = values.detach()
        outputs = function(fixed.clone(), *args, **kwargs)
        ratios = (outputs / fixed).where(fixed != 0, 0)
        return with_gradient_of(outputs, values * ratios)

    return rule


def layer_norm(
    values: Tensor,
    normalized_shape: list[int],
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    eps: float = 1e-5,
    cudnn_enable: bool = True,
) -> Tensor:
    """A norm divides by a constant (section 3.3); the mean is linear."""
    dims = tuple(range(-len(normalized_shape), 0))
    centred = values - values.mean(dims, keepdim=True)
    return _affine(centred * _inverse_root(centred.detach().square().mean(dims, keepdim=True), eps), weight, bias)


def rms_norm(
    values: Tensor, normalized_shape: list[int], weight: Tensor | None = None, eps: float | None = None
) -> Tensor:
    """As a layer norm, but the mean stays."""
    dims = tuple(range(-len(normalized_shape), 0))
    least = torch.finfo(values.dtype).eps if eps is None else eps
    return _affine(values * _inverse_root(values.detach().square().mean(dims, keepdim=True), least), weight, None)


def group_norm(
    values: Tensor,
    num_groups: int,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    eps: float = 1e-5,
    cudnn_enabled: bool = True,
) -> Tensor:
    """As a layer norm, over groups of channels and all their places."""
    groups = values.reshape(len(values), num_groups, -1, *values.shape[2:])
    dims = tuple(range(2, groups.ndim))
    centred = groups - groups.mean(dims, keepdim=True)
    normalised = centred * _inverse_root(centred.detach().square().mean(dims, keepdim=True), eps)
    channels = (-1, *[1] * (values.ndim - 2))
    scale = None if weight is None else weight.view(channels)
    return _affine(normalised.view_as(values), scale, None if bias is None else bias.view(channels))


def normalize(values: Tensor, p: float = 2.0, dim: int = 1, eps: float = 1e-12, out: None = None) -> Tensor:
    """As a norm: the length is a constant."""
    length = torch.linalg.vector_norm(values.detach(), p, dim, keepdim=True)
    normalised: Tensor = values / length.clamp(min=eps)
    return normalised


def quotient(values: Tensor, other: Tensor, **kwargs: Any) -> Tensor:
    """As a norm: the divisor is a constant."""
    return torch.div(values, other.detach(), **kwargs)


def scaled_dot_product_attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attn_mask: Tensor | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> Tensor:
    """Both products split relevance in halves (Eq. 15), the softmax between them by its gradient (Eq. 13)."""
    if is_causal or enable_gqa:
        raise NoAttnLRPRule("that is causal or shares keys")
    return halved(attention_weights(halved(query @ key.mT), query, attn_mask, scale) @ value)


def attention_weights(
    products: Tensor, query: Tensor, mask: Tensor | None = None, scale: float | None = None
) -> Tensor:
    """Return the softmax of scaled products of queries and keys, those left out that a mask forbids."""
    scores = products * (query.shape[-1] ** -0.5 if scale is None else scale)
    if mask is not None:
        scores = scores.masked_fill(~mask, -torch.inf) if mask.dtype is torch.bool else scores + mask
    return scores.softmax(-1)


def multi_head_attention_forward(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    embed_dim_to_check: int,
    num_heads: int,
    in_proj_weight: Tensor | None,
    in_proj_bias: Tensor | None,
    bias_k: Tensor | None,
    bias_v: Tensor | None,
    add_zero_attn: bool,
    dropout_p: float,
    out_proj_weight: Tensor,
    out_proj_bias: Tensor | None,
    **others: Any,
) -> tuple[Tensor, None]:
    """Torch's own attention as torchvision's ViT calls it: of one sequence with itself, images first, no mask."""
    masks = (others.get("key_padding_mask"), others.get("attn_mask"), bias_k, bias_v)
    if in_proj_weight is None or add_zero_attn or any(each is not None for each in masks):
        raise NoAttnLRPRule("with a mask, or of several sequences")
    length, count, _ = query.shape
    weights = in_proj_weight.chunk(3)
    biases = (None, None, None) if in_proj_bias is None else in_proj_bias.chunk(3)
    heads = [
        functional.linear(each, weight, bias).view(length, count, num_heads, -1).permute(1, 2, 0, 3)
        for each, weight, bias in zip((query, key, value), weights, biases, strict=True)
    ]
    seen = scaled_dot_product_attention(heads[0], heads[1], heads[2]).permute(2, 0, 1, 3).flatten(2)
    return functional.linear(seen, out_proj_weight, out_proj_bias), None


def gamma_rule(function: Function, gamma: float) -> Function:
    """Return a linear layer that favours what excites (the gamma rule; AttnLRP, appendix B, for vision transformers).

    Weights grow by gamma times themselves where they push an activation the way that the output goes. It makes up for
    the noise that deep networks' gradients have; at 0 it is the gradient.
    """

    def rule(values: Tensor, weight: Tensor, bias: Tensor | None = None, *args: Any, **kwargs: Any) -> Tensor:
        raising, lowering = (weight + gamma * weight.clamp(**bound) for bound in ({"min": 0}, {"max": 0}))
        outputs = function(values.detach(), weight, bias, *args, **kwargs)
        above, below = values.clamp(min=0), values.clamp(max=0)
        up = function(above, raising, None, *args, **kwargs) + function(below, lowering, None, *args, **kwargs)
        down = function(above, lowering, None, *args, **kwargs) + function(below, raising, None, *args, **kwargs)
        excited = up.where(outputs > 0, down)
        whole = excited.detach()
        if bias is not None:
            channels = bias.view(-1, *[1] * (outputs.ndim - 2)) if function is not functional.linear else bias
            whole = whole + channels * (1 + gamma * (channels > 0).eq(outputs > 0))
        return with_gradient_of(outputs, excited * (outputs / whole).where(whole.abs() > 1e-12, 0))

    return rule


class NoAttnLRPRule(Exception):
    """There is no rule for a call; the message says what about the call is the reason."""


def _affine(values: Tensor, weight: Tensor | None, bias: Tensor | None) -> Tensor:
    scaled = values if weight is None else values * weight
    return scaled if bias is None else scaled + bias


def _inverse_root(variance: Tensor, eps: float) -> Tensor:
    return (variance + eps).rsqrt()
