"""Looking into a network without touching it, finding the layer of a stride, choosing the classes to ground."""

from __future__ import annotations

import copy
import difflib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from functools import partial
from typing import Any, NamedTuple, TypeGuard

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn

from foveate.errors import UserError

WITHOUT_RULES = (
    "a method that sees through layer norms, GELU, SiLU and attention: grad-cam, finer-cam, gradient-activation or "
    "attn-lrp"
)
"""What to take where excitation backprop refuses, in words."""
_BLANK = 224  # pixels; the side of an image where a network does not say which it takes
_WIDER = 64  # pixels; a multiple of the strides there are


def private_copy(network: nn.Module) -> nn.Module:
    """Copy a network's modules, in evaluation mode, but neither parameters nor buffers: those are shared.

    What is done to the copy's modules (hooks, modes) leaves the network alone; what is written into the network's
    tensors (a training step, `load_state_dict`) holds for the copy too. Modules that are replaced later, and buffers
    that move to another device, need a new copy.

    Raises:
        UserError: A module is compiled, or cannot be copied.
    """
    compiled = [
        name
        for name, module in network.named_modules()
        if isinstance(module, torch.jit.ScriptModule) or hasattr(module, "_orig_mod")
    ]
    if compiled:
        raise UserError(
            f"a network's operations must be seen as they run; module {compiled[0]!r} is compiled or TorchScript; "
            "give the network as it was before"
        )
    tensors = [value for module in network.modules() for value in vars(module).values() if isinstance(value, Tensor)]
    shared: dict[int, Any] = {id(each): each for each in [*network.parameters(), *network.buffers(), *tensors]}
    try:
        return copy.deepcopy(network, shared).eval()
    except Exception as error:
        # Whatever a user's module holds (locks, open files) raises its own error.
        raise UserError(
            f"a network's modules must be copyable; copying raised {type(error).__name__}: {error}"
        ) from error


def submodule(network: nn.Module, layer: str) -> nn.Module:
    """Return the module of a name.

    Raises:
        UserError: There is none; the message names close ones that give feature maps.
    """
    if layer and layer in dict(network.named_modules()):
        return network.get_submodule(layer)
    sizes = _map_sizes_of_blank(network)
    names = [name for name, size in sizes.items() if size > (1, 1)]
    close = ", ".join(difflib.get_close_matches(layer, names, n=5, cutoff=0.3) or _last_of_each(sizes))
    raise UserError(f"layer must be a module of the network; got {layer!r}; close: {close or 'none'}")


def is_map(output: object, images: Float[Tensor, "b 3 H W"]) -> TypeGuard[Tensor]:
    """Say whether what a module gives is a feature map (b, d, h, w); channels last is none."""
    if not isinstance(output, Tensor) or output.ndim != 4 or len(output) != len(images):
        return False
    return images.shape[2] != images.shape[3] or output.shape[2] == output.shape[3]


def no_map(network: nn.Module, layer: str, output: object, images: Float[Tensor, "b 3 H W"]) -> UserError:
    """Return what is wrong with a grounding layer: what it gives, and which layers give feature maps.

    Args:
        network: A private copy.
        layer: Its name.
        output: What it gave; None: it did not run.
        images: That were given.
    """
    gives = "no tensor" if output is not None else "nothing, it does not run"
    if isinstance(output, Tensor):
        gives = f"{tuple(output.shape)}"
    sizes = _map_sizes(network, images[:1])
    return UserError(
        f"a grounding layer must give one feature map (b, d, h, w); {layer!r} gives {gives}; {_proposal(sizes)}"
    )


def layers_to_propose(network: nn.Module) -> tuple[str, ...]:
    """Return the last layer of each size of feature map that a network has, the largest maps first."""
    return _last_of_each(_map_sizes_of_blank(network))


def _proposal(sizes: Mapping[str, tuple[int, int]]) -> str:
    proposed = ", ".join(_last_of_each(sizes))
    return f"name another, such as {proposed}" if proposed else "take a grounding method that needs no layer, as rise"


def _last_of_each(sizes: Mapping[str, tuple[int, int]]) -> tuple[str, ...]:
    last: dict[tuple[int, int], str] = {}
    for name, size in sizes.items():
        if size > (1, 1) and (size not in last or name.count(".") <= last[size].count(".")):
            last[size] = name
    return tuple(last[size] for size in sorted(last, reverse=True)[-5:])


def _map_sizes(
    network: nn.Module, images: Float[Tensor, "b 3 H W"], *, blank: bool = False
) -> dict[str, tuple[int, int]]:
    """Return height and width of the feature maps that modules give, in the order in which they finish.

    Args:
        network: A private copy.
        images: What it is shown.
        blank: Whether they only try it: nothing is returned where it does not take them.
    """
    sizes: dict[str, list[tuple[int, int]]] = {}

    def note(name: str, _: nn.Module, __: object, output: object) -> None:
        if is_map(output, images):
            sizes[name] = [*sizes.pop(name, []), (output.shape[2], output.shape[3])]

    # What is inside of attention looks like maps: a number for each two tokens.
    places = [each for each in network.named_modules() if each[0] and "attn" not in each[0]]
    handles = [module.register_forward_hook(partial(note, name)) for name, module in places]
    try:
        with torch.no_grad():
            network(images)
    except (UserError, MemoryError):
        raise
    except Exception:
        # Whatever a network raises that takes no image of this size: then there is nothing to propose.
        if not blank:
            raise
        return {}
    finally:
        for handle in handles:
            handle.remove()
    return {name: runs[0] for name, runs in sizes.items() if len(runs) == 1}


def _map_sizes_of_blank(network: nn.Module) -> dict[str, tuple[int, int]]:
    """Return the same of a blank image; nothing where the network does not take it."""
    return _map_sizes(private_copy(network), blank_images(network), blank=True)


def blank_images(network: nn.Module) -> Float[Tensor, "1 3 H W"]:
    """Return a blank image of the size that a network says it takes, or else of 224 pixels."""
    known = getattr(network, "pretrained_cfg", {}).get("input_size", (3, getattr(network, "image_size", _BLANK)))
    height, width = getattr(getattr(network, "patch_embed", None), "img_size", None) or (known[-1], known[-1])
    first = next(network.parameters())
    return torch.zeros(1, 3, height, width, device=first.device, dtype=first.dtype)


class OutputOf:
    """Keeps what a module of a private copy gives, for each caller by itself, whatever the number of threads."""

    def __init__(self, module: nn.Module) -> None:
        self._kept: ContextVar[list[Tensor] | None] = ContextVar("outputs", default=None)
        module.register_forward_hook(self._keep)

    @contextmanager
    def kept(self) -> Iterator[list[Tensor]]:
        """Inside this context, fill the list with the module's outputs, one for each time it runs."""
        outputs: list[Tensor] = []
        token = self._kept.set(outputs)
        try:
            yield outputs
        finally:
            self._kept.reset(token)

    def _keep(self, _: nn.Module, __: object, output: Tensor) -> None:
        if (outputs := self._kept.get()) is not None:
            outputs.append(output)


def chosen_classes(logits: Float[Tensor, "b c"], classes: Tensor | int) -> Int64[Tensor, "b k"]:
    """Return the classes to ground.

    Args:
        logits: The network's.
        classes: (b, k) in int64: k classes of each image; or k, for each image's best k by falling logit.

    Raises:
        UserError: They are none of the network's, or the logits are not numbers.
    """
    count = logits.shape[1]
    if not logits.isfinite().all():
        raise UserError("logits must be numbers; the network answers with NaN or infinity; check images and weights")
    if isinstance(classes, int):
        if not 1 <= classes <= count:
            raise UserError(f"classes must be between 1 and the network's {count}; got {classes}; ask for fewer")
        return logits.topk(classes).indices
    check_classes(classes, len(logits))
    if classes.numel() and not 0 <= int(classes.min()) <= int(classes.max()) < count:
        raise UserError(f"classes must be in 0..{count - 1}; got {int(classes.min())}..{int(classes.max())}")
    return classes.to(logits.device)


def check_images(images: Tensor) -> None:
    """Check the form of the images to ground.

    Raises:
        UserError: They are no batch of normalised images.
    """
    if images.ndim != 4 or not images.is_floating_point():
        raise UserError(
            "images must be a batch (b, 3, H, W) of normalised numbers; got "
            f"{tuple(images.shape)} of {images.dtype}; add the missing dimension or normalise them"
        )


def check_classes(classes: Tensor, images: int) -> None:
    """Check the form of the classes asked for.

    Raises:
        UserError: They are not k numbers for each image.
    """
    if classes.dtype != torch.int64 or classes.ndim != 2 or len(classes) != images:
        raise UserError(
            f"classes must be int64 and ({images}, k), k of each image; got {tuple(classes.shape)} of {classes.dtype}"
        )


class _Passage(NamedTuple):
    """How wide the feature maps are that a module takes and gives, in cells; None: it is no feature map."""

    input: int | None
    output: int | None


@torch.no_grad()
def layer_of_stride(network: nn.Module, stride: int, *, side: int = 128) -> str:
    """Return the name of the last module whose output is a feature map of a stride.

    Modules inside a block that leaves the stride do not count: the first convolution of ResNet's `layer4` still has
    stride 16, but its last feature map of that stride is `layer3`. Neither do modules that run more than once.

    Args:
        network: Any CNN that takes images of more than one size.
        stride: Pixels of the image for each cell.
        side: How large, in pixels, the blank images are that it is tried with: one of this size and one larger. How
            much wider the maps become tells the strides, whatever is padded or cut off.

    Raises:
        UserError: There is no such module.
    """
    copied = private_copy(network)
    strides = _strides(_passages(copied, side), _passages(copied, side + _WIDER))
    leaving = [
        f"{name}."
        for name, (input, output) in strides.items()
        if input == stride != output and type(copied.get_submodule(name)) is not nn.Sequential
    ]
    fitting = [
        name
        for name, (_, output) in strides.items()
        if output == stride and not any(name.startswith(block) for block in leaving)
    ]
    if not fitting:
        others = sorted({output for _, output in strides.values() if output})
        raise UserError(
            f"a network must have a feature map of the stride that is asked for; none has stride {stride}, there are "
            f"{', '.join(map(str, others)) or 'none'}; name one of these strides, or a layer"
        )
    return fitting[-1]


def _passages(network: nn.Module, side: int) -> dict[str, _Passage]:
    """Return what passes the modules that run once, in the order in which they finish."""
    passages: dict[str, list[_Passage]] = {}

    def note(name: str, _: nn.Module, inputs: object, output: object) -> None:
        passages[name] = [*passages.pop(name, []), _Passage(*map(_width, (inputs, output)))]

    handles = [module.register_forward_hook(partial(note, name)) for name, module in network.named_modules() if name]
    first = next(network.parameters())
    network(torch.zeros(1, 3, side, side, device=first.device, dtype=first.dtype))
    for handle in handles:
        handle.remove()
    return {name: runs[0] for name, runs in passages.items() if len(runs) == 1}


def _width(value: object) -> int | None:
    if isinstance(value, tuple) and len(value) == 1:
        (value,) = value
    return value.shape[3] if isinstance(value, Tensor) and value.ndim == 4 else None


def _strides(small: Mapping[str, _Passage], large: Mapping[str, _Passage]) -> dict[str, _Passage]:
    """Return the strides of what each module takes and gives; None: it does not grow with the image."""

    def stride(narrow: int | None, wide: int | None) -> int | None:
        return None if narrow is None or wide is None or wide <= narrow else _WIDER // (wide - narrow)

    return {name: _Passage(*map(stride, small[name], large[name])) for name in small if name in large}
