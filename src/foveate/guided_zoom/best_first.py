"""Algorithm 1 decided with no more evidence than it needs: branch and bound, the cheapest evidence first.

A class's score is bounded: it has what its evidence has given so far, and can gain at most the weights still to come.
So one piece of evidence is looked at after the other until no other class can overtake. The decision is that of looking
at everything (`foveate.guided_zoom.algorithm_1.decide`).

First comes the evidence of the earliest round: that of round 0 lies in the pass that gave the answer, and each later
round needs passes over images with something erased. Of equal ones, the class that can still score highest is first.
Passes are held: classes with the same evidence erased share one, whenever their turns come.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int64, UInt8
from torch import Tensor

from foveate.errors import UserError
from foveate.guided_zoom.algorithm_1 import check_finite, scores_of
from foveate.guided_zoom.config import RefinementConfig, Rule, Scores
from foveate.guided_zoom.conventional_cnn import MapsWhenAsked
from foveate.guided_zoom.erasing import elsewhere, erase
from foveate.guided_zoom.evidence_rounds import framed, keys_of
from foveate.guided_zoom.guided_zoom import GuidedZoom
from foveate.networks.entropy_gate import unsure
from foveate.types import Size

_HELD_PIXELS = 1 << 20
"""Of the images whose passes are held at a time: 5 of 448 by 448, on a GPU twice as many. ResNet-50 at the last layer
of stride 16 holds 31 MB for each pass, ResNet-101 at res4a 0.4 GB."""
_ROUNDING = 1e-5
"""Bounds nearer than this are compared only when both classes are known in full."""


class BestFirstDecision(NamedTuple):
    """The decisions of a batch, and what they cost."""

    logits: Float[Tensor, "b c"]
    """The conventional network's own."""
    candidates: Int64[Tensor, "b k"]
    """Its best classes by falling logit."""
    classes: Int64[Tensor, " b"]
    """The refined class."""
    lower: Float[Tensor, "b k"]
    """What each candidate scores at least."""
    upper: Float[Tensor, "b k"]
    """What it scores at most; equal to `lower` where all its evidence was looked at."""
    forwards: Int64[Tensor, " b"]
    """Passes of the conventional network: the first, and one for each image with other evidence erased."""
    patches: Int64[Tensor, " b"]
    """Passes of the Evidence CNN."""
    maps: Int64[Tensor, " b"]
    """How often a class was looked for in one of these passes."""


def decide_best_first(
    zoom: GuidedZoom,
    images: UInt8[Tensor, "b H W 3"],
    source: UInt8[Tensor, "b Hs Ws 3"],
    config: RefinementConfig,
) -> BestFirstDecision:
    """Decide as `GuidedZoom.evidence` and `decide` do; images that wait for nothing drop out of the batch.

    Args:
        zoom: Both networks; it looks for as many rounds of evidence as the weights ask for.
        images: What the conventional network sees.
        source: The same view at `patches.source_size`.
        config: How the evidence decides.

    Raises:
        UserError: Logits are added up, which nothing bounds, or as `GuidedZoom.evidence`.
    """
    if config.scores is Scores.LOGITS:
        raise UserError("best first needs scores with a bound; got logits; take --refinement.scores probabilities")
    zoom = replace(zoom, mirrored=config.mirrored)
    pixels = _HELD_PIXELS * (1 if zoom.conventional.classifier.device.type == "cpu" else 2)
    at_once = max(1, pixels // max(1, images.shape[1] * images.shape[2]))
    parts = zip(torch.split(images, at_once), torch.split(source, at_once), strict=True)
    decisions = [_decided(_Search.start(zoom, *part, config)) for part in parts]
    return BestFirstDecision(*map(torch.cat, zip(*decisions, strict=True)))


def _decided(search: _Search) -> BestFirstDecision:
    while len(pairs := search.next()):
        search.look(pairs)
    return search.decision()


class _Look(NamedTuple):
    """A pass over an image: what grounds classes in it, and the image's number there."""

    maps: MapsWhenAsked
    image: int


@dataclass(eq=False, kw_only=True)
class _Search:
    """What is known so far of b images, k candidates and r rounds."""

    zoom: GuidedZoom
    config: RefinementConfig
    images: UInt8[Tensor, "b H W 3"]
    source: UInt8[Tensor, "b Hs Ws 3"]
    logits: Float[Tensor, "b c"]
    classes: Int64[Tensor, "b k"]
    """The candidates."""
    looks: dict[tuple[int, ...], _Look]
    """The passes over each undecided image: its number, then what is erased, one number for each square, in order;
    where a grounding cannot hold on to a pass, also the candidate's rank and round, but for the first pass."""
    considered: Bool[Tensor, " b"]
    evidence: Float[Tensor, "b k r"]
    """Scores; 0 where not looked at."""
    known: Int64[Tensor, "b k"]
    """Rounds that were looked at."""
    squares: Int64[Tensor, "b k r 4"]
    """What is erased; empty where not looked at."""
    patch_scores: dict[tuple[int, ...], Float[Tensor, " c"]]
    """What the Evidence CNN said of a patch: image, left, top, right, bottom."""
    forwards: Int64[Tensor, " b"]
    patches: Int64[Tensor, " b"]

    @classmethod
    def start(
        cls,
        zoom: GuidedZoom,
        images: UInt8[Tensor, "b H W 3"],
        source: UInt8[Tensor, "b Hs Ws 3"],
        config: RefinementConfig,
    ) -> _Search:
        """Answer, and ground nothing yet."""
        device = zoom.conventional.classifier.device
        images, source = images.to(device), source.to(device)
        first = zoom.conventional.hold(images, config.top_k)
        logits, shape = first.logits, (*first.classes.shape, config.rounds + 1)
        forwards, nothing = first.classes.new_ones(len(images)), [0] * shape[-1]
        nothing += [] if zoom.conventional.holds else [0]
        return cls(
            zoom=zoom,
            config=config,
            images=images,
            source=source,
            logits=logits,
            classes=first.classes,
            looks={(image, *nothing): _Look(first.maps, image) for image in range(len(images))},
            considered=unsure(logits.softmax(1), config.entropy_threshold),
            evidence=logits.new_zeros(shape),
            known=torch.zeros_like(first.classes),
            squares=first.classes.new_zeros(*shape, 4),
            patch_scores={},
            forwards=forwards,
            patches=torch.zeros_like(forwards),
        )

    def bounds(self) -> tuple[Float[Tensor, "b k"], Float[Tensor, "b k"]]:
        """Return what each candidate scores at least and at most."""
        own = self.logits.softmax(1).gather(1, self.classes)
        lower = scores_of(own, self.evidence, self.config.weights, self.config.rule)
        weights = own.new_tensor(self.config.weights[1:])
        missing = weights * (torch.arange(len(weights), device=own.device) >= self.known[..., None])
        if self.config.rule is Rule.MAX:
            return lower, torch.maximum(lower, missing.amax(-1))
        return lower, lower + missing.sum(-1)

    def alive(self) -> Bool[Tensor, "b k"]:
        """Say which candidates can still win."""
        lower, upper = self.bounds()
        return self.considered[:, None] & (upper + _ROUNDING >= lower.amax(1, keepdim=True))

    def next(self) -> Int64[Tensor, "m 2"]:
        """Return the image and candidate that each undecided image looks at next."""
        alive, (_, upper) = self.alive(), self.bounds()
        rounds = self.evidence.shape[2]
        unfinished = alive & (self.known < rounds)
        waiting = ((alive.sum(1) > 1) & unfinished.any(1)).nonzero()[:, 0]
        earliest = self.known.masked_fill(~unfinished, rounds).amin(1, keepdim=True)
        best = upper.masked_fill(~unfinished | (self.known > earliest), -torch.inf)[waiting].argmax(1)
        undecided = set(waiting.tolist())
        self.looks = {key: look for key, look in self.looks.items() if key[0] in undecided}
        return torch.stack((waiting, best), dim=1)

    def look(self, pairs: Int64[Tensor, "m 2"]) -> None:
        """Find and score one more round of evidence for a candidate of each image."""
        which, rank = pairs.unbind(1)
        number, classes = self.known[which, rank], self.classes[which, rank]
        boxes, squares = self._framed(which, rank)
        scores = self._scores(which, boxes)
        self.evidence[which, rank, number] = scores.gather(1, classes[:, None])[:, 0]
        self.squares[which, rank, number] = squares
        self.known[which, rank] += 1

    def _framed(
        self, which: Int64[Tensor, " m"], rank: Int64[Tensor, " m"]
    ) -> tuple[Int64[Tensor, "m 4"], Int64[Tensor, "m 4"]]:
        """Return the patch of each image's candidate and what hides it, its earlier evidence being erased."""
        erased, view = self.squares[which, rank], Size(self.images.shape[2], self.images.shape[1])
        looks = self._looked(which, rank, erased)
        maps: dict[int, Tensor] = {}
        for held in {id(each.maps): each.maps for each in looks}.values():
            asked = [place for place, each in enumerate(looks) if each.maps is held]
            images = torch.tensor([looks[place].image for place in asked], device=which.device)
            maps |= zip(asked, held(images, rank[asked]), strict=True)
        seen = torch.stack([maps[place] for place in range(len(looks))])
        if self.zoom.patches.elsewhere:
            seen = elsewhere(seen, erased, view)
        found = framed(seen, view, self.zoom.patches)
        return found.boxes, found.squares

    def _looked(
        self, which: Int64[Tensor, " m"], rank: Int64[Tensor, " m"], erased: Int64[Tensor, "m r 4"]
    ) -> list[_Look]:
        """Return the pass over each image with its squares erased; none is made twice."""
        parts = [which[:, None], keys_of(erased)]
        if not self.zoom.conventional.holds:
            known = self.known[which, rank]
            parts.append(torch.where(known > 0, known * self.known.shape[1] + rank, 0)[:, None])
        keys = [tuple(each) for each in torch.cat(parts, dim=1).tolist()]
        new = [place for place, key in enumerate(keys) if key not in self.looks]
        if new:
            images = which[new]
            maps = self.zoom.conventional.look(erase(self.images[images], erased[new]), self.classes[images])
            self.looks |= {keys[place]: _Look(maps, number) for number, place in enumerate(new)}
            self.forwards[images] += 1
        return [self.looks[key] for key in keys]

    def _scores(self, which: Int64[Tensor, " m"], boxes: Int64[Tensor, "m 4"]) -> Float[Tensor, "m c"]:
        """Return what the Evidence CNN says of a patch of each image; no patch is shown to it twice."""
        patches = torch.cat((which[:, None], boxes), dim=1)
        keys = [tuple(each) for each in patches.tolist()]
        new = [index for index, key in enumerate(keys) if key not in self.patch_scores]
        for rows in torch.split(torch.tensor(new, dtype=torch.int64, device=which.device), self.zoom.batch_size):
            scores = self.zoom.patch_scores(self.source, patches[rows])
            check_finite(scores.isfinite().all(1))
            self.patch_scores |= zip((keys[row] for row in rows.tolist()), scores, strict=True)
            self.patches[which[rows]] += self.zoom.passes
        return torch.stack([self.patch_scores[key] for key in keys])

    def decision(self) -> BestFirstDecision:
        """Return the decisions; nothing is undecided."""
        (lower, upper), alive = self.bounds(), self.alive()
        best = lower.masked_fill(~alive, -torch.inf).argmax(1)
        best = torch.where(self.considered, best, 0)
        return BestFirstDecision(
            logits=self.logits,
            candidates=self.classes,
            classes=self.classes.gather(1, best[:, None])[:, 0],
            lower=lower,
            upper=upper,
            forwards=self.forwards,
            patches=self.patches,
            maps=self.known.sum(1),
        )
