"""`foveate check`: what is wrong with a data set, before anything is trained on it."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import tyro

from foveate.commands import existence
from foveate.config.data import DataConfig
from foveate.config.engine import EngineConfig
from foveate.config.hardware import HardwareConfig
from foveate.files.locks import check_nobody_works_in
from foveate.workflows.check.check_folder import check_new, default_folder


@dataclass(frozen=True, kw_only=True)
class Check:
    """Find leaks, copies, suspected labels and unusable photographs; write lists that `train` takes.

    Equal and nearly equal photographs within and across splits and classes, mirrored ones too; labels that networks
    which did not learn from the photograph contradict; what is unreadable, nearly blank or tiny. `foveate data` is the
    short summary of the same folder.
    """

    folder: tyro.conf.Positional[Path]
    """The photographs: a folder of class folders, an archive as its authors made it, or a CSV or Parquet list."""
    run_folder: Annotated[Path | None, tyro.conf.arg(name="run")] = None
    """A run or Guided Zoom of these photographs, whose held-out answers judge the labels; None: probes do, in a minute
    or two."""
    out: Path | None = None
    """Folder for the table, the lists and the sheet: new or empty, and not among the photographs; None: check, or with
    the next free number; where that would be among the photographs, beside their folder NAME as NAME-check."""
    labels: bool = True
    """Whether labels are looked at, which takes a minute or more."""
    data: DataConfig = field(default_factory=lambda: DataConfig(root=existence.FOLDER))
    engine: Annotated[EngineConfig, tyro.conf.arg(name="")] = field(default_factory=EngineConfig)
    hardware: HardwareConfig = field(default_factory=HardwareConfig)

    def run(self) -> None:
        """Do it."""
        existence.check_photographs(self.folder, self.data)
        if self.run_folder is not None:
            existence.check_run_or_zoom(self.run_folder)
        root = self.folder.expanduser().resolve()
        out = default_folder(root) if self.out is None else self.out
        check_new(out, root)
        check_nobody_works_in(out)  # before the imports, which take seconds
        from foveate.workflows.check.check import check

        check(
            self.folder,
            run=self.run_folder,
            out=out,
            labels=self.labels,
            data=self.data,
            hardware=self.hardware,
            engine=self.engine,
        )
