"""The end of a fit: the winner is trained on all photographs, tested once, and left with the ladder's table."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from math import isfinite

from foveate.config.branches import Branch
from foveate.data.records import number_of_groups
from foveate.evaluation.predictions import PredictionTable
from foveate.networks.answers import decision
from foveate.runs.context import RunContext
from foveate.runs.guided_zoom_run import GuidedZoomRun
from foveate.runs.held_out import HeldOut, HeldOutSource, keep_calibrated
from foveate.workflows.fit.choice import Choice, Compared, is_chance, mean_per_class
from foveate.workflows.fit.climb import Way, chosen, lateness, ways
from foveate.workflows.fit.journal import RungEntry, RungState
from foveate.workflows.fit.ladder import OVER, Answers, Ladder, Rung, kept_answers
from foveate.workflows.fit.ladder_table import LadderRow, LadderTable
from foveate.workflows.fit.plan import SHARES
from foveate.workflows.tune_views import tune_views


def finish(ladder: Ladder, rungs: Sequence[Rung], answers: Mapping[str, Answers], listed: str) -> LadderTable:
    """Choose, train the winner on all photographs, test it once, and write the ladder's table.

    Args:
        ladder: Where it was climbed.
        rungs: All of them.
        answers: Of each rung that was climbed, out of fold; none where nothing could be held out.
        listed: Hash of the training photographs, those that cannot be read among them.
    """
    offered = ways(ladder, [each for each in rungs if each.name in answers])
    choice = chosen(ladder, offered, answers) if offered else None
    if choice is None:
        winner, way = rungs[0].name, Way(rungs[0], Branch.ORIGINAL)
        reason = "Nothing could be held out to choose by: the rung that needs fewest photographs is taken"
    else:
        winner, reason, way = choice.winner, choice.reason, offered[choice.winner][0]
        _warn_of_chance(ladder, max(each.top1 for each in choice.compared))
    lengthened = _refit_ladder(ladder, way.rung)
    ladder.journal.write(winner=winner)
    ladder.journal.expected = ladder.journal.spent + lateness(ladder) * way.rung.time(lengthened).refit
    ladder.step(f"{winner} is taken: {reason}")
    epochs = f" for {100 * lengthened.share:.0f}% of its epochs" if lengthened.share < 1 and way.rung.learns else ""
    ladder.step(f"{winner}: once more{epochs} on all {len(ladder.splits.train)} training photographs")
    way.rung.refit(lengthened, ladder.out)
    ladder.journal.write()
    if choice is not None:
        _calibrated(ladder, way, answers[way.rung.name])
    test = ladder.journal.content.test
    if test is None and ladder.splits.test:
        ladder.step(f"{winner}: the test split, once")
        test = way.rung.evaluate(ladder, way.branch)
        ladder.journal.write(test=test)
    table = LadderTable(
        settings=ladder.config,
        winner=winner,
        reason=reason,
        rungs=_rows(ladder, rungs, choice, offered, answers),
        folds=ladder.folds,
        fold_share=ladder.fold_share,
        refit_share=lengthened.share if way.rung.learns else 1.0,
        photographs=len(ladder.splits.train),
        listed=listed,
        held_out=ladder.held_out,
        test=test,
        minutes=round(ladder.journal.spent / 60, 2),
    )
    table.write(ladder.out)
    return table


def _refit_ladder(ladder: Ladder, rung: Rung) -> Ladder:
    """Return the ladder by which a winner is trained on all photographs.

    Where trainings may be shortened, it takes the epochs for which there is time: of its recipe's as many as it has, at
    least as many as without a fold, and a quarter. For what was announced it may be late.
    """
    if not rung.learns or ladder.fold_share == 1:
        return ladder
    if (share := ladder.journal.content.refit_share) is None:
        late, test = lateness(ladder), ladder.machine.answers(ladder.speeds[rung.name], len(ladder.splits.test))

        def fits(share: float) -> bool:
            seconds = 60 * ladder.config.minutes * (OVER if share <= ladder.share else 1.0)
            return ladder.journal.spent + late * rung.time(replace(ladder, share=share)).refit + test <= seconds

        share = max(next(filter(fits, SHARES), SHARES[-1]), ladder.fold_share)
        ladder.journal.write(refit_share=share)
    return replace(ladder, share=share)


def _warn_of_chance(ladder: Ladder, top1: float) -> None:
    counts = Counter(record.label for record in ladder.splits.train)
    if is_chance(top1, ladder.held_out, max(counts.values()) / counts.total()):
        ladder.say(
            f"warning: no method is better than guessing, the best is right on {100 * top1:.1f}% of the held-out "
            f"photographs of {len(counts)} classes; see whether the labels are right"
        )


def _calibrated(ladder: Ladder, way: Way, answers: Answers) -> None:
    """Keep the answers out of fold where the winner lies, and which of its views decide and how sure they are."""
    held_out = HeldOut(answers, HeldOutSource.OUT_OF_FOLD, ladder.folds)
    alone = None if way.branch is decisive(answers) else {way.branch: 1.0}
    ladder.detail(keep_calibrated(ladder.out, held_out, alone))
    if ladder.fold_share < 1 and way.rung.learns:
        ladder.say(
            "warning: its percentages are fitted to a shorter training on fewer photographs; before you rely on "
            "--error-rate or --coverage, fit with more --minutes"
        )
    if (groups := number_of_groups(held_out.decision.groups)) is not None:
        ladder.detail(f"--error-rate and --coverage rest on one photograph of each of {groups} groups")
    if alone is None and len(answers) > 1 and not GuidedZoomRun.is_at(ladder.out):
        tune_views(ladder.out, context=RunContext(hardware=ladder.config.hardware, say=ladder.detail))


def decisive(answers: Answers) -> Branch:
    """Return the branch that decides where nothing else is said."""
    return decision({branch: branch for branch in answers})


def _rows(
    ladder: Ladder,
    rungs: Sequence[Rung],
    choice: Choice | None,
    offered: Mapping[str, tuple[Way, float]],
    answers: Mapping[str, Answers],
) -> tuple[LadderRow, ...]:
    compared = {} if choice is None else {each.name: each for each in choice.compared}
    rows = []
    for rung in rungs:
        names = [name for name, (way, _) in offered.items() if way.rung is rung]
        for name in names:
            table = answers[rung.name][offered[name][0].branch]
            rows.append(_row(ladder, name, rung, compared[name], table, offered[name][1]))
        if not names:
            entry = ladder.journal.entry(rung.name)
            rows.append(_empty(rung.name, None if entry is None else _without_answers(ladder, entry)))
    return tuple(rows)


def _without_answers(ladder: Ladder, entry: RungEntry) -> str | None:
    """Return why a rung has no answers: it was left out, or behind before the other folds were asked for."""
    if entry.state is not RungState.CLIMBED:
        return entry.note
    table = decision(kept_answers(ladder.work(entry.name)))
    return f"{100 * table.right.mean():.1f}% of {len(table.ids)} held-out photographs, behind what needs no training"


def _row(ladder: Ladder, name: str, rung: Rung, compared: Compared, table: PredictionTable, passes: float) -> LadderRow:
    entry = ladder.journal.entry(rung.name)
    note = rung.rests_on(ladder) if ladder.complete else None if entry is None else entry.note
    return replace(
        _empty(name, note),
        top1=compared.top1,
        mean_per_class=mean_per_class(table.right, table.labels),
        behind=compared.behind,
        standard_error=compared.standard_error if isfinite(compared.standard_error) else None,
        passes=passes,
        gflop=compared.gflop,
        minutes=None if entry is None else round(entry.seconds / 60, 2),
    )


def _empty(name: str, note: str | None) -> LadderRow:
    return LadderRow(
        name=name,
        top1=None,
        mean_per_class=None,
        behind=None,
        standard_error=None,
        passes=None,
        gflop=None,
        minutes=None,
        note=note,
    )
