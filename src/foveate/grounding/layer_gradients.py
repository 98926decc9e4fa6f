"""What all methods share that weigh a layer's activations by the gradients of logits."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn

from foveate.grounding.gradients import Target, alone, class_gradients
from foveate.grounding.layers import OutputOf, chosen_classes, no_map, private_copy, submodule
from foveate.grounding.places import places_of
from foveate.types import Grounded, SignedMaps


class LayerGradients(ABC):
    """Maps of one layer's places, made of its activations and of gradients; may be called from several threads.

    The layer may give a feature map, with its channels first or last, or a transformer's tokens.
    """

    def __init__(
        self,
        network: nn.Module,
        layer: str,
        *,
        target: Target = alone,
        rules: Callable[[Sequence[Tensor]], AbstractContextManager[object]] = nullcontext,
    ) -> None:
        """Look into a copy of the network's modules.

        Args:
            network: From images to logits; it stays as it is.
            layer: Names the module whose output is weighed.
            target: What is grounded: the class's logit alone, or against its rivals'.
            rules: The context in which images are passed, given what the layer gives, as soon as it does; it may change
                what gradients are.

        Raises:
            UserError: There is no such layer, or the network cannot be copied.
        """
        self._network = private_copy(network)
        self._layer = layer
        self._output = OutputOf(submodule(self._network, layer))
        self._target = target
        self._rules = rules

    @abstractmethod
    def _maps(
        self, activations: Float[Tensor, "b d h w"], gradients: Float[Tensor, "b k d h w"]
    ) -> Float[Tensor, "b k h w"]:
        """Return the map of each class, with its sign."""

    def __call__(self, images: Float[Tensor, "b 3 H W"], classes: Int64[Tensor, "b k"] | int) -> Grounded:
        """Return one map for each class of each image; arguments and errors as `ExcitationBackprop` has them.

        What speaks against a class is left out.

        Raises:
            UserError: Also where the layer has no places, or the logits do not rest on it; those that do are named.
        """
        logits, chosen, maps = self._signed(images, classes, self._target)
        return Grounded(logits, chosen, maps.clamp(min=0))

    def between(self, images: Float[Tensor, "b 3 H W"], pairs: Int64[Tensor, "b 2"]) -> SignedMaps:
        """Return where two classes of each image differ: the map of the difference of their logits, with its sign.

        Args:
            images: Normalised.
            pairs: What speaks for the first class and against the second is positive.

        Raises:
            UserError: As `__call__`.
        """
        logits, _, maps = self._signed(images, pairs, alone)
        return SignedMaps(logits, maps[:, 0] - maps[:, 1])

    def _signed(
        self, images: Float[Tensor, "b 3 H W"], classes: Int64[Tensor, "b k"] | int, target: Target
    ) -> Grounded:
        with torch.inference_mode(mode=False), torch.enable_grad(), torch.autocast(images.device.type, enabled=False):
            with self._output.kept() as outputs, self._rules(outputs):
                logits = self._network(images.clone().requires_grad_())
            output = outputs[0] if outputs else None
            places = places_of(output, images, self._network)
            if output is None or places is None:
                raise no_map(self._network, self._layer, output, images)
            chosen = chosen_classes(logits, classes)
            gradients = class_gradients(logits, target(logits, chosen), output)
        activations = places.map(output.detach())
        placed = places.map(gradients.flatten(0, 1))
        maps = self._maps(activations, placed.reshape(*chosen.shape, *placed.shape[1:]))
        return Grounded(logits.detach(), chosen, maps.float())
