"""Fit how the views of a run decide together, and how sure its answers are, to its held-out answers."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from jaxtyping import Int64

from foveate.config.branches import Branch
from foveate.config.data import Split
from foveate.evaluation.gating import gate_curve
from foveate.evaluation.view_weights import ChosenWeights, Difference, TriedWeights, choose_view_weights
from foveate.report.tables import gate_markdown
from foveate.runs.context import HERE, RunContext
from foveate.runs.held_out import HeldOut, keep_calibrated, read_held_out
from foveate.runs.run import Run
from foveate.workflows.held_out_answers import keep_validation_answers
from foveate.workflows.nothing_held_out import check_fits_views


def tune_views(run: Run | Path | str, *, context: RunContext = HERE) -> ChosenWeights | None:
    """Weigh the views of a run by its held-out answers, fit a temperature to what then decides, and keep both.

    Of a network that looks closer it is also said what thresholds of the first look's entropy would do to them. The
    joint answer stays where nothing is better by more than one standard error (`choose_view_weights`). From then on
    what answers for photographs decides as was chosen; `calibration.json` in the run folder holds it, and without that
    file all is as it was. A run that has no held-out answers first answers for its validation split.

    Args:
        run: A finished run, or its folder.
        context: As `RunContext` says.

    Returns:
        What was chosen of what; None for a network that looks once, where a temperature alone is fitted.

    Raises:
        UserError: The run has neither held-out answers nor a validation split, or they are damaged.
    """
    run = Run.of(run)
    held_out = read_held_out(run.path)
    if held_out is None:
        check_fits_views(run, context)
        context.say(f"{run.path} has no held-out answers; its network answers for the validation split")
        records = context.readable(run, context.photographs_of(run, Split.VALIDATION))
        keep_validation_answers(run, run.load_network(), records, context.hardware, context.say)
        held_out = read_held_out(run.path)
        assert held_out is not None  # just written
    chosen = _chosen(held_out)
    weights = None if chosen is None else chosen.weights
    told = keep_calibrated(run.path, held_out, weights)
    for line in (*([] if chosen is None else _summary(held_out, chosen)), told):
        context.say(line)
    if chosen is not None and weights is None and (views := run.load_network().skippable_views):
        context.say(_thresholds(held_out, views))
    return chosen


def _thresholds(held_out: HeldOut, views: int) -> str:
    """Return what each threshold of `--zoom-entropy-threshold` would do to the held-out photographs."""
    first, decision = held_out.answers[Branch.ORIGINAL], held_out.decision
    return gate_markdown(gate_curve(first.probabilities, decision.probabilities, decision.labels, views))


def _chosen(held_out: HeldOut) -> ChosenWeights | None:
    if Branch.JOINT not in held_out.answers:
        return None
    answers = {branch: table.probabilities for branch, table in held_out.answers.items()}
    return choose_view_weights(answers, held_out.decision.labels, held_out.decision.groups)


def _summary(held_out: HeldOut, chosen: ChosenWeights) -> Iterator[str]:
    """Say what was tried, what decides from now on, and why."""
    tried = ", ".join(f"{each.name} {100 * each.accuracy:.1f}" for each in chosen.tried)
    yield (
        f"top-1 of {held_out.photographs} held-out photographs ({held_out.source}): {tried}; weights that are fitted "
        "are measured on fifths that they were not fitted to"
    )
    joint, others, groups = chosen.tried[0], chosen.tried[1:], held_out.decision.groups
    if chosen.weights is None:
        best = max(others, key=lambda each: each.accuracy)
        yield f"the joint answer stays: {best.name} is {_compared(best, joint, groups)}"
    else:
        weights = ", ".join(f"{branch} {weight:.2f}" for branch, weight in chosen.weights.items())
        yield f"from now on {chosen.chosen.name} decides ({weights}): {_compared(chosen.chosen, joint, groups)}"


def _compared(one: TriedWeights, joint: TriedWeights, groups: Int64[np.ndarray, " n"] | None) -> str:
    apart = Difference.of(one.right, joint.right, groups)
    return (
        f"{100 * abs(apart.value):.2f} points {'above' if apart.value > 0 else 'below'} it, "
        f"{'beyond' if apart.beyond_one_error else 'not beyond'} one standard error ({100 * apart.standard_error:.2f})"
    )
