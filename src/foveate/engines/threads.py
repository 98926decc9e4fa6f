"""The same for each of many things, in their order, on all processors."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol, TypeVar

from foveate.hardware import processors

_T = TypeVar("_T")
_R = TypeVar("_R")
_AT_A_TIME = 1024  # things that wait for a thread; each that waits takes memory


class Mapped(Protocol):
    """What does the same for each of many things and yields the results in their order."""

    def __call__(
        self, function: Callable[[_T], _R], things: Sequence[_T], *, together: int | None = None
    ) -> Iterator[_R]:
        """Yield `function` of each; it may be called in another thread or process, `together` at once in this one."""
        ...


def in_threads(function: Callable[[_T], _R], things: Sequence[_T], *, together: int | None = None) -> Iterator[_R]:
    """Yield `function` of each thing, by threads of this process: so many, or one a processor."""
    with ThreadPoolExecutor(together or processors()) as pool:
        for start in range(0, len(things), _AT_A_TIME):
            yield from pool.map(function, things[start : start + _AT_A_TIME])
