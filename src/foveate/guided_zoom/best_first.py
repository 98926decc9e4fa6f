"""Algorithm 1 decided with no more evidence than it needs: branch and bound, the most promising class first.

A class's score is bounded: it has what its evidence has given so far, and can gain at most the weights still to come.
So the evidence of the class that can still score highest is looked at, one round at a time, until no other class can
overtake. The decision is that of looking at everything (`foveate.guided_zoom.algorithm_1.decide`).
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
from foveate.guided_zoom.conventional_cnn import HeldAnswers
from foveate.guided_zoom.evidence_rounds import evidence_round, framed
from foveate.guided_zoom.guided_zoom import GuidedZoom
from foveate.networks.entropy_gate import unsure
from foveate.types import Size

_HELD_PIXELS = 1 << 22
"""Of the images whose pass is held: 20 of 448 by 448. ResNet-101 at res4a holds 0.3 GB of each of these."""
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
    """Passes of the conventional network: the first grounds whichever candidates are looked at, the others one, its
    evidence erased."""
    patches: Int64[Tensor, " b"]
    """Passes of the Evidence CNN."""
    grounded: Int64[Tensor, " b"]
    """Candidates that were grounded in the first pass."""


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
    at_once = max(1, _HELD_PIXELS // max(1, images.shape[1] * images.shape[2]))
    parts = zip(torch.split(images, at_once), torch.split(source, at_once), strict=True)
    decisions = [_decided(_Search.start(zoom, *part, config)) for part in parts]
    return BestFirstDecision(*map(torch.cat, zip(*decisions, strict=True)))


def _decided(search: _Search) -> BestFirstDecision:
    while len(pairs := search.next()):
        search.look(pairs)
    return search.decision()


@dataclass(eq=False, kw_only=True)
class _Search:
    """What is known so far of b images, k candidates and r rounds."""

    zoom: GuidedZoom
    config: RefinementConfig
    images: UInt8[Tensor, "b H W 3"]
    source: UInt8[Tensor, "b Hs Ws 3"]
    first: HeldAnswers
    """Of the whole images: a candidate's first evidence comes from the pass that gave the answer, and is looked for
    when its turn has come."""
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
        forwards = first.classes.new_ones(len(images))
        return cls(
            zoom=zoom,
            config=config,
            images=images,
            source=source,
            first=first,
            considered=unsure(logits.softmax(1), config.entropy_threshold),
            evidence=logits.new_zeros(shape),
            known=torch.zeros_like(first.classes),
            squares=first.classes.new_zeros(*shape, 4),
            patch_scores={},
            forwards=forwards,
            patches=torch.zeros_like(forwards),
        )

    @property
    def _view(self) -> Size:
        return Size(self.images.shape[2], self.images.shape[1])

    def bounds(self) -> tuple[Float[Tensor, "b k"], Float[Tensor, "b k"]]:
        """Return what each candidate scores at least and at most."""
        own = self.first.logits.softmax(1).gather(1, self.first.classes)
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
        unfinished = alive & (self.known < self.evidence.shape[2])
        waiting = ((alive.sum(1) > 1) & unfinished.any(1)).nonzero()[:, 0]
        best = upper.masked_fill(~unfinished, -torch.inf)[waiting].argmax(1)
        return torch.stack((waiting, best), dim=1)

    def look(self, pairs: Int64[Tensor, "m 2"]) -> None:
        """Find and score one more round of evidence for a candidate of each image."""
        which, rank = pairs.unbind(1)
        number, classes = self.known[which, rank], self.first.classes[which, rank]
        boxes, squares = self._framed(which, rank)
        scores = self._scores(which, boxes)
        self.evidence[which, rank, number] = scores.gather(1, classes[:, None])[:, 0]
        self.squares[which, rank, number] = squares
        self.known[which, rank] += 1

    def _framed(
        self, which: Int64[Tensor, " m"], rank: Int64[Tensor, " m"]
    ) -> tuple[Int64[Tensor, "m 4"], Int64[Tensor, "m 4"]]:
        """Return the patch of each image's candidate and what hides it, its earlier evidence being erased."""
        boxes, squares = (which.new_empty(len(which), 4) for _ in range(2))
        later = self.known[which, rank] > 0
        if not later.all():
            found = framed(self.first.maps(which[~later], rank[~later]), self._view, self.zoom.patches)
            boxes[~later], squares[~later] = found.boxes, found.squares
        if later.any():
            images, places = which[later], (which[later], rank[later], None)
            latest = evidence_round(
                self.zoom.conventional,
                self.images[images],
                self.first.classes[places],
                self.squares[places],
                self.zoom.patches,
            )
            boxes[later], squares[later] = latest.evidence.boxes[:, 0], latest.evidence.squares[:, 0]
            self.forwards[images] += latest.forwards
        return boxes, squares

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
            logits=self.first.logits,
            candidates=self.first.classes,
            classes=self.first.classes.gather(1, best[:, None])[:, 0],
            lower=lower,
            upper=upper,
            forwards=self.forwards,
            patches=self.patches,
            grounded=(self.known > 0).sum(1),
        )
