"""What the test split says of the method that a fit took."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from foveate.evaluation.accuracy import Accuracy
from foveate.evaluation.bootstrap import FEWEST_GROUPS
from foveate.files.migrating import add_fields, inside
from foveate.report.tables import TOO_FEW


@dataclass(frozen=True, kw_only=True)
class SplitAccuracy:
    """The share of the test split that is answered rightly, looked at once."""

    top1: float
    """In [0, 1]."""
    low: float | None
    """The lower end of its 95% interval; None: an earlier version did not keep it."""
    high: float | None
    """The upper end."""
    photographs: int | None
    """Of the test split, that can be read."""
    groups: int | None
    """Of photographs, over which the interval is; None: it is over photographs, or an earlier version did not say."""

    @classmethod
    def of(cls, accuracy: Accuracy) -> SplitAccuracy:
        """Return what an evaluation says."""
        top1, groups = accuracy.top1, accuracy.groups
        return cls(top1=top1.value, low=top1.low, high=top1.high, photographs=accuracy.images, groups=groups)

    @property
    def words(self) -> str:
        """What a line of progress and the ladder say of it."""
        share = f"{100 * self.top1:.1f}%"
        if self.low is None or self.high is None or self.photographs is None:
            return f"Test split, looked at once: {share} are right."
        right = f"{round(self.top1 * self.photographs)} of {self.photographs} photographs are right"
        interval = f"95% interval {100 * self.low:.1f} to {100 * self.high:.1f}"
        over = ""
        if self.groups is not None:
            over = f", over {self.groups:,} groups of photographs{TOO_FEW if self.groups < FEWEST_GROUPS else ''}"
        return f"Test split, looked at once: {right} ({share}; {interval}{over})."


def with_test(name: str, document: dict[str, Any]) -> dict[str, Any]:
    """Migrate a document that held the share alone, under some name."""
    top1 = document.pop(name, None)
    document["test"] = None if top1 is None else {"top1": top1, "low": None, "high": None, "photographs": None}
    return document


def with_groups(document: dict[str, Any]) -> dict[str, Any]:
    """Migrate a document that did not say what its interval is over."""
    for test in inside(document, "test"):
        add_fields(test, groups=None)
    return document
