"""Guided Zoom (BMVC 2019, Figure 1): ask where the evidence for each likely class lies, and look at it alone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int64, UInt8
from torch import Tensor

from foveate.config.data import TransformConfig
from foveate.config.hardware import HardwareConfig
from foveate.grounding.config import GroundingConfig
from foveate.grounding.create import create_grounding
from foveate.guided_zoom.config import PatchConfig, Scores
from foveate.guided_zoom.patches import boxes_around, cut, elsewhere, erase, strongest
from foveate.inference.classifier import Classifier
from foveate.networks.answers import check_answers
from foveate.networks.network import Network
from foveate.types import BranchLogits, Evidence, Grounded, Grounding, Size


@dataclass(frozen=True)
class ConventionalCNN:
    """The network whose answers are questioned, and what says where it sees them.

    A network of S3N or MA-CNN answers with its joint head, and is grounded in its look at the whole image.
    """

    classifier: Classifier
    grounding: Grounding
    batch_size: int = 32
    """Images at a time: a batch of photographs has several erased images of each, and S3N draws two views of each."""

    @classmethod
    def place(cls, network: Network, grounding: GroundingConfig, hardware: HardwareConfig) -> ConventionalCNN:
        """Put a copy of the network where `hardware` asks for it, and ground that copy: its batch norms are folded.

        Raises:
            UserError: As `create_grounding` does.
        """
        classifier = Classifier.place(network, hardware)
        return cls(classifier, create_grounding(classifier.network.backbone, grounding, dtype=classifier.dtype))

    def answer(self, images: UInt8[Tensor, "n H W 3"], classes: Int64[Tensor, "n k"] | int) -> Grounded:
        """Return logits and maps in float32 on the network's device; `classes` as in `Grounding`.

        Raises:
            UserError: As in `Grounding`, or the logits are not finite.
        """
        parts = torch.split(images, self.batch_size)
        asked = [classes] * len(parts) if isinstance(classes, int) else torch.split(classes, self.batch_size)
        grounded = Grounded(*map(torch.cat, zip(*map(self._answer, parts, asked), strict=True)))
        check_answers(BranchLogits(grounded.logits))
        return grounded

    def logits(self, images: UInt8[Tensor, "n H W 3"]) -> Float[Tensor, "n c"]:
        """Return the logits alone, which costs no grounding; arguments and errors as in `answer`."""
        parts = torch.split(images, self.batch_size)
        return torch.cat([self.classifier.logits(each).decision.float() for each in parts])

    def _answer(self, images: UInt8[Tensor, "n H W 3"], classes: Int64[Tensor, "n k"] | int) -> Grounded:
        network, inputs = self.classifier.network, self.classifier.inputs(images)
        if network.decides_by_backbone:
            return self.grounding(inputs, classes)
        logits = self.classifier.logits(images).decision.float()
        asked = logits.topk(classes).indices if isinstance(classes, int) else classes.to(logits.device)
        return self.grounding(network.first_view(inputs), asked)._replace(logits=logits)


@dataclass(frozen=True)
class GuidedZoom:
    """A conventional network, an Evidence CNN, and how evidence passes from one to the other.

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
        found = find_evidence(self.conventional, images.to(device), self.patches, top_k)
        return self._judged(found, source.to(device))

    def look(
        self, images: UInt8[Tensor, "b H W 3"], source: UInt8[Tensor, "b Hs Ws 3"], top_k: int
    ) -> GuidedZoomOutput:
        """Find and score the evidence as `evidence` does, and keep what was seen on the way: for a few images."""
        device = self.conventional.classifier.device
        images, source = images.to(device), source.to(device)
        found = find_evidence(self.conventional, images, self.patches, top_k, keep_maps=True)
        assert found.maps is not None  # asked for
        b, k, rounds = found.boxes.shape[:3]
        # Round l sees the squares of the rounds before it; the others are empty boxes.
        earlier = torch.ones(rounds, rounds, dtype=torch.bool, device=device).tril(-1)[..., None]
        squares = (found.erased[:, :, None] * earlier).flatten(0, 2)
        owner = torch.arange(b, device=device).repeat_interleave(k * rounds)
        seen = torch.cat([erase(images[o], each) for o, each in _batches(self.batch_size, owner, squares)])
        batches = _batches(self.batch_size, owner[:, None], found.boxes.flatten(0, 2))
        views = [self._views(source, torch.cat(each, dim=1)) for each in batches]
        classes = found.classes[:, :, None].expand(-1, -1, rounds).reshape(-1, 1)
        answers = torch.cat([self._scores(each, Scores.PROBABILITIES) for each in views])
        return GuidedZoomOutput(
            self._judged(found, source),
            found.maps,
            seen.view(b, k, rounds, *images.shape[1:]),
            answers.gather(1, classes).view(b, k, rounds),
            torch.cat([self.evidence_cnn.features(each) for each in views]).view(b, k, rounds, -1),
        )

    def _judged(self, found: Found, source: UInt8[Tensor, "b Hs Ws 3"]) -> Evidence:
        device, (b, k, rounds) = source.device, found.boxes.shape[:3]
        # Each patch is judged once, however many classes and rounds look at it.
        owner = torch.arange(b, device=device).repeat_interleave(k * rounds)[:, None]
        asked = torch.cat((owner, found.boxes.flatten(0, 2)), dim=1)
        patches, which = torch.unique(asked, dim=0, return_inverse=True)
        scores = torch.cat([self.judge(source, each) for each in patches.split(self.batch_size)])
        classes = found.classes[:, :, None].expand(-1, -1, rounds).reshape(-1)
        seen = self.passes * torch.bincount(patches[:, 0], minlength=b)
        own = scores[which, classes].view(b, k, rounds)
        where = (found.places, found.found, found.boxes)
        return Evidence(found.logits, found.classes, *where, own, found.forwards, seen)

    def judge(self, source: UInt8[Tensor, "b Hs Ws 3"], patches: Int64[Tensor, "m 5"]) -> Float[Tensor, "m c"]:
        """Return the Evidence CNN's scores of patches: the image of each, then its box."""
        return self._scores(self._views(source, patches), self.scores)

    @property
    def passes(self) -> int:
        """How often the Evidence CNN is asked about one patch."""
        return 2 if self.mirrored else 1

    def _scores(self, views: UInt8[Tensor, "m h w 3"], kind: Scores) -> Float[Tensor, "m c"]:
        shown = torch.cat((views, views.flip(2))) if self.mirrored else views
        logits = self.evidence_cnn.logits(shown).decision.float()
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


def _pixels(images: Float[Tensor, "m 3 h w"]) -> UInt8[Tensor, "m h w 3"]:
    return images.round().to(torch.uint8).permute(0, 2, 3, 1)


class Found(NamedTuple):
    """Where the evidence of a batch lies; fields as in `Evidence`."""

    logits: Float[Tensor, "b c"]
    classes: Int64[Tensor, "b k"]
    places: Float[Tensor, "b k r 2"]
    found: Bool[Tensor, "b k r"]
    boxes: Int64[Tensor, "b k r 4"]
    forwards: Int64[Tensor, " b"]
    erased: Int64[Tensor, "b k r 4"]
    """What the evidence of each round hides from the next, in whole pixels of the view that the network sees."""
    maps: Float[Tensor, "b k r h w"] | None
    """The maps of all rounds, where they were asked for."""


class GuidedZoomOutput(NamedTuple):
    """The evidence for the best classes of a batch, and what the two networks saw."""

    evidence: Evidence
    maps: Float[Tensor, "b k r h w"]
    """Where the conventional network sees each class in each round, as far as it counts (`PatchConfig.elsewhere`)."""
    seen: UInt8[Tensor, "b k r H W 3"]
    """What it saw then: the evidence of the rounds before is black."""
    probabilities: Float[Tensor, "b k r"]
    """The Evidence CNN's for class k, whatever is added up; the mean with the mirror image's where that is seen too."""
    features: Float[Tensor, "b k r d"]
    """The input of the Evidence CNN's classifier for each patch, on the CPU."""


def find_evidence(
    conventional: ConventionalCNN,
    images: UInt8[Tensor, "b H W 3"],
    config: PatchConfig,
    top_k: int,
    *,
    keep_maps: bool = False,
) -> Found:
    """Look for the evidence of the best classes, round by round, each class's earlier evidence being erased."""
    grounded = conventional.answer(images, top_k)
    view = Size(images.shape[2], images.shape[1])
    source = Size(config.source_size, config.source_size)
    hidden = round(config.erased * view.width)
    peaks = [strongest(grounded.maps, view)]
    erased = boxes_around(peaks[0].places, hidden, view)[:, :, None]
    kept = [grounded.maps] if keep_maps else []
    forwards = torch.ones(len(images), dtype=torch.int64, device=images.device)
    for _ in range(config.rounds):
        rows, which = _distinct(erased)
        pixels = erase(images[rows // top_k], erased.flatten(0, 1)[rows])
        flat = _grounded(conventional, pixels, which, grounded.classes.flatten())
        if config.elsewhere:
            flat = elsewhere(flat, erased.flatten(0, 1), view)
        maps = flat.view(*grounded.classes.shape, *flat.shape[1:])
        kept += [maps] if keep_maps else []
        peaks.append(strongest(maps, view))
        erased = torch.cat((erased, boxes_around(peaks[-1].places, hidden, view)[:, :, None]), dim=2)
        forwards += torch.bincount(rows // top_k, minlength=len(images))
    scale = source.width / view.width
    places = torch.stack([each.places for each in peaks], dim=2) * scale
    boxes = boxes_around(places, config.side, source)
    found = torch.stack([each.found for each in peaks], dim=2)
    seen = torch.stack(kept, dim=2) if keep_maps else None
    return Found(grounded.logits, grounded.classes, places, found, boxes, forwards, erased, seen)


def _batches(size: int, *tensors: Tensor) -> list[tuple[Tensor, ...]]:
    return list(zip(*(torch.split(each, size) for each in tensors), strict=True))


def _distinct(erased: Int64[Tensor, "b k l 4"]) -> tuple[Int64[Tensor, " u"], Int64[Tensor, " n"]]:
    """Tell apart the erased images of a batch, whatever the order in which they were erased.

    Returns:
        The first (image, class) of each, counted over both, and which of them each (image, class) has.
    """
    b, k = erased.shape[:2]
    weights = erased.new_tensor([1 << 48, 1 << 32, 1 << 16, 1])  # one number for each box
    keys = (erased * weights).sum(-1).flatten(0, 1)
    owner = torch.arange(b, device=erased.device).repeat_interleave(k)[:, None]
    _, which = torch.unique(torch.cat((owner, keys.sort(dim=1).values), dim=1), dim=0, return_inverse=True)
    everyone = torch.arange(b * k, device=erased.device)
    first = everyone.new_full((int(which.max()) + 1,), b * k).scatter_reduce(0, which, everyone, "amin")
    return first, which


def _grounded(
    conventional: ConventionalCNN,
    images: UInt8[Tensor, "u H W 3"],
    which: Int64[Tensor, " n"],
    classes: Int64[Tensor, " n"],
) -> Float[Tensor, "n h w"]:
    """Ground n classes, each in one of u images; images asked for equally many classes go together."""
    order = which.argsort(stable=True)
    counts = torch.bincount(which, minlength=len(images))
    first = counts.cumsum(0) - counts
    maps: Tensor | None = None
    for asked in torch.unique(counts).tolist():
        chosen = (counts == asked).nonzero()[:, 0]
        places = order[first[chosen][:, None] + torch.arange(asked, device=which.device)]
        grounded = conventional.answer(images[chosen], classes[places])
        if maps is None:
            maps = grounded.maps.new_empty((len(which), *grounded.maps.shape[2:]))
        maps[places.flatten()] = grounded.maps.flatten(0, 1)
    assert maps is not None  # there is at least one image
    return maps


def centre_part(boxes: Int64[Tensor, "m 4"], transforms: TransformConfig) -> Float[Tensor, "m 4"]:
    """Return the part of each patch that a centre crop of `input_size` shows once it is resized to `resize_size`."""
    start = (transforms.resize_size - transforms.input_size) // 2 / transforms.resize_size
    end = start + transforms.input_size / transforms.resize_size
    corner, size = boxes[:, :2].float(), (boxes[:, 2:] - boxes[:, :2]).float()
    return torch.cat((corner + start * size, corner + end * size), dim=1)
