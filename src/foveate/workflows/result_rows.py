"""The rows of a results file: what every row says, of the run, of what trained it, and of what measured it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from foveate.config.data import Split
from foveate.config.optimiser import OptimiserConfig, Schedule
from foveate.files.documents import append_json_line
from foveate.report.result_versions import ROW_VERSION, Measured
from foveate.runs.environment import environment
from foveate.runs.guided_zoom_run import GuidedZoomRun
from foveate.runs.run import Run


def result_row(measured: Measured, run: Run, split: Split, photographs: int) -> dict[str, Any]:
    """Return what a row says before what was measured.

    Args:
        measured: What.
        run: Of the network that was measured; of a Guided Zoom, the conventional network's.
        split: Of the run's data set.
        photographs: How many of it.
    """
    config = run.config
    return {
        "row_version": ROW_VERSION,
        "measured": measured.value,
        "run": run.path.name,
        "method": config.network.method,
        **config.network.settings(),
        "base": config.network.base,
        "dataset": run.description.dataset,
        "split": split.value,
        "photographs": photographs,
        "input_size": config.transforms.input_size,
        "source_size": config.transforms.source,
        "seed": config.seed,
        "epochs": config.trained_epochs,
        "pretrained_share": config.pretrained_share if config.network.begins_with_probe else None,
        "schedule": schedule_of(config.optimiser),
        **what_ran("trained", run.environment()),
        **what_ran("measured", environment()),
    }


def zoom_row(measured: Measured, zoom: GuidedZoomRun, split: Split, photographs: int) -> dict[str, Any]:
    """Return what a Guided Zoom's row says before what was measured.

    Its method is "guided-zoom", "conventional" that of its conventional network. ``trained_*`` and ``epochs`` are of
    the Evidence CNN's training, ``conventional_*`` and all the rest of the conventional network's.
    """
    run, evidence = zoom.base_run(), zoom.evidence_run()
    row = result_row(measured, run, split, photographs)
    return {
        **row,
        "method": "guided-zoom",
        "conventional": row["method"],
        "patch": round(zoom.description.pool.patches.patch, 3),
        "epochs": evidence.config.epochs,
        **what_ran("trained", evidence.environment()),
        **what_ran("conventional", run.environment()),
    }


def add_row(file: Path, row: Mapping[str, Any]) -> None:
    """Add a row to a file of results, unless the same was measured before, by whatever command, at whatever commit.

    Raises:
        UserError: As `append_json_line`.
    """
    apart = ("milliseconds", "passes", "gflop", "measured_command", "measured_commit", "measured_hardware")
    append_json_line(file, row, apart=apart)


def what_ran(what: str, described: Mapping[str, Any]) -> dict[str, Any]:
    """Return the command, the commit and the hardware of one process, which belong together.

    Args:
        what: What it did: before each of the three names.
        described: As `foveate.runs.environment.environment` does.
    """
    return {f"{what}_{name}": described[name] for name in ("command", "commit", "hardware")}


def schedule_of(config: OptimiserConfig) -> str | None:
    """Say how the learning rate moved; None for the usual one-cycle, and in rows that are older than this entry."""
    if config.schedule is Schedule.ONE_CYCLE:
        return None
    drops = [f"{share:.3g}" for share in config.milestones if config.schedule is Schedule.STEP]
    return " ".join([config.schedule.value, *drops])
