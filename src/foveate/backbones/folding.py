"""Batch norms folded into the convolutions before them: the same answers in fewer passes over the memory."""

from __future__ import annotations

import copy
from collections import Counter
from collections.abc import Iterator
from typing import Any, TypeVar

import torch.fx
from timm.layers.conv2d_same import Conv2dSame
from timm.layers.norm_act import BatchNormAct2d
from torch import nn
from torch.nn.utils import fuse_conv_bn_eval

from foveate.backbones.same_padding import EvenlyPadded

_N = TypeVar("_N", bound=nn.Module)

_CONVOLUTIONS = (nn.Conv2d, Conv2dSame, EvenlyPadded)
_NORMS = (nn.BatchNorm2d, BatchNormAct2d)


def folded(network: _N) -> _N:
    """Return a copy for inference whose batch norms are part of their convolutions, wherever that is sure to be right.

    A batch norm is folded where the graph of the network shows that a convolution's output goes to it and nowhere else,
    and neither has another name. In its place stays its activation (timm's `BatchNormAct2d`) or nothing, under the same
    name, so that it can still be asked for. Where `torch.fx` cannot trace a module, its children are tried one by one.

    Args:
        network: From images to logits, in evaluation mode.

    Raises:
        ValueError: It is in training mode, where a batch norm depends on the batch.
    """
    if network.training:
        raise ValueError("batch norms can be folded in evaluation mode only; got a network in training mode")
    copies: dict[int, Any] = {}
    names = Counter(id(module) for _, module in network.named_modules(remove_duplicate=False))
    for convolution, norm in _pairs(network):
        layer, batch_norm = network.get_submodule(convolution), network.get_submodule(norm)
        if max(names[id(layer)], names[id(batch_norm)]) > 1:
            continue  # each trace saw one name, and the other may be called too
        assert isinstance(layer, nn.Conv2d)
        assert isinstance(batch_norm, nn.BatchNorm2d)
        copies[id(layer)] = fuse_conv_bn_eval(layer, batch_norm)
        copies[id(batch_norm)] = copy.deepcopy(_rest_of(batch_norm))
    return copy.deepcopy(network, copies)  # which takes those as copies made already


class _Tracer(torch.fx.Tracer):
    """Follows a network down to its convolutions and batch norms, timm's own kinds of them too."""

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        return isinstance(m, nn.Conv2d | nn.BatchNorm2d) or super().is_leaf_module(m, module_qualified_name)


def _pairs(network: nn.Module) -> Iterator[tuple[str, str]]:
    """Yield the names of each convolution and of the batch norm that alone takes its output."""
    try:
        graph = _Tracer().trace(network)
    except Exception:  # whatever a module's code does with a value that is not there; torch.fx names no type
        for name, child in network.named_children():
            yield from ((f"{name}.{convolution}", f"{name}.{norm}") for convolution, norm in _pairs(child))
        return
    modules = dict(network.named_modules())
    calls: dict[str, list[Any]] = {}
    for node in graph.nodes:
        if node.op == "call_module":
            calls.setdefault(node.target, []).append(node)
    for norm, (node, *others) in calls.items():
        producer = node.args[0] if node.args else None
        if others or not isinstance(producer, torch.fx.Node) or producer.op != "call_module":
            continue
        convolution = str(producer.target)
        known = _known(modules[convolution], _CONVOLUTIONS) and _known(modules[norm], _NORMS)
        if known and len(producer.users) == len(calls[convolution]) == 1:
            yield convolution, norm


def _known(module: nn.Module, kinds: tuple[type[nn.Module], ...]) -> bool:
    """Say whether a module computes what its kind does and nothing else: no subclass of another mind, no hooks."""
    hooked = module._forward_hooks or module._forward_pre_hooks
    return type(module) in kinds and not hooked and getattr(module, "running_var", module) is not None


def _rest_of(batch_norm: nn.Module) -> nn.Module:
    """Return what is left of a batch norm without its arithmetic: timm's hold their activation."""
    act = getattr(batch_norm, "act", None)
    return act if isinstance(act, nn.Module) else nn.Identity()
