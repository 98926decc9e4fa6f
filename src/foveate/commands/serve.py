"""`foveate serve`: a page and an API that answer for photographs, with their evidence."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import tyro

from foveate.commands import existence
from foveate.commands.contexts import context_of
from foveate.config.hardware import HardwareConfig
from foveate.serve.config import ServeConfig


@dataclass(frozen=True, kw_only=True)
class Serve(ServeConfig):
    """Serve a page, and an API, that name what is in photographs and show why, on this machine.

    Nothing of the photographs is kept.
    """

    run_folder: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="RUN_OR_ZOOM")]
    """The run folder, or a Guided Zoom's."""
    api_key_file: Path | None = None
    """A file with the keys of those who may ask, one a line; the environment's FOVEATE_API_KEY is one more. None, and
    none there: everybody may who reaches the address."""
    root: Path | None = None
    """Where the training photographs lie now, if they have moved since the training."""
    hardware: HardwareConfig = field(default_factory=HardwareConfig)

    def run(self) -> None:
        """Do it."""
        existence.check_run_or_zoom(self.run_folder)
        if self.api_key_file is not None:
            existence.check_there(self.api_key_file, "an API key file")
        from foveate.serve.server import serve

        serve(self.run_folder, self, api_key_file=self.api_key_file, context=context_of(self))
