"""Whether the paths of a command exist: looked at before torch is imported, so that a mistyped one is named at once."""

from __future__ import annotations

from pathlib import Path

from foveate.config.data import DataConfig
from foveate.config.networks import NAMED_WEIGHTS
from foveate.data.paths import expanded, holds
from foveate.data.roots import existing_root
from foveate.errors import UserError
from foveate.recipes.config import TrainConfig
from foveate.runs.no_run import no_run

FOLDER = Path("FOLDER")
"""Stands for the root of a data set where a command takes the photographs as its first word."""
_RUN, _ZOOM, _FIT = "run.json", "guided_zoom.json", ".fit"


def check_run(path: Path) -> None:
    """Refuse what is no run folder."""
    if holds((expanded(path) / _FIT).is_dir):
        raise UserError(
            f"a fit is used when it is finished; that in {str(path)[:200]} is not; give the same `foveate fit` again: "
            "it goes on where it was stopped"
        )
    if not holds((expanded(path) / _RUN).is_file):
        raise no_run(expanded(path))


def check_run_or_zoom(path: Path) -> None:
    """Refuse what is neither a run folder nor a Guided Zoom's."""
    if not holds((expanded(path) / _ZOOM).is_file):
        check_run(path)


def check_network(path: Path) -> None:
    """Refuse what is neither a run folder nor a file."""
    if not holds(expanded(path).is_file):
        check_run(path)


def check_there(path: Path | None, what: str) -> None:
    """Refuse a path that was given and leads nowhere."""
    if path is not None and not holds(expanded(path).exists):
        raise UserError(f"{what} must exist; got {str(path)[:200]}. Check the path")


def check_data(root: Path | None) -> None:
    """Refuse a data set that was named and is not there."""
    if root is not None:
        existing_root(root)


def check_photographs(folder: Path, data: DataConfig) -> None:
    """Refuse photographs that are named twice or are not there, and lists of them that are not."""
    if data.root != FOLDER:
        raise UserError(
            f"the photographs are given as FOLDER; got --data.root {str(data.root)[:200]} too; leave it out"
        )
    check_data(folder)
    check_lists(data)


def check_lists(data: DataConfig) -> None:
    """Refuse lists of photographs that were named and are not there."""
    for path in (*data.excluded_lists, *([data.relabel] if data.relabel else ())):
        check_there(path, "a list of photographs")


def check_training(config: TrainConfig) -> None:
    """Refuse a training whose photographs or first weights are not there."""
    check_data(config.data.root)
    check_lists(config.data)
    backbone, looker = config.network.trained_backbone, config.network.looks_by
    if looker is not None:
        check_run(Path(looker))
    if backbone is not None and backbone.weights not in NAMED_WEIGHTS:
        check_there(
            Path(backbone.weights),
            f"--network.backbone.weights is one of {', '.join(NAMED_WEIGHTS)}, or the folder of a run or a file, which",
        )
