"""Where a training left time for a single fold, and something that needs none is ahead of it: all the other folds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from foveate.errors import UserError
from foveate.files.locks import interruption_behind
from foveate.workflows.fit.climb import chosen, ways
from foveate.workflows.fit.ladder import Answers, Ladder, Rung, is_answered
from foveate.workflows.fit.plan import OF_ONE, with_folds


def completed(
    ladder: Ladder, rungs: Sequence[Rung], answers: Mapping[str, Answers]
) -> tuple[Ladder, Mapping[str, Answers]]:
    """Let what needs no training answer for the folds that were not held out, where it is ahead and there is time.

    A third of the photographs says little about methods that are close. Probes answer for the others in seconds: then
    the choice between what needs no training rests on all, and what was trained is behind already.

    Args:
        ladder: Once it is climbed.
        rungs: All of them.
        answers: Of each rung that was climbed, out of fold.

    Returns:
        A ladder of all folds and the answers of what needs no training; or what was given.
    """
    climbed = [each for each in rungs if each.name in answers]
    untrained = [each for each in climbed if each.is_solved(ladder)]
    if ladder.folds != 1 or len(untrained) < 2:
        return ladder, answers
    offered = ways(ladder, climbed)
    if offered[chosen(ladder, offered, answers).winner][0].rung not in untrained:
        return ladder, answers
    whole = replace(with_folds(ladder, OF_ONE), complete=True)
    end = _end(whole, untrained)
    is_late = ladder.journal.content.winner is not None or end > 60 * ladder.config.minutes
    if is_late and not _is_begun(ladder, untrained[0]):
        return ladder, answers
    ladder.journal.expected = end
    ladder.step(f"of the other {whole.held_out - ladder.held_out} photographs too: what needs no training")
    try:
        found = {each.name: each.climb(whole) for each in untrained}
    except UserError as error:
        if interruption_behind(error) is not None:
            raise
        ladder.say(f"the choice rests on {ladder.held_out} photographs: {error}")
        return ladder, answers
    return whole, {each.name: found[each.name] for each in untrained if each.passes(whole)}


def _is_begun(ladder: Ladder, rung: Rung) -> bool:
    return is_answered(ladder.work(rung.name, "fold-2"))


def _end(whole: Ladder, untrained: Sequence[Rung]) -> float:
    """Return the seconds that all will have taken once the dearest of them is trained on all photographs."""
    folds = sum(each.time(whole).folds for each in untrained)
    refit = max(each.time(replace(whole, complete=False)).refit for each in untrained)
    return whole.journal.spent + folds + refit
