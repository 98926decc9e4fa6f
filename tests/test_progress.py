"""What long work says of the time that it takes; the clock is the test's."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from foveate import progress as module
from foveate.progress import Expectation, about, progress


class Clock:
    """Stands where it was put."""

    def __init__(self) -> None:
        self.now = 100.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(module, "monotonic", clock.monotonic)
    return clock


def told(
    clock: Clock, moments: Sequence[tuple[float, int]], total: int, *, once: bool = False, done: int = 0
) -> list[str]:
    """Return what is said where so many are done so many seconds after the beginning."""
    lines: list[str] = []
    begin, expectation = clock.now, Expectation("grounding", total, lines.append, once=once, done=done)
    for seconds, count in moments:
        clock.now = begin + seconds
        expectation.advance(count)
    return lines


def test_the_pace_is_that_after_the_first_batch(clock: Clock) -> None:
    """The first ten take 9 seconds, for processes start; each further ten 5: of 220 there are 200 left, 100 seconds."""
    assert told(clock, [(9, 10), (14, 20)], 220) == ["grounding: 20 of 220, about 2 minutes left"]


def test_what_is_short_is_not_worth_a_word(clock: Clock) -> None:
    assert told(clock, [(9, 10), (14, 20), (24, 40)], 50) == []


def test_a_pace_of_some_milliseconds_is_not_known_yet(clock: Clock) -> None:
    assert told(clock, [(0.1, 1), (0.2, 2), (0.3, 3)], 100_000) == []


def test_a_slow_first_batch_is_told_at_once_then_a_line_a_minute(clock: Clock) -> None:
    moments = [(30, 1), (60, 2), (89, 3), (91, 4), (100, 5)]
    assert told(clock, moments, 10) == [
        "grounding: 1 of 10, about 4 minutes left",  # 270 seconds
        "grounding: 4 of 10, about 2 minutes left",  # 61 seconds for 3 since the first: 122
    ]
    assert told(clock, moments, 10, once=True) == ["grounding: 1 of 10, about 4 minutes left"]


def test_what_was_done_before_took_no_time(clock: Clock) -> None:
    assert told(clock, [(40, 51)], 60, done=50) == ["grounding: 51 of 60, about 6 minutes left"]


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(3, "10 seconds"), (44, "40 seconds"), (100, "2 minutes"), (3600, "60 minutes"), (9000, "2.5 hours")],
)
def test_a_time_in_words(seconds: float, words: str) -> None:
    assert about(seconds) == f"about {words}"


def test_where_nobody_sees_the_bar_the_lines_are_said(clock: Clock, capsys: pytest.CaptureFixture[str]) -> None:
    lines: list[str] = []
    with progress("reading", 100, lines.append) as advance:
        clock.now += 50
        advance(10)
    with progress("reading", 100) as advance:
        clock.now += 50
        advance(10)
    assert lines == ["reading: 10 of 100, about 8 minutes left"]
    assert tuple(capsys.readouterr()) == ("", "")
