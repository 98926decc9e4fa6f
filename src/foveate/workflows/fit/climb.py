"""Climb the ladder: one rung after the other as far as the time allows, each from where it was stopped."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

from foveate.config.branches import Branch
from foveate.errors import UserError, lack_of_memory_named
from foveate.files.locks import interruption_behind
from foveate.workflows.fit.choice import Candidate, Choice, choose
from foveate.workflows.fit.journal import RungEntry, RungState
from foveate.workflows.fit.ladder import OVER, Answers, Ladder, Rung, kept_answers
from foveate.workflows.fit.plan import SHARES, least_minutes, needs_of, times_of
from foveate.workflows.fit.time_model import Reached

NOTHING_GAINED = "on held-out photographs it changes nothing for the better"
_SLOWEST, _FASTEST = 4.0, 0.5
"""By how much a training that is still to come may be thought slower or faster than was measured."""


class Way(NamedTuple):
    """A way to answer: a rung, and which of its branches decides."""

    rung: Rung
    branch: Branch


def climb(ladder: Ladder, rungs: Sequence[Rung]) -> tuple[Ladder, dict[str, Answers]]:
    """Climb every rung that fits into the time, and return the answers of each, out of fold, by its name.

    Where the minutes are too few for the first training by now, trainings are shortened: the ladder is returned too. A
    rung that cannot be climbed is left out, and its error said; the first one's is raised.
    """
    answers: dict[str, Answers] = {}
    for place, rung in enumerate(rungs):
        below = [each for each in rungs[:place] if each.name in answers]
        if (entry := ladder.journal.entry(rung.name)) is None:
            ladder = _in_time(ladder, rungs, rung, below)
            entry = _begun(ladder, rungs, rung, below)
        if entry.state is RungState.CLIMBED:
            answers[rung.name] = kept_answers(ladder.answered(rung.name))
        elif entry.state is RungState.CLIMBING:
            _expect(ladder, rungs[place:], below)
            if (given := _climbed(ladder, rung, entry, lowest=place == 0)) is not None:
                answers[rung.name] = given
    return ladder, answers


def ways(ladder: Ladder, rungs: Sequence[Rung]) -> dict[str, tuple[Way, float]]:
    """Return the ways to answer of rungs that are climbed, by their names, with passes for one answer."""
    offered = {}
    for rung in rungs:
        passes = rung.passes(ladder)
        dearest = max(passes, key=lambda branch: passes[branch])
        for branch, cost in sorted(passes.items(), key=lambda item: item[1]):
            name = rung.name if branch is dearest else f"{rung.name}, first look alone"
            offered[name] = Way(rung, branch), cost
    return offered


def chosen(ladder: Ladder, offered: Mapping[str, tuple[Way, float]], answers: Mapping[str, Answers]) -> Choice:
    """Choose between ways to answer by their answers out of fold."""
    candidates = []
    for name, (way, passes) in offered.items():
        table = answers[way.rung.name][way.branch]
        gflop = passes * way.rung.pass_gflop(ladder)
        candidates.append(Candidate(name, table.right, gflop))
    return choose(candidates, ladder.config.prefer, ladder.held_out_groups)


def _climbed(ladder: Ladder, rung: Rung, entry: RungEntry, *, lowest: bool) -> Answers | None:
    journal = ladder.journal
    try:
        with lack_of_memory_named(rung.name):
            answers = rung.climb(ladder)
            passes = rung.passes(ladder)
    except UserError as error:
        if lowest or interruption_behind(error) is not None:
            raise
        ladder.say(f"{rung.name} is left out: {error}")
        journal.write(_entry(rung.name, RungState.SKIPPED, note=str(error), begun=entry.begun))
        return None
    if not passes:
        ladder.step(f"{rung.name} is left out: {NOTHING_GAINED}")
        journal.write(_entry(rung.name, RungState.SKIPPED, note=NOTHING_GAINED, begun=entry.begun))
        return None
    seconds = journal.spent - entry.begun
    done = _entry(rung.name, RungState.CLIMBED, predicted=entry.predicted, begun=entry.begun, seconds=seconds)
    done = replace(done, note=rung.rests_on(ladder))
    journal.write(done)
    dearest = max(passes, key=lambda branch: passes[branch])
    table = answers[dearest]
    right = 100 * table.right.mean()
    ladder.step(f"{rung.name}: {right:.1f}% of {len(table.ids)} held-out photographs are right{_of(done.note)}")
    return answers


def _of(note: str | None) -> str:
    return "" if note is None else f" ({note})"


def _begun(ladder: Ladder, rungs: Sequence[Rung], rung: Rung, below: Sequence[Rung]) -> RungEntry:
    """Decide whether a rung fits, and write that down; the lowest is climbed whatever it takes."""
    journal, reached = ladder.journal, _reached(ladder, below)
    if (note := _reason_against(ladder, rungs, rung, reached)) is None:
        entry = _entry(rung.name, RungState.CLIMBING, predicted=rung.time(ladder).folds, begun=journal.spent)
    else:
        entry = _entry(rung.name, RungState.SKIPPED, note=note)
        ladder.step(f"{rung.name} is left out: {note}")
    journal.write(entry)
    return entry


def _in_time(ladder: Ladder, rungs: Sequence[Rung], rung: Rung, below: Sequence[Rung]) -> Ladder:
    """Return the ladder with trainings shortened until the first of them fits."""
    first, reached = next((each for each in rungs if each.learns), None), _reached(ladder, below)
    if rung is not first or _reason_against(ladder, rungs, rung, reached) is None:
        return ladder
    for share in (each for each in SHARES if each < ladder.share):
        shorter = replace(ladder, share=share)
        time = times_of(shorter, [rung], lateness(ladder))[rung.name]
        if reached.after(rung.name, time).total <= 60 * ladder.config.minutes:
            ladder.journal.write(share=share)
            return shorter
    return ladder


def _reason_against(ladder: Ladder, rungs: Sequence[Rung], rung: Rung, reached: Reached) -> str | None:
    if rung.needs and not set(rung.needs) & set(reached.rungs):
        return f"needs {' or '.join(rung.needs)}, which is not climbed"
    if rung.least_folds > ladder.whole_folds:
        return f"needs {rung.least_folds} folds of whole trainings, for which there is no time; give more --minutes"
    factor = lateness(ladder)
    times = times_of(ladder, [rung], factor)
    later = reached.after(rung.name, times[rung.name]).total
    if reached.rungs and later > max(_seconds(ladder, rungs, rung), reached.total):  # what takes no time always fits
        return f"no time; with --minutes {least_minutes(ladder, rungs, rung, factor)} there is"
    return None


def _seconds(ladder: Ladder, rungs: Sequence[Rung], rung: Rung) -> float:
    """Return how long all may take with a rung: somewhat longer than asked where it fitted before anything was late."""
    seconds = 60 * ladder.config.minutes
    announced = Reached().fitting(times_of(ladder, rungs), seconds, needs_of(rungs)).rungs
    return OVER * seconds if rung.name in announced else seconds


def _entry(
    name: str,
    state: RungState,
    *,
    predicted: float | None = None,
    begun: float = 0.0,
    seconds: float = 0.0,
    note: str | None = None,
) -> RungEntry:
    return RungEntry(name=name, state=state, predicted=predicted, begun=begun, seconds=seconds, note=note)


def _reached(ladder: Ladder, climbed: Sequence[Rung]) -> Reached:
    """Return how far a ladder is climbed."""
    times = times_of(ladder, climbed, lateness(ladder))
    refit = max((time.refit for time in times.values()), default=0.0)
    return Reached(ladder.journal.spent, refit, tuple(times))


def lateness(ladder: Ladder) -> float:
    """Return by what factor trainings took longer than was said before."""
    climbed = [each for each in ladder.journal.content.rungs if each.state is RungState.CLIMBED]
    # What is solved for in no steps says nothing of trainings.
    trained = [each for each in climbed if each.name in ladder.speeds and ladder.speeds[each.name].step > 0]
    said, took = sum(each.predicted or 0.0 for each in trained), sum(each.seconds for each in trained)
    return min(max(took / said, _FASTEST), _SLOWEST) if said else 1.0


def _expect(ladder: Ladder, rungs: Sequence[Rung], below: Sequence[Rung]) -> None:
    """Say to the journal when all will be done: after this rung, and those above it that fit."""
    times = times_of(ladder, rungs, lateness(ladder))
    first = rungs[0].name
    reached = _reached(ladder, below).after(first, times.pop(first))
    seconds = OVER * 60 * ladder.config.minutes  # what was announced may be late, or is shortened
    ladder.journal.expected = reached.fitting(times, seconds, needs_of(rungs)).total
