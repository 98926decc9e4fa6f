"""Where any network sees the evidence for its classes, in one line: `foveate.ground`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import cast

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn

from foveate.backbones.own_cnns import seen_as_cnn
from foveate.errors import UserError
from foveate.grounding.config import GroundingConfig, GroundingMethod
from foveate.grounding.create import create_grounding
from foveate.grounding.layers import check_images, chosen_classes, private_copy
from foveate.networks.network import Network
from foveate.types import BranchLogits, Grounded, Grounding


def ground(
    model: nn.Module,
    images: Tensor,
    classes: Tensor | Sequence[int] | Sequence[Sequence[int]] | int = 1,
    *,
    method: GroundingMethod | str = GroundingMethod.CEB,
    layer: str | None = None,
) -> Grounded:
    """Return where a network sees the evidence for classes: a map for each class of each image.

    >>> import foveate, torch, torchvision
    >>> model = torchvision.models.resnet18(num_classes=10)
    >>> images = torch.randn(2, 3, 96, 96)  # normalised as the model takes them
    >>> grounded = foveate.ground(model, images, 3, method="ceb", layer="layer3")
    >>> grounded.maps.shape, grounded.classes.shape  # each image's best 3 classes
    (torch.Size([2, 3, 6, 6]), torch.Size([2, 3]))
    >>> foveate.ground(model, images, [[7], [0]], method="grad-cam").maps.shape  # class 7 of one, 0 of the other
    torch.Size([2, 1, 6, 6])

    For many batches, or with RISE's settings, build the method once: `ExcitationBackprop`, `GradCAM`, `RISE`.

    Args:
        model: From images to logits (b, c): any CNN or transformer of yours, timm's or torchvision's; or a network of
            Foveate's, such as S3N, whose backbone is grounded in its first look. It stays as it is, in evaluation mode.
        images: (b, 3, H, W), normalised as the model takes them, on its device.
        classes: k, for each image's best k by the logits; a sequence of class numbers, for the same ones of every
            image; or (b, k), k classes of each image.
        method: `ceb`, `eb` (CNNs), `grad-cam`, `finer-cam`, `class-maps`, `gradients`, `gradient-activation`,
            `attn-lrp`, `attn-lrp-rivals`, `rollout` (transformers) or `rise`: see `GroundingMethod`.
        layer: Name of the module whose output is grounded; None: the last of stride 16, of a ViT the last tokens that
            count. Class maps, gradients, rollout and RISE need none.

    Returns:
        The maps (b, k, h, w), float32 and not negative, on the layer's cells, which cover the image; the classes
        (b, k) they are of; the model's logits (b, c). A map becomes as large as the image by
        `torch.nn.functional.interpolate(maps, images.shape[2:], mode="bilinear")`.

    Raises:
        UserError: The images are no batch, the classes are none of the model's, there is no such method or layer, or
            the method cannot see through the model; the message says what to give instead.
    """
    config = GroundingConfig(method=_method(method), layer=layer)
    check_images(images)
    numbers = classes if isinstance(classes, int) else _numbers(classes, images)
    if isinstance(model, Network):
        return _ground_network(model, images, numbers, config)
    network = private_copy(model)
    network.register_forward_hook(_check_logits)
    cnn = seen_as_cnn(network, type(model).__name__, classes=0)  # how many they are is not asked
    return create_grounding(cnn, config)(images, numbers)


def _ground_network(network: Network, images: Tensor, classes: Tensor | int, config: GroundingConfig) -> Grounded:
    placed = cast(Network, private_copy(network))

    def logits() -> Float[Tensor, "b c"]:
        with torch.no_grad():
            answers: BranchLogits = placed(images)
        return answers.decision.float()

    return ground_decision(placed, create_grounding(placed.backbone, config), images, classes, logits)


def ground_decision(
    network: Network,
    grounding: Grounding,
    images: Float[Tensor, "b 3 Hs Ws"],
    classes: Int64[Tensor, "b k"] | int,
    logits: Callable[[], Float[Tensor, "b c"]],
    *,
    asked: bool = False,
) -> Grounded:
    """Ground the first view's backbone in classes of the decision, which may rest on further views.

    Args:
        network: Ours; its decision counts.
        grounding: Of its backbone.
        images: Normalised, of the source size.
        classes: k classes of each image; or k, for each image's best k by the decision.
        logits: The decision's; called only where the backbone's own are not it.
        asked: Call it always: the network answers in another precision than it is grounded in, and one answer counts.

    Raises:
        UserError: As `chosen_classes`, or as the grounding.
    """
    first_view = network.first_view(images)
    if network.decides_by_backbone and not asked:
        return grounding(first_view, classes)
    decision = logits()
    return grounding(first_view, chosen_classes(decision, classes))._replace(logits=decision)


def _check_logits(model: nn.Module, _: object, answer: object) -> None:
    if not (isinstance(answer, Tensor) and answer.ndim == 2):
        given = tuple(answer.shape) if isinstance(answer, Tensor) else type(answer).__name__
        raise UserError(
            f"a model must answer images with logits (b, c); {type(model).__name__} answers with {given}; wrap it in a "
            "module that returns the logits"
        )


def _method(method: str) -> GroundingMethod:
    try:
        return GroundingMethod(method)
    except ValueError:
        known = ", ".join(GroundingMethod)
        raise UserError(f"method must be one way of grounding; got {method!r}; name one of {known}") from None


def _numbers(classes: Tensor | Sequence[int] | Sequence[Sequence[int]], images: Tensor) -> Tensor:
    """Return (b, k) class numbers.

    Raises:
        UserError: They are no whole numbers, or it is not said of which image each is.
    """
    try:
        numbers = torch.as_tensor(classes, device=images.device)
    except (TypeError, ValueError) as error:
        raise UserError(
            f"classes must be k, a sequence of class numbers, or ({len(images)}, k) of them, as many of each image; "
            f"got {str(classes)[:60]}; {error}"
        ) from None
    if numbers.is_floating_point() or numbers.is_complex() or numbers.dtype is torch.bool:
        raise UserError(f"classes must be whole numbers; got {numbers.dtype}; give their numbers, counted from 0")
    if numbers.ndim == 1 and isinstance(classes, Tensor):
        raise UserError(
            f"classes must say of which image each is: ({len(images)}, k) numbers; got {tuple(numbers.shape)}; give "
            "labels[:, None] for one class of each image, or a list for the same classes of every image"
        )
    if numbers.ndim == 1:
        numbers = numbers.expand(len(images), -1)
    return numbers.long()
