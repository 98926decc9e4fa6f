"""What was found in a data set: equal photographs, leaks, suspected labels, and what cannot be used."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

import numpy as np

from foveate.files.documents import read_json, structured, unstructured, write_json

SCHEMA_VERSION = 1
_FILE = "check.json"


class FindingKind(StrEnum):
    """What is wrong with a photograph, or may be; the worst first."""

    LEAK = "leak"
    """It is equal, or nearly, to a photograph of another split: a test of it tests memory."""
    GROUP = "group in two splits"
    """Its group has photographs in another split."""
    CLASSES = "two classes"
    """It is equal to a photograph of another class."""
    UNREADABLE = "unreadable"
    LABEL = "suspected label"
    """Networks that did not learn from it, and the photographs nearest to it, speak for another class."""
    COPY = "copy"
    """It is equal to another photograph of its class and split, and counts twice."""
    BLANK = "nearly blank"
    TINY = "tiny"
    FEW = "few photographs"
    """The first training photograph of a class that has fewer than five."""


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One thing about one photograph."""

    kind: FindingKind
    photograph: str
    """Its id: the path below the folder."""
    split: str
    class_name: str
    """Of its label."""
    suggested: str | None = None
    """The class that is likelier."""
    score: float | None = None
    """How sure, in [0, 1], 1 the surest: of equal photographs the correlation of their grey levels, of a label how much
    likelier the suggested class is (0.5: as likely as the label's)."""
    other: str | None = None
    """Id of the photograph that it is equal to, or of the one nearest to it of the suggested class."""
    other_split: str | None = None
    other_class: str | None = None
    words: str = ""
    """What is to be said besides."""


@dataclass(frozen=True, kw_only=True)
class SplitSummary:
    """The photographs of one split."""

    name: str
    photographs: tuple[int, ...]
    """Of each class."""

    @property
    def imbalance(self) -> float:
        """Photographs of the largest class, for one of the smallest; classes that have none are left out."""
        present = [count for count in self.photographs if count]
        return max(present) / min(present) if present else 1.0


@dataclass(frozen=True, kw_only=True)
class TypicalPhotograph:
    """The photograph of a class that is surest to be of it."""

    class_name: str
    photograph: str


@dataclass(frozen=True, kw_only=True)
class DataReport:
    """What `foveate.check` found in a data set.

    ::

        report = foveate.check("photographs")
        for finding in report.of("suspected label")[:10]:
            print(finding.photograph, finding.class_name, finding.suggested, finding.score)
        data = foveate.DataConfig(root=report.root, exclude=(str(report.path / "exclude.txt"),))
        config = dataclasses.replace(foveate.recipes.plain(report.root), data=data)
    """

    name: str
    """Of the data set."""
    root: Path
    class_names: tuple[str, ...]
    splits: tuple[SplitSummary, ...]
    smallest: tuple[int, int]
    """Width and height of the smallest photograph that can be read, in pixels."""
    median: tuple[int, int]
    """Median width and median height."""
    largest: tuple[int, int]
    findings: tuple[Finding, ...]
    """In the order of their kinds; of one kind the surest first."""
    labels_by: str | None
    """What answered for the suspected labels, in words; None: nobody did."""
    labels_accuracy: float | None
    """Share of the labels with which its answers agree, in [0, 1]."""
    typical: tuple[TypicalPhotograph, ...] = field(default=())
    """Of each class whose labels were looked at."""
    path: Path
    """The folder of the lists, the table and the sheet."""

    def of(self, kind: FindingKind | str) -> tuple[Finding, ...]:
        """Return the findings of a kind.

        Raises:
            ValueError: There is no such kind.
        """
        kind = FindingKind(kind)
        return tuple(each for each in self.findings if each.kind is kind)

    @property
    def excluded(self) -> tuple[str, ...]:
        """Ids of what is better left out: what is equal to something else, unreadable, or nearly blank.

        Of two equal photographs the one of the training split is left out, of two classes both; but `spared` stay.
        """
        spared = set(self.spared)
        return tuple(name for name in self._better_left_out if name not in spared)

    @property
    def spared(self) -> tuple[str, ...]:
        """Ids of what would be left out too, but that a class would have no training photograph then, or a split none.

        Of each such class or split it is one, the best that there is.
        """
        inside: dict[tuple[str, str | None], list[str]] = {}
        for name, (split, class_name) in self._better_left_out.items():
            inside.setdefault((split, class_name if split == _TRAIN else None), []).append(name)
        sizes: dict[tuple[str, str | None], int] = {}
        for each in self.splits:
            if each.name == _TRAIN:
                sizes |= {(_TRAIN, name): n for name, n in zip(self.class_names, each.photographs, strict=True)}
            else:
                sizes[each.name, None] = sum(each.photographs)
        return tuple(names[-1] for place, names in inside.items() if len(names) == sizes.get(place))

    @property
    def _better_left_out(self) -> dict[str, tuple[str, str]]:
        """The split and class of what is better left out, the worst first."""
        names: dict[str, tuple[str, str]] = {}
        for kind in _LEFT_OUT:
            for each in self.of(kind):
                names.setdefault(each.photograph, (each.split, each.class_name))
                if kind is FindingKind.CLASSES and each.other and each.other_split and each.other_class:
                    names.setdefault(each.other, (each.other_split, each.other_class))
        return names

    def write(self, folder: Path) -> None:
        """Write it as `check.json`."""
        write_json(folder / _FILE, unstructured(self), SCHEMA_VERSION)

    @classmethod
    def read(cls, folder: Path) -> DataReport:
        """Read what `write` wrote.

        Raises:
            UserError: It is not there, damaged, or of another version.
        """
        return structured(read_json(folder / _FILE, SCHEMA_VERSION, {}), cls, folder / _FILE, "a check")


_TRAIN = "train"
_LEFT_OUT = (FindingKind.UNREADABLE, FindingKind.BLANK, FindingKind.LEAK, FindingKind.CLASSES, FindingKind.COPY)
"""The worst first, of which nothing is spared if there is a better one."""


def ordered(findings: list[Finding]) -> tuple[Finding, ...]:
    """Return findings in the order of their kinds, the surest first; what has no score keeps its place."""
    order = list(FindingKind)
    return tuple(sorted(findings, key=lambda each: (order.index(each.kind), -(each.score or 0.0))))


def median_size(sizes: list[tuple[int, int]]) -> tuple[int, int]:
    """Return the median width and the median height, in whole pixels."""
    width, height = np.median(np.array(sizes), axis=0)
    return int(width), int(height)
