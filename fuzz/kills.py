"""SIGKILL at moments uniform over the work's duration, the same command again, and the bytes that are left compared."""

from __future__ import annotations

import hashlib
import json
import math
import os
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from fuzz.running import Say, Tally, Verdict, end_group, fork, try_all
from fuzz.subjects import MACNN, POOL, S3N, SLOW, TINY, Subjects, ask

_TIMES = {"minutes", "waiting", "milliseconds", "command", "environment"}
"""Fields of documents that hold when, how long and by whom; logs, checkpoints and `environment.json` are left out."""
_AGAIN = 0.25  # share of cases whose second attempt is killed too
_LIMIT = 120.0  # seconds


@dataclass(frozen=True)
class Work:
    """A command, given in an empty folder, that leaves files there."""

    name: str
    arguments: tuple[object, ...]
    copied: Path | None = None
    """A folder that must lie there before."""
    prepare: Callable[[], None] = lambda: None
    """Called in the child before the command."""

    def begin(self, slot: Path) -> int:
        """Start it in a child process; return the process id."""

        def work() -> int:
            os.chdir(slot)
            self.prepare()
            answer = ask(self.arguments)
            print(answer.err, answer.raised or "")
            return answer.status

        return fork(work, slot.with_suffix(".log"))

    def fresh(self, slot: Path) -> None:
        """Empty the folder."""
        shutil.rmtree(slot, ignore_errors=True)
        slot.mkdir(parents=True)
        slot.with_suffix(".log").unlink(missing_ok=True)
        if self.copied is not None:
            shutil.copytree(self.copied, slot / self.copied.name)


def works(made: Subjects) -> tuple[Work, ...]:
    """Return what is killed."""
    held = ("--data.root", made.birds, "--out", "run", "--data.validation-fraction", "0.4")
    zoom, results = (*POOL, "--refinement.top-k", 3), ("--results", "rows.jsonl")
    return (
        Work("training, plain", ("train", "plain", *held, "--epochs", 4, "--ema-decay", "0.9", *TINY)),
        Work("training, S3N", ("train", "s3n", *held, "--epochs", 3, "--keep-epochs", 1, 2, *S3N)),
        Work("training, MA-CNN", ("train", "macnn", *held, "--epochs", 4, *MACNN)),
        Work("pool", ("pool", "build", made.plain, "--out", "pool", *POOL, "--pool.part-size", 2, *SLOW)),
        Work("evidence", ("guided-zoom", made.plain, "--out", "zoom", *zoom, "--epochs", 2, *SLOW)),
        Work("evaluation", ("evaluate", "s3n", *results, "--sheet", "sheet.png", *SLOW), made.s3n),
        Work(
            "reproduce",
            (
                "reproduce",
                "table",
                "miniature",
                "--archives",
                made.birds.parent,
                "--seeds",
                0,
                "--results",
                "rows.jsonl",
                *SLOW,
            ),
            None,
            partial(_miniature, made.birds.name),
        ),
    )


def _miniature(archive: str) -> None:
    """Have `reproduce` know one small table: a plain network, its Guided Zoom, an S3N's boxes and branches."""
    from foveate import recipes
    from foveate.config.data import DatasetFormat, TransformConfig
    from foveate.config.networks import BackboneConfig
    from foveate.grounding.config import GroundingConfig, GroundingMethod
    from foveate.guided_zoom.config import Keep
    from foveate.reproduction import paper_runs, reproduce
    from foveate.reproduction.tables import Cell, PaperTable, Quantity, Row, Scale, Training

    small = BackboneConfig(architecture="test_efficientnet", weights="none")

    def config(make: Callable[[], Any], source: int | None) -> Callable[[], Any]:
        whole = make()
        return lambda: replace(
            whole,
            data=replace(whole.data, root=Path(archive), format=DatasetFormat.AUTO),
            network=replace(whole.network, backbone=small),
            transforms=TransformConfig(input_size=64, resize_size=72, source_size=source),
            epochs=1,
            batch_size=8,
        )

    changed: dict[str, Any] = {
        "TRAININGS": {"plain": config(recipes.plain, None), "s3n": config(recipes.s3n, 96)},
        "_REFINED": {Quantity.REFINED_3: 2},
        "_PAPER_POOL": replace(
            paper_runs._PAPER_POOL,
            keep=Keep.FIRST_ALWAYS,
            grounding=GroundingConfig(method=GroundingMethod.CLASS_MAPS),
            patches=replace(paper_runs._PAPER_POOL.patches, source_size=96),
        ),
    }
    plain, s3n = (((Scale.SLICE, Training(name)),) for name in ("plain", "s3n"))
    measured = (Quantity.TOP1, Quantity.ORIGINAL, Quantity.LOCALISATION, Quantity.HIT_RATE)
    rows = (
        Row("plain", (Cell("top-1", 1.0, trainings=plain), Cell("refined", 1.0, Quantity.REFINED_3, plain))),
        Row("S3N", tuple(Cell(each.value, 1.0, each, s3n) for each in measured)),
    )
    tables = {"TABLES": {"miniature": PaperTable("Miniature", rows)}}
    for module, values in ((paper_runs, changed), (reproduce, tables)):
        for name, value in values.items():
            setattr(module, name, value)


def left(slot: Path) -> dict[str, str]:
    """Return a hash of each file that some work left: without times, logs, and what only a resumed training reads."""
    hashes = {}
    for file in sorted(slot.rglob("*")):
        name = str(file.relative_to(slot))
        if not file.is_file() or {"logs", "checkpoints"} & set(file.relative_to(slot).parts[:-1]):
            continue
        if file.name in {"environment.json", "parts.arrow"} or file.suffix == ".lock":
            continue
        content = file.read_bytes()
        if file.suffix in {".json", ".jsonl"}:
            lines = content.decode().splitlines() if file.suffix == ".jsonl" else [content.decode()]
            content = json.dumps([_timeless(json.loads(line)) for line in lines]).encode()
        hashes[name] = hashlib.sha256(content).hexdigest()
    return hashes


def _timeless(tree: Any) -> Any:
    if isinstance(tree, Mapping):
        return {name: _timeless(value) for name, value in tree.items() if name not in _TIMES}
    return [_timeless(each) for each in tree] if isinstance(tree, list) else tree


class Usual(NamedTuple):
    """What work takes and leaves that nobody interrupts."""

    seconds: float
    hashes: dict[str, str]


def usual_of(work: Work, slot: Path) -> Usual:
    """Do the work twice to its end; return how long it takes and what it leaves.

    Raises:
        RuntimeError: It failed, or left other bytes the second time.
    """
    results = []
    for _ in range(2):
        work.fresh(slot)
        began = time.monotonic()
        status, _ = _ended(work.begin(slot), _LIMIT)
        results.append(Usual(time.monotonic() - began, left(slot)))
        if status:
            raise RuntimeError(f"{work.name}, uninterrupted: {slot.with_suffix('.log').read_text()[-2000:]}")
    first, second = results
    if first.hashes != second.hashes:
        raise RuntimeError(f"{work.name}: two uninterrupted runs differ in {_different(first.hashes, second.hashes)}")
    return Usual((first.seconds + second.seconds) / 2, first.hashes)


def _different(one: Mapping[str, str], other: Mapping[str, str]) -> list[str]:
    return sorted(name for name in {*one, *other} if one.get(name) != other.get(name))


def _ended(process: int, seconds: float) -> tuple[int | None, bool]:
    """Wait so long, then kill; return the exit status (None: it was killed) and whether it was."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        done, status = os.waitpid(process, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status), False
        time.sleep(min(0.002, max(until - time.monotonic(), 0)))
    end_group(process)
    return None, True


def attempt(work: Work, slot: Path, usual: Usual, moments: Sequence[float]) -> Verdict:
    """Kill the work at each of these shares of its duration in turn, then let it end; compare what it leaves."""
    work.fresh(slot)
    outcome = "killed too late"
    for step in moments:
        status, killed = _ended(work.begin(slot), step * usual.seconds)
        outcome = "killed twice" if killed and outcome == "killed" else "killed" if killed else outcome
        if not killed:
            if status:
                return _fault(work, moments, f"ends with status {status}", slot)
            break
    status, killed = _ended(work.begin(slot), _LIMIT)
    if killed or status:
        return _fault(work, moments, "never ends" if killed else f"ends with status {status} when given again", slot)
    differing = _different(left(slot), usual.hashes)
    partial = [name for name in differing if Path(name).name.startswith(".partial-")]
    if len(partial) < len(differing):
        names = ", ".join(sorted({Path(name).name for name in set(differing) - set(partial)}))
        return _fault(work, moments, f"leaves other bytes in {names}", slot)
    if partial:
        return _fault(work, moments, "leaves .partial files", slot)
    return Verdict(outcome)


def _fault(work: Work, moments: Sequence[float], what: str, slot: Path) -> Verdict:
    log = slot.with_suffix(".log").read_text(errors="replace")[-300:]
    shares = ", ".join(f"{step:.3f}" for step in moments)
    return Verdict("fault", f"{work.name}: {what}", f"killed at {shares} of its duration; {log.strip()}")


@dataclass(frozen=True)
class Kill:
    """One attempt."""

    work: Work
    moments: tuple[float, ...]
    slots: Path

    def check(self) -> Verdict:
        """Do it in this process's own folder, where what is usual is known or found first."""
        slot = self.slots / f"slot-{os.getpid()}"
        if (known := _USUAL.get((slot, self.work.name))) is None:
            known = _USUAL[slot, self.work.name] = usual_of(self.work, slot)
        return attempt(self.work, slot, known, self.moments)


_USUAL: dict[tuple[Path, str], Usual] = {}


def run(made: Subjects, count: int | None, seed: int, say: Say) -> dict[str, Tally]:
    """Kill so many times, divided between the works; None: 200."""
    known, total = works(made), count or 200
    tallies = {}
    for number, work in enumerate(known):
        generator = np.random.default_rng((seed, number))
        many = total // len(known) + (number < total % len(known))
        moments = (np.arange(many) + generator.random(many)) / many
        again = np.where(generator.random(many) < _AGAIN, generator.random(many), np.nan)
        pairs = zip(moments.tolist(), again.tolist(), strict=True)
        kills = [Kill(work, tuple(filter(math.isfinite, pair)), made.plain.parent) for pair in pairs]
        say(f"  {work.name}: {many} kills")
        halves = [kills[which::2] for which in (0, 1)]
        tallies[work.name] = try_all(
            [*halves[0], *halves[1]], Kill.check, say=say, chunk=max(len(halves[0]), 1), limit=5 * _LIMIT
        )
    return tallies
