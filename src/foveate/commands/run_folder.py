"""Which folder a training goes to: the one that was named, or one that holds nothing else."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import count
from pathlib import Path

from foveate.commands import existence
from foveate.config.data import DatasetFormat
from foveate.config.engine import EngineConfig
from foveate.config.trackers import Tracker
from foveate.files.file_names import safe_name
from foveate.files.free_folders import is_free
from foveate.recipes.config import TrainConfig

RUNS = Path("runs")
"""Below the current folder."""


def train_in(
    out: Path | None,
    config: TrainConfig,
    name: Callable[[Path], str],
    tracker: Tracker | None = None,
    engine: EngineConfig | None = None,
) -> None:
    """Train, resume or find finished what a configuration describes.

    Args:
        out: The run folder; None: `run_folder`'s.
        config: What to train.
        name: From the folder of photographs, which is there, to the name of a run on them.
        tracker: Where its settings and numbers also go.
        engine: Who reads the photographs, and computes frozen features; None: this process.

    Raises:
        UserError: Photographs or first weights are not there; or as `foveate.train`.
    """
    if out is None or not (out / "run.json").exists():  # what resumes says itself what it misses
        existence.check_training(config)
    from foveate.hardware import first_process
    from foveate.workflows.train import train

    if first_process() and not config.network.solved and (out is None or not (out / "metrics.json").exists()):
        _say_what_needs_held_out(config)
    if out is None:
        out = run_folder(config, name(config.data.root))
        if first_process():
            print(f"run folder {out}")
    train(config, out, tracker=tracker, engine=engine)


def _say_what_needs_held_out(config: TrainConfig) -> None:
    """Say what cannot be done later, where the training is to learn from every photograph."""
    from foveate.errors import UserError
    from foveate.recipes.datasets import has_validation

    try:
        held_out = config.data.format is DatasetFormat.POOL or has_validation(config.data)
    except UserError:
        return  # the training says what is wrong with the photographs
    if not held_out:
        print(
            "no photographs are held out: what rests on some cannot be had of this run later (foveate tune, predict "
            "--error-rate and --coverage, a threshold for --zoom-entropy-threshold); to have it, add "
            "--data.validation-fraction 0.2"
        )


def run_folder(config: TrainConfig, name: str) -> Path:
    """Return `RUNS`/NAME or, with a number, the first after it that is new or holds the run of this configuration.

    Raises:
        UserError: As `foveate.recipes.datasets.load_splits`.
    """
    from foveate.recipes.datasets import load_splits

    config = replace(config, data=config.data.resolved())
    if not config.epochs:
        config = config.counted(len(load_splits(config.data).named("train")))
    names = (safe_name(name if number == 1 else f"{name}-{number}") for number in count(1))
    return next(path for each in names if is_free(path := RUNS / each) or _holds(path, config))


def _holds(path: Path, config: TrainConfig) -> bool:
    """Say whether a folder has the run of a configuration, of photographs in the same place."""
    from foveate.errors import UserError
    from foveate.runs.run import Run

    try:
        run = Run.open(path)
    except UserError:
        return False
    return run.config.data.root == config.data.root.resolve() and not run.differences(config)
