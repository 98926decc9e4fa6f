"""Before a fit begins: the machine is measured, folds are cut, and it is said what fits into the time."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from foveate.data.folds import cut_folds
from foveate.data.records import ImageRecord
from foveate.errors import LackOfMemory, UserError, lack_of_memory_named
from foveate.hardware import device_of
from foveate.progress import progress
from foveate.workflows.fit.benchmark import measure_reading, measure_speed
from foveate.workflows.fit.config import MOST_MINUTES, FitConfig
from foveate.workflows.fit.ladder import Ladder, Rung, configured
from foveate.workflows.fit.method_rungs import MethodRung
from foveate.workflows.fit.time_model import Machine, Reached, RungTime, Speed

MOST_FOLDS = 5
OF_ONE = 3
"""Where a single fold is held out, it is one of so many."""
_LEAST_OF_ONE = 60
"""Photographs that a single fold must have: fewer would say little about methods that are close."""
_FLOOR = 1.25
"""How far beyond its minutes a fit may go for the lowest rung."""
SHARES = tuple(each / 20 for each in range(20, 4, -1))
"""Of the epochs of a training, tried until it fits: from all of them to a quarter."""


class _Plan(NamedTuple):
    """Folds, and what fits with them."""

    ladder: Ladder
    reached: Reached
    times: dict[str, RungTime]

    def trainings(self, rungs: Sequence[Rung]) -> int:
        """Return how many rungs it climbs that are trained."""
        return sum(rung.learns and rung.name in self.reached.rungs for rung in rungs)


class _Option(NamedTuple):
    """A number of folds and a share of the epochs, and how long each rung takes with them."""

    ladder: Ladder
    times: dict[str, RungTime]


class _Options(NamedTuple):
    """All that can be done: with whole trainings, the most folds first; with shorter ones of the fewest folds."""

    whole: list[_Option]
    shortened: list[_Option]


def measured_speeds(
    rungs: Sequence[Rung], config: FitConfig, classes: int, say: Callable[[str], None]
) -> dict[str, Speed]:
    """Measure every method that is a rung; that takes some seconds each. What the memory is too small for is left out.

    Raises:
        UserError: As in `measure_speed`; or the memory is too small for all of them.
    """
    methods, speeds, reason = [each for each in rungs if isinstance(each, MethodRung)], dict[str, Speed](), ""
    with progress("measuring", len(methods)) as advance:
        for number, each in enumerate(methods, start=1):
            try:
                with lack_of_memory_named(each.name):
                    speeds[each.name] = measure_speed(configured(each.recipe, config, config.data), classes)
            except LackOfMemory as error:
                reason = str(error)  # the error itself would keep the network in memory
                say(f"{each.name} is left out: {reason}")
            advance(number)
    if not speeds:
        raise LackOfMemory(reason)
    return speeds


def measured_machine(config: FitConfig, rungs: Sequence[Rung], records: Sequence[ImageRecord]) -> Machine:
    """Measure how fast photographs are read, as the first method that is trained sees them.

    Args:
        config: What the fit was asked for.
        rungs: From the lowest.
        records: The training photographs.
    """
    methods = [each for each in rungs if isinstance(each, MethodRung)]
    first = next((each for each in methods if each.learns), methods[0])
    reading = measure_reading(records, configured(first.recipe, config, config.data))
    return Machine(decode=reading, shares=device_of(config.hardware).type == "cpu")


def planned(ladder: Ladder, rungs: Sequence[Rung]) -> tuple[Ladder, Reached]:
    """Cut the folds with which the most rungs fit, the most folds of those; say what is going to be done.

    A single fold, of a third of the photographs, says less: it is cut only so that more methods are trained. Where
    none would be, all trainings are shortened until one fits.

    Args:
        ladder: Without folds.
        rungs: From the lowest.

    Raises:
        UserError: Not even the lowest rung fits.
    """
    spent, minutes, options = ladder.journal.spent, ladder.config.minutes, _options(ladder, rungs)
    if not options.whole:
        return _without_choice(with_folds(ladder, 0), rungs[0], spent)
    best = _best(options, rungs, spent, minutes)
    if not best.reached.rungs:
        first = best.times[rungs[0].name]
        _check_floor(ladder.config, rungs[0], spent + first.folds + first.refit)
        best = best._replace(reached=Reached(spent).after(rungs[0].name, first))
    _announce(best)
    for rung in rungs:
        if rung.name not in best.reached.rungs:
            least = _least_minutes(options, rungs, rung, spent, minutes)
            ladder.say(f"  {rung.name} does not fit; it would with --minutes {least}")
    return best.ladder, best.reached


def least_minutes(ladder: Ladder, rungs: Sequence[Rung], rung: Rung, factor: float) -> int:
    """Return the whole minutes with which a fit from the beginning would climb a rung; `factor` as in `times_of`."""
    options = _options(replace(ladder, share=1.0), rungs, factor)
    return _least_minutes(options, rungs, rung, 0.0, ladder.config.minutes)


def _least_minutes(options: _Options, rungs: Sequence[Rung], rung: Rung, spent: float, minutes: float) -> int:
    while minutes < MOST_MINUTES and rung.name not in _best(options, rungs, spent, minutes).reached.rungs:
        minutes *= 1.01
    return rounded_up(minutes)


def _options(ladder: Ladder, rungs: Sequence[Rung], factor: float = 1.0) -> _Options:
    able = [each for each in (with_folds(ladder, folds) for folds in range(MOST_FOLDS, 0, -1)) if _can_be_cut(each)]
    if not any(each.folds > 1 for each in able):  # a single fold is for want of time, not of what can be held out
        able = []
    shorter = [replace(each, share=share) for each in able[-1:] for share in SHARES if share < 1]
    whole, shortened = ([_Option(each, times_of(each, rungs, factor)) for each in some] for some in (able, shorter))
    return _Options(whole, shortened)


def _can_be_cut(ladder: Ladder) -> bool:
    if ladder.folds == 1:
        groups = ladder.held_out_groups  # those of a single one say nothing of others
        return ladder.held_out >= _LEAST_OF_ONE and (groups is None or len(np.unique(groups)) > 1)
    return len({each for each in ladder.fold_of if each is not None}) == ladder.folds  # none may be empty


def _best(options: _Options, rungs: Sequence[Rung], spent: float, minutes: float) -> _Plan:
    """Return the plan with the most rungs, or where it trains none the longest trainings of which one fits."""
    needs = needs_of(rungs)

    def plan(option: _Option) -> _Plan:
        return _Plan(option.ladder, Reached(spent).fitting(option.times, 60 * minutes, needs), option.times)

    best = _most_rungs([plan(each) for each in options.whole], rungs)
    if best.trainings(rungs):
        return best
    return next((each for each in map(plan, options.shortened) if each.trainings(rungs)), best)


def _most_rungs(plans: Sequence[_Plan], rungs: Sequence[Rung]) -> _Plan:
    best = max((plan for plan in plans if plan.ladder.folds > 1), key=lambda plan: len(plan.reached.rungs))
    single = next((plan for plan in plans if plan.ladder.folds == 1), best)
    return single if single.trainings(rungs) > best.trainings(rungs) else best


def with_folds(ladder: Ladder, folds: int) -> Ladder:
    """Return a ladder with so many folds; 1: a third of the photographs is held out; 0: nothing is."""
    records = ladder.splits.train
    cut: tuple[int | None, ...] = (None,) * len(records)
    if folds:
        cut = cut_folds(records, folds if folds > 1 else OF_ONE, ladder.config.seed)
    return replace(ladder, folds=folds, fold_of=tuple(at if at is not None and at < folds else None for at in cut))


def times_of(ladder: Ladder, rungs: Sequence[Rung], factor: float = 1.0) -> dict[str, RungTime]:
    """Return how long each rung takes that can be climbed; `factor` is by how much others took longer than was said."""
    times = {rung.name: rung.time(ladder) for rung in rungs if rung.least_folds <= ladder.whole_folds}
    return {name: RungTime(factor * time.folds, factor * time.refit) for name, time in times.items()}


def needs_of(rungs: Sequence[Rung]) -> dict[str, tuple[str, ...]]:
    """Return what each rung needs, by name."""
    return {rung.name: rung.needs for rung in rungs}


def _announce(plan: _Plan) -> None:
    ladder, reached = plan.ladder, plan.reached
    steps = ", ".join(f"{name}{_about(plan.times[name].folds)}" for name in reached.rungs)
    again = f", then the best once more on all photographs (up to {_words(reached.refit)})" if reached.refit else ""
    if reached.refit and ladder.share < 1:
        again += f", for {100 * ladder.share:.0f}% of its epochs"
    asked = f"every training photograph in {ladder.folds} folds"
    if ladder.folds == 1:
        asked = f"{ladder.held_out} of {len(ladder.fold_of)} training photographs"
    if ladder.fold_share < 1:
        asked += f", trainings at {100 * ladder.fold_share:.0f}% of their epochs"
    ladder.say(f"within {ladder.config.minutes:g} minutes, answers to {asked}: {steps}{again}")
    apart = {(each.label, each.id if each.group is None else each.group) for each in ladder.splits.train}
    single = sum(count == 1 for count in Counter(label for label, _ in apart).values())
    if single:
        ladder.say(
            f"warning: {single} classes have one training photograph each, or one group; nothing can be held out of "
            "them, and the choice rests on the others"
        )


def _without_choice(ladder: Ladder, floor: Rung, spent: float) -> tuple[Ladder, Reached]:
    time = floor.time(ladder)
    seconds = time.folds + time.refit
    _check_floor(ladder.config, floor, spent + seconds)
    ladder.say(
        f"warning: no training photograph can be held out: for each, a class has no other, or no other group. Nothing "
        f"says which method is best: {floor.name} is taken, which needs fewest (about {_words(seconds)}); add some"
    )
    return ladder, Reached(spent).after(floor.name, time)


def _check_floor(config: FitConfig, floor: Rung, seconds: float) -> None:
    if seconds > _FLOOR * 60 * config.minutes:
        raise UserError(
            f"a fit takes as long as the {floor.name} at least, here about {_words(seconds)}; got --minutes "
            f"{config.minutes:g}; give --minutes {rounded_up(seconds / 60)}, or fewer photographs"
        )


def rounded_up(minutes: float) -> int:
    """Return whole minutes with a tenth to spare."""
    return int(1.1 * minutes) + 1


def _about(seconds: float) -> str:
    return f" (about {_words(seconds)})" if seconds else ""


def _words(seconds: float) -> str:
    return f"{seconds:.0f} seconds" if seconds < 90 else f"{seconds / 60:.0f} minutes"
