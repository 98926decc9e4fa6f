"""Algorithm 1 decided with no more evidence than it needs: branch and bound, the most promising class first.

A class's score is bounded: it has what its evidence has given so far, and can gain at most the weights still to come.
So the evidence of the class that can still score highest is looked at, one round at a time, until no other class can
overtake. The decision is that of looking at everything (`foveate.guided_zoom.refinement.decide`).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int64, UInt8
from torch import Tensor

from foveate.errors import UserError
from foveate.guided_zoom.config import RefinementConfig, Rule, Scores
from foveate.guided_zoom.evidence import GuidedZoom
from foveate.guided_zoom.patches import boxes_around, elsewhere, erase, strongest
from foveate.guided_zoom.refinement import check_finite, scores_of
from foveate.networks.entropy import unsure
from foveate.types import Size

_ROUNDING = 1e-5
"""Bounds nearer than this are compared only when both classes are known in full."""


class Decided(NamedTuple):
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
    """Passes of the conventional network: the first grounds all candidates, the others one, its evidence erased."""
    patches: Int64[Tensor, " b"]
    """Passes of the Evidence CNN."""


def decide_best_first(
    zoom: GuidedZoom,
    images: UInt8[Tensor, "b H W 3"],
    source: UInt8[Tensor, "b Hs Ws 3"],
    config: RefinementConfig,
) -> Decided:
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
    search = _Search.begun(replace(zoom, mirrored=config.mirrored), images, source, config)
    while len(asked := search.next()):
        search.look(asked)
    return search.decided()


@dataclass(eq=False)
class _Search:
    """What is known so far of b images, k candidates and r rounds."""

    zoom: GuidedZoom
    config: RefinementConfig
    images: UInt8[Tensor, "b H W 3"]
    source: UInt8[Tensor, "b Hs Ws 3"]
    logits: Float[Tensor, "b c"]
    candidates: Int64[Tensor, "b k"]
    considered: Bool[Tensor, " b"]
    maps: Float[Tensor, "b k h w"]
    """The candidates', nothing being erased, from the pass that gave the answer: a further class costs it a fraction of
    another pass. It is paid for images that the entropy gate leaves alone, too."""
    evidence: Float[Tensor, "b k r"]
    """Scores; 0 where not looked at."""
    known: Int64[Tensor, "b k"]
    """Rounds that were looked at."""
    erased: Int64[Tensor, "b k r 4"]
    """Squares; empty where not looked at."""
    judged: dict[tuple[int, ...], Float[Tensor, " c"]]
    """What the Evidence CNN said of a patch: image, left, top, right, bottom."""
    forwards: Int64[Tensor, " b"]
    patches: Int64[Tensor, " b"]

    @classmethod
    def begun(
        cls,
        zoom: GuidedZoom,
        images: UInt8[Tensor, "b H W 3"],
        source: UInt8[Tensor, "b Hs Ws 3"],
        config: RefinementConfig,
    ) -> _Search:
        """Answer, and ground all candidates."""
        device = zoom.conventional.classifier.device
        images, source = images.to(device), source.to(device)
        grounded = zoom.conventional.answer(images, config.top_k)
        b, k, rounds = len(images), config.top_k, config.rounds + 1
        return cls(
            zoom,
            config,
            images,
            source,
            grounded.logits,
            grounded.classes,
            unsure(grounded.logits.softmax(1), config.entropy_threshold),
            grounded.maps,
            grounded.logits.new_zeros(b, k, rounds),
            torch.zeros(b, k, dtype=torch.int64, device=device),
            torch.zeros(b, k, rounds, 4, dtype=torch.int64, device=device),
            {},
            torch.ones(b, dtype=torch.int64, device=device),
            torch.zeros(b, dtype=torch.int64, device=device),
        )

    def bounds(self) -> tuple[Float[Tensor, "b k"], Float[Tensor, "b k"]]:
        """Return what each candidate scores at least and at most."""
        own = self.logits.softmax(1).gather(1, self.candidates)
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

    def look(self, asked: Int64[Tensor, "m 2"]) -> None:
        """Look at one more round of evidence for a candidate of each image."""
        which, rank = asked.unbind(1)
        number, patches = self.known[which, rank], self.zoom.patches
        view = Size(self.images.shape[2], self.images.shape[1])
        maps = self._maps(which, rank)
        places = strongest(maps, view).places
        square = boxes_around(places, round(patches.erased * view.width), view)
        source = Size(patches.source_size, patches.source_size)
        boxes = boxes_around(places * (source.width / view.width), patches.side, source)
        answers = self._judged(which, boxes)
        self.evidence[which, rank, number] = answers.gather(1, self.candidates[which, rank, None])[:, 0]
        self.erased[which, rank, number] = square
        self.known[which, rank] += 1

    def _maps(self, which: Int64[Tensor, " m"], rank: Int64[Tensor, " m"]) -> Float[Tensor, "m h w"]:
        """Ground each image's candidate, its earlier evidence being erased."""
        maps, erased = self.maps[which, rank], self.erased[which, rank]
        new = self.known[which, rank] > 0
        if new.any():
            pixels = erase(self.images[which[new]], erased[new])
            classes = self.candidates[which[new], rank[new], None]
            maps[new] = self.zoom.conventional.answer(pixels, classes).maps[:, 0]
            self.forwards[which[new]] += 1
        if self.zoom.patches.elsewhere:
            maps = elsewhere(maps, erased, Size(self.images.shape[2], self.images.shape[1]))
        return maps

    def _judged(self, which: Int64[Tensor, " m"], boxes: Int64[Tensor, "m 4"]) -> Float[Tensor, "m c"]:
        """Return what the Evidence CNN says of a patch of each image; no patch is judged twice."""
        asked = torch.cat((which[:, None], boxes), dim=1)
        keys = [tuple(each) for each in asked.tolist()]
        new = [index for index, key in enumerate(keys) if key not in self.judged]
        for rows in torch.split(torch.tensor(new, dtype=torch.int64, device=which.device), self.zoom.batch_size):
            answers = self.zoom.judge(self.source, asked[rows])
            check_finite(answers.isfinite().all(1))
            self.judged |= zip((keys[row] for row in rows.tolist()), answers, strict=True)
            self.patches[which[rows]] += self.zoom.passes
        return torch.stack([self.judged[key] for key in keys])

    def decided(self) -> Decided:
        """Return the decisions; nothing is undecided."""
        (lower, upper), alive = self.bounds(), self.alive()
        best = lower.masked_fill(~alive, -torch.inf).argmax(1)
        best = torch.where(self.considered, best, 0)
        classes = self.candidates.gather(1, best[:, None])[:, 0]
        return Decided(self.logits, self.candidates, classes, lower, upper, self.forwards, self.patches)
