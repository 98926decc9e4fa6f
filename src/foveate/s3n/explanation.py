"""How S3N comes to its answer: what it sees, where it looks again, what it decides (S3N, Figures 1, 2 and 4).

`picture` draws it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float
from PIL import Image
from torch import Tensor

from foveate.backbones.backbone import Normalisation
from foveate.config.branches import Branch
from foveate.drawing.pictures import picture_of
from foveate.networks.answers import decision, ranked_classes
from foveate.networks.explanation import Explanation, Panel, PanelGroup
from foveate.s3n.config import AttentionKind, S3NConfig
from foveate.s3n.output import S3NOutput
from foveate.types import RankedClass

_ZOOMED = (Branch.DISCRIMINATIVE.value, Branch.COMPLEMENTARY.value)


@dataclass(frozen=True, slots=True)
class ZoomedView:
    """One zoomed branch.

    ``weights`` says how much each cell's peak counts in this view, in [0, 1], 0 where there is none; of a dense
    attention, how much each cell. ``attention`` is the sampling map Q, greater than 0. ``grid`` holds (x, y) in
    [-1, 1], as `grid_sample` takes it with ``align_corners=True``: where in the image each pixel is taken from;
    ``view`` is what is seen through it. ``answer`` is this branch's own best class.

    Raises:
        ValueError: ``name`` is neither "discriminative" nor "complementary", or the attention is not greater than 0.
    """

    name: str
    weights: Float[np.ndarray, "g g"]
    attention: Float[np.ndarray, "g g"]
    grid: Float[np.ndarray, "H W 2"]
    view: Image.Image
    answer: RankedClass

    def __post_init__(self) -> None:
        if self.name not in _ZOOMED:
            raise ValueError(f"a zoomed view must be one of {', '.join(_ZOOMED)}; got {self.name!r}")
        if not (self.attention > 0).all():
            raise ValueError(f"a sampling map must be greater than 0 everywhere; got {self.attention.min()}")


@dataclass(frozen=True, slots=True)
class S3NExplanation(Explanation):
    """How the network came to its answer for one photograph.

    ``image`` is the first view, square; ``response`` is R in [0, 1] and ``peaks`` marks T, with cells ordered (row,
    column). ``zoomed`` is empty for a network that looks once. ``answer`` is the decision, by falling probability;
    ``original_answer`` is what the first view alone says. ``truth`` is None where the true class is not known.
    ``dense`` is the map in [0, 1] that draws the zoom in place of peaks; None where peaks do. ``by_looker`` is whether
    the response is that of another network's classes (`S3NConfig.looker`).

    Raises:
        ValueError: The image is not square, the maps do not share one square grid of at least 2 cells a side,
            responses, weights or the dense map are not in [0, 1], two zoomed views have the same name, or there is no
            answer.
    """

    title: str
    image: Image.Image
    response: Float[np.ndarray, "g g"]
    peaks: Bool[np.ndarray, "g g"]
    zoomed: tuple[ZoomedView, ...]
    answer: tuple[RankedClass, ...]
    original_answer: RankedClass
    truth: str | None = None
    dense: Float[np.ndarray, "g g"] | None = None
    by_looker: bool = False

    def __post_init__(self) -> None:
        if self.image.width != self.image.height:
            raise ValueError(f"the first view must be square; got {self.image.width} x {self.image.height} pixels")
        shares = [self.response, *(view.weights for view in self.zoomed), *([] if self.dense is None else [self.dense])]
        shapes = {each.shape for each in (self.peaks, *shares, *(view.attention for view in self.zoomed))}
        if shapes != {(len(self.response),) * 2} or len(self.response) < 2:
            raise ValueError(f"maps must share one square grid of at least 2 cells a side; got {sorted(shapes)}")
        for each in shares:
            if not ((each >= 0) & (each <= 1)).all():
                raise ValueError(f"responses and weights must be in [0, 1]; got {each.min()} to {each.max()}")
        names = [view.name for view in self.zoomed]
        if len(set(names)) < len(names):
            raise ValueError(f"zoomed views must have different names; got {', '.join(names)}")
        if not self.answer:
            raise ValueError("an answer must name at least one class; got none")

    def decided(self, answer: tuple[RankedClass, ...]) -> S3NExplanation:
        """Return the same with the decision that counts; each view's own answer stays as the network gives it."""
        return replace(self, answer=answer)

    def draw(self, path: Path) -> None:
        """Write a PNG, as `explanation_picture` does."""
        from foveate.s3n.picture import explanation_picture  # with matplotlib, for pictures alone

        explanation_picture(self, path)

    def groups(self) -> tuple[PanelGroup, ...]:
        """Return where the predicted classes respond, and what is seen through each sampling grid."""
        from foveate.drawing.overlays import heated  # with matplotlib, for pictures alone

        first = Panel(heated(self.image, self.response), f"first look: {_said(self.original_answer)}")
        closer = (Panel(each.view, f"{each.name} look: {_said(each.answer)}") for each in self.zoomed)
        whose = "the looker's" if self.by_looker else "the"
        words = f"Bright: where {whose} likely classes respond. The closer looks enlarge these places."
        return (PanelGroup("Where it looked", words if self.zoomed else "", (first, *closer)),)

    @classmethod
    def draw_stages(cls, stages: Sequence[tuple[str, S3NExplanation]], path: Path) -> None:
        """Write a PNG, as `evidence_picture` does."""
        from foveate.s3n.picture import evidence_picture  # with matplotlib, for pictures alone

        evidence_picture(stages, path)


def explained(
    output: S3NOutput,
    config: S3NConfig,
    normalisation: Normalisation,
    class_names: Sequence[str],
    title: str,
    truth: str | None = None,
) -> S3NExplanation:
    """Gather what the network saw in a batch of one; arguments as in `Network.explanation`."""
    answers = {
        branch: ranked_classes(_array(logits.float().softmax(-1)), class_names, _SHOWN)
        for branch, logits in output.logits.present().items()
    }
    sparse = config.attention is AttentionKind.SPARSE
    return S3NExplanation(
        title=title,
        image=picture_of(output.original, normalisation),
        response=_array(output.response),
        peaks=_array(output.attention.peaks),
        zoomed=tuple(_zoomed(output, branch, normalisation, answers[branch][0]) for branch in output.views),
        answer=decision(answers),
        original_answer=answers[Branch.ORIGINAL][0],
        truth=truth,
        # The map that draws the zoom of a dense attention, which is what counts in the discriminative view.
        dense=None if sparse else _array(output.attention.weights.discriminative),
        by_looker=config.looker is not None,
    )


_SHOWN = 5  # classes of the decision


def _said(answer: RankedClass) -> str:
    return f"{answer.class_name} {answer.probability:.0%}"


def _zoomed(output: S3NOutput, branch: Branch, normalisation: Normalisation, answer: RankedClass) -> ZoomedView:
    return ZoomedView(
        name=branch.value,
        weights=_array(getattr(output.attention.weights, branch.value)),
        attention=_array(getattr(output.attention, branch.value)),
        grid=_array(output.grids[branch]),
        view=picture_of(output.views[branch], normalisation),
        answer=answer,
    )


def _array(batch: Tensor) -> np.ndarray:
    """Return the only item of a batch."""
    array: np.ndarray = batch[0].cpu().numpy()
    return array
