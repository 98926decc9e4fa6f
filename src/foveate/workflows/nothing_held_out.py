"""What to do where a decision is to be fitted, and the training learned from every photograph."""

from __future__ import annotations

from pathlib import Path
from shlex import quote

from foveate.errors import UserError
from foveate.recipes.datasets import has_validation
from foveate.runs.context import RunContext
from foveate.runs.guided_zoom_run import GuidedZoomRun
from foveate.runs.run import Run

_RULE = "a decision is fitted to photographs that the training did not learn from"


def check_fits_views(run: Run, context: RunContext) -> None:
    """Refuse to fit how a run decides where none of its photographs are held out; say which commands mend it.

    Raises:
        UserError: There is no validation split.
    """
    if has_validation(context.data_of(run)):
        return
    if run.config.network.networks:
        raise UserError(
            f"{_RULE}; the members of {run.path} left none out together. Train them with the same "
            "--data.validation-fraction 0.2, and give `foveate ensemble` again"
        )
    held_out = _beside(run.path)
    steps = f"`{_training(run, context, held_out)}`, then `foveate tune {quote(str(held_out))}`"
    raise UserError(
        f"{_RULE}; {run.path} learned from all of its own, and keeps no answers to others. Train it as before, but "
        f"with a fifth held out: {steps}{_other_options(run)}. Fits and probes hold out by themselves"
    )


def check_fits_decision(zoom: GuidedZoomRun, context: RunContext) -> None:
    """Refuse to fit how a Guided Zoom decides, as `check_fits_views` does of a run.

    Raises:
        UserError: There is no validation split.
    """
    run = zoom.base_run()
    if has_validation(context.data_of(run)):
        return
    held_out, other = _beside(run.path), _beside(zoom.path)
    steps = (
        f"{_training(run, context, held_out)}",
        f"foveate guided-zoom {quote(str(held_out))} --out {quote(str(other))} --tuned",
        f"foveate guided-zoom {quote(str(run.path))} --out {quote(str(zoom.path))} --tuned-by {quote(str(other))}",
    )
    listed = ", then ".join(f"`{each}`" for each in steps)
    raise UserError(
        f"{_RULE}; the network of {zoom.path} learned from all of its own. Fit one that has a fifth held out, and take "
        f"its decision: {listed}{_other_options(run)}"
    )


def _beside(folder: Path) -> Path:
    return folder.with_name(f"{folder.name}-held-out")


def _other_options(run: Run) -> str:
    """Say that the commands lack the options of the first training and Guided Zoom, and what the training's were."""
    said = "; add the options that each was made with before"
    if not run.config.network.trained_here:
        return said
    try:
        return f"{said}; the training's command was `{run.environment()['command']}`"
    except UserError:  # it is gone, or damaged
        return said


def _training(run: Run, context: RunContext, out: Path) -> str:
    """Return the command that trains a run's method anew, with a fifth of its photographs held out."""
    root, method = quote(str(context.data_of(run).root)), run.config.network.method
    if not run.config.network.trained_here:
        method = "plain"  # a network that was trained elsewhere is not trained anew; its successor is
    return f"foveate train {method} {root} --data.validation-fraction 0.2 --out {quote(str(out))}"
