"""The tables of both papers, row by row: what is published, and what to train and measure to see it oneself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from itertools import chain
from typing import Any

from foveate.guided_zoom.config import PAPER_PATCH
from foveate.recipes.config import TrainConfig


class Scale(StrEnum):
    """How large the networks and the data sets are."""

    SLICE = "slice"
    """EfficientNet-Lite0 at 224 pixels on the 20-class slice of CUB-200-2011: a laptop."""
    FULL = "full"
    """The paper's network, size, data set and epochs: its archives and a GPU."""


class Quantity(StrEnum):
    """What is measured of a run, in per cent of the test split."""

    TOP1 = "top-1"
    TOP5 = "top-5"
    ORIGINAL = "original"
    DISCRIMINATIVE = "discriminative"
    COMPLEMENTARY = "complementary"
    LOCALISATION = "localisation"
    """Top-1 localisation: the class right and the box at an intersection over union of 0.5 or more."""
    HIT_RATE = "hit rate"
    """Share of the sparse attention's peaks that lie in the box."""
    REFINED_3 = "refined, k=3"
    """Top-1 after Guided Zoom, with the paper's grounding, rounds and weights."""
    REFINED_5 = "refined, k=5"

    @property
    def measured_by(self) -> str | None:
        """The command that measures it on a run, where that is not `foveate evaluate`."""
        zoom = (
            f"foveate guided-zoom RUN --pool.grounding.method ceb --pool.patches.patch {PAPER_PATCH} "
            "--pool.patches.rounds 2 --pool.no-whole --refinement.weights 0.4 0.3 0.2 0.1 "
            "--refinement.no-mirrored --refinement.top-k"
        )
        return {
            Quantity.LOCALISATION: "foveate localise RUN",
            Quantity.HIT_RATE: "foveate attention RUN",
            Quantity.REFINED_3: f"{zoom} 3",
            Quantity.REFINED_5: f"{zoom} 5",
        }.get(self)


@dataclass(frozen=True)
class Training:
    """A recipe and the fields that differ from it, by their names on the command line, such as `network.branches`."""

    recipe: str
    changes: tuple[tuple[str, object], ...] = ()

    def config(self, recipes: Mapping[str, Any]) -> TrainConfig:
        """Return the configuration."""
        config: TrainConfig = recipes[self.recipe]()
        for name, value in self.changes:
            config = _changed(config, name.split("."), value)
        return config

    @property
    def options(self) -> str:
        """What `foveate reproduce training` is given to train it."""
        fields = (f"--{name.replace('_', '-')} {_words(value)}" for name, value in self.changes)
        return " ".join((self.recipe, *fields))

    @property
    def folder(self) -> str:
        """A name of its own."""
        fields = (f"{name.rpartition('.')[2]}-{_words(value)}" for name, value in self.changes)
        return "-".join((self.recipe, *fields)).replace("_", "-").replace(" ", "-")


def _changed(config: Any, path: Sequence[str], value: object) -> Any:
    name, *rest = path
    return replace(config, **{name: _changed(getattr(config, name), rest, value) if rest else value})


def _words(value: object) -> str:
    return " ".join(map(str, value)) if isinstance(value, tuple) else str(value)


@dataclass(frozen=True)
class Cell:
    """One number of a table."""

    column: str
    published: float | None
    quantity: Quantity = Quantity.TOP1
    trainings: tuple[tuple[Scale, Training], ...] = ()
    """What is trained for it at each scale; none for a rival's number, and at a scale that cannot show it."""

    def training(self, scale: Scale) -> Training | None:
        """Return what is trained for it."""
        return dict(self.trainings).get(scale)


@dataclass(frozen=True)
class Row:
    """One method."""

    name: str
    cells: tuple[Cell, ...]


@dataclass(frozen=True)
class PaperTable:
    """A table as published."""

    title: str
    rows: tuple[Row, ...]

    def shown_at(self, scale: Scale) -> bool:
        """Say whether there is anything to measure at a scale."""
        return any(cell.training(scale) for row in self.rows for cell in row.cells)


def _both(full: str, small: str, *changes: tuple[str, object]) -> tuple[tuple[Scale, Training], ...]:
    return ((Scale.FULL, Training(full, changes)), (Scale.SLICE, Training(small, changes)))


def _full(recipe: str) -> tuple[tuple[Scale, Training], ...]:
    return ((Scale.FULL, Training(recipe)),)


def _s3n(row: str | None = None, *changes: tuple[str, object]) -> tuple[tuple[Scale, Training], ...]:
    """S3N on CUB-200-2011 or its slice; `row` is one of `foveate.reproduction.comparisons.ROWS`."""
    suffix = "" if row is None else f"-{row}"
    return _both(f"s3n-resnet50-cub{suffix}", f"s3n-slice{suffix}", *changes)


ON_CUB = {
    "plain": _both("ft-resnet50-cub", "plain-slice"),
    "s3n": _s3n(),
    "s3n-epochs": _s3n(None, ("epochs", 20), ("keep_epochs", (1, 5, 20))),
    "guided-zoom": _both("ft-resnet101-cub", "plain-slice"),
}
"""What the figures show, on birds: the networks of both papers, and S3N with epochs kept to be looked at."""


_CUB, _AIRCRAFT, _CARS, _DOGS = "CUB-200-2011", "FGVC-Aircraft", "Stanford Cars", "Stanford Dogs"


def _rival(name: str, **published: float) -> Row:
    columns = {"cub": _CUB, "aircraft": _AIRCRAFT, "cars": _CARS, "dogs": _DOGS}
    return Row(name, tuple(Cell(columns[key], value) for key, value in published.items()))


def _branches(
    name: str,
    row: str | None,
    *,
    localisation: float,
    total: float,
    original: float | None = None,
    discriminative: float | None = None,
    complementary: float | None = None,
) -> Row:
    trained = _s3n(row)
    published = (
        (Quantity.LOCALISATION, localisation),
        (Quantity.ORIGINAL, original),
        (Quantity.DISCRIMINATIVE, discriminative),
        (Quantity.COMPLEMENTARY, complementary),
        (Quantity.TOP1, total),
    )
    return Row(name, tuple(Cell(each.value, value, each, trained) for each, value in published if value is not None))


_S3N_1 = PaperTable(
    "S3N, Table 1: mean hit rate of the sparse attention",
    (
        Row("CUB-200-2011", (Cell("hit rate", 94.63, Quantity.HIT_RATE, _s3n()),)),
        Row("FGVC-Aircraft", (Cell("hit rate", 97.22, Quantity.HIT_RATE, _full("s3n-resnet50-aircraft")),)),
        Row("Stanford Cars", (Cell("hit rate", 98.76, Quantity.HIT_RATE, _full("s3n-resnet50-cars")),)),
    ),
)

_S3N_2 = PaperTable(
    "S3N, Table 2: branches",
    (
        _branches("S3N O", "o", localisation=57.7, original=86.0, total=86.0),
        _branches("S3N O+D", "od", localisation=59.2, original=87.0, discriminative=86.5, total=87.6),
        _branches("S3N O+C", "oc", localisation=56.6, original=86.8, complementary=85.3, total=87.3),
        _branches("S3N D+C", "dc", localisation=62.6, discriminative=87.1, complementary=85.6, total=87.5),
        _branches(
            "S3N O+D+C",
            None,
            localisation=65.2,
            original=87.9,
            discriminative=86.7,
            complementary=85.1,
            total=88.5,
        ),
    ),
)

_S3N_3 = PaperTable(
    "S3N, Table 3: dense and sparse attention",
    tuple(
        Row(name, (Cell(_CUB, published, trainings=_s3n(row)),))
        for name, published, row in (
            ("Saliency based attention", 85.9, "saliency"),
            ("Class response based attention", 87.8, "class-response"),
            ("Sparse attention", 88.5, None),
        )
    ),
)

_S3N_4 = PaperTable(
    "S3N, Table 4: partition of the sparse attention",
    tuple(
        Row(name, (Cell(_CUB, published, trainings=_s3n(row)),))
        for name, published, row in (
            ("All", 87.7, "all"),
            ("Random", 87.9, "random"),
            ("Probability", 88.5, "probability"),
            ("Expected (ours)", None, "expected"),
            ("Extremes (the released code's at test time)", None, "extremes"),
        )
    ),
)

_S3N_5 = PaperTable(
    "S3N, Table 5: recent results",
    (
        _rival("B-CNN", cub=84.1, aircraft=84.1, cars=91.3),
        _rival("Low-rank B-CNN", cub=84.2, aircraft=87.3, cars=90.9),
        _rival("HIHCA", cub=85.3, aircraft=88.3, cars=91.7),
        _rival("Boosted CNN", cub=85.6, aircraft=88.5, cars=92.1),
        _rival("RA-CNN", cub=85.3, cars=92.5),
        _rival("MA-CNN", cub=86.5, aircraft=89.9, cars=92.8),
        _rival("DT-RAM", cub=86.0, cars=93.1),
        Row(
            "FT ResNet",
            (
                Cell(_CUB, 86.0, trainings=_both("ft-resnet50-cub", "plain-slice")),
                Cell(_AIRCRAFT, 89.9, trainings=_full("ft-resnet50-aircraft")),
                Cell(_CARS, 92.6, trainings=_full("ft-resnet50-cars")),
            ),
        ),
        _rival("DPL-CNN", cub=87.1, cars=93.1),
        _rival("DFL-CNN", cub=87.4, aircraft=91.7, cars=93.1),
        _rival("NTS", cub=87.5, aircraft=91.4, cars=93.9),
        Row(
            "S3N",
            (
                Cell(_CUB, 88.5, trainings=_s3n()),
                Cell(_AIRCRAFT, 92.8, trainings=_full("s3n-resnet50-aircraft")),
                Cell(_CARS, 94.7, trainings=_full("s3n-resnet50-cars")),
            ),
        ),
    ),
)

_S3N_DELTA = PaperTable(
    "S3N, section 3.2: the entropy threshold (insensitive in [0.1, 0.3])",
    tuple(
        Row(f"threshold {delta}", (Cell(_CUB, published, trainings=_s3n(None, ("network.entropy_threshold", delta))),))
        for delta, published in ((0.1, None), (0.15, None), (0.2, 88.5), (0.25, None), (0.3, None))
    ),
)


def _guided(
    column: str, before: float, after: tuple[float, float], trained: tuple[tuple[Scale, Training], ...], name: str
) -> tuple[Row, ...]:
    """A network, then Guided Zoom on it with three and with five classes."""
    three, five = after
    return (
        Row(name, (Cell(column, before, trainings=trained),)),
        Row(f"Guided Zoom ({name}, k=3)", (Cell(column, three, Quantity.REFINED_3, trained),)),
        Row(f"Guided Zoom ({name}, k=5)", (Cell(column, five, Quantity.REFINED_5, trained),)),
    )


_GZ_1 = PaperTable(
    "Guided Zoom, Table 1: CUB-200-2011",
    (
        _rival("DVAN", cub=79.0),
        _rival("PA-CNN (box)", cub=82.8),
        _rival("MG-CNN (box)", cub=83.0),
        _rival("B-CNN", cub=84.1),
        _rival("RA-CNN", cub=85.3),
        _rival("PN-CNN (parts)", cub=85.4),
        _rival("OSME + MAMC", cub=86.5),
        *_guided(_CUB, 82.3, (85.0, 85.4), _both("ft-resnet101-cub", "plain-slice"), "ResNet-101"),
        *_guided(_CUB, 86.5, (87.6, 87.7), _both("macnn-vgg19-cub", "macnn-slice"), "MA-CNN"),
        Row("S3N (ours)", (Cell(_CUB, None, trainings=_s3n()),)),
        Row("Guided Zoom (S3N, k=3) (ours)", (Cell(_CUB, None, Quantity.REFINED_3, _s3n()),)),
        Row("Guided Zoom (S3N, k=5) (ours)", (Cell(_CUB, None, Quantity.REFINED_5, _s3n()),)),
    ),
)

_GZ_2 = PaperTable(
    "Guided Zoom, Table 2: Stanford Dogs",
    (
        _rival("DVAN", dogs=81.5),
        _rival("OSME + MAMC", dogs=85.2),
        _rival("RA-CNN", dogs=87.3),
        *_guided(_DOGS, 86.9, (88.4, 88.5), _full("ft-resnet101-dogs"), "ResNet-101"),
        Row("ResNet-101, top-5", (Cell(_DOGS, 98.9, Quantity.TOP5, _full("ft-resnet101-dogs")),)),
    ),
)

_GZ_3 = PaperTable(
    "Guided Zoom, Table 3: FGVC-Aircraft (the text has 89.0 for k=5)",
    (
        _rival("B-CNN", aircraft=84.1),
        _rival("MG-CNN (box)", aircraft=86.6),
        _rival("RA-CNN", aircraft=88.2),
        _rival("MDTP (box)", aircraft=88.4),
        *_guided(_AIRCRAFT, 87.5, (89.1, 89.1), _full("ft-resnet101-aircraft"), "ResNet-101"),
        *_guided(_AIRCRAFT, 89.9, (90.7, 90.7), _full("macnn-vgg19-aircraft"), "MA-CNN"),
    ),
)

TABLES = {
    "s3n-1": _S3N_1,
    "s3n-2": _S3N_2,
    "s3n-3": _S3N_3,
    "s3n-4": _S3N_4,
    "s3n-5": _S3N_5,
    "s3n-delta": _S3N_DELTA,
    "gz-1": _GZ_1,
    "gz-2": _GZ_2,
    "gz-3": _GZ_3,
}

FIGURES = {
    "s3n-fig4": "the evidence at epochs 1, 5 and 20",
    "s3n-fig5": "what the sparse attention hits",
    "s3n-fig6": "which parts are nearest to its peaks; the same picture",
    "s3n-fig7": "where the baseline fails and S3N does not, and where S3N fails",
    "gz-fig2": "answers that the evidence mends",
    "gz-fig3": "round after round of evidence",
}
"""By paper and number; `foveate.reproduction.figures` makes them."""


def named_alike(training: Training, recipes: Mapping[str, Any]) -> Training:
    """Return the first training of the figures and tables that is the same but for its name, so that it is done once.

    The small S3N recipe, for instance, is its own row "All" of Table 4.
    """
    config = training.config(recipes)
    cells = [cell.trainings for table in TABLES.values() for row in table.rows for cell in row.cells]
    known = dict.fromkeys(each for _, each in chain.from_iterable((*ON_CUB.values(), *cells)))
    return next((each for each in known if each.recipe in recipes and each.config(recipes) == config), training)
