"""`foveate ensemble`: several trained networks that answer together, as one run."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from foveate.commands import existence
from foveate.commands.contexts import RunOptions, context_of


@dataclass(frozen=True, kw_only=True)
class Ensemble(RunOptions):
    """Let several trained networks answer together: one run folder that every other command takes; nothing is trained.

    Their log probabilities are added, each with a weight that is fitted to validation photographs, where there are some
    that none of them was trained with. The first one's network is grounded and explains.
    """

    runs: Annotated[
        tyro.conf.Positional[tuple[Path, ...]],
        tyro.conf.arg(metavar="RUN RUN [RUN ...]", help_behavior_hint="(required)"),
    ]
    """Two or more run folders, of the same classes."""
    out: Path
    """The run folder: new, empty, or holding the same ensemble."""
    weights: tuple[float, ...] | None = None
    """How much each counts; None: what the validation photographs say, or all alike."""

    def run(self) -> None:
        """Do it."""
        for each in self.runs:
            existence.check_run(each)
        existence.check_data(self.root)
        from foveate.workflows.ensemble import ensemble

        ensemble(*self.runs, out=self.out, weights=self.weights, context=context_of(self))
