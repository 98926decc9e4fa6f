"""Guided Zoom as a classifier: pixels in, refined probabilities out."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import NamedTuple

from jaxtyping import Bool, Float, Int64, UInt8
from torch import Tensor

from foveate.config.data import TransformConfig
from foveate.guided_zoom.algorithm_1 import decide
from foveate.guided_zoom.best_first import decide_best_first
from foveate.guided_zoom.config import RefinementConfig, Scores
from foveate.guided_zoom.guided_zoom import GuidedZoom
from foveate.guided_zoom.refined_probabilities import refined_probabilities
from foveate.networks.entropy_gate import unsure


class RefinedAnswers(NamedTuple):
    """Class probabilities of photographs in float32 on the CPU."""

    first: Float[Tensor, "b c"]
    """Of the conventional network, before the evidence."""
    refined: Float[Tensor, "b c"]


@dataclass(frozen=True)
class Refiner:
    """Both networks, and how the evidence decides."""

    zoom: GuidedZoom
    config: RefinementConfig

    @classmethod
    def of(cls, zoom: GuidedZoom, config: RefinementConfig) -> Refiner:
        """Put them together; evidence is looked for in no more rounds than the weights ask for."""
        rounds = min(config.rounds, zoom.patches.rounds)
        patches = replace(zoom.patches, rounds=rounds)
        return cls(replace(zoom, patches=patches, scores=config.scores, mirrored=config.mirrored), config)

    def source_of(self, transforms: TransformConfig) -> TransformConfig:
        """Return what makes the view that patches are cut from: the same part of a photograph as the network sees."""
        return replace(transforms, source_size=self.zoom.patches.source_size)

    def probabilities(
        self, images: UInt8[Tensor, "b H W 3"], source: UInt8[Tensor, "b Hs Ws 3"]
    ) -> Float[Tensor, "b c"]:
        """Return each photograph's refined class probabilities in float32 on the CPU; arguments as in `GuidedZoom`.

        What the entropy gate leaves alone costs one pass of the conventional network, and nothing is grounded.
        """
        return self.answers(images, source).refined

    def answers(self, images: UInt8[Tensor, "b H W 3"], source: UInt8[Tensor, "b Hs Ws 3"]) -> RefinedAnswers:
        """Return each photograph's probabilities before and after the evidence; all else as in `probabilities`."""
        if self.config.entropy_threshold is None:
            return self._refined(images, source)
        own, considered = self._gated(images, self.config.entropy_threshold)
        refined = own.clone()
        if considered.any():
            refined[considered] = self._refined(images[considered], source[considered]).refined
        return RefinedAnswers(own, refined)

    def classes(self, images: UInt8[Tensor, "b H W 3"], source: UInt8[Tensor, "b Hs Ws 3"]) -> Int64[Tensor, " b"]:
        """Return the class that `probabilities` has most of, on the CPU, looking at no more evidence than decides it.

        Logits that are added up have no bound: all evidence is looked at then.
        """
        if self.config.scores is Scores.LOGITS:
            return self.probabilities(images, source).argmax(1)
        if self.config.entropy_threshold is None:
            return decide_best_first(self.zoom, images, source, self.config).classes.cpu()
        own, considered = self._gated(images, self.config.entropy_threshold)
        best = own.argmax(1)
        if considered.any():
            ungated = replace(self.config, entropy_threshold=None)
            best[considered] = decide_best_first(
                self.zoom, images[considered], source[considered], ungated
            ).classes.cpu()
        return best

    def _gated(
        self, images: UInt8[Tensor, "b H W 3"], threshold: float
    ) -> tuple[Float[Tensor, "b c"], Bool[Tensor, " b"]]:
        """Return the network's own probabilities, on the CPU, and which photographs the evidence is weighed for."""
        own = self.zoom.conventional.logits(images).softmax(-1).cpu()
        return own, unsure(own, threshold)

    def _refined(self, images: UInt8[Tensor, "b H W 3"], source: UInt8[Tensor, "b Hs Ws 3"]) -> RefinedAnswers:
        evidence = self.zoom.evidence(images, source, self.config.top_k)
        own, refined = evidence.logits.float().softmax(-1), decide(evidence, self.config)
        return RefinedAnswers(
            own.cpu(), refined_probabilities(own, evidence.classes, refined, self.config.scores).cpu()
        )
