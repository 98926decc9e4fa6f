"""Named results shared by every room, and the legend of shapes.

Shapes: ``b`` images, ``c`` classes, ``k`` classes asked for, ``d`` channels, ``H W`` pixels of an image,
``h w`` cells of a feature map, ``g`` cells of the response grid. Images are (b, 3, H, W).

Pixel coordinates are continuous and ordered (x, y): (0, 0) is the outer top-left corner of the image, (width,
height) its outer bottom-right corner, and the centre of the first pixel is (0.5, 0.5). They always refer to the
upright image, that is after its EXIF orientation has been applied.
"""

from __future__ import annotations

import base64
import io
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING, NamedTuple, Protocol, runtime_checkable

from jaxtyping import Bool, Float, Int64
from torch import Tensor

from foveate.config.branches import MEMBERS, PARTS, Branch

if TYPE_CHECKING:  # heavy, and needed only where an answer is shown
    from matplotlib.figure import Figure
    from PIL import Image

_SHOWN_SIDE = 320  # pixels of a photograph that is shown beside its answer


class Size(NamedTuple):
    """Extent of an image in pixels; width first, as Pillow orders it."""

    width: int
    height: int


class Box(NamedTuple):
    """Axis-aligned box in continuous pixels: left and top edge, then right and bottom edge."""

    left: float
    top: float
    right: float
    bottom: float

    @property
    def width(self) -> float:
        """Right minus left, in pixels."""
        return self.right - self.left

    @property
    def height(self) -> float:
        """Bottom minus top, in pixels."""
        return self.bottom - self.top


class PartPoint(NamedTuple):
    """One visible, annotated part of the object: its name and where it lies, in pixels of the original image."""

    name: str
    x: float
    y: float


class RankedClass(NamedTuple):
    """One class of an answer and its probability in [0, 1]."""

    class_name: str
    probability: float


@dataclass(frozen=True, slots=True)
class Prediction:
    """The answer for one image.

    ``best`` and ``top`` are ordered by falling probability; ``entropy`` is that of all classes' probabilities, in
    nats. ``sure`` is False where the entropy exceeds the threshold that the caller set, or where such answers would be
    wrong more often than the error rate that was asked for. ``prediction_set`` holds the classes that come into
    question, the best first; None where no coverage was asked for. ``first`` is what the network of a Guided Zoom
    answered before its evidence was looked at; None where no Guided Zoom answers.
    """

    image: str
    top: tuple[RankedClass, ...]
    entropy: float
    sure: bool = True
    prediction_set: tuple[RankedClass, ...] | None = None
    first: RankedClass | None = None

    @property
    def changed(self) -> bool:
        """Whether the evidence of a Guided Zoom changed the answer."""
        return self.first is not None and self.first.class_name != self.best.class_name

    @property
    def best(self) -> RankedClass:
        """The class with the highest probability."""
        return self.top[0]

    def figure(self) -> Figure:
        """Return the photograph, where its file is there, beside the best classes as bars; for `savefig`."""
        from matplotlib.figure import Figure

        photograph, figure = self._thumbnail(), Figure(figsize=(8, 3), layout="constrained")
        *photo, bars = figure.subplots(1, 1 if photograph is None else 2, squeeze=False)[0]
        for axes in photo:
            axes.imshow(photograph)
            axes.set_axis_off()
        places = range(len(self.top))
        bars.barh(places, [each.probability for each in self.top], color="#0072B2")
        bars.set_yticks(places, [each.class_name for each in self.top], parse_math=False)
        bars.set(xlim=(0, 1), xlabel="probability")
        bars.invert_yaxis()
        bars.spines[["top", "right"]].set_visible(False)
        return figure

    def show(self) -> None:
        """Show the photograph and its answer: in a notebook below the cell, elsewhere in the viewer of images."""
        from PIL import Image

        notebook = sys.modules.get("IPython")
        if notebook is not None and notebook.get_ipython() is not None:
            notebook.display.display(self)
            return
        png = io.BytesIO()
        self.figure().savefig(png, format="png")
        with Image.open(png) as picture:
            picture.show(title=self.image)

    def _repr_html_(self) -> str:
        """Return what a notebook shows: a small photograph, and the best classes as bars."""
        photograph, picture = self._thumbnail(), ""
        if photograph is not None:
            jpeg = io.BytesIO()
            photograph.save(jpeg, "JPEG", quality=80)
            data = base64.b64encode(jpeg.getvalue()).decode()
            picture = f'<img alt="{escape(self.image)}" src="data:image/jpeg;base64,{data}">'
        rows = "".join(
            f"<tr><td>{escape(name)}</td><td>{probability:.1%}</td>"
            f'<td><meter value="{probability:.4f}" style="width:12em"></meter></td></tr>'
            for name, probability in self.top
        )
        doubt = "" if self.sure else "<p>not sure</p>"
        words = f"<p>{escape(self.image)}</p>{doubt}<table>{rows}</table>"
        return f'<div style="display:flex;gap:1em;align-items:flex-start">{picture}<div>{words}</div></div>'

    def _thumbnail(self) -> Image.Image | None:
        """Return the photograph upright and small; None where its name is no file that can be read."""
        from PIL import Image, ImageOps

        try:
            with Image.open(self.image) as photograph:
                photograph.draft("RGB", (2 * _SHOWN_SIDE, 2 * _SHOWN_SIDE))
                upright = ImageOps.exif_transpose(photograph).convert("RGB")
        except (OSError, ValueError, Image.DecompressionBombError):
            return None
        upright.thumbnail((_SHOWN_SIDE, _SHOWN_SIDE))
        return upright


class BranchLogits(NamedTuple):
    """The answers of a network's branches; None for a branch that it does not have.

    A plain network has the original branch alone. S3N (section 3.4) has the original view's, the discriminative and
    the complementary view's, and the joint one, which decides. MA-CNN has the original view's, the object's where it
    looks at it, one for each part in the order of its groups, and the joint one, which decides. An ensemble has that of
    its first member as the original one, those of the ``others``, and the joint one, which decides.
    """

    original: Float[Tensor, "b c"]
    discriminative: Float[Tensor, "b c"] | None = None
    complementary: Float[Tensor, "b c"] | None = None
    joint: Float[Tensor, "b c"] | None = None
    object: Float[Tensor, "b c"] | None = None
    parts: tuple[Float[Tensor, "b c"], ...] = ()
    others: tuple[Float[Tensor, "b c"] | None, ...] = ()

    @classmethod
    def of(cls, answers: Mapping[Branch, Float[Tensor, "b c"]]) -> BranchLogits:
        """Return what `present` of it returns: the answers by branch, the original one's among them."""
        parts = tuple(answers[branch] for branch in PARTS if branch in answers)
        return cls(
            answers[Branch.ORIGINAL],
            answers.get(Branch.DISCRIMINATIVE),
            answers.get(Branch.COMPLEMENTARY),
            answers.get(Branch.JOINT),
            answers.get(Branch.OBJECT),
            parts,
            tuple(answers.get(branch) for branch in MEMBERS[1:]),
        )

    @property
    def decision(self) -> Float[Tensor, "b c"]:
        """The answer that counts: the joint one where there is one."""
        return self.original if self.joint is None else self.joint

    def present(self) -> dict[Branch, Float[Tensor, "b c"]]:
        """Return the answers that there are, by branch."""
        every = {
            Branch.ORIGINAL: self.original,
            Branch.DISCRIMINATIVE: self.discriminative,
            Branch.COMPLEMENTARY: self.complementary,
            Branch.OBJECT: self.object,
            **dict(zip(PARTS, self.parts, strict=False)),
            **dict(zip(MEMBERS[1:], self.others, strict=False)),
            Branch.JOINT: self.joint,
        }
        return {branch: logits for branch, logits in every.items() if logits is not None}


class Grounded(NamedTuple):
    """Where a network sees the evidence for some classes, and its answer in the same pass."""

    logits: Float[Tensor, "b c"]
    classes: Int64[Tensor, "b k"]
    maps: Float[Tensor, "b k h w"]
    """Relevance on the grounding layer's cells, which cover the image; float32, not negative."""


class SignedMaps(NamedTuple):
    """Where a network sees what tells two classes of each image apart, and its answer in the same pass."""

    logits: Float[Tensor, "b c"]
    maps: Float[Tensor, "b h w"]
    """On the grounding layer's cells, which cover the image; float32. Positive: for the first class of a pair and
    against the second; negative: the other way round."""


@runtime_checkable
class Grounding(Protocol):
    """A way to find the evidence for a class in a network."""

    def __call__(self, images: Float[Tensor, "b 3 H W"], classes: Int64[Tensor, "b k"] | int) -> Grounded:
        """Ground classes in normalised images; a number asks for so many of each image's best classes."""
        ...


@runtime_checkable
class HeldPass(Protocol):
    """One pass over a batch, in which classes are grounded one by one, when their turn comes."""

    @property
    def logits(self) -> Float[Tensor, "b c"]:
        """The network's answer."""
        ...

    def maps(self, images: Int64[Tensor, " m"], classes: Int64[Tensor, " m"]) -> Float[Tensor, "m h w"]:
        """Ground a class of each of some images, given by their numbers in the batch, in any order."""
        ...


@runtime_checkable
class HoldingGrounding(Grounding, Protocol):
    """A way to ground that can hold on to a pass."""

    def hold(self, images: Float[Tensor, "b 3 H W"]) -> HeldPass:
        """Answer normalised images, and ground nothing yet."""
        ...


class Evidence(NamedTuple):
    """The evidence for the best classes of a batch: where it lies, and how the Evidence CNN scores it (r = L + 1)."""

    logits: Float[Tensor, "b c"]
    """The conventional network's own."""
    classes: Int64[Tensor, "b k"]
    """Its best classes by falling logit."""
    places: Float[Tensor, "b k r 2"]
    """Peaks, (x, y) in continuous pixels of the view that patches are cut from."""
    found: Bool[Tensor, "b k r"]
    """False where a map had no peak: the middle of the view stands in."""
    boxes: Int64[Tensor, "b k r 4"]
    """Patches (left, top, right, bottom) in whole pixels of that view."""
    scores: Float[Tensor, "b k r"]
    """The Evidence CNN's score of class k for its evidence of each round: a probability or a logit."""
    forwards: Int64[Tensor, " b"]
    """Passes of the conventional network; 1 + k L if no two classes shared any."""
    patches: Int64[Tensor, " b"]
    """Passes of the Evidence CNN; k r if no two classes shared any, twice as many where patches are mirrored too."""
