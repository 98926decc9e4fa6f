"""A bar on the screen while something long is done, and what it expects, in words, for whoever is told."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from time import monotonic

from rich.console import Console
from rich.progress import Progress

LEAST = 20.0
"""Seconds: what takes less is not worth a word."""
_SETTLED = 3.0  # seconds after the first advance, by when the pace is known; that one has the start of processes in it
_BETWEEN = 60.0  # seconds between two lines


@contextmanager
def progress(what: str, total: int, say: Callable[[str], None] | None = None) -> Iterator[Callable[[int], None]]:
    """Show a bar with the time that is left; yield what is to be called with the number done so far.

    Args:
        what: Is being done, in one word or two.
        total: How many there are to do.
        say: Receives a line of what it expects (`Expectation`), and where nobody sees the bar one a minute.
    """
    # What is printed meanwhile goes above the bar; where the output is a file, into that, not onto the screen.
    console, on_screen = Console(stderr=True), sys.stdout.isatty()
    seen = sys.stderr.isatty()
    expectation = None if say is None else Expectation(what, total, say, once=seen)
    with Progress(transient=True, console=console, disable=not seen, redirect_stdout=on_screen) as bar:
        task = bar.add_task(what, total=total)

        def advance(count: int) -> None:
            bar.update(task, completed=count)
            if expectation is not None:
                expectation.advance(count)

        yield advance


class Expectation:
    """Says how long something still takes, once its pace is known, where that is worth a word; then every minute.

    Args:
        what: Is being done.
        total: How many there are to do.
        say: Receives the lines.
        once: Say it only once.
        done: How many were done before.
    """

    def __init__(self, what: str, total: int, say: Callable[[str], None], *, once: bool = False, done: int = 0) -> None:
        self._what, self._total, self._say, self._once = what, total, say, once
        self._first: tuple[float, int] | None = None
        self._began, self._done, self._said = monotonic(), done, -float("inf")

    def advance(self, count: int) -> None:
        """Take note that so many are done by now."""
        now = monotonic()
        if self._first is None:
            self._first = now, count
            if now - self._began < LEAST:
                return
            since, before = self._began, self._done  # so slow that the start of processes is little of it
        else:
            since, before = self._first
            if now - since < _SETTLED:
                return
        if count > before and now - self._said >= _BETWEEN:
            self._told(now, (now - since) / (count - before) * (self._total - count), count)

    def _told(self, now: float, left: float, count: int) -> None:
        if left >= LEAST:
            self._say(f"{self._what}: {count:,} of {self._total:,}, {about(left)} left")
        self._said = float("inf") if self._once else now


def about(seconds: float) -> str:
    """Say a time in words: about 40 seconds, about 4 minutes, about 2.5 hours."""
    if seconds < 90:
        return f"about {max(round(seconds, -1), 10):.0f} seconds"
    minutes = seconds / 60
    return f"about {minutes:.0f} minutes" if minutes < 90 else f"about {minutes / 60:.1f} hours"
