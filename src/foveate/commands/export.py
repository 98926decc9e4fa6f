"""`foveate export`: a trained network as one file for a runtime, with a proof."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from foveate.commands import existence
from foveate.commands.contexts import RunOptions, context_of
from foveate.config.checks import require_count
from foveate.config.data import Split
from foveate.workflows.export.config import ExportFormat, ExportPrecision, check_exports


@dataclass(frozen=True, kw_only=True)
class Export(RunOptions):
    """Write a run's network as one file for a runtime, from 8-bit pixels to probabilities, and prove it.

    All test photographs pass through the network in float32 and through the file; where they differ, nothing is
    written. Beside the file lie its proof and foveate_loader.py, which answers for photographs without Foveate.
    """

    run_folder: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="RUN")]
    """The run folder."""
    format: ExportFormat = ExportFormat.ONNX
    """Whose file: torch (model.pt2), onnx (model.onnx), openvino (model.xml)."""
    precision: ExportPrecision = ExportPrecision.FLOAT32
    """In which numbers the backbone computes; int8 and bf16 may lose at most 0.5 points of top-1."""
    out: Path | None = None
    """The new folder; None: exported/FORMAT-PRECISION in the run's."""
    split: Split = Split.TEST
    """Whose photographs prove it."""
    photographs: int | None = None
    """How many of them, evenly spread; None: all."""
    batch_size: int = 32
    """Photographs at a time."""

    def __post_init__(self) -> None:
        require_count("batch_size", self.batch_size)
        if self.photographs is not None:
            require_count("photographs", self.photographs)

    def run(self) -> None:
        """Do it.

        Raises:
            UserError: Something the user can mend: see its message.
        """
        existence.check_run_or_zoom(self.run_folder)
        check_exports(self.format, self.precision)
        from foveate.workflows.export.export import export

        export(
            self.run_folder,
            format=self.format,
            precision=self.precision,
            out=self.out,
            split=self.split,
            photographs=self.photographs,
            context=context_of(self),
        )
