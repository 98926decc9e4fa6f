"""How a network comes to an answer, ready to be drawn, or to be shown as pictures with words."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar, NamedTuple, TypeVar

from PIL import Image

from foveate.drawing.notebook import drawn, png_of
from foveate.errors import UserError
from foveate.types import RankedClass

_Explanation = TypeVar("_Explanation", bound="Explanation")


class Panel(NamedTuple):
    """One picture of an explanation, and what it shows in a few words."""

    picture: Image.Image
    words: str


class PanelGroup(NamedTuple):
    """Pictures that belong together, such as the evidence for one class."""

    title: str
    words: str
    """A sentence about them; empty: there is nothing to say."""
    panels: tuple[Panel, ...]


class Explanation(ABC):
    """How a network came to its answer for one photograph; every method has its own."""

    own: ClassVar[bool] = True
    """Whether it shows more than maps of the best classes, which any network has."""

    @abstractmethod
    def draw(self, path: Path) -> None:
        """Write a PNG.

        Raises:
            UserError: The file cannot be written; what was there before is untouched.
        """

    def picture(self) -> Image.Image:
        """Return what `draw` writes."""
        return drawn(self.draw)

    def _repr_png_(self) -> bytes:
        """Return what a notebook shows."""
        return png_of(self.draw)

    def groups(self) -> tuple[PanelGroup, ...]:
        """Return its pictures one by one, for a page; each shows the view, or a part of it, and nothing is written.

        None, where a method does not say how it is taken apart.
        """
        return ()

    def decided(self: _Explanation, answer: tuple[RankedClass, ...]) -> _Explanation:
        """Return the same with the decision that counts, which calibration or weighed views make another.

        Args:
            answer: The best classes by falling probability, at most five.

        Returns:
            Itself, where its picture shows no probabilities of the decision.
        """
        return self

    @classmethod
    def draw_stages(cls: type[_Explanation], stages: Sequence[tuple[str, _Explanation]], path: Path) -> None:
        """Write a PNG of the same photograph at several stages of a training, each with what it is called.

        Raises:
            UserError: The method's stages cannot be shown together, or as `draw`.
        """
        raise UserError(
            "evidence over training is shown of networks that look closer, such as S3N's; this run is of another "
            "method; leave --epochs out"
        )
