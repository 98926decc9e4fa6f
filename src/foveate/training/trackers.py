"""A training in the tracker of a user: its settings, its numbers by epoch, and what is measured later.

In the run folder::

    tracker.json    which tracker, and what it calls the run, so that a resumed training and an evaluation go on there

Where the tracker is and who writes is the business of its own environment variables; none of it is kept.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

from lightning.pytorch.loggers import Logger, MLFlowLogger, WandbLogger
from typing_extensions import override

from foveate.config.trackers import Tracker
from foveate.errors import UserError
from foveate.files.documents import read_json, structured, unstructured, write_json
from foveate.hardware import first_process
from foveate.recipes.config import TrainConfig

_FILE = "tracker.json"
_PROJECT = "foveate"
_OF_EPOCHS = ("train/", "validation/")
"""How the names of the numbers begin that a training measures in each epoch."""
_SETTINGS = {Tracker.MLFLOW: "MLFLOW_TRACKING_URI", Tracker.WANDB: "`wandb login`, or WANDB_MODE=offline"}


@dataclass(frozen=True, kw_only=True)
class _TrackedRun:
    """What `tracker.json` holds."""

    tracker: Tracker
    run: str
    """The tracker's own name of it."""


@contextmanager
def tracked(
    tracker: Tracker | None, folder: Path, config: TrainConfig, say: Callable[[str], None] = print
) -> Iterator[tuple[Logger, ...]]:
    """Yield what a training is also written to; a run that was begun there goes on.

    A tracker that fails once the training has begun ends nothing: it is told nothing any more, and a line says so.

    Args:
        tracker: None: nothing.
        folder: The run folder, whose name the tracker shows.
        config: What is trained: the tracker's parameters.
        say: Receives the line.

    Raises:
        UserError: The tracker is not installed, does not take the run, or the training began with another one.
    """
    if tracker is None:
        yield ()
        return
    begun = _begun(tracker, folder)
    with _told(tracker):
        logger = _LOGGERS[tracker](folder, None if begun is None else begun.run)
        if begun is None and first_process():
            _begin(logger, tracker, folder, config)
        forgiven = _Forgiven(logger, tracker, say)
    try:
        yield (forgiven,)
    finally:
        forgiven.close()


class _Forgiven(Logger):
    """A tracker whose failing ends no training; numbers of every epoch are also in the run's `logs/`."""

    def __init__(self, logger: Logger, tracker: Tracker, say: Callable[[str], None]) -> None:
        super().__init__()
        self._logger: Logger | None = logger
        self._tracker, self._say = tracker, say
        self._name, self._version = logger.name, logger.version

    @property
    @override
    def name(self) -> str | None:
        return self._name

    @property
    @override
    def version(self) -> int | str | None:
        return self._version

    @override
    def log_hyperparams(self, *given: Any, **named: Any) -> None:
        self._tell("log_hyperparams", *given, **named)

    @override
    def log_metrics(self, metrics: Mapping[str, Any], step: int | None = None) -> None:
        self._tell("log_metrics", metrics, step)

    @override
    def save(self) -> None:
        self._tell("save")

    @override
    def finalize(self, status: str) -> None:
        self._tell("finalize", status)

    def close(self) -> None:
        """End what the tracker holds open in this process."""
        try:
            _close(self._tracker)
        except Exception as error:
            self._lost(error)

    def _tell(self, what: str, *given: Any, **named: Any) -> None:
        if self._logger is None:
            return
        try:
            getattr(self._logger, what)(*given, **named)
        except Exception as error:  # each tracker raises errors of its own
            self._lost(error)

    def _lost(self, error: Exception) -> None:
        if self._logger is not None:
            self._logger = None
            self._say(
                f"{self._tracker} takes nothing any more ({_reason(error)}); the training goes on without it, and its "
                "numbers are in logs/ of the run"
            )


def check_tracked(tracker: Tracker, folder: Path) -> None:
    """Refuse to add numbers to what no training wrote there; errors as in `add_numbers`."""
    if _begun(tracker, folder) is None:
        raise UserError(
            f"numbers are added to what a training wrote to {tracker}; that of {folder} wrote nothing there; train "
            f"with --logger {tracker}, or leave it out"
        )


def add_numbers(tracker: Tracker, folder: Path, numbers: Mapping[str, float]) -> None:
    """Add numbers that were measured after a training to what it wrote to a tracker.

    Raises:
        UserError: It wrote nothing there, or the tracker does not take them.
    """
    check_tracked(tracker, folder)
    begun = _begun(tracker, folder)
    with _told(tracker):
        logger = _LOGGERS[tracker](folder, None if begun is None else begun.run)
        log_numbers(logger, numbers)
        _close(tracker)


def log_numbers(logger: Logger, numbers: Mapping[str, Any]) -> None:
    """Write what is a finite number, but for those of an epoch, which are there already."""
    finite = {name: each for name, each in numbers.items() if isinstance(each, int | float) and math.isfinite(each)}
    logger.log_metrics({name: each for name, each in finite.items() if not name.startswith(_OF_EPOCHS)})


def _begun(tracker: Tracker, folder: Path) -> _TrackedRun | None:
    """Return what was begun in a run folder; None where nothing was."""
    file = folder / _FILE
    if not file.exists():
        return None
    begun = structured(read_json(file), _TrackedRun, file, "a tracked run")
    if begun.tracker is not tracker:
        raise UserError(
            f"a training goes on in the tracker that it began in; {folder} began in {begun.tracker}, not {tracker}; "
            f"give --logger {begun.tracker}, or leave it out"
        )
    return begun


def _begin(logger: Logger, tracker: Tracker, folder: Path, config: TrainConfig) -> None:
    logger.log_hyperparams(unstructured(config))  # which begins it
    write_json(folder / _FILE, unstructured(_TrackedRun(tracker=tracker, run=str(logger.version))))


def _mlflow(folder: Path, run: str | None) -> Logger:
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")  # what it tells its makers is not what was asked for
    address: str = _installed(Tracker.MLFLOW).get_tracking_uri()
    experiment = os.environ.get("MLFLOW_EXPERIMENT_NAME", _PROJECT)
    return MLFlowLogger(experiment, run_name=folder.name, tracking_uri=address, run_id=run)


def _wandb(folder: Path, run: str | None) -> Logger:
    _installed(Tracker.WANDB)
    project = os.environ.get("WANDB_PROJECT", _PROJECT)
    return WandbLogger(name=folder.name, project=project, id=run, save_dir=folder / "logs")


_LOGGERS: Mapping[Tracker, Callable[[Path, str | None], Logger]] = {Tracker.MLFLOW: _mlflow, Tracker.WANDB: _wandb}


def _close(tracker: Tracker) -> None:
    """End what the tracker holds open in this process; what the run came to, Lightning has said."""
    if tracker is Tracker.WANDB and first_process():
        import_module("wandb").finish()


def _installed(tracker: Tracker) -> Any:
    """Return the tracker's package."""
    try:
        return import_module(tracker.value)
    except ImportError as error:
        raise UserError(
            f"--logger {tracker} needs the package {tracker}; it is not installed; pip install 'foveate[{tracker}]'"
        ) from error


@contextmanager
def _told(tracker: Tracker) -> Iterator[None]:
    try:
        yield
    except UserError:
        raise
    except Exception as error:
        # Each tracker raises errors of its own, and each of its stores others.
        raise UserError(
            f"the tracker must take what a training writes; {tracker} does not ({_reason(error)}); see to "
            f"{_SETTINGS[tracker]}, or leave --logger out"
        ) from error


def _reason(error: Exception) -> str:
    return " ".join(str(error).split())[:200] or type(error).__name__
