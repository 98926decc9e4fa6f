"""Guided Zoom (BMVC 2019, Figure 1): ask where the evidence for each likely class lies, and look at it alone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from jaxtyping import Float, Int64, UInt8
from torch import Tensor

from foveate.config.data import TransformConfig
from foveate.guided_zoom.config import PatchConfig, Scores
from foveate.guided_zoom.conventional_cnn import ConventionalCNN
from foveate.guided_zoom.erasing import erase
from foveate.guided_zoom.evidence_rounds import LocatedEvidence, locate_evidence
from foveate.guided_zoom.patches import centre_part, cut
from foveate.inference.classifier import Classifier
from foveate.types import Evidence, Size


class GuidedZoomOutput(NamedTuple):
    """The evidence for the best classes of a batch, and what the two networks saw."""

    evidence: Evidence
    maps: Float[Tensor, "b k r h w"]
    """Where the conventional network sees each class in each round, as far as it counts (`PatchConfig.elsewhere`)."""
    erased: UInt8[Tensor, "b k r H W 3"]
    """What it saw then: the evidence of the rounds before is black."""
    probabilities: Float[Tensor, "b k r"]
    """The Evidence CNN's for class k, whatever is added up; the mean with the mirror image's where that is seen too."""
    features: Float[Tensor, "b k r d"]
    """The input of the Evidence CNN's classifier for each patch, on the CPU."""


@dataclass(frozen=True)
class GuidedZoom:
    """A conventional network, an Evidence CNN, and how evidence passes from one to the other.

    >>> import torch, torchvision, foveate
    >>> resnet18, hardware = torchvision.models.resnet18, foveate.HardwareConfig()
    >>> network, evidence_cnn = (foveate.OwnNetwork.of(resnet18(num_classes=10), classes=10) for _ in range(2))
    >>> conventional = foveate.ConventionalCNN.place(network, foveate.GroundingConfig(), hardware)
    >>> patches, views = foveate.PatchConfig(source_size=192), foveate.TransformConfig(input_size=96, resize_size=96)
    >>> zoom = foveate.GuidedZoom(conventional, foveate.Classifier.place(evidence_cnn, hardware), patches, views)
    >>> images, source = (torch.randint(256, (2, side, side, 3), dtype=torch.uint8) for side in (96, 192))  # pixels
    >>> zoom.evidence(images, source, top_k=3).boxes.shape  # of each image, class and round: left, top, right, bottom
    torch.Size([2, 3, 1, 4])
    >>> probabilities = foveate.Refiner.of(zoom, foveate.RefinementConfig(top_k=3)).probabilities(images, source)

    Classes of an image whose peaks coincide share what is erased, the pass over it and the patch.
    """

    conventional: ConventionalCNN
    evidence_cnn: Classifier
    patches: PatchConfig
    transforms: TransformConfig
    """The Evidence CNN's."""
    scores: Scores = Scores.PROBABILITIES
    mirrored: bool = True
    """As `RefinementConfig` has it."""
    batch_size: int = 64
    """Patches at a time; with their mirror images twice as many pictures."""

    def evidence(self, images: UInt8[Tensor, "b H W 3"], source: UInt8[Tensor, "b Hs Ws 3"], top_k: int) -> Evidence:
        """Find and score the evidence for each of the best classes (Algorithm 1, lines 2 to 12).

        Args:
            images: What the conventional network sees.
            source: The same view at `patches.source_size`: patches are cut from it.
            top_k: How many classes.

        Raises:
            UserError: There are fewer classes, or the network's logits are not finite.
        """
        device = self.conventional.classifier.device
        located = locate_evidence(self.conventional, images.to(device), top_k, self.patches)
        return self._scored(located, source.to(device))

    def output(
        self, images: UInt8[Tensor, "b H W 3"], source: UInt8[Tensor, "b Hs Ws 3"], top_k: int
    ) -> GuidedZoomOutput:
        """Find and score the evidence as `evidence` does, and keep what was seen on the way: for a few images."""
        device = self.conventional.classifier.device
        images, source = images.to(device), source.to(device)
        located = locate_evidence(self.conventional, images, top_k, self.patches, keep_maps=True)
        assert located.maps is not None  # asked for
        b, k, rounds = located.evidence.found.shape
        owner, boxes = _by_image(located.evidence.boxes)
        # Round l sees the squares of the rounds before it; the others are empty boxes.
        earlier = torch.ones(rounds, rounds, dtype=torch.bool, device=device).tril(-1)[..., None]
        squares = (located.evidence.squares[:, :, None] * earlier).flatten(0, 2)
        erased = torch.cat([erase(images[o], each) for o, each in _batches(self.batch_size, owner, squares)])
        batches = _batches(self.batch_size, owner[:, None], boxes)
        views = [self._views(source, torch.cat(each, dim=1)) for each in batches]
        classes = located.classes[:, :, None].expand(-1, -1, rounds).reshape(-1, 1)
        probabilities = torch.cat([self._view_scores(each, Scores.PROBABILITIES) for each in views])
        return GuidedZoomOutput(
            evidence=self._scored(located, source),
            maps=located.maps,
            erased=erased.view(b, k, rounds, *images.shape[1:]),
            probabilities=probabilities.gather(1, classes).view(b, k, rounds),
            features=torch.cat([self.evidence_cnn.features(each) for each in views]).view(b, k, rounds, -1),
        )

    def patch_scores(self, source: UInt8[Tensor, "b Hs Ws 3"], patches: Int64[Tensor, "m 5"]) -> Float[Tensor, "m c"]:
        """Return the Evidence CNN's scores of patches: the image of each, then its box."""
        return self._view_scores(self._views(source, patches), self.scores)

    @property
    def passes(self) -> int:
        """How often the Evidence CNN is asked about one patch."""
        return 2 if self.mirrored else 1

    def _scored(self, located: LocatedEvidence, source: UInt8[Tensor, "b Hs Ws 3"]) -> Evidence:
        """Score evidence: each patch once, however many classes and rounds look at it."""
        (places, found, boxes, _), shape = located.evidence, located.evidence.found.shape
        owner, flat = _by_image(boxes)
        patches, which = torch.unique(torch.cat((owner[:, None], flat), dim=1), dim=0, return_inverse=True)
        scores = torch.cat([self.patch_scores(source, each) for each in patches.split(self.batch_size)])
        classes = located.classes[:, :, None].expand(shape).reshape(-1)
        return Evidence(
            logits=located.logits,
            classes=located.classes,
            places=places,
            found=found,
            boxes=boxes,
            scores=scores[which, classes].view(shape),
            forwards=located.forwards,
            patches=self.passes * torch.bincount(patches[:, 0], minlength=shape[0]),
        )

    def _view_scores(self, views: UInt8[Tensor, "m h w 3"], kind: Scores) -> Float[Tensor, "m c"]:
        both = torch.cat((views, views.flip(2))) if self.mirrored else views
        logits = self.evidence_cnn.logits(both).decision.float()
        scores = logits.softmax(-1) if kind is Scores.PROBABILITIES else logits
        return torch.stack(scores.chunk(self.passes)).mean(0)

    def _views(self, source: UInt8[Tensor, "b Hs Ws 3"], patches: Int64[Tensor, "m 5"]) -> UInt8[Tensor, "m h w 3"]:
        size = Size(self.transforms.input_size, self.transforms.input_size)
        which, boxes = patches[:, 0], patches[:, 1:]
        if self.patches.stretch:
            side = self.patches.side
            source = _pixels(cut(source, which, boxes.float(), Size(side, side)))
            which, boxes = torch.arange(len(source), device=source.device), boxes.new_tensor([[0, 0, side, side]])
            boxes = boxes.expand(len(source), -1)
        return _pixels(cut(source, which, centre_part(boxes, self.transforms), size))


def _by_image(boxes: Int64[Tensor, "b k r 4"]) -> tuple[Int64[Tensor, " n"], Int64[Tensor, "n 4"]]:
    """Return the image of each box of a batch, and the box."""
    b, k, rounds = boxes.shape[:3]
    return torch.arange(b, device=boxes.device).repeat_interleave(k * rounds), boxes.flatten(0, 2)


def _pixels(images: Float[Tensor, "m 3 h w"]) -> UInt8[Tensor, "m h w 3"]:
    return images.round().to(torch.uint8).permute(0, 2, 3, 1)


def _batches(size: int, *tensors: Tensor) -> list[tuple[Tensor, ...]]:
    return list(zip(*(torch.split(each, size) for each in tensors), strict=True))
