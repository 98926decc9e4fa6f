"""The conventional CNN of Guided Zoom: the network whose answers are questioned, and where it sees them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int64, UInt8
from torch import Tensor

from foveate.backbones.folding import folded
from foveate.config.hardware import HardwareConfig
from foveate.grounding.config import GroundingConfig
from foveate.grounding.create import create_grounding
from foveate.grounding.ground import ground_decision
from foveate.grounding.layers import chosen_classes
from foveate.inference.classifier import Classifier
from foveate.networks.answers import check_answers
from foveate.networks.looker import Looker
from foveate.networks.network import Network
from foveate.types import BranchLogits, Grounded, Grounding, HeldPass, HoldingGrounding

MapsWhenAsked = Callable[[Tensor, Tensor], Tensor]
"""Given the numbers (m,) of some images of a batch and, for each, which of its k classes: maps (m, h, w)."""


@dataclass(frozen=True)
class HeldAnswers:
    """What a network answers for a batch, whose best classes are grounded when they are asked for."""

    logits: Float[Tensor, "b c"]
    classes: Int64[Tensor, "b k"]
    """The best ones by falling logit."""
    maps: MapsWhenAsked


@dataclass(frozen=True)
class ConventionalCNN:
    """The network whose answers are questioned, and what says where it sees them.

    A network of S3N or MA-CNN answers with its joint head, and is grounded in its look at the whole image. Its answers
    are those of its run, in the same precision; maps are always computed in float32. A looker is grounded in its place:
    look with the small, recognise with the large.
    """

    classifier: Classifier
    grounding: Grounding
    batch_size: int = 32
    """Images at a time: a batch of photographs has several erased images of each, and S3N draws two views of each."""
    layer: str | None = None
    """Name of the backbone's module whose feature map was asked to be grounded; None: the usual one, or another."""
    looker: Looker | None = None
    """The network that is grounded in its place, on the same device; None: it is grounded itself."""

    @classmethod
    def place(
        cls, network: Network, grounding: GroundingConfig, hardware: HardwareConfig, looker: Looker | None = None
    ) -> ConventionalCNN:
        """Put a copy of the network where `hardware` asks for it, and ground that copy: its batch norms are folded.

        Args:
            network: Whose answers are questioned.
            grounding: How evidence for them is found.
            hardware: Where to compute.
            looker: The network to ground in its place, which knows the same classes in the same order; None: itself.

        Raises:
            UserError: As `create_grounding` does.
        """
        classifier = Classifier.place(network, hardware)
        placed = None if looker is None else folded(looker).to(classifier.device)
        grounded = classifier.network.backbone if placed is None else placed.backbone
        made = create_grounding(grounded, grounding, dtype=classifier.dtype)
        return cls(classifier, made, layer=grounding.map_layer if placed is None else None, looker=placed)

    def answer(self, images: UInt8[Tensor, "n H W 3"], classes: Int64[Tensor, "n k"] | int) -> Grounded:
        """Return logits and maps in float32 on the network's device; `classes` as in `Grounding`.

        Raises:
            UserError: As in `Grounding`, or the logits are not finite.
        """
        batches = torch.split(images, self.batch_size)
        targets = [classes] * len(batches) if isinstance(classes, int) else torch.split(classes, self.batch_size)
        grounded = Grounded(*map(torch.cat, zip(*map(self._answer, batches, targets), strict=True)))
        check_answers(BranchLogits(grounded.logits))
        return grounded

    @property
    def holds(self) -> bool:
        """Whether classes can be grounded one by one in a pass that is held."""
        return isinstance(self.grounding, HoldingGrounding)

    def hold(self, images: UInt8[Tensor, "n H W 3"], top_k: int) -> HeldAnswers:
        """Answer for images, of which so many of the best classes may be grounded later, one by one.

        A grounding that cannot hold on to its pass (`HoldingGrounding`) grounds them all at once.

        Raises:
            UserError: As `answer`.
        """
        held = self._held(images)
        if held is None:
            logits, classes, maps = self.answer(images, top_k)
            return HeldAnswers(logits, classes, lambda which, rank: maps[which, rank])
        own = self.classifier.network.decides_by_backbone and self.classifier.dtype is torch.float32
        decision = held.logits if own and self.looker is None else self.logits(images)
        check_answers(BranchLogits(decision))
        classes = chosen_classes(decision, top_k)
        return HeldAnswers(decision, classes, lambda which, rank: held.maps(which, classes[which, rank]))

    def look(self, images: UInt8[Tensor, "n H W 3"], classes: Int64[Tensor, "n k"]) -> MapsWhenAsked:
        """Look at images in which these classes may be grounded later; the decision is not asked for.

        A grounding that cannot hold on to its pass makes one whenever it is asked.

        Raises:
            UserError: As `answer`.
        """
        held = self._held(images)
        if held is None:
            return lambda which, rank: self.answer(images[which], classes[which, rank][:, None]).maps[:, 0]
        return lambda which, rank: held.maps(which, classes[which, rank])

    def _held(self, images: UInt8[Tensor, "n H W 3"]) -> HeldPass | None:
        """Return the grounding's own pass over images, as far as it can hold on to one."""
        if not isinstance(self.grounding, HoldingGrounding):
            return None
        network, inputs = self.classifier.network, self.classifier.inputs(images)
        if self.looker is not None:
            return self.grounding.hold(self.looker.inputs(inputs, network.backbone.normalisation))
        return self.grounding.hold(network.first_view(inputs))

    def logits(self, images: UInt8[Tensor, "n H W 3"]) -> Float[Tensor, "n c"]:
        """Return the logits alone, which costs no grounding; arguments and errors as in `answer`."""
        batches = torch.split(images, self.batch_size)
        return torch.cat([self._decision(each) for each in batches])

    def _answer(self, images: UInt8[Tensor, "n H W 3"], classes: Int64[Tensor, "n k"] | int) -> Grounded:
        """Ground images; where the network answers in another precision than maps have, that costs a pass more.

        The maps of another network are those of the classes that this one asks about.
        """
        network, inputs = self.classifier.network, self.classifier.inputs(images)
        if self.looker is not None:
            logits = self._decision(images)
            inputs = self.looker.inputs(inputs, network.backbone.normalisation)
            return self.grounding(inputs, chosen_classes(logits, classes))._replace(logits=logits)
        asked = self.classifier.dtype is not torch.float32
        return ground_decision(network, self.grounding, inputs, classes, lambda: self._decision(images), asked=asked)

    def _decision(self, images: UInt8[Tensor, "n H W 3"]) -> Float[Tensor, "n c"]:
        return self.classifier.logits(images).decision.float()
