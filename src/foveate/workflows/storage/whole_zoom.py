"""A Guided Zoom that others can use: with the run of the network that it questions."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from tempfile import mkdtemp

from foveate.runs.guided_zoom_run import NETWORK, GuidedZoomRun


def keep_network(folder: Path) -> None:
    """Copy the run of the conventional network into the folder of a Guided Zoom that names it elsewhere.

    A folder that is no Guided Zoom, or has it, stays as it is. Checkpoints and hidden files are left out.

    Raises:
        UserError: The run is gone, or its weights have changed since.
    """
    if not GuidedZoomRun.is_at(folder):
        return
    zoom = GuidedZoomRun.open(folder)
    if not zoom.description.base.is_absolute():
        return
    run, network = zoom.base_run(), folder / NETWORK
    temporary = Path(mkdtemp(prefix=".partial-", dir=folder))
    try:
        shutil.copytree(run.path, temporary, ignore=shutil.ignore_patterns(".*", "checkpoints"), dirs_exist_ok=True)
        temporary.chmod(0o755)
        shutil.rmtree(network, ignore_errors=True)  # of an earlier call that was stopped here
        temporary.rename(network)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    replace(zoom, description=replace(zoom.description, base=Path(NETWORK))).write()
