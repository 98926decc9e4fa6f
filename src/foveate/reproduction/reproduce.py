"""A paper's table or figure, made: train what is missing, go on with what was stopped, skip what is done."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from foveate.config.hardware import HardwareConfig
from foveate.errors import UserError
from foveate.files.documents import write_json, write_text
from foveate.files.locks import working_in
from foveate.hardware import device_of
from foveate.reproduction.figures import make_figure
from foveate.reproduction.paper_runs import PaperRuns
from foveate.reproduction.report import MeasuredCell, reproduction_markdown
from foveate.reproduction.tables import FIGURES, TABLES, Cell, PaperTable, Quantity, Row, Scale


def reproduce(
    name: str,
    out: Path | str,
    *,
    archives: Path | str,
    scale: Scale = Scale.SLICE,
    seeds: Sequence[int] = (0, 1, 2),
    hardware: HardwareConfig | None = None,
    results: Path | None = None,
    say: Callable[[str], None] = print,
) -> Path:
    """Measure every number of a paper's table, or make a figure; the same call goes on where it was stopped.

    Args:
        name: One of `TABLES` or `FIGURES` in `foveate.reproduction.tables`.
        out: A folder for all of them; `runs` in it is shared between them.
        archives: The folder that holds the data sets under their own names.
        scale: The papers' networks on their data sets, or small ones on the slice.
        seeds: Of the trainings; each number is their mean. A figure shows the first.
        hardware: Where to compute; None: the fast choice of this machine.
        results: A file of JSON lines that gets a row for each evaluation.
        say: Receives lines of progress.

    Returns:
        The table, as Markdown, written anew with JSON of the same name whenever a number is known; or the figure's
        folder.

    Raises:
        UserError: There is no such table or figure, or nothing of it can be shown at this scale; or as `train`,
            `evaluate` and `build_guided_zoom`.
    """
    table = None if name in FIGURES else _table(name, scale)
    if not seeds:
        raise UserError("a number needs a seed at least; got none; give --seeds 0 or more of them")
    runs = PaperRuns(
        runs=Path(out).expanduser() / "runs",
        archives=Path(archives).expanduser(),
        hardware=hardware or HardwareConfig(),
        results=results,
        say=say,
    )
    device_of(runs.hardware)
    folder = Path(out).expanduser()
    with working_in(folder, lambda: any(folder.glob("runs/*/checkpoints/*.ckpt"))):
        if table is None:
            return make_figure(name, runs, folder / f"{name}-{scale.value}", scale, seeds[0])
        return _measured_table(table, runs, folder / f"{name}-{scale.value}.md", scale, seeds)


def _measured_table(table: PaperTable, runs: PaperRuns, path: Path, scale: Scale, seeds: Sequence[int]) -> Path:
    values: dict[tuple[Row, Cell], list[float]] = {}
    for seed in seeds:
        for row in table.rows:
            for cell in row.cells:
                if (training := cell.training(scale)) is not None:
                    values.setdefault((row, cell), []).append(runs.measured(cell.quantity, training, seed))
                    _write(path, table, scale, values)
    runs.say(path.read_text(encoding="utf-8"))
    return path


def _table(name: str, scale: Scale) -> PaperTable:
    if name not in TABLES:
        raise UserError(f"a table or figure is one of {', '.join([*TABLES, *FIGURES])}; got {name!r}")
    table = TABLES[name]
    if not table.shown_at(scale):
        raise UserError(
            f"{table.title}: its data set has no slice; give --scale full, with the archive, or another table"
        )
    return table


def _command(cell: Cell, scale: Scale) -> str:
    """Return what trains a cell's network, and what measures the number where evaluating does not.

    Of a full-size Guided Zoom, whose layer and Evidence CNN differ from network to network and are not all options of
    `foveate guided-zoom`, only what trains the network.
    """
    training = cell.training(scale)
    if training is None:
        return ""
    refined = cell.quantity in (Quantity.REFINED_3, Quantity.REFINED_5)
    measured = None if refined and scale is Scale.FULL else cell.quantity.measured_by
    return f"foveate reproduce training {training.options}" + (f"; {measured}" if measured else "")


def _write(path: Path, table: PaperTable, scale: Scale, values: dict[tuple[Row, Cell], list[float]]) -> None:
    cells = [
        MeasuredCell(
            row=row.name,
            column=cell.column,
            published=cell.published,
            values=tuple(values.get((row, cell), ())),
            command=_command(cell, scale),
        )
        for row in table.rows
        for cell in row.cells
    ]
    write_text(path, reproduction_markdown(f"{table.title} ({scale.value})", cells))
    write_json(path.with_suffix(".json"), {"title": table.title, "scale": scale.value, "cells": [*map(vars, cells)]})
