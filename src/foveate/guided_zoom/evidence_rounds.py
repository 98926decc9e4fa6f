"""Where the evidence for some classes lies, round by round (Guided Zoom, Algorithm 1, lines 4, 5 and 8 to 10).

In each round a class's evidence of the rounds before is erased, the class is grounded in what is left, and a patch is
framed around the peak. Classes of an image whose peaks coincide share what is erased and the pass over it.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int64, UInt8
from torch import Tensor

from foveate.guided_zoom.config import PatchConfig
from foveate.guided_zoom.conventional_cnn import ConventionalCNN
from foveate.guided_zoom.erasing import elsewhere, erase
from foveate.guided_zoom.evidence_peak import strongest
from foveate.guided_zoom.patches import boxes_around
from foveate.types import Size


class FramedEvidence(NamedTuple):
    """Where evidence lies: its peak, the patch around it, and the square that hides it from later rounds."""

    places: Float[Tensor, "*n 2"]
    """Peaks, (x, y) in continuous pixels of the view that patches are cut from."""
    found: Bool[Tensor, "*n"]
    """False where a map had no peak: the middle of the view stands in."""
    boxes: Int64[Tensor, "*n 4"]
    """Patches, in whole pixels of that view."""
    squares: Int64[Tensor, "*n 4"]
    """What is erased, in whole pixels of the view that the network sees."""


class EvidenceRound(NamedTuple):
    """What one round finds for k classes of each image."""

    logits: Float[Tensor, "b k c"]
    """The conventional network's, for the image that each class is grounded in."""
    classes: Int64[Tensor, "b k"]
    maps: Float[Tensor, "b k h w"]
    """Where the network sees each class, as far as it counts (`PatchConfig.elsewhere`)."""
    evidence: FramedEvidence
    """Of each image and class: n is b k."""
    forwards: Int64[Tensor, " b"]
    """Passes of the conventional network."""


class LocatedEvidence(NamedTuple):
    """What all r rounds find for the k best classes of each image."""

    logits: Float[Tensor, "b c"]
    """The conventional network's, for the whole image."""
    classes: Int64[Tensor, "b k"]
    """Its best classes by falling logit."""
    evidence: FramedEvidence
    """Of each image, class and round: n is b k r."""
    forwards: Int64[Tensor, " b"]
    """Passes of the conventional network."""
    maps: Float[Tensor, "b k r h w"] | None
    """Those of all rounds, where they are kept."""


def first_round(
    conventional: ConventionalCNN, images: UInt8[Tensor, "b H W 3"], top_k: int, config: PatchConfig
) -> EvidenceRound:
    """Answer, and find the evidence for the best classes by falling logit, nothing being erased: one pass an image.

    Raises:
        UserError: There are fewer classes, or the network's logits are not finite.
    """
    logits, classes, maps = conventional.answer(images, top_k)
    evidence = framed(maps, Size(images.shape[2], images.shape[1]), config)
    return EvidenceRound(logits[:, None].expand(-1, top_k, -1), classes, maps, evidence, classes.new_ones(len(images)))


def evidence_round(
    conventional: ConventionalCNN,
    images: UInt8[Tensor, "b H W 3"],
    classes: Int64[Tensor, "b k"],
    squares: Int64[Tensor, "b k l 4"],
    config: PatchConfig,
) -> EvidenceRound:
    """Erase each class's evidence of the rounds before, ground the class in what is left, and find the next evidence.

    Args:
        conventional: The network, on the device of all tensors.
        images: What it sees, whole.
        classes: What is looked for.
        squares: What is erased for each class, in whole pixels of the images; an empty one erases nothing.
        config: How evidence is framed and erased.

    Raises:
        UserError: The network's logits are not finite.
    """
    (b, k), view = classes.shape, Size(images.shape[2], images.shape[1])
    rows, which = _distinct(squares)
    erased = erase(images[rows // k], squares.flatten(0, 1)[rows])
    logits, maps = _grounded(conventional, erased, which, classes.flatten())
    if config.elsewhere:
        maps = elsewhere(maps, squares.flatten(0, 1), view)
    maps = maps.view(b, k, *maps.shape[1:])
    forwards = torch.bincount(rows // k, minlength=b)
    return EvidenceRound(logits[which].view(b, k, -1), classes, maps, framed(maps, view, config), forwards)


def locate_evidence(
    conventional: ConventionalCNN,
    images: UInt8[Tensor, "b H W 3"],
    top_k: int,
    config: PatchConfig,
    *,
    keep_maps: bool = False,
) -> LocatedEvidence:
    """Return what all L + 1 rounds find for the best classes of a batch; arguments and errors as in `first_round`.

    Maps are kept where they are asked for: those of some grounding methods have as many cells as the image has pixels.
    """
    latest = first_round(conventional, images, top_k, config)
    logits, classes, forwards = latest.logits[:, 0], latest.classes, latest.forwards
    evidence, maps = [latest.evidence], [latest.maps] if keep_maps else []
    for _ in range(config.rounds):
        squares = torch.stack([each.squares for each in evidence], dim=2)
        latest = evidence_round(conventional, images, classes, squares, config)
        forwards = forwards + latest.forwards
        evidence.append(latest.evidence)
        maps += [latest.maps] if keep_maps else []
    every = FramedEvidence(*(torch.stack(field, dim=2) for field in zip(*evidence, strict=True)))
    return LocatedEvidence(logits, classes, every, forwards, torch.stack(maps, dim=2) if keep_maps else None)


def framed(maps: Float[Tensor, "*n h w"], view: Size, config: PatchConfig) -> FramedEvidence:
    """Frame the peak of each map, which covers the view that the network sees."""
    peaks, source = strongest(maps, view), Size(config.source_size, config.source_size)
    places = peaks.places * (source.width / view.width)
    return FramedEvidence(
        places=places,
        found=peaks.found,
        boxes=boxes_around(places, config.side, source),
        squares=boxes_around(peaks.places, round(config.erased * view.width), view),
    )


def _distinct(squares: Int64[Tensor, "b k l 4"]) -> tuple[Int64[Tensor, " u"], Int64[Tensor, " n"]]:
    """Tell apart the erased images of a batch, whatever the order in which they were erased.

    Returns:
        The first (image, class) of each, counted over both, and which of them each (image, class) has.
    """
    b, k = squares.shape[:2]
    owner = torch.arange(b, device=squares.device).repeat_interleave(k)[:, None]
    keys = torch.cat((owner, keys_of(squares.flatten(0, 1))), dim=1)
    _, which = torch.unique(keys, dim=0, return_inverse=True)
    everyone = torch.arange(b * k, device=squares.device)
    first = everyone.new_full((int(which.max()) + 1,), b * k).scatter_reduce(0, which, everyone, "amin")
    return first, which


def keys_of(squares: Int64[Tensor, "n l 4"]) -> Int64[Tensor, "n l"]:
    """Return one number for each square, in order; 0 for one that is there already, or empty in the corner."""
    weights = squares.new_tensor([1 << 48, 1 << 32, 1 << 16, 1])
    keys = (squares * weights).sum(-1).sort(dim=1).values
    keys[:, 1:] *= keys[:, 1:] != keys[:, :-1]
    return keys.sort(dim=1).values


def _grounded(
    conventional: ConventionalCNN,
    images: UInt8[Tensor, "u H W 3"],
    which: Int64[Tensor, " n"],
    classes: Int64[Tensor, " n"],
) -> tuple[Float[Tensor, "u c"], Float[Tensor, "n h w"]]:
    """Ground n classes, each in one of u images; images asked for equally many classes go together.

    Returns:
        The logits of each image, and the map of each class.
    """
    order = which.argsort(stable=True)
    counts = torch.bincount(which, minlength=len(images))
    first = counts.cumsum(0) - counts
    rows, logits, targets, maps = [], [], [], []
    for count in torch.unique(counts).tolist():
        chosen = (counts == count).nonzero()[:, 0]
        pairs = order[first[chosen][:, None] + torch.arange(count, device=which.device)]
        grounded = conventional.answer(images[chosen], classes[pairs])
        rows.append(chosen)
        logits.append(grounded.logits)
        targets.append(pairs.flatten())
        maps.append(grounded.maps.flatten(0, 1))
    return torch.cat(logits)[torch.cat(rows).argsort()], torch.cat(maps)[torch.cat(targets).argsort()]
