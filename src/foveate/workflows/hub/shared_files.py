"""What others get of a run or a Guided Zoom: all that its answers need, and nothing of where it was made.

No photograph is among it, no path of the machine, and no name of a photograph: those that were trained on are known by
a hash of their name, so that a test on one of them is still refused.
"""

from __future__ import annotations

import shlex
import shutil
from dataclasses import replace
from pathlib import Path, PureWindowsPath

from foveate.config.data import DataConfig
from foveate.config.networks import NAMED_WEIGHTS, NetworkConfig
from foveate.evaluation.predictions import PredictionTable
from foveate.files.documents import unstructured, write_json
from foveate.recipes.config import TrainConfig
from foveate.runs import guided_zoom_run, run
from foveate.runs.guided_zoom_run import GuidedZoomRun
from foveate.runs.held_out import Calibration, read_calibration, read_held_out, write_calibration, write_held_out
from foveate.runs.run import Run
from foveate.workflows.hub.manifest import Manifest


def write_shared_files(model: Run | GuidedZoomRun, folder: Path) -> None:
    """Write what others get of a finished run or Guided Zoom, and the list of it, into an empty folder.

    Raises:
        UserError: It is not finished, or damaged: what cannot be used here is not handed on.
    """
    if isinstance(model, GuidedZoomRun):
        _write_zoom(model, folder)
    else:
        _write_run(model, folder)
    Manifest.of(folder).write(folder)


def _write_zoom(zoom: GuidedZoomRun, folder: Path) -> None:
    network, evidence = zoom.base_run(), zoom.evidence_run()
    _write_run(network, folder / guided_zoom_run.NETWORK)
    _write_run(evidence, folder / "evidence")
    looker = zoom.looker_run()
    if looker is not None:
        _write_run(looker, folder / guided_zoom_run.LOOKER)
    description = replace(zoom.description, base=Path(guided_zoom_run.NETWORK))
    write_json(folder / "guided_zoom.json", unstructured(description), guided_zoom_run.SCHEMA_VERSION)
    _write_held_out(zoom.path, folder)


def _write_run(made: Run, folder: Path) -> None:
    metrics, environment = made.metrics(), made.environment()
    made.load_network()  # for its errors
    looker = made.description.looker
    if looker is not None:
        looker = replace(looker, network=_network_without_places(looker.network))
    description = replace(made.description, config=without_places(made.config), looker=looker)
    write_json(folder / "run.json", unstructured(description), run.SCHEMA_VERSION)
    write_json(folder / "environment.json", environment | {"command": without_folders(environment["command"])})
    numbers = {name: value for name, value in metrics.items() if isinstance(value, int | float)}
    write_json(folder / "metrics.json", numbers)
    made.write_hashed_photographs(folder)
    _write_held_out(made.path, folder)
    shutil.copyfile(made.weights, folder / made.weights.name)


def _write_held_out(source: Path, folder: Path) -> None:
    """Write the held-out answers of a folder, and what they calibrate, where it has them."""
    held_out, calibration = read_held_out(source), read_calibration(source)
    if held_out is not None:
        answers = {branch: _numbered(table) for branch, table in held_out.answers.items()}
        write_held_out(folder, answers, held_out.source, held_out.folds)
    if calibration != Calibration():
        write_calibration(folder, calibration)


def _numbered(table: PredictionTable) -> PredictionTable:
    """Return the same answers to photographs that are numbered, not named."""
    return replace(table, ids=tuple(map(str, range(len(table.ids)))), metadata={})


def without_places(config: TrainConfig) -> TrainConfig:
    """Return a configuration that names files and folders, but not where they lie."""
    network = _network_without_places(config.network)
    return replace(config, data=_data_without_places(config.data), network=network)


def _network_without_places(network: NetworkConfig) -> NetworkConfig:
    network = network.with_networks([_network_without_places(each) for each in network.networks])
    begun, looker = network.trained_backbone, network.looks_by
    if begun is not None and begun.weights not in NAMED_WEIGHTS:
        network = network.with_weights(PureWindowsPath(begun.weights).name)
    return network if looker is None else network.with_looker(PureWindowsPath(looker).name)


def _data_without_places(data: DataConfig) -> DataConfig:
    lists = set(map(str, data.excluded_lists))
    return replace(
        data,
        root=Path(data.root.name or "photographs"),
        exclude=tuple(PureWindowsPath(each).name if each in lists else each for each in data.exclude),
        relabel=None if data.relabel is None else Path(data.relabel.name),
    )


def without_folders(words: str) -> str:
    """Return a command line whose paths are names alone; an unclosed quote leaves its first word.

    >>> without_folders("foveate fit /home/ada/birds --out=runs/birds")
    'foveate fit birds --out=birds'
    """
    try:
        parts = shlex.split(words)
    except ValueError:
        parts = words.split(maxsplit=1)[:1]
    return shlex.join(each for part in parts if (each := _without_folder(part)))


def _without_folder(word: str) -> str:
    """Return a word that may be a path, or an option with one, with the path's last name alone."""
    option, equals, path = word.partition("=") if word.startswith("-") else ("", "", word)
    return option + equals + PureWindowsPath(path).name  # which knows both kinds of slashes
