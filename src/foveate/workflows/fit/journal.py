"""What a fit has done so far, on disk: so that the same command goes on, and nothing is done twice."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import Any

from foveate.data.records import ImageRecord
from foveate.errors import UserError
from foveate.files.documents import Migration, read_json, structured, unstructured, write_json
from foveate.files.migrating import add_fields
from foveate.guided_zoom.pool import hash_of_photographs
from foveate.workflows.fit.config import MIGRATIONS, FitConfig
from foveate.workflows.fit.split_accuracy import SplitAccuracy, with_groups, with_test
from foveate.workflows.fit.time_model import Machine, Speed

SCHEMA_VERSION = 6


def _with_shares(journal: dict[str, Any]) -> dict[str, Any]:
    # Where the winner is being trained on all photographs, it goes on as it began.
    add_fields(journal, share=1.0, refit_share=None if journal.get("winner") is None else 1.0)
    return journal


_MIGRATIONS: Mapping[int, Migration] = {
    **MIGRATIONS,
    3: _with_shares,
    4: partial(with_test, "test"),
    5: with_groups,
}


class RungState(StrEnum):
    """How far a rung of the ladder is."""

    CLIMBING = "climbing"
    CLIMBED = "climbed"
    SKIPPED = "skipped"


@dataclass(frozen=True, kw_only=True)
class RungEntry:
    """What is written down of a rung."""

    name: str
    state: RungState
    predicted: float | None
    """Seconds that its folds were said to take; None: not known."""
    begun: float
    """Seconds that the fit had spent before."""
    seconds: float
    """That they took."""
    note: str | None
    """Why it was skipped, or what it rests on."""


@dataclass(frozen=True, kw_only=True)
class JournalContent:
    """What `journal.json` holds."""

    settings: FitConfig
    photographs: str
    """Hash of the training photographs that can be read, and of their groups."""
    folds: int
    """0: no photograph can be held out."""
    share: float
    """As in `Ladder`."""
    refit_share: float | None
    """Of the epochs of its recipe, which the winner takes on all photographs; None: not known yet, or all of them."""
    machine: Machine
    speeds: dict[str, Speed]
    """By method."""
    spent: float
    """Seconds so far."""
    rungs: tuple[RungEntry, ...]
    winner: str | None
    test: SplitAccuracy | None
    """What the test split says, which is looked at once."""


class Journal:
    """The journal in a folder; every change is written at once.

    Args:
        folder: Where it lies.
        content: What it holds.
        began: When this call began, by `time.perf_counter`; None: now.
    """

    def __init__(self, folder: Path, content: JournalContent, began: float | None = None) -> None:
        self.folder = folder
        self.content = content
        self.expected = 0.0
        """Seconds that all will have taken at the end, as far as that can be told."""
        self._before, self._began = content.spent, time.perf_counter() if began is None else began

    @staticmethod
    def is_in(folder: Path) -> bool:
        """Say whether a folder has one."""
        return (folder / "journal.json").is_file()

    @classmethod
    def open(cls, folder: Path, began: float | None = None) -> Journal:
        """Read it again.

        Raises:
            UserError: It is damaged, or of another version.
        """
        file = folder / "journal.json"
        content = read_json(file, SCHEMA_VERSION, _MIGRATIONS)
        return cls(folder, structured(content, JournalContent, file, "a fit"), began)

    def check(self, settings: FitConfig, records: Sequence[ImageRecord]) -> None:
        """Refuse to go on with other settings or photographs.

        Raises:
            UserError: They differ; where the photographs lie may.
        """
        if differing := differing_settings(self.content.settings, settings):
            raise UserError(
                f"a fit goes on with the settings it began with; {self.folder.parent} differs in "
                f"{', '.join(differing)}; give the same command, or name another folder with --out"
            )
        if hash_of_photographs(records, grouped=True) != self.content.photographs:
            raise UserError(
                f"a fit goes on with the photographs it began with; those of {settings.data.root} have changed since; "
                f"restore them, or begin anew: remove {self.folder.parent}, or name another folder with --out"
            )

    @property
    def spent(self) -> float:
        """Seconds so far, those of interrupted calls up to what they last wrote down."""
        return self._before + time.perf_counter() - self._began

    def status(self, what: str) -> str:
        """Return a line that says what is done now, how long it has taken, and how long it may take yet."""
        left, minutes = (self.expected - self.spent) / 60, self.content.settings.minutes
        words = f"about {left:.1f} left" if left > 0 else "longer than was expected"
        return f"[{self.spent / 60:.1f} of {minutes:g} minutes, {words}] {what}"

    def entry(self, rung: str) -> RungEntry | None:
        """Return what is written down of a rung."""
        return next((each for each in self.content.rungs if each.name == rung), None)

    def write(self, entry: RungEntry | None = None, **changed: float | str | SplitAccuracy) -> None:
        """Write down how far it is, with fields of the content that change."""
        content = replace(self.content, spent=self.spent, **changed)  # type: ignore[arg-type]
        if entry is not None:
            others = tuple(each for each in content.rungs if each.name != entry.name)
            content = replace(content, rungs=(*others, entry))
        self.content = content
        write_json(self.folder / "journal.json", unstructured(content), SCHEMA_VERSION)


def differing_settings(old: FitConfig, new: FitConfig) -> list[str]:
    """Name the settings that differ, but for where the photographs lie and who decodes them."""
    differing = [name for name in ("minutes", "prefer", "size", "seed") if getattr(old, name) != getattr(new, name)]
    data = replace(new.data, root=old.data.root)
    hardware = replace(new.hardware, workers=old.hardware.workers)
    return [
        *differing,
        *(["data"] if data != old.data else []),
        *(["hardware"] if hardware != old.hardware else []),
    ]
