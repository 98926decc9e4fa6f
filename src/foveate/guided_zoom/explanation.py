"""How a Guided Zoom comes to its answer: what is known of one photograph, class by class, round by round."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Float
from PIL import Image

from foveate.drawing.notebook import drawn, png_of
from foveate.grounding.twins import TwinEvidence
from foveate.guided_zoom.config import RefinementConfig
from foveate.networks.explanation import Panel, PanelGroup
from foveate.types import Box, RankedClass

ALIKE = 0.9
"""From which mean rank correlation on the maps of several classes are called nearly equal."""
ON_OBJECT = 0.25
"""Below which share of a patch on the object its evidence is called off it. Of random patches of 585 birds, 56% have
their middle outside the annotated box: 78% of those so called, and 81% of the 56% are called so."""
_SAME_PLACE = 0.6
_APART = 0.1  # intersection over union of two patches


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
    none. ``on_object`` is the share of the patch, in [0, 1], on what the network takes for the object, whatever its
    class; None where that is not known.
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
    on_object: float | None = None

    @property
    def off_object(self) -> bool:
        """Whether most of the patch lies beside what the network takes for the object."""
        return self.on_object is not None and self.on_object < ON_OBJECT

    def at_place_of(self, other: ExplainedRound) -> bool:
        """Whether both patches are nearly the same."""
        return overlap(self.box, other.box) >= _SAME_PLACE


def overlap(one: Box, other: Box) -> float:
    """Return the area that two boxes share, as a share of what they cover together."""
    width = min(one.right, other.right) - max(one.left, other.left)
    height = min(one.bottom, other.bottom) - max(one.top, other.top)
    shared = max(0.0, width) * max(0.0, height)
    return shared / (one.width * one.height + other.width * other.height - shared)


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
    ``entropy`` is in nats. ``truth`` is None where the true class is not known. ``twins`` says why the chosen class and
    not its rival, and ``map_correlation`` how alike the classes' first maps are: the mean rank correlation of two; both
    are None where one class was considered, or the network cannot be asked.

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
    twins: TwinEvidence | None = None
    map_correlation: float | None = None

    def __post_init__(self) -> None:
        if not 0 <= self.chosen < len(self.classes):
            raise ValueError(f"the chosen class must be one of {len(self.classes)}; got number {self.chosen}")

    def draw(self, path: Path) -> None:
        """Write a PNG, as `zoom_picture` does."""
        from foveate.guided_zoom.picture import zoom_picture  # with matplotlib, for pictures alone

        zoom_picture(self, path)

    def picture(self) -> Image.Image:
        """Return what `draw` writes."""
        return drawn(self.draw)

    def _repr_png_(self) -> bytes:
        """Return what a notebook shows."""
        return png_of(self.draw)

    @property
    def answer(self) -> RankedClass:
        """The refined class and its refined probability."""
        best = self.classes[self.chosen]
        return RankedClass(best.class_name, best.refined)

    @property
    def changed(self) -> bool:
        """Whether the evidence changed the network's own answer, the first class."""
        return self.chosen != 0

    @property
    def rival(self) -> ClassEvidence | None:
        """The class that the chosen one is compared with: the first answer, or the best of the others."""
        others = [each for index, each in enumerate(self.classes) if index != self.chosen]
        if self.changed:
            return self.classes[0]
        return max(others, key=lambda each: each.score) if others else None

    @property
    def maps_alike(self) -> bool:
        """Whether the maps of the classes are nearly equal, so that they do not say what tells the classes apart."""
        return self.map_correlation is not None and self.map_correlation >= ALIKE

    @property
    def shown_classes(self) -> tuple[ClassEvidence, ...]:
        """The classes as they are compared: the chosen one, its rival, then the others by the first answer."""
        first = [self.classes[self.chosen], *([] if self.rival is None else [self.rival])]
        return (*first, *(each for each in self.classes if not any(each is other for other in first)))

    @property
    def judged_apart(self) -> bool:
        """Whether the chosen class and its rival are judged on different places of the photograph."""
        rival = self.rival
        return rival is not None and overlap(self.classes[self.chosen].rounds[0].box, rival.rounds[0].box) < _APART

    def groups(self) -> tuple[PanelGroup, ...]:
        """Return why the chosen class and not its rival, then each class's evidence, its patch, and what it is like."""
        from foveate.drawing.overlays import heated_by_cells  # with matplotlib, for pictures alone

        evidence = (
            PanelGroup(
                each.class_name,
                f"before {each.probability:.0%}, after {each.refined:.0%}, score {each.score:.3f}",
                tuple(panel for shown in each.rounds for panel in _panels(shown, heated_by_cells)),
            )
            for each in self.shown_classes
        )
        if self.twins is None:
            return tuple(evidence)
        twins = self.twins
        panels = (
            Panel(heated_by_cells(self.image, twins.first), f"{twins.first_class}, not {twins.second_class}"),
            Panel(heated_by_cells(self.image, twins.second), f"{twins.second_class}, not {twins.first_class}"),
        )
        alike = (
            "The maps of the classes are nearly equal; these say what tells the two apart." if self.maps_alike else ""
        )
        return (PanelGroup(f"Why {twins.first_class} and not {twins.second_class}", alike, panels), *evidence)


def _panels(
    shown: ExplainedRound, heated: Callable[[Image.Image, Float[np.ndarray, "h w"]], Image.Image]
) -> tuple[Panel, ...]:
    nearest = (Panel(each.picture, "most like it in training") for each in shown.nearest[:1])
    beside = ", off the object" if shown.off_object else ""
    return (
        Panel(heated(shown.erased, shown.heat), "where the evidence lies"),
        Panel(shown.patch, f"patch: {shown.probability:.0%} of this class{beside}"),
        *nearest,
    )
