"""The command line of the screening; see the package."""

from __future__ import annotations

import json
import multiprocessing
import time
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
import tyro

from foveate.config.data import Split
from foveate.runs.environment import commit
from screening.photographs import FOLDS, pack, unpack
from screening.plan import PLAN
from screening.tasks import Task, hardware, row_of


@dataclass(frozen=True)
class Pack:
    """Squash the training photographs of some data sets into one file."""

    folders: tyro.conf.Positional[tuple[Path, ...]]
    out: Path
    split: Split = Split.TRAIN

    def run(self) -> None:
        """Do it."""
        pack(self.folders, self.out, self.split)


@dataclass(frozen=True)
class Run:
    """Add a line for each setting, data set and fold that has none yet; probabilities go beside them."""

    packed: tyro.conf.Positional[Path]
    out: Path
    processes: int = 1
    """At once; on one GPU they take turns: fourteen were no faster together than one."""
    only: tuple[str, ...] = ()
    """Names of settings; none: all."""
    seconds: float = 1e9
    """After so many no further training begins."""
    steps: int | None = None
    """Of every training, in place of the plan's."""
    size: int | None = None
    """Of every view in pixels, in place of the plan's: a smaller one is a cheaper stand-in."""

    seeds: tuple[int, ...] = (0,)
    folds: tuple[int, ...] = tuple(range(FOLDS))
    """Which folds are held out, from 0; the number after the last: all is learned from, and the test split answered."""

    def run(self) -> None:
        """Do it."""
        began, at, machine = time.time(), commit(), hardware()
        answers: dict[str, np.ndarray] = {}
        context = multiprocessing.get_context("spawn")
        with ProcessPoolExecutor(self.processes, context) as pool, self.out.open("a") as file:
            waiting = [pool.submit(row_of, task) for task in self._tasks(began + self.seconds)]
            for row, answer in filter(None, (each.result() for each in as_completed(waiting))):
                file.write(json.dumps(row | {"commit": at, "hardware": machine}) + "\n")
                file.flush()
                best = {name: round(100 * value, 1) for name, value in row["top1"].items()}
                print(f"{time.time() - began:.0f} s", row["settings"], row["data"], row["fold"], best, flush=True)
                answers |= answer
        np.savez_compressed(self.out.with_suffix(".npz"), allow_pickle=False, **answers)

    def _tasks(self, deadline: float) -> list[Task]:
        names = [photographs.name for photographs in unpack(self.packed)]
        rows = [json.loads(line) for line in self.out.read_text().splitlines()] if self.out.exists() else []
        done = {(row["settings"], row["data"], row["fold"], row["seed"]) for row in rows}
        return [
            Task(name, data, fold, seed, self.packed, self.steps, self.size, deadline)
            for seed in self.seeds
            for name in self.only or PLAN
            for fold in self.folds
            for data in range(len(names))
            if (name, names[data], fold, seed) not in done
        ]


@dataclass(frozen=True)
class Table:
    """Print the mean over the folds, best first."""

    rows: tyro.conf.Positional[tuple[Path, ...]]

    def run(self) -> None:
        """Do it."""
        rows = [json.loads(line) for file in self.rows for line in file.read_text().splitlines()]
        names = sorted({row["data"] for row in rows})
        table: dict[tuple[str, str], dict[str, list[float]]] = {}
        for row in rows:
            for answer, top1 in row["top1"].items():
                table.setdefault((row["settings"], answer), {}).setdefault(row["data"], []).append(100 * top1)
        whole = {key: each for key, each in table.items() if all(len(each.get(name, [])) >= FOLDS for name in names)}
        print("| settings | answer | " + " | ".join(names) + " | mean |")
        for key, each in sorted(whole.items(), key=lambda item: -sum(np.mean(item[1][name]) for name in names)):
            means = [float(np.mean(each[name])) for name in names]
            print("|", " | ".join([*key, *(f"{value:.1f}" for value in [*means, float(np.mean(means))])]), "|")


if __name__ == "__main__":
    tyro.cli(Annotated[Pack | Run | Table, tyro.conf.arg(name="")]).run()
