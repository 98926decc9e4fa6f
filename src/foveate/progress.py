"""A bar on the screen while something long is done; nothing where no one looks."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import Progress


@contextmanager
def progress(what: str, total: int) -> Iterator[Callable[[int], None]]:
    """Show a bar; yield what is to be called with the number done so far."""
    # What is printed meanwhile goes above the bar; where the output is a file, into that, not onto the screen.
    console, on_screen = Console(stderr=True), sys.stdout.isatty()
    with Progress(transient=True, console=console, disable=not sys.stderr.isatty(), redirect_stdout=on_screen) as bar:
        task = bar.add_task(what, total=total)
        yield lambda count: bar.update(task, completed=count)
