"""Run the benchmarks: a JSON line for each case, appended to a file of `benchmarks/results/`.

Each case runs in a process of its own, so that its peak memory is its own; what cannot run says why and the others go
on. All of them with `--seconds 3` take about 35 minutes on two slow cores (AVX2 alone), most of it the least number of
repetitions.
With `ZOOM`, a folder of `foveate guided-zoom`, the case guided_zoom is of a trained one.

    python benchmarks/suite.py [--only NAME ...] [--quick] [--seconds 12] [--repetitions N] [--out FILE]
        [--missing] [--minutes N]
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import tyro

from cases import CASES
from compare import latest
from foveate.commands.memory import keep_freed_memory
from foveate.errors import UserError
from foveate.files.documents import read_json_lines
from foveate.runs.environment import commit, environment
from harness import Budget, measured

RESULTS = Path(__file__).parent / "results"


@dataclass(frozen=True)
class Options:
    """What to run, and how long."""

    only: tuple[str, ...] = ()
    """Names of cases (all their points) or labels with a point, as in s3n_head@classes=200; none: all."""
    quick: bool = False
    """Smallest settings, once, one point of each case, all in this process: whether everything runs."""
    seconds: float = 12.0
    """Of each case, the warm-up apart; 5 to 30 repetitions whatever this says."""
    repetitions: int | None = None
    """Exactly so many instead."""
    out: Path | None = None
    """Where lines are added; none: a file of the commit in benchmarks/results/, or nowhere when quick."""
    missing: bool = False
    """Only cases that the file has no line of from this machine: a suite that was interrupted goes on."""
    minutes: float | None = None
    """No case is begun after so many; what is left is named, for --missing."""
    here: bool = False
    """In this process, printing the lines only: what the suite calls for each case."""


def chosen(only: tuple[str, ...]) -> list[str]:
    """Return the labels that are meant.

    Raises:
        UserError: A name is no case's.
    """
    names = {case.name for case in CASES.values()}
    for each in only:
        if each not in names and each not in CASES:
            raise UserError(f"a benchmark must be one of {', '.join(sorted(names))}; got {each!r}")
    return [label for label, case in CASES.items() if not only or case.name in only or label in only]


def missing(labels: list[str], out: Path, hardware: str) -> list[str]:
    """Return the labels of which a file has no line from a machine."""
    lines = read_json_lines(out) if out.exists() else []
    known = latest([line for line in lines if line["hardware"] == hardware])
    return [label for label in labels if label not in known]


def one_of_each(labels: list[str]) -> list[str]:
    """Return the first point of each case."""
    return list({CASES[label].name: label for label in reversed(labels)}.values())[::-1]


def budget_of(options: Options) -> Budget:
    """Return how often a case is repeated."""
    if options.quick:
        return Budget(0.0, 1, 1, 0)
    if options.repetitions is not None:
        return Budget(0.0, options.repetitions, options.repetitions)
    return Budget(options.seconds)


def run_here(labels: list[str], options: Options) -> None:
    """Print the line of each case, and keep it where a file is named."""
    keep_freed_memory()
    for label in labels:
        line = json.dumps(measured(CASES[label], budget_of(options), quick=options.quick))
        print(line, flush=True)
        if options.out is not None:
            with options.out.open("a", encoding="utf-8") as stream:
                stream.write(f"{line}\n")


def run_apart(labels: list[str], options: Options) -> int:
    """Run each case in a process of its own, print and keep its line; return how many failed."""
    out = options.out or RESULTS / f"{commit() or 'unknown'}.jsonl"
    out.parent.mkdir(parents=True, exist_ok=True)
    labels = missing(labels, out, environment()["hardware"]) if options.missing else labels
    failed, began = 0, time.monotonic()
    words = ["--here", "--seconds", str(options.seconds)]
    words += ["--repetitions", str(options.repetitions)] if options.repetitions is not None else []
    for number, label in enumerate(labels):
        if options.minutes is not None and time.monotonic() - began > 60 * options.minutes:
            print(f"time is up; left for --missing: {', '.join(labels[number:])}", file=sys.stderr)
            return failed
        done = subprocess.run(
            [sys.executable, __file__, *words, "--only", label], stdout=subprocess.PIPE, text=True, check=False
        )
        if done.returncode:
            failed += 1
            print(f"{label} failed", file=sys.stderr)
            continue
        print(done.stdout, end="", flush=True)
        with out.open("a", encoding="utf-8") as stream:
            stream.write(done.stdout)
    print(f"{len(labels) - failed} of {len(labels)} cases: {out}", file=sys.stderr)
    return failed


def main(options: Options) -> int:
    """Run what was asked for; return the exit code."""
    try:
        labels = list(options.only or ()) if options.here else chosen(options.only)
    except UserError as error:
        print(error, file=sys.stderr)
        return 2
    if options.here or options.quick:
        run_here(one_of_each(labels) if options.quick else labels, options)
        return 0
    return 1 if run_apart(labels, options) else 0


if __name__ == "__main__":
    sys.exit(main(tyro.cli(Options)))
