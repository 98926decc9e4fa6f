"""How MA-CNN comes to its answer: the parts it found, the crops it looks at, what each stream answers.

`picture` draws it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float
from PIL import Image

from foveate.backbones.backbone import Normalisation
from foveate.config.branches import LARGEST_PARTS, PARTS, Branch
from foveate.drawing.pictures import picture_of
from foveate.macnn.output import MACNNOutput
from foveate.networks.answers import decision, ranked_classes
from foveate.networks.explanation import Explanation, Panel, PanelGroup
from foveate.types import Box, RankedClass


@dataclass(frozen=True, slots=True)
class Crop:
    """What one stream beside the whole image's sees: its box in pixels of the image, and its own best class."""

    box: Box
    view: Image.Image
    answer: RankedClass


@dataclass(frozen=True, slots=True)
class Part:
    """One group of channels: its attention, which is not negative, its peak in pixels of the image, and its crop."""

    attention: Float[np.ndarray, "h w"]
    peak: tuple[float, float]
    crop: Crop


@dataclass(frozen=True, slots=True)
class MACNNExplanation(Explanation):
    """How the network came to its answer for one photograph.

    ``image`` is the whole view, ``answer`` the decision by falling probability, ``original_answer`` what the whole
    view alone says. ``object`` is None where the network does not look at it, ``truth`` where it is not known.

    Raises:
        ValueError: There is no part, or more than eight, or no answer.
    """

    title: str
    image: Image.Image
    parts: tuple[Part, ...]
    answer: tuple[RankedClass, ...]
    original_answer: RankedClass
    object: Crop | None = None
    truth: str | None = None

    def __post_init__(self) -> None:
        if not 1 <= len(self.parts) <= LARGEST_PARTS:
            raise ValueError(f"there must be 1 to {LARGEST_PARTS} parts; got {len(self.parts)}")
        if not self.answer:
            raise ValueError("an answer must name at least one class; got none")

    def draw(self, path: Path) -> None:
        """Write a PNG, as `parts_picture` does."""
        from foveate.macnn.picture import parts_picture  # with matplotlib, for pictures alone

        parts_picture(self, path)

    def groups(self) -> tuple[PanelGroup, ...]:
        """Return the crop of each part, and of the object where the network looks at it."""
        named = [(f"part {number}", each.crop) for number, each in enumerate(self.parts, 1)]
        if self.object is not None:
            named.insert(0, ("object", self.object))
        panels = (
            Panel(crop.view, f"{name}: {crop.answer.class_name} {crop.answer.probability:.0%}") for name, crop in named
        )
        return (
            PanelGroup("Parts it looked at", "Each crop lies around the peak of one group of channels.", tuple(panels)),
        )


_SHOWN = 5  # classes of the decision


def explained(
    output: MACNNOutput,
    normalisation: Normalisation,
    class_names: Sequence[str],
    title: str,
    truth: str | None = None,
) -> MACNNExplanation:
    """Gather what the network saw in a batch of one; arguments as in `Network.explanation`."""
    answers = {
        branch: ranked_classes(logits[0].float().softmax(-1).cpu().numpy(), class_names, _SHOWN)
        for branch, logits in output.logits.present().items()
    }
    original = picture_of(output.original, normalisation)
    crops = {branch: _crop(output, branch, normalisation, answers[branch][0]) for branch in output.views}
    peaks = output.attention.peaks[0].cpu().numpy() * np.array(original.size)
    return MACNNExplanation(
        title=title,
        image=original,
        parts=tuple(
            Part(attention.cpu().numpy(), (float(x), float(y)), crops[branch])
            for branch, attention, (x, y) in zip(PARTS, output.attention.maps[0], peaks, strict=False)
        ),
        answer=decision(answers),
        original_answer=answers[Branch.ORIGINAL][0],
        object=crops.get(Branch.OBJECT),
        truth=truth,
    )


def _crop(output: MACNNOutput, branch: Branch, normalisation: Normalisation, answer: RankedClass) -> Crop:
    left, top, right, bottom = (output.boxes[branch][0] * output.original.shape[-1]).tolist()
    return Crop(Box(left, top, right, bottom), picture_of(output.views[branch], normalisation), answer)
