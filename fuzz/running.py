"""Try many cases in forked processes: one that dies or hangs costs itself; of each kind of fault one input stays."""

from __future__ import annotations

import faulthandler
import os
import re
import resource
import signal
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from multiprocessing import Pipe
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import torch

_Case = TypeVar("_Case")
Say = Callable[[str], None]


class Verdict(NamedTuple):
    """What became of one case."""

    outcome: str
    """What is counted, such as read or refused."""
    fault: str | None = None
    """The kind of fault, the same for all inputs that show it; None: what should hold held."""
    words: str = ""
    """How this input was made, and what was said."""
    content: bytes = b""
    """The input, where it is a file."""


@dataclass
class Tally:
    """What became of all cases of a kind."""

    outcomes: Counter[str] = field(default_factory=Counter)
    faults: dict[str, tuple[int, Verdict]] = field(default_factory=dict)
    """How often each kind of fault was seen, and its smallest input."""

    def add(self, verdict: Verdict) -> None:
        """Count one case."""
        self.outcomes["fault" if verdict.fault else verdict.outcome] += 1
        if verdict.fault:
            count, smallest = self.faults.get(verdict.fault, (0, verdict))
            smaller = min(smallest, verdict, key=lambda each: (len(each.content), len(each.words)))
            self.faults[verdict.fault] = (count + 1, smaller)

    @property
    def tried(self) -> int:
        """How many cases there were."""
        return self.outcomes.total()


def place_of(error: BaseException) -> str:
    """Return the kind of an exception: its class, and where in the package it passed last."""
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if "/foveate/" in frame.filename] or list(frames)
    where = f"{Path(own[-1].filename).stem}.{own[-1].name}" if own else "nowhere"
    return f"{type(error).__name__} in {where}"


def fork(work: Callable[[], int], errors: Path | None = None) -> int:
    """Run `work` in a child process and group of its own, whose exit status it returns; return the process id."""
    sys.stdout.flush()
    sys.stderr.flush()
    process = os.fork()
    if process:
        return process
    status = 1
    try:
        os.setsid()
        torch.set_num_threads(1)  # the threads of a pool do not come with a fork
        if errors is not None:
            stream = os.open(errors, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
            os.dup2(stream, 1)
            os.dup2(stream, 2)
            faulthandler.disable()  # else handlers that others have replaced since stay replaced
            faulthandler.enable(file=2)
            faulthandler.register(signal.SIGUSR1, file=2)
        status = work()
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


def end_group(process: int) -> int:
    """Kill a process and all that it started; return its wait status."""
    for number in (process, -process):
        try:
            os.kill(number, signal.SIGKILL)
        except ProcessLookupError:
            continue
    return os.waitpid(process, 0)[1]


def _room(more: int) -> None:
    """Let this process map only so many bytes more than it has."""
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    limit = pages * resource.getpagesize() + more
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))


@dataclass
class _Chunk:
    process: int
    left: list[int]
    errors: Path
    since: float = field(default_factory=time.monotonic)


def try_all(
    cases: Sequence[_Case],
    check: Callable[[_Case], Verdict],
    *,
    say: Say,
    chunk: int = 1,
    limit: float = 60.0,
    room: int = 6 << 30,
    processes: int = 2,
    long: Callable[[_Case], bool] = lambda case: False,
) -> Tally:
    """Check every case.

    Args:
        cases: What is tried.
        check: Judges one case, in a child.
        say: Receives lines of progress.
        chunk: How many cases a child takes in turn.
        limit: Seconds for a case; beyond them it hangs.
        room: Bytes that a child may map beside what it has.
        processes: Children at a time.
        long: Whether a case may rightly work beyond the limit: it is then put down, and no fault.
    """
    tally, began, told = Tally(), time.monotonic(), time.monotonic()
    waiting = [list(range(start, min(start + chunk, len(cases)))) for start in range(0, len(cases), chunk)][::-1]
    running: dict[Connection, _Chunk] = {}
    with tempfile.TemporaryDirectory(prefix="fuzz-") as folder:
        while waiting or running:
            while waiting and len(running) < processes:
                _start(waiting.pop(), cases, check, room, running, Path(folder))
            known = len(tally.faults)
            for connection in wait(list(running), timeout=0.2):
                _heard(connection, running, waiting, tally, cases)  # type: ignore[arg-type]
            for connection, child in list(running.items()):
                if time.monotonic() - child.since > limit:
                    os.kill(child.process, signal.SIGUSR1)  # its stack, to its errors
                    time.sleep(0.3)
                    _lost(connection, running, waiting, tally, cases, hung=True, long=long)
            for kind, (_, verdict) in list(tally.faults.items())[known:]:
                say(f"  {kind}\n      {verdict.words[:300]}")
            if time.monotonic() - told > 10:
                told = time.monotonic()
                say(f"  {tally.tried}/{len(cases)}, {told - began:.0f} s, {len(tally.faults)} kinds of fault")
    return tally


def _start(
    indices: list[int],
    cases: Sequence[Any],
    check: Callable[[Any], Verdict],
    room: int,
    running: dict[Connection, _Chunk],
    folder: Path,
) -> None:
    mine, theirs = Pipe(duplex=False)

    def work() -> int:
        mine.close()
        _room(room)
        for index in indices:
            try:
                verdict = check(cases[index])
            except Exception as error:
                verdict = Verdict(
                    "broken", f"the fuzz itself: {place_of(error)}", f"{cases[index]!r:.300} {error!r:.300}"
                )
            theirs.send(verdict)
        return 0

    errors = folder / f"{indices[0]}"
    errors.unlink(missing_ok=True)
    process = fork(work, errors)
    theirs.close()
    running[mine] = _Chunk(process, indices, errors)


def _heard(
    connection: Connection,
    running: dict[Connection, _Chunk],
    waiting: list[list[int]],
    tally: Tally,
    cases: Sequence[Any],
) -> None:
    child = running[connection]
    try:
        tally.add(connection.recv())
    except EOFError:
        _lost(connection, running, waiting, tally, cases, hung=False)
        return
    child.left, child.since = child.left[1:], time.monotonic()


def _lost(
    connection: Connection,
    running: dict[Connection, _Chunk],
    waiting: list[list[int]],
    tally: Tally,
    cases: Sequence[Any],
    *,
    hung: bool,
    long: Callable[[Any], bool] = lambda case: False,
) -> None:
    """Put down the child of a chunk; where it was not at its end, its case is a fault and the others go on."""
    child = running.pop(connection)
    connection.close()
    status = end_group(child.process) if hung else os.waitpid(child.process, 0)[1]
    if child.left:
        text = child.errors.read_text(errors="replace") if child.errors.exists() else ""
        stack = text[max(text.rfind("Current thread"), 0) :]
        frames = re.findall(r'File "(.*?/(\w+)\.py)", line \d+ in (\w+)', stack) or [("", "nowhere", "known")]
        own = [frame for frame in frames if "/foveate/" in frame[0]] or frames
        where = ".".join(own[0][1:])
        kind = f"hangs in {where}" if hung else f"dies ({os.waitstatus_to_exitcode(status)}) in {where}"
        case = cases[child.left[0]]
        working = hung and long(case)
        tally.add(
            Verdict("still at work" if working else "lost", None if working else kind, f"{case!r:.300} {text[:300]}")
        )
        if child.left[1:]:
            waiting.append(child.left[1:])
    child.errors.unlink(missing_ok=True)
