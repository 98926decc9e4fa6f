"""What the report shows: plain values, ready for the template; a section that is None, or empty, is left out."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from foveate.evaluation.bootstrap import Estimate


@dataclass(frozen=True, slots=True)
class Picture:
    """A picture in the page, or in the folder beside it."""

    source: str
    """A data: address, or a path relative to the page."""
    width: int
    height: int
    words: str
    """What it shows: its alternative text, and where there is room its caption."""


@dataclass(frozen=True, slots=True)
class ClassGlance:
    """One class of the data: how many photographs each split has, and one of them."""

    name: str
    train: int
    test: int
    example: Picture | None


@dataclass(frozen=True, slots=True)
class DataGlance:
    """The data set in a look."""

    name: str
    root: str
    train: int
    validation: int
    test: int
    classes: tuple[ClassGlance, ...]
    """Of many, some; `total` says how many there are."""
    total: int


@dataclass(frozen=True, slots=True)
class Chart:
    """A drawing of numbers, and the sentence that says what it shows."""

    svg: str
    title: str
    words: str


@dataclass(frozen=True, slots=True)
class Table:
    """A heading for each column, and the cells; the first column is words, the others are numbers."""

    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    words: str = ""
    """What it rests on."""
    noted: bool = False
    """Whether the last column is words too."""


@dataclass(frozen=True, slots=True)
class ClassAccuracy:
    """How often one class is recognised, and what it is most often taken for."""

    name: str
    photographs: int
    right: int
    taken_for: str
    """The class, and how often; empty where no photograph of it is answered wrongly."""

    @property
    def share(self) -> float:
        """Of right answers, in [0, 1]."""
        return self.right / self.photographs


@dataclass(frozen=True, slots=True)
class TwinPhotograph:
    """A photograph, and where the network sees evidence for each of two classes and against the other."""

    name: str
    photograph: Picture
    for_first: Picture | None
    """None: the network has no such maps."""
    for_second: Picture | None
    number: int | None = None
    """Of its card in the gallery; None: it is no photograph of the split that is answered for."""
    answer: str = ""
    """Of a photograph that went wrong: what was said of it."""


@dataclass(frozen=True, slots=True)
class Twins:
    """Two classes that are taken for each other, side by side."""

    first: str
    second: str
    first_as_second: int
    second_as_first: int
    typical_first: tuple[TwinPhotograph, ...]
    """Training photographs in the middle of their class."""
    typical_second: tuple[TwinPhotograph, ...]
    wrong: tuple[TwinPhotograph, ...]

    @property
    def words(self) -> str:
        """How often each is taken for the other."""
        parts = [
            f"{count} of {one} taken for {other}"
            for one, other, count in (
                (self.first, self.second, self.first_as_second),
                (self.second, self.first, self.second_as_first),
            )
            if count
        ]
        return "; ".join(parts)


@dataclass(frozen=True, slots=True)
class EvidenceGroup:
    """Pictures of an explanation that belong together."""

    title: str
    words: str
    pictures: tuple[Picture, ...]


@dataclass(frozen=True, slots=True)
class PhotographCard:
    """One photograph that was answered for."""

    number: int
    """Its place in the split: the address of its card, #photograph-12."""
    name: str
    truth: str
    top: tuple[tuple[str, float], ...]
    """The best classes and their probabilities, the answer first."""
    before: str
    """Of a Guided Zoom: the answer before the evidence; empty otherwise."""
    others: tuple[str, ...]
    """What the other models answer, in their order."""
    picture: Picture | None

    @property
    def answer(self) -> str:
        """The best class."""
        return self.top[0][0]

    @property
    def right(self) -> bool:
        """Whether the answer is the true class."""
        return self.answer == self.truth


@dataclass(frozen=True, slots=True)
class WrongPhotograph:
    """A photograph that was answered wrongly, and the way to that answer."""

    card: PhotographCard
    photograph: Picture | None
    evidence: tuple[EvidenceGroup, ...]


@dataclass(frozen=True, slots=True)
class Refinement:
    """What a Guided Zoom did to the answers of its network."""

    before: float
    after: float
    mended: tuple[PhotographCard, ...]
    spoiled: tuple[PhotographCard, ...]
    changed: int


@dataclass(frozen=True, slots=True)
class Suspect:
    """A photograph whose label may be wrong."""

    name: str
    split: str
    label: str
    suggestion: str
    score: str
    picture: Picture | None


@dataclass(frozen=True, slots=True)
class MadeBy:
    """How a run came about."""

    name: str
    facts: tuple[tuple[str, str], ...]
    settings: str
    """Its whole configuration as JSON."""


@dataclass(frozen=True, slots=True)
class ReportContents:
    """Everything that the page shows."""

    title: str
    method: str
    """The method, the backbone and the size of its input, in a line."""
    made: str
    """When, and by which version of Foveate."""
    split: str
    notes: tuple[str, ...]
    """What could not be shown, and why."""
    accuracy: Estimate | None
    top5: Estimate | None
    photographs: int
    classes: int
    cost: tuple[tuple[str, str], ...]
    """What an answer costs: words and numbers."""
    groups: int | None = None
    """How many groups the photographs are in, over which intervals are; None: each stands for itself."""
    data: DataGlance | None = None
    learning: tuple[Chart, ...] = ()
    ladder: Table | None = None
    comparison: Table | None = None
    by_class: tuple[ClassAccuracy, ...] = ()
    twins: tuple[Twins, ...] = ()
    wrong: tuple[WrongPhotograph, ...] = ()
    gallery: tuple[PhotographCard, ...] = ()
    others: tuple[str, ...] = ()
    """Names of the other models."""
    trust: tuple[Chart, ...] = ()
    refinement: Refinement | None = None
    suspects: tuple[Suspect, ...] = ()
    made_by: tuple[MadeBy, ...] = field(default=())

    @property
    def wrong_count(self) -> int:
        """How many photographs are answered wrongly; `wrong` may show the surest of them."""
        return sum(not card.right for card in self.gallery)

    def gallery_data(self) -> dict[str, Any]:
        """Return what the page's script shows, sorts and filters: the classes, and a row for each photograph."""
        names = sorted({name for card in self.gallery for name in (card.truth, card.answer, card.before, *card.others)})
        index = {name: number for number, name in enumerate(names)}
        return {
            "classes": names,
            "cards": [
                [
                    card.number,
                    card.name,
                    index[card.truth],
                    index[card.answer],
                    round(card.top[0][1], 4),
                    index[card.before],
                    [index[name] for name in card.others],
                    "" if card.picture is None else card.picture.source,
                ]
                for card in self.gallery
            ],
        }
