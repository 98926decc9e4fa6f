"""What a fit found, as the table of its ladder: `ladder.json` and `ladder.md` in its folder."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from foveate.files.documents import Migration, read_json, structured, unstructured, write_json, write_text
from foveate.files.migrating import add_fields
from foveate.report.tables import markdown_table
from foveate.workflows.fit.config import MIGRATIONS, FitConfig
from foveate.workflows.fit.split_accuracy import SplitAccuracy, with_groups, with_test

SCHEMA_VERSION = 6
_FILE = "ladder.json"
_FAR = 0.05
_FLATTERED = " Being chosen by these photographs flatters it; learning from all of them makes it better again."


def _with_shares(table: dict[str, Any]) -> dict[str, Any]:
    add_fields(table, fold_share=0.5 if table.get("folds") == 1 else 1.0, refit_share=1.0)
    return table


_MIGRATIONS: Mapping[int, Migration] = {
    **MIGRATIONS,
    3: _with_shares,
    4: partial(with_test, "test_top1"),
    5: with_groups,
}


@dataclass(frozen=True, kw_only=True)
class LadderRow:
    """A way to answer, and what held-out photographs say of it."""

    name: str
    top1: float | None
    """Of the held-out photographs, in [0, 1]; None: it was not climbed, or nothing could be held out."""
    mean_per_class: float | None
    behind: float | None
    """By how much the best one's top-1 is above."""
    standard_error: float | None
    """Of that difference; None also where a single photograph was held out."""
    passes: float | None
    """Of a network, for one answer."""
    gflop: float | None
    """Of one answer, in thousand millions of floating point operations: what makes it cheap or dear."""
    minutes: float | None
    """That its folds took; ways to answer of one training share them."""
    note: str | None
    """Why it was not climbed, or what it rests on."""

    def cells(self, *, taken: bool) -> list[str]:
        """Return the cells of its row in the table."""
        error = "" if self.standard_error is None else f" ± {100 * self.standard_error:.1f}"
        return [
            self.name + (" (taken)" if taken else ""),
            *("-" if value is None else f"{100 * value:.1f}" for value in (self.top1, self.mean_per_class)),
            "-" if self.behind is None else f"{100 * self.behind:.1f}{error}",
            *("-" if value is None else f"{value:.3g}" for value in (self.passes, self.gflop)),
            "-" if self.minutes is None else f"{self.minutes:.1f}",
            self.note or "",
        ]


@dataclass(frozen=True, kw_only=True)
class LadderTable:
    """What a fit found; the folder itself is that of a run, or of a Guided Zoom."""

    settings: FitConfig
    winner: str
    """Name of the rung that was taken."""
    reason: str
    rungs: tuple[LadderRow, ...]
    folds: int
    """In which photographs were held out; 1: a part of them, once, since more did not fit; 0: none could be."""
    fold_share: float
    """Of the epochs of its recipe, which a training without a fold took."""
    refit_share: float
    """The same of the one that was taken, where it is trained, on all photographs."""
    photographs: int
    """Of the training, that can be read."""
    listed: str
    """Hash of the training photographs, those that cannot be read among them."""
    held_out: int
    """Of these, how many were held out once."""
    test: SplitAccuracy | None
    """None: there is no test split."""
    minutes: float
    """Of everything together."""

    @property
    def test_top1(self) -> float | None:
        """The share of the test split that is answered rightly, in [0, 1]; None: there is none."""
        return None if self.test is None else self.test.top1

    @property
    def sentences(self) -> tuple[str, str, str]:
        """What the table rests on, what was taken and why, and what the test split says."""
        basis = (
            f"{self._held_out_how()}."
            if self.folds
            else f"None of {self.photographs} photographs could be held out: each is the only one of a class, or in "
            "its only group."
        )
        shorter = (
            f" It is trained for {100 * self.refit_share:.0f}% of its epochs, for which the minutes were enough; with "
            "more --minutes it has all."
        )
        taken = f"{self.reason}.{shorter if self.refit_share < 1 else ''}{_FLATTERED if self.folds else ''}"
        test = "There is no test split." if self.test is None else self.test.words
        return basis, taken + self._where_classes_count_alike(), test

    def _where_classes_count_alike(self) -> str:
        """Say what would be taken by the mean over classes, where that is far above the winner's."""
        means = {each.name: each.mean_per_class for each in self.rungs if each.mean_per_class is not None}
        best = max(means, key=lambda name: means[name], default=self.winner)
        if means.get(best, 0.0) - means.get(self.winner, 0.0) < _FAR:
            return ""
        shares = f"{100 * means[best]:.1f}% to {100 * means[self.winner]:.1f}%"
        return f" By the mean over classes, where rare ones count as much as others, {best} is better: {shares}."

    def markdown(self) -> str:
        """Return the ladder as a table, and why its winner was taken."""
        header = [
            "rung",
            "held-out top-1, %",
            "mean per class, %",
            "behind the best",
            "passes",
            "GFLOP",
            "minutes",
            "note",
        ]
        rows = [each.cells(taken=each.name == self.winner) for each in self.rungs]
        if not any(each.note for each in self.rungs):
            header, rows = header[:-1], [row[:-1] for row in rows]
        basis, taken, test = self.sentences
        return f"### The ladder\n\n{markdown_table(header, rows)}\n{basis}\n\n{taken}\n\n{test}\n"

    def _held_out_how(self) -> str:
        held_out = f"{self.held_out} of {self.photographs} training photographs were held out"
        if self.folds > 1:
            held_out += f", each from one of {self.folds} folds"
        unseen = f"{held_out}; what answered for them had not learned from them"
        if self.fold_share == 1:
            return unseen
        return f"{unseen}, and a trained method had {100 * self.fold_share:.0f}% of its epochs"

    def write(self, folder: Path) -> None:
        """Write `ladder.md`, then `ladder.json`, which says that the fit is finished."""
        write_text(folder / "ladder.md", self.markdown())
        write_json(folder / _FILE, unstructured(self), SCHEMA_VERSION)

    @staticmethod
    def is_in(folder: Path) -> bool:
        """Say whether a folder is that of a finished fit."""
        return (folder / _FILE).is_file()

    @classmethod
    def read(cls, folder: Path) -> LadderTable:
        """Read what a finished fit found.

        Raises:
            UserError: It is damaged, or of another version.
        """
        file = folder / _FILE
        return structured(read_json(file, SCHEMA_VERSION, _MIGRATIONS), LadderTable, file, "a ladder")
