"""How a Guided Zoom comes to its answer: what is known of one photograph, class by class, round by round."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from jaxtyping import Float
from PIL import Image

from foveate.guided_zoom.config import RefinementConfig
from foveate.networks.explanation import Panel, PanelGroup
from foveate.types import Box, RankedClass


class PoolPatch(NamedTuple):
    """A patch of the evidence pool."""

    id: str
    """Its photograph's, then # and the round that it was found in."""
    distance: float
    """1 - cosine of the Evidence CNN's pooled features, in [0, 2]."""
    picture: Image.Image


@dataclass(frozen=True, slots=True)
class ExplainedRound:
    """The evidence for one class that one round found.

    ``erased`` is what the network saw, the evidence of earlier rounds black, and ``heat`` in [0, 1] its map, whose
    cells cover it. ``place`` is the peak, ``box`` the patch around it, in pixels of the source view; where the map had
    no peak, ``found`` is False and both are of the middle. ``probability`` is the Evidence CNN's for the class,
    ``score`` what of it is weighed. ``nearest`` are patches of the class in the pool, the nearest first; there may be
    none.
    """

    erased: Image.Image
    heat: Float[np.ndarray, "h w"]
    place: tuple[float, float]
    box: Box
    found: bool
    patch: Image.Image
    probability: float
    score: float
    nearest: tuple[PoolPatch, ...]


@dataclass(frozen=True, slots=True)
class ClassEvidence:
    """One class that was considered.

    ``probability`` is the network's own, ``refined`` the one after the evidence. ``terms`` are the weighted own score
    and the weighted score of each round, ``score`` what becomes of them.
    """

    class_name: str
    probability: float
    refined: float
    terms: tuple[float, ...]
    score: float
    rounds: tuple[ExplainedRound, ...]


@dataclass(frozen=True, slots=True)
class ZoomExplanation:
    """How a Guided Zoom came to its answer for one photograph.

    ``image`` is the source view, square, and ``window`` the part of the photograph that it shows, in pixels of the
    upright photograph. ``classes`` are ordered by the network's own probability; ``chosen`` is the place of the
    refined one among them. ``considered`` is False where the entropy gate left the network's answer as it was;
    ``entropy`` is in nats. ``truth`` is None where the true class is not known.

    Raises:
        ValueError: There is no class, or the chosen one is not one of them.
    """

    title: str
    image: Image.Image
    window: Box
    classes: tuple[ClassEvidence, ...]
    chosen: int
    considered: bool
    entropy: float
    config: RefinementConfig
    truth: str | None = None

    def __post_init__(self) -> None:
        if not 0 <= self.chosen < len(self.classes):
            raise ValueError(f"the chosen class must be one of {len(self.classes)}; got number {self.chosen}")

    @property
    def answer(self) -> RankedClass:
        """The refined class and its refined probability."""
        best = self.classes[self.chosen]
        return RankedClass(best.class_name, best.refined)

    @property
    def changed(self) -> bool:
        """Whether the evidence changed the network's own answer, the first class."""
        return self.chosen != 0

    def groups(self) -> tuple[PanelGroup, ...]:
        """Return the evidence for each class: where it lies, its patch, and the training evidence most like it."""
        from foveate.drawing.overlays import heated_by_cells  # with matplotlib, for pictures alone

        return tuple(
            PanelGroup(
                each.class_name,
                f"before {each.probability:.0%}, after {each.refined:.0%}, score {each.score:.3f}",
                tuple(panel for shown in each.rounds for panel in _panels(shown, heated_by_cells)),
            )
            for each in self.classes
        )


def _panels(
    shown: ExplainedRound, heated: Callable[[Image.Image, Float[np.ndarray, "h w"]], Image.Image]
) -> tuple[Panel, ...]:
    nearest = (Panel(each.picture, "most like it in training") for each in shown.nearest[:1])
    return (
        Panel(heated(shown.erased, shown.heat), "where the evidence lies"),
        Panel(shown.patch, f"patch: {shown.probability:.0%} of this class"),
        *nearest,
    )
