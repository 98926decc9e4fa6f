"""`foveate fit`: the method that suits photographs best, found and trained within some minutes."""

from dataclasses import dataclass, field
from pathlib import Path

import tyro

from foveate.commands import existence
from foveate.config.data import DataConfig
from foveate.config.hardware import HardwareConfig
from foveate.workflows.fit.config import MINUTES, Prefer


@dataclass(frozen=True, kw_only=True)
class Fit:
    """Find the method that suits your photographs best, and train it; the same command resumes what was stopped.

    It measures this machine, says what it will do, tries methods from the cheapest on, chooses by photographs that they
    did not learn from, and leaves one run folder for report, serve, predict and explain.
    """

    folder: tyro.conf.Positional[Path]
    """The photographs: a folder of class folders, an archive as its authors made it, or a CSV or Parquet list."""
    minutes: float = MINUTES
    """That everything together may take; trainings are shortened to fit, what still does not is left out."""
    prefer: Prefer = Prefer.ACCURACY
    """accuracy: the method that names most held-out photographs, or a cheaper one within one standard error of it;
    speed: within two."""
    out: Path | None = None
    """The run folder: new, empty, or holding a fit of the same settings, which is resumed; None: runs/FOLDER-fit, or
    with the next free number."""
    size: int | None = None
    """Side of the views in pixels; None: as each method's recipe says."""
    seed: int = 0
    """Of the folds and of every training."""
    data: DataConfig = field(default_factory=lambda: DataConfig(root=existence.FOLDER))
    hardware: HardwareConfig = field(default_factory=HardwareConfig)

    def run(self) -> None:
        """Do it."""
        existence.check_photographs(self.folder, self.data)
        from foveate.workflows.fit.fit import fit

        fit(
            self.folder,
            minutes=self.minutes,
            out=self.out,
            prefer=self.prefer,
            size=self.size,
            seed=self.seed,
            data=self.data,
            hardware=self.hardware,
        )
