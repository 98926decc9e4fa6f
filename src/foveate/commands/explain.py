"""`foveate explain`: how a run or a Guided Zoom came to its answers."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import tyro

from foveate.commands import existence
from foveate.commands.contexts import context_of
from foveate.config.checks import require_count
from foveate.config.data import OnError
from foveate.config.hardware import HardwareConfig
from foveate.data.paths import check_named


@dataclass(frozen=True, kw_only=True)
class Explain:
    """Show where a run saw its best classes, an S3N looked closer, MA-CNN's parts, a Guided Zoom's evidence."""

    run_folder: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="RUN")]
    """The run folder, or a Guided Zoom's: then the numbers are also written, as JSON."""
    images: Annotated[
        tyro.conf.Positional[tuple[str, ...]], tyro.conf.arg(metavar="IMAGE...", help_behavior_hint="(required)")
    ]
    """Photographs, folders of them, globs."""
    epochs: tuple[int, ...] | None = None
    """Show the evidence over training, at these epochs of a run trained with --keep-epochs; without numbers: at all."""
    out: Path | None = None
    """Folder for the pictures; None: explanations/ in the run folder."""
    on_error: OnError = OnError.STOP
    """What to do about photographs that cannot be read."""
    largest_megapixels: int | None = None
    """Photographs with more million pixels count as those that cannot be read; None: as in the training."""
    hardware: HardwareConfig = field(default_factory=HardwareConfig)

    def __post_init__(self) -> None:
        if self.largest_megapixels is not None:
            require_count("largest_megapixels", self.largest_megapixels)

    def run(self) -> None:
        """Do it."""
        existence.check_run_or_zoom(self.run_folder)
        check_named(self.images)
        from foveate.workflows.explain import explain

        explain(
            self.run_folder,
            self.images,
            epochs=self.epochs,
            out=self.out,
            context=context_of(self),
        )
