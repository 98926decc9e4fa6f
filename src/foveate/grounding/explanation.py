"""Where a network sees its best classes, as the explanation of any method that has no picture of its own.

`picture` draws it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

import numpy as np
import torch
from jaxtyping import Float, Int64
from PIL import Image
from torch import Tensor

from foveate.drawing.pictures import picture_of
from foveate.errors import UserError
from foveate.grounding.config import GroundingConfig, GroundingMethod
from foveate.grounding.create import create_grounding
from foveate.networks.answers import ranked_classes
from foveate.networks.explanation import Explanation, Panel, PanelGroup
from foveate.networks.network import Network
from foveate.types import RankedClass

MAPPED = 3
"""Classes whose maps are shown."""
_PREFERRED = {
    GroundingMethod.CLASS_MAPS: "class maps: what the last features add to each class",
    GroundingMethod.CEB: "contrastive excitation backprop: what speaks for each class and not for all others",
    GroundingMethod.GRAD_CAM: "Grad-CAM: what would make each class more probable",
}
"""The methods in the order in which they are tried, and what their maps show, in words."""


@dataclass(frozen=True, slots=True)
class MapsExplanation(Explanation):
    """Where the network sees each of its best classes in one photograph.

    ``image`` is its first view; ``answer`` the best classes by falling probability, ``maps`` those of the first of
    them, which are not negative, their cells covering the image. ``method`` is how they were found, ``words`` say what
    that shows; ``truth`` is None where the true class is not known.

    Raises:
        ValueError: There is no map, there are more maps than classes, or one is negative or not finite.
    """

    own: ClassVar[bool] = False

    title: str
    image: Image.Image
    maps: tuple[Float[np.ndarray, "h w"], ...]
    answer: tuple[RankedClass, ...]
    method: GroundingMethod
    truth: str | None = None
    words: str = ""

    def __post_init__(self) -> None:
        if not 1 <= len(self.maps) <= len(self.answer):
            raise ValueError(f"there must be a map, and a class for each; got {len(self.maps)} of {len(self.answer)}")
        if not all(np.isfinite(each).all() and (each >= 0).all() for each in self.maps):
            raise ValueError("maps must be finite and not negative")

    def decided(self, answer: tuple[RankedClass, ...]) -> MapsExplanation:
        """Return the same with the decision that counts; its first classes are those of the maps."""
        return replace(self, answer=answer)

    def draw(self, path: Path) -> None:
        """Write a PNG, as `maps_picture` does."""
        from foveate.grounding.picture import maps_picture  # with matplotlib, for pictures alone

        maps_picture(self, path)

    def groups(self) -> tuple[PanelGroup, ...]:
        """Return the map of each of the best classes, all on the scale of the strongest."""
        from foveate.drawing.overlays import heated_by_cells  # with matplotlib, for pictures alone

        most = max(max(float(each.max()) for each in self.maps), float(np.finfo(np.float32).tiny))
        panels = (
            Panel(heated_by_cells(self.image, each / most), f"{shown.class_name} {shown.probability:.0%}")
            for each, shown in zip(self.maps, self.answer, strict=False)
        )
        return (PanelGroup("Where it sees its best classes", "", tuple(panels)),)


def explained_by_maps(
    network: Network,
    images: Float[Tensor, "1 3 Hs Ws"],
    probabilities: Float[Tensor, "1 c"],
    class_names: Sequence[str],
    title: str,
    truth: str | None = None,
) -> MapsExplanation:
    """Ground the backbone in the best classes: class maps, or where its head is not linear cEB, or Grad-CAM.

    Args:
        network: It stays as it is.
        images: Normalised, of the source size.
        probabilities: Of its decision; they rank the classes.
        class_names: In their order.
        title: What the image is called.
        truth: Its true class, where that is known.

    Raises:
        UserError: No method sees through the network.
    """
    view = network.first_view(images)
    ranked = np.argsort(-probabilities[0].cpu().numpy(), kind="stable")[:MAPPED]
    method, maps = _grounded(network, view, torch.from_numpy(ranked.copy())[None].to(view.device))
    return MapsExplanation(
        title=title,
        image=picture_of(view, network.backbone.normalisation),
        maps=tuple(maps[0].clamp(min=0).nan_to_num(0.0).cpu().numpy()),
        answer=ranked_classes(probabilities[0].cpu().numpy(), class_names, 5),
        method=method,
        truth=truth,
        words=_PREFERRED[method],
    )


def _grounded(
    network: Network, view: Float[Tensor, "1 3 H W"], classes: Int64[Tensor, "1 k"]
) -> tuple[GroundingMethod, Float[Tensor, "1 k h w"]]:
    """Return the maps of the first method that the network allows; some refuse only while they look."""
    problems = []
    for method in _PREFERRED:
        try:
            grounding = create_grounding(network.backbone, GroundingConfig(method=method))
            return method, grounding(view, classes).maps
        except UserError as error:
            problems.append(f"{method}: {error}")
    raise UserError(f"an answer is explained by maps of its classes; this network allows none: {'; '.join(problems)}")
