"""`foveate compare`: which of several trained models is better, by how much, and at which cost."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from foveate.commands import existence
from foveate.commands.contexts import MeasurementOptions, context_of
from foveate.config.checks import require
from foveate.config.data import Split
from foveate.data.paths import expanded, holds
from foveate.errors import UserError


@dataclass(frozen=True, kw_only=True)
class Compare(MeasurementOptions):
    """Compare runs and Guided Zooms with the first: paired differences, McNemar's test, cost, and who is right where.

    Runs that differ in the seed alone are averaged. A+B+C is an ensemble: the mean of their probabilities, for the cost
    of all; `foveate ensemble` weighs them, and makes a run of them.
    """

    models: Annotated[
        tyro.conf.Positional[tuple[Path, ...]],
        tyro.conf.arg(metavar="RUN_OR_ZOOM[+...]", help_behavior_hint="(required)"),
    ]
    """Two or more folders of runs or Guided Zooms; joined by + they are an ensemble."""
    split: Split = Split.TEST
    """Whose photographs to answer for."""
    out: Path | None = None
    """The folder of the report; None: evaluation/ of the first."""
    results: Path | None = None
    """A file of JSON lines to which each run that is evaluated now adds its row, and each ensemble of seeds."""
    batch_size: int = 32
    """Photographs at a time, where a run is evaluated."""

    def __post_init__(self) -> None:
        require(self.batch_size >= 1, "batch_size must be at least 1", self.batch_size)

    def run(self) -> None:
        """Do it."""
        models = [_members(each) for each in self.models]
        for member in (member for each in models for member in each):
            existence.check_run_or_zoom(member)
        existence.check_data(self.root)
        from foveate.workflows.compare import compare

        sides = [each[0] if len(each) == 1 else each for each in models]
        compare(*sides, split=self.split, out=self.out, context=context_of(self))


def _members(model: Path) -> tuple[Path, ...]:
    """Return the members of an ensemble; a folder that is there is one, whatever its name.

    Raises:
        UserError: Before or after a + there is no name.
    """
    if holds(expanded(model).exists):
        return (model,)
    names = str(model).split("+")
    if not all(names):
        raise UserError(f"an ensemble is folders joined by +; got {str(model)[:200]!r}; name the missing one")
    return tuple(expanded(Path(each)) for each in names)
