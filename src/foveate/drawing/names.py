"""Names of classes in less room than they take: cut where they are alike, so that they stay distinct."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Sequence
from itertools import takewhile

from foveate.drawing.page import Page, TextStyle

_ELLIPSIS = "…"


def apart(page: Page, names: Sequence[str], style: TextStyle, room: float) -> tuple[str, ...]:
    """Shorten the names that are longer than their room; different ones stay different.

    A long name loses its middle, as in "Black footed…young male". Where several would then read alike, they lose what
    they begin with in common instead.

    Args:
        page: On which they are measured.
        names: That are shown together.
        style: Of all of them.
        room: In pixels.
    """

    def fits(text: str) -> bool:
        return page.length(text, style) <= room

    clean = [" ".join(name.split()) for name in names]
    shortened = {name: name if fits(name) else _without_middle(name, fits) for name in dict.fromkeys(clean)}
    for alike in _groups(shortened):
        shortened |= dict(zip(alike, _by_their_differences(alike, fits), strict=True))
    for alike in _groups(shortened):  # they differ in more than there is room for: a number tells them apart
        for number, name in enumerate(alike, start=1):
            end = f"{_ELLIPSIS}{number}"
            shortened[name] = _longest(shortened[name].rstrip(_ELLIPSIS), fits, end)
    return tuple(shortened[name] for name in clean)


def wrapped_name(page: Page, name: str, style: TextStyle, room: float, lines: int) -> list[str]:
    """Break a name into at most so many lines; the last loses its middle where it is too long, as in `apart`."""
    broken = page.wrapped(name, style, room, lines)
    rest = " ".join(name.split())
    for line in broken[:-1]:
        rest = rest[len(line) :].lstrip()
    return [*broken[:-1], *apart(page, [rest], style, room)]


def _groups(shortened: dict[str, str]) -> list[list[str]]:
    """Return the names that read alike."""
    by_text: dict[str, list[str]] = {}
    for name, text in shortened.items():
        by_text.setdefault(text, []).append(name)
    return [names for names in by_text.values() if len(names) > 1]


def _without_middle(name: str, fits: Callable[[str], bool]) -> str:
    def text(kept: int) -> str:
        tail = name[len(name) - kept // 2 :].lstrip()
        return f"{name[: (kept + 1) // 2].rstrip()}{_ELLIPSIS}{tail}"

    return text(_most(len(name) - 1, lambda kept: fits(text(kept))))


def _by_their_differences(names: Sequence[str], fits: Callable[[str], bool]) -> list[str]:
    """Keep of each name the words in which it differs, and as much of what comes before as fits."""
    alike = takewhile(lambda letters: len(set(letters)) == 1, zip(*names, strict=False))
    start = "".join(letters[0] for letters in alike)
    start = start[: start.rfind(" ") + 1]  # whole words
    return [_with_start(start.rstrip(), name[len(start) :], fits) for name in names]


def _with_start(start: str, rest: str, fits: Callable[[str], bool]) -> str:
    if not fits(f"{_ELLIPSIS}{rest}"):
        return _longest(f"{_ELLIPSIS}{rest}", fits, _ELLIPSIS)
    kept = _most(len(start), lambda kept: fits(f"{start[:kept].rstrip()}{_ELLIPSIS}{rest}"))
    return f"{start[:kept].rstrip()}{_ELLIPSIS}{rest}"


def _longest(text: str, fits: Callable[[str], bool], end: str) -> str:
    """Return as much of the text as fits together with an end."""
    return text[: _most(len(text), lambda kept: fits(text[:kept].rstrip() + end))].rstrip() + end


def _most(letters: int, fits: Callable[[int], bool]) -> int:
    """Return how many of so many letters fit; 0 where none does."""
    return max(0, bisect_left(range(letters + 1), True, key=lambda kept: not fits(kept)) - 1)
