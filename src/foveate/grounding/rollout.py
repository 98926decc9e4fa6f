"""Attention rollout: from where information reaches a transformer's answer, whatever the class."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn
from torch.nn import functional
from torch.overrides import TorchFunctionMode

from foveate.errors import UserError
from foveate.grounding.attn_lrp_rules import attention_weights
from foveate.grounding.layers import chosen_classes, private_copy
from foveate.grounding.places import Places, places_of
from foveate.types import Grounded

_SOFTMAXES = (functional.softmax, torch.softmax, Tensor.softmax)


class AttentionRollout:
    """Attention of all layers, multiplied: how much of each token has reached what the head reads.

    That is a token, the mean of the patches, or both.

    Abnar and Zuidema, Quantifying Attention Flow in Transformers (ACL 2020), section 3: heads are averaged, and half of
    each token comes past the attention. It knows no class: the maps of all classes of an image are the same, so that it
    cannot say why one class and not another. The network stays as it is. May be called from several threads.

    >>> import timm, torch
    >>> from foveate import AttentionRollout
    >>> rollout = AttentionRollout(timm.create_model("test_vit", num_classes=10))
    >>> rollout(torch.randn(2, 3, 160, 160), 1).maps.shape
    torch.Size([2, 1, 10, 10])
    """

    def __init__(self, network: nn.Module) -> None:
        """Look into a copy of the network's modules.

        Raises:
            UserError: The network cannot be copied.
        """
        self._network = private_copy(network)

    @torch.no_grad()
    def __call__(self, images: Float[Tensor, "b 3 H W"], classes: Int64[Tensor, "b k"] | int) -> Grounded:
        """Return the map of each image, once for each class; arguments and errors as `ExcitationBackprop` has them.

        Raises:
            UserError: Also where the network has no attention among all tokens of an image.
        """
        with torch.autocast(images.device.type, enabled=False), AttentionWeights() as attention:
            logits = self._network(images)
        chosen = chosen_classes(logits, classes)
        flow, places = self._flow(attention.weights, images)
        patches = flow[:, places.prefix :].mean(1)
        read = _read(self._network)
        reached = patches if read == 0 else flow[:, 0] if read == 1 else (flow[:, 0] + patches) / 2
        cells = places.map(reached[..., None])
        return Grounded(logits, chosen, cells.expand(-1, chosen.shape[1], -1, -1).float().contiguous())

    def _flow(
        self, weights: list[Float[Tensor, "w heads n n"]], images: Float[Tensor, "b 3 H W"]
    ) -> tuple[Float[Tensor, "b n n"], Places]:
        shapes = {(len(each), each.shape[-2], each.shape[-1]) for each in weights}
        places = places_of(weights[0].mean(1), images, self._network) if weights else None
        if len(shapes) != 1 or places is None or weights[0].shape[-1] != weights[0].shape[-2]:
            found = ", ".join(map(str, sorted(shapes))) or "none"
            raise UserError(
                "attention rollout multiplies attention among all tokens of an image, layer by layer; the network's is "
                f"(sequences, from, to) {found}; take grad-cam, finer-cam, gradient-activation or attn-lrp"
            )
        flow = torch.eye(weights[0].shape[-1]).to(weights[0])
        for each in weights:
            step = (each.mean(1) + torch.eye(each.shape[-1]).to(each)) / 2
            flow = step / step.sum(-1, keepdim=True) @ flow
        return flow, places


def _read(network: nn.Module) -> float:
    """Return how much of what a head reads is the first token, the rest being the mean of the patches."""
    body = getattr(network, "body", None)
    if body is not None:  # the class token beside the mean of the patches
        return 0.5
    pooling = getattr(network, "global_pool", None)
    if pooling is None:
        return 1.0 if hasattr(network, "class_token") else 0.0
    return 1.0 if pooling == "token" else 0.0


class AttentionWeights(TorchFunctionMode):
    """Inside this context, of one thread, all weights of attention are kept: softmaxes over tokens, fused or not."""

    def __init__(self) -> None:
        super().__init__()
        self.weights: list[Float[Tensor, "w heads n m"]] = []

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: object,
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        """Call the function; keep the attention's weights."""
        kwargs = kwargs or {}
        output = func(*args, **kwargs)
        if func is functional.scaled_dot_product_attention:
            self.weights.append(_of_fused(*args, **kwargs))
        elif func is functional.multi_head_attention_forward or func is torch._native_multi_head_attention:
            raise UserError(
                "attention rollout reads attention's weights; torch's own MultiheadAttention hides them; take the "
                "timm network of that architecture, or attn-lrp"
            )
        elif func in _SOFTMAXES and output.ndim == 4:
            self.weights.append(output)
        return output


def _of_fused(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attn_mask: Tensor | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
) -> Tensor:
    return attention_weights(query @ key.mT, query, attn_mask, scale)
