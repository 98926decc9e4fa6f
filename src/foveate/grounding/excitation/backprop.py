"""Excitation backprop (EB) and its contrast (cEB): where in an image a trained network finds a class.

Guided Zoom (section 3) grounds with it. Relevance starts at the class's logit and runs down to the grounding layer;
each unit shares its own among the inputs that excite it (Zhang et al., IJCV 2018).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from functools import partial

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn
from torch.nn import functional

from foveate.errors import UserError
from foveate.grounding.excitation.contrast import contrast, contrast_of_pairs
from foveate.grounding.excitation.recorder import Recorder, leaves
from foveate.grounding.excitation.relevance import Relevance
from foveate.grounding.excitation.tape import Entry, Tape
from foveate.grounding.layers import (
    WITHOUT_RULES,
    check_classes,
    check_images,
    chosen_classes,
    no_map,
    private_copy,
    submodule,
)
from foveate.types import Grounded, HeldPass, SignedMaps

_TAPE: ContextVar[Tape | None] = ContextVar("tape of the running forward pass", default=None)


class _NoMapError(Exception):
    """What the grounding layer gives is no feature map."""

    def __init__(self, output: object) -> None:
        super().__init__()
        self.output = output


_PIXELS_AT_ONCE = 1 << 21
"""Times classes. ResNet-50's largest feature map of stride 16 has 4 numbers for each pixel: 32 MiB, up to which the C
library keeps memory for reuse. Beyond, each step fetches its own from the kernel, page by page: an eighth slower."""


class ExcitationBackprop:
    """Grounds classes in images with a network that stays as it is; may be called from several threads at once.

    >>> import torch, torchvision
    >>> from foveate import ExcitationBackprop
    >>> ceb = ExcitationBackprop(torchvision.models.resnet18(num_classes=10), "layer3.0")  # the paper's res4a
    >>> grounded = ceb(torch.randn(2, 3, 96, 96), 3)  # the best 3 classes of each normalised image
    >>> grounded.maps.shape
    torch.Size([2, 3, 6, 6])

    With the contrast (Zhang et al.'s contrastive top-down attention) the class's relevance at the input of the last
    linear layer is what W hands down less what -W does, each of which adds up to 1; below it is handed on as it is.

    What it knows of the network is a copy of its modules in evaluation mode that shares parameters and buffers: further
    training shows in the maps, replaced modules and tensors that move to another device need a new object.
    """

    def __init__(
        self,
        network: nn.Module,
        layer: str,
        *,
        contrast: bool = True,
        raw: bool = False,
        dtype: torch.dtype | None = None,
    ) -> None:
        """Look into the network.

        Args:
            network: An eager CNN whose operations all have a rule (`functions`), from images to logits.
            layer: Name of the module whose output is the grounding layer, such as `layer3.0`, the `res4a` of Guided
                Zoom, or what `layer_of_stride` finds.
            contrast: Whether what speaks against a class is subtracted (cEB) or not (EB).
            raw: Whether sums split by the raw ratio of their summands, not by their positive parts. It explodes where
                summands nearly cancel; it is there to compare with other implementations.
            dtype: What relevance is computed in; None: the type of the network, float32 at least. The forward pass
                is the network's own, outside of any autocast.

        Raises:
            UserError: There is no such layer, or the network cannot be copied.
        """
        self._network = private_copy(network)
        self._layer = layer
        self._contrast = contrast
        self._raw = raw
        self._dtype = dtype
        _watch(self._network, submodule(self._network, layer))

    def __call__(self, images: Tensor, classes: Tensor | int) -> Grounded:
        """Return one map for each class of each image.

        A map of plain EB adds up to 1, less what is lost where nothing excites a unit: of the default network it adds
        up to about 0.1 (docs/deviations.md).

        Args:
            images: (b, 3, H, W), normalised as the network takes them.
            classes: (b, k) in int64: k classes of each image; or k, for each image's best k by the logits.

        Raises:
            UserError: The images are no batch, the classes are none of the network's, an operation has no rule, or the
                logits do not rest on the layer or are not numbers.
        """
        check_images(images)
        if not isinstance(classes, int):
            check_classes(classes, len(images))
        at_once = _at_once(images, classes if isinstance(classes, int) else classes.shape[1])
        parts = torch.split(images, at_once)
        chosen = [classes] * len(parts) if isinstance(classes, int) else torch.split(classes, at_once)
        with _undisturbed(images.device):
            grounded = map(self._ground, parts, chosen)
            return Grounded(*map(torch.cat, zip(*grounded, strict=True)))

    def between(self, images: Tensor, pairs: Tensor) -> SignedMaps:
        """Return where two classes of each image differ: cEB of the difference of their logits (`contrast_of_pairs`).

        A map adds up to 0, less what is lost as in `__call__`, and changes its sign where a pair is turned round.

        Args:
            images: As in `__call__`.
            pairs: (b, 2) in int64: what speaks for the first class and against the second is positive.

        Raises:
            UserError: As `__call__`, or the logits are not those of one last linear layer.
        """
        check_images(images)
        check_classes(pairs, len(images))
        parts = torch.split(images, _at_once(images, 1)), torch.split(pairs, _at_once(images, 1))
        with _undisturbed(images.device):
            return SignedMaps(*map(torch.cat, zip(*map(self._between, *parts), strict=True)))

    def hold(self, images: Tensor) -> HeldPass:
        """Answer, and keep what is needed to ground classes of the batch later, one by one.

        It holds every activation above the grounding layer, and what excites it once a class is grounded: of ResNet-50
        at 448 pixels 31 MB an image at the last layer of stride 16, of ResNet-101 at res4a 0.4 GB.

        Args:
            images: As in `__call__`.

        Raises:
            UserError: As `__call__`.
        """
        check_images(images)
        at_once = _at_once(images, 1)
        passes = []
        with _undisturbed(images.device):
            for part in torch.split(images, at_once):
                tape = Tape(len(part), raw=self._raw)
                passes.append((self._forward(part, tape), tape))
        return HeldExcitation(self._maps, passes, at_once)

    def _between(self, images: Float[Tensor, "b 3 H W"], pairs: Int64[Tensor, "b 2"]) -> SignedMaps:
        tape = Tape(len(images), raw=self._raw)
        logits = self._forward(images, tape)
        chosen = chosen_classes(logits, pairs)
        seed = Relevance(logits.new_ones(len(logits), 1, logits.shape[1], dtype=self._dtype_of(logits)))
        relevance = tape.back(seed, logits, partial(contrast_of_pairs, pairs=chosen))
        return SignedMaps(logits, relevance.total().sum(2)[:, 0].float())

    def _ground(self, images: Float[Tensor, "b 3 H W"], classes: Int64[Tensor, "b k"] | int) -> Grounded:
        tape = Tape(len(images), raw=self._raw)
        logits = self._forward(images, tape)
        chosen = chosen_classes(logits, classes)
        return Grounded(logits, chosen, self._maps(logits, chosen, tape))

    def _forward(self, images: Float[Tensor, "b 3 H W"], tape: Tape) -> Float[Tensor, "b c"]:
        try:
            logits = self._recorded(images, tape)
        except _NoMapError as reason:
            raise no_map(self._network, self._layer, reason.output, images) from None
        if not (tape.knows(logits) and logits.ndim == 2):
            raise UserError(
                f"the network must answer with logits (b, c) that rest on layer {self._layer!r}; they do not; "
                "name a layer between the images and the logits"
            )
        return logits

    def _recorded(self, images: Float[Tensor, "b 3 H W"], tape: Tape) -> object:
        """Return what the network answers with, whatever that is."""
        token = _TAPE.set(tape)
        try:
            with Recorder(tape):
                return self._network(images.clone())
        finally:
            _TAPE.reset(token)

    def _maps(
        self,
        logits: Float[Tensor, "b c"],
        classes: Int64[Tensor, "m k"],
        tape: Tape,
        images: Int64[Tensor, " m"] | None = None,
    ) -> Float[Tensor, "m k h w"]:
        seed = Relevance(functional.one_hot(classes, logits.shape[1]).to(self._dtype_of(logits)))
        relevance = tape.back(seed, logits, contrast if self._contrast else None, images)
        maps: Tensor = relevance.total().sum(2).clamp(min=0).float()
        return maps

    def _dtype_of(self, logits: Tensor) -> torch.dtype:
        return self._dtype or torch.promote_types(logits.dtype, torch.float32)


class HeldExcitation:
    """A pass that `ExcitationBackprop.hold` keeps: its classes are grounded when their turn comes.

    Args:
        maps: `ExcitationBackprop`'s own, given logits, classes, the tape and which of its images are asked about.
        passes: The logits and the tape of each part of the batch.
        at_once: Images of each part but the last.
    """

    def __init__(
        self,
        maps: Callable[[Tensor, Tensor, Tape, Tensor], Tensor],
        passes: Sequence[tuple[Tensor, Tape]],
        at_once: int,
    ) -> None:
        self._maps = maps
        self._passes = passes
        self._at_once = at_once
        self._logits = torch.cat([logits for logits, _ in passes])

    @property
    def logits(self) -> Float[Tensor, "b c"]:
        """The network's answer."""
        return self._logits

    def maps(self, images: Int64[Tensor, " m"], classes: Int64[Tensor, " m"]) -> Float[Tensor, "m h w"]:
        """Return a map for a class of each of some images, as `ExcitationBackprop` gives it.

        Args:
            images: Numbers in the batch, at least one, in any order; an image may be asked about again and again.
            classes: What to ground in each.

        Raises:
            UserError: The classes are none of the network's.
        """
        chosen = chosen_classes(self._logits[images], classes[:, None])
        part = images // self._at_once
        order, maps = [], []
        with _undisturbed(self._logits.device):
            for number in torch.unique(part).tolist():
                asked = (part == number).nonzero()[:, 0]
                own = images[asked] - number * self._at_once
                order.append(asked)
                maps.append(self._maps(self._passes[number][0], chosen[asked], self._passes[number][1], own)[:, 0])
        return torch.cat(maps)[torch.cat(order).argsort()]


def _at_once(images: Float[Tensor, "b 3 H W"], classes: int) -> int:
    """Return how many images to ground at a time: on a processor few enough that their relevance stays small."""
    if images.device.type != "cpu":
        return max(1, len(images))
    return max(1, _PIXELS_AT_ONCE // max(1, classes * images.shape[2] * images.shape[3]))


@contextmanager
def _undisturbed(device: torch.device) -> Iterator[None]:
    """Hold off what the caller may have entered: gradients, inference mode (which counts no writes), autocast."""
    with torch.inference_mode(False), torch.no_grad(), torch.autocast(device.type, enabled=False):
        yield


def _watch(network: nn.Module, layer: nn.Module) -> None:
    """Hook into the modules of a private copy: each tells the running tape where it is."""
    for name, module in network.named_modules():
        words = f"{name!r} ({type(module).__name__})" if name else f"the network itself ({type(module).__name__})"
        module.register_forward_pre_hook(partial(_enter, words))
        module.register_forward_hook(_leave)
    layer.register_forward_hook(_begin)


def _enter(words: str, _: nn.Module, __: object) -> None:
    if (tape := _TAPE.get()) is not None:
        tape.path.append(words)


def _leave(_: nn.Module, inputs: object, outputs: object) -> None:
    if (tape := _TAPE.get()) is None:
        return
    hidden = [each for each in leaves(outputs) if isinstance(each, Tensor) and not tape.knows(each)]
    if hidden and any(map(tape.knows, leaves(inputs))):
        raise UserError(
            f"excitation backprop must see a network's operations; those of {tape.module} are hidden; "
            "give the network as it was before it was scripted or compiled"
        )
    tape.path.pop()


def _begin(_: nn.Module, __: object, output: object) -> None:
    if (tape := _TAPE.get()) is None:
        return
    if tape.begun:
        raise UserError("a grounding layer must give one feature map (b, d, h, w); it runs twice; name another")
    if isinstance(output, Tensor) and output.ndim == 3:
        raise UserError(
            "excitation backprop grounds a CNN's feature map (b, d, h, w); the layer gives tokens "
            f"{tuple(output.shape)}; take {WITHOUT_RULES}"
        )
    if not (isinstance(output, Tensor) and output.ndim == 4):
        raise _NoMapError(output)
    tape.record(output, Entry((), None))
