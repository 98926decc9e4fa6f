"""Try many cases in forked processes: one that dies or hangs costs itself; of each kind of fault one input stays."""

from __future__ import annotations

import ctypes
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

_AT_A_TIME = 2
_DIE_WITH_PARENT = 1  # PR_SET_PDEATHSIG of Linux's prctl.h
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
        ctypes.CDLL(None).prctl(_DIE_WITH_PARENT, signal.SIGKILL)
        torch.set_num_threads(1)  # the threads of a pool do not come with a fork
        if errors is not None:
            stream = os.open(errors, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
            os.dup2(stream, 1)
            os.dup2(stream, 2)
            faulthandler.disable()  # else handlers that others have replaced since stay replaced
            faulthandler.enable(file=stream)  # whatever becomes of 2
            faulthandler.register(signal.SIGUSR1, file=stream)
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


def _limit_memory(more: int) -> None:
    """Let this process map only so many bytes more than it has."""
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    limit = pages * resource.getpagesize() + more
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))


@dataclass
class _Child:
    process: int
    left: list[int]
    """The cases that it has not judged yet."""
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
    long: Callable[[_Case], bool] = lambda case: False,
) -> Tally:
    """Check every case, two at a time.

    Args:
        cases: What is tried.
        check: Judges one case, in a child.
        say: Receives lines of progress, and each kind of fault when it is first seen.
        chunk: How many cases a child takes in turn.
        limit: Seconds for a case; beyond them it hangs.
        room: Bytes that a child may map beside what it has.
        long: Whether a case may rightly work beyond the limit: it is then put down, and no fault.
    """
    with tempfile.TemporaryDirectory(prefix="fuzz-") as folder:
        return _Trial(cases, check, say, limit, room, long, Path(folder)).run(chunk)


@dataclass
class _Trial:
    cases: Sequence[Any]
    check: Callable[[Any], Verdict]
    say: Say
    limit: float
    room: int
    long: Callable[[Any], bool]
    folder: Path
    tally: Tally = field(default_factory=Tally)
    children: dict[Connection, _Child] = field(default_factory=dict)
    waiting: list[list[int]] = field(default_factory=list)

    def run(self, chunk: int) -> Tally:
        indices, began = list(range(len(self.cases))), time.monotonic()
        self.waiting = [indices[start : start + chunk] for start in indices[::chunk]][::-1]
        told = began
        while self.waiting or self.children:
            while self.waiting and len(self.children) < _AT_A_TIME:
                self._start(self.waiting.pop())
            for connection in wait(list(self.children), timeout=0.2):
                self._hear(connection)  # type: ignore[arg-type]  # all are Connections
            for connection, child in list(self.children.items()):
                if time.monotonic() - child.since > self.limit:
                    os.kill(child.process, signal.SIGUSR1)  # its stack, to its errors
                    time.sleep(0.3)
                    self._lose(connection, hung=True)
            if time.monotonic() - told > 10:
                told = time.monotonic()
                self.say(f"  {self.tally.tried}/{len(self.cases)}, {told - began:.0f} s")
        return self.tally

    def _start(self, indices: list[int]) -> None:
        mine, theirs = Pipe(duplex=False)

        def work() -> int:
            _limit_memory(self.room)
            for index in indices:
                try:
                    verdict = self.check(self.cases[index])
                except Exception as error:
                    case = self.cases[index]
                    words = f"{str(getattr(case, 'words', case))[:300]} {error!s:.1500}"
                    verdict = Verdict("broken", f"the fuzz itself: {place_of(error)}", words)
                theirs.send(verdict)
            return 0

        errors = self.folder / str(indices[0])
        self.children[mine] = _Child(fork(work, errors), indices, errors)
        theirs.close()

    def _hear(self, connection: Connection) -> None:
        try:
            self._add(connection.recv())
        except EOFError:
            self._lose(connection, hung=False)
        else:
            child = self.children[connection]
            child.left, child.since = child.left[1:], time.monotonic()

    def _add(self, verdict: Verdict) -> None:
        if verdict.fault is not None and verdict.fault not in self.tally.faults:
            self.say(f"  {verdict.fault}\n      {verdict.words[:300]}")
        self.tally.add(verdict)

    def _lose(self, connection: Connection, *, hung: bool) -> None:
        """Put down a child; where it was not at its end, its case is a fault and the others go on."""
        child = self.children.pop(connection)
        connection.close()
        status = end_group(child.process) if hung else os.waitpid(child.process, 0)[1]
        if not child.left:
            return
        case, stack = self.cases[child.left[0]], child.errors.read_text(errors="replace")
        kind = (
            f"hangs in {_place_in(stack)}"
            if hung
            else f"dies ({os.waitstatus_to_exitcode(status)}) in {_place_in(stack)}"
        )
        if hung and self.long(case):
            self._add(Verdict("still at work"))
        else:
            self._add(Verdict("lost", kind, str(getattr(case, "words", case))[:300]))
        child.errors.unlink()
        if child.left[1:]:
            self.waiting.append(child.left[1:])


def _place_in(stack: str) -> str:
    """Return where in the package a process was, of what faulthandler wrote."""
    frames = re.findall(r'File "(.*?/(\w+)\.py)", line \d+ in (\w+)', stack[max(stack.rfind("Current thread"), 0) :])
    own = [frame for frame in frames if "/foveate/" in frame[0]] or frames or [("", "nowhere", "known")]
    return ".".join(own[0][1:])
