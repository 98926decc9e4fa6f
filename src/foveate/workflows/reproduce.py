"""A paper's table, measured: train what is missing, go on with what was stopped, skip what is done."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from foveate.config import HardwareConfig, RefinementConfig
from foveate.documents import read_json, write_json, write_text
from foveate.errors import UserError
from foveate.recipes import RECIPES
from foveate.recipes.tables import TABLES, Cell, PaperTable, Quantity, Row, Scale, Training
from foveate.report.reproduction import MeasuredCell, reproduction_markdown
from foveate.runs import Run
from foveate.workflows.attention import analyse_attention
from foveate.workflows.evaluate import evaluate
from foveate.workflows.guided_zoom import guided_zoom
from foveate.workflows.localise import localise
from foveate.workflows.train import trained

_REFINED = {Quantity.REFINED_3: 3, Quantity.REFINED_5: 5}


@dataclass(frozen=True, kw_only=True)
class Bench:
    """Where runs lie and what they are made with.

    ``runs`` holds a folder for each training and seed; several tables share it. ``archives`` holds the data sets'
    folders under their own names, such as `CUB_200_2011`. ``results`` is a file of JSON lines that gets a row for each
    evaluation.
    """

    runs: Path
    archives: Path
    hardware: HardwareConfig = field(default_factory=HardwareConfig)
    results: Path | None = None
    say: Callable[[str], None] = print

    def run(self, training: Training, seed: int) -> Run:
        """Return the finished run of a training.

        Raises:
            UserError: The data set is not there, or the folder holds another run.
        """
        config = training.config(RECIPES)
        data = replace(config.data, root=self.archives / config.data.root.name)
        if not data.root.exists():
            raise UserError(
                f"{training.recipe} is trained on {data.root.name}; {self.archives} has no such folder; give the "
                "folder that holds the data sets under their own names with --archives"
            )
        config = replace(config, data=data, seed=seed, hardware=self.hardware)
        return trained(config, self.runs / f"{training.folder}-{seed}", say=self.say)

    def measured(self, quantity: Quantity, training: Training, seed: int) -> float:
        """Return a number of a run, in per cent; what an earlier call measured is read."""
        run = self.run(training, seed)
        if quantity in _REFINED:
            return self._refined(run, _REFINED[quantity])
        if quantity is Quantity.LOCALISATION:
            branches = self._read(run, "test-localisation.json", localise)["branches"]
            return 100 * float(branches.get("joint", branches["original"])["localised"])
        if quantity is Quantity.HIT_RATE:
            return 100 * float(self._read(run, "test-attention.json", analyse_attention)["mean_hit_rate"])
        content = self._read(run, "test-centre.json", evaluate)
        of_all = {Quantity.TOP1: "top1", Quantity.TOP5: "top5"}
        named = content["accuracy"] if quantity in of_all else content["branches"]
        return 100 * float(named[of_all.get(quantity, quantity.value)]["value"])

    def _read(self, run: Run, name: str, measure: Callable[..., object]) -> dict[str, Any]:
        """Return what a measurement wrote into the run's folder; it is made if it is not there."""
        report = run.path / "evaluation" / name
        if not report.exists():
            results = self.results if measure is evaluate else None
            measure(run, hardware=self.hardware, results=results, say=self.say)
        return read_json(report)

    def _refined(self, run: Run, top_k: int) -> float:
        out = self.runs / f"guided-zoom-{run.path.name}"
        asked, report = RefinementConfig(top_k=top_k), out / "evaluation" / f"test-k{top_k}.json"
        if not report.exists():
            # More classes first: the evidence of five serves three, not the other way round.
            most = RefinementConfig(top_k=max(_REFINED.values()))
            for each in dict.fromkeys((most, asked)):
                rows = guided_zoom(
                    run, out, refinement=each, hardware=self.hardware, results=self.results, say=self.say
                )
                write_json(report.with_name(f"test-k{each.top_k}.json"), {"top1": rows[0].change.after})
        return 100 * float(read_json(report)["top1"])


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
    """Measure every number of a paper's table; the same call goes on where it was stopped.

    Args:
        name: One of `foveate.recipes.tables.TABLES`.
        out: A folder for all tables; `runs` in it is shared between them.
        archives: The folder that holds the data sets under their own names.
        scale: The papers' networks on their data sets, or small ones on the slice.
        seeds: Of the trainings; each number is their mean.
        hardware: Where to compute; None: the fast choice of this machine.
        results: A file of JSON lines that gets a row for each evaluation.
        say: Receives lines of progress.

    Returns:
        The table, as Markdown; it is written anew, and with it JSON of the same name, whenever a number is known.

    Raises:
        UserError: There is no such table, or nothing of it can be shown at this scale; or as `train`, `evaluate` and
            `guided_zoom`.
    """
    table = _table(name, scale)
    if not seeds:
        raise UserError("a number needs a seed at least; got none; give --seeds 0 or more of them")
    bench = Bench(
        runs=Path(out).expanduser() / "runs",
        archives=Path(archives).expanduser(),
        hardware=hardware or HardwareConfig(),
        results=results,
        say=say,
    )
    path = Path(out).expanduser() / f"{name}-{scale.value}.md"
    known: dict[tuple[Row, Cell], list[float]] = {}
    for seed in seeds:
        for row in table.rows:
            for cell in row.cells:
                if (training := cell.training(scale)) is not None:
                    known.setdefault((row, cell), []).append(bench.measured(cell.quantity, training, seed))
                    _write(path, table, scale, known)
    say(path.read_text(encoding="utf-8"))
    return path


def _table(name: str, scale: Scale) -> PaperTable:
    if name not in TABLES:
        raise UserError(f"a table is one of {', '.join(TABLES)}; got {name!r}")
    table = TABLES[name]
    if not table.shown_at(scale):
        raise UserError(
            f"{table.title}: its data set has no slice; give --scale full, with the archive, or another table"
        )
    return table


def _write(path: Path, table: PaperTable, scale: Scale, known: dict[tuple[Row, Cell], list[float]]) -> None:
    cells = [
        MeasuredCell(
            row=row.name,
            column=cell.column,
            published=cell.published,
            values=tuple(known.get((row, cell), ())),
            command="" if (training := cell.training(scale)) is None else f"foveate train {training.options}",
        )
        for row in table.rows
        for cell in row.cells
    ]
    write_text(path, reproduction_markdown(f"{table.title} ({scale.value})", cells))
    write_json(path.with_suffix(".json"), {"title": table.title, "scale": scale.value, "cells": [*map(vars, cells)]})
