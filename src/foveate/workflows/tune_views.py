"""Fit how the views of a run decide together, and how sure its answers are, to its held-out answers."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor

from foveate.config.branches import Branch
from foveate.errors import UserError
from foveate.evaluation.temperature import fit_temperature
from foveate.evaluation.view_weights import ChosenWeights, Difference, TriedWeights, choose_view_weights
from foveate.files.locks import working_in
from foveate.networks.answers import log_probabilities, weighted_decision
from foveate.runs.context import HERE, RunContext
from foveate.runs.held_out import Calibration, HeldOut, read_held_out, write_calibration
from foveate.runs.run import Run


def tune_views(run: Run | Path | str, *, context: RunContext = HERE) -> ChosenWeights | None:
    """Weigh the views of a run by its held-out answers, fit a temperature to what then decides, and keep both.

    The joint answer stays where nothing is better by more than one standard error (`choose_view_weights`). From then on
    every command answers by what was chosen; `calibration.json` in the run folder holds it, and without that file all
    is as it was.

    Args:
        run: A finished run, or its folder.
        context: As `RunContext` says.

    Returns:
        What was chosen of what; None for a network that looks once, where a temperature alone is fitted.

    Raises:
        UserError: The run has no held-out answers, or they are damaged.
    """
    run = Run.of(run)
    held_out = read_held_out(run.path)
    if held_out is None:
        raise UserError(
            f"views are weighed on photographs that the training did not learn from; {run.path} has no answers to such "
            "(held_out/); train anew with --data.validation-fraction 0.2, which writes them"
        )
    with working_in(run.path, lambda: True):
        chosen = _chosen(held_out)
        weights = None if chosen is None else chosen.weights
        temperature = fit_temperature(_decided(held_out, weights).numpy(), held_out.decision.labels)
        named = None if weights is None else {branch.value: weight for branch, weight in weights.items()}
        write_calibration(run.path, Calibration(temperature=temperature, view_weights=named))
    for line in _summary(run, held_out, chosen, temperature):
        context.say(line)
    return chosen


def _chosen(held_out: HeldOut) -> ChosenWeights | None:
    if Branch.JOINT not in held_out.answers:
        return None
    answers = {branch: table.probabilities for branch, table in held_out.answers.items()}
    return choose_view_weights(answers, held_out.decision.labels)


def _decided(held_out: HeldOut, weights: dict[Branch, float] | None) -> Float[Tensor, "n c"]:
    """Return the logarithms of what decides."""
    if weights is None:
        return log_probabilities(torch.from_numpy(held_out.decision.probabilities))
    tables = {branch: torch.from_numpy(table.probabilities) for branch, table in held_out.answers.items()}
    return log_probabilities(weighted_decision(tables, weights))


def _summary(run: Run, held_out: HeldOut, chosen: ChosenWeights | None, temperature: float) -> Iterator[str]:
    where = f"{held_out.photographs} held-out photographs ({held_out.source.value})"
    if chosen is not None:
        tried = ", ".join(f"{each.name} {100 * each.accuracy:.1f}" for each in chosen.tried)
        yield f"top-1 on {where}: {tried}; what is fitted is measured on fifths that it was not fitted to"
        yield _words(chosen)
    yield f"temperature {temperature:.2f} on {where}; written to {run.path / 'calibration.json'}"


def _words(chosen: ChosenWeights) -> str:
    """Say what decides from now on, and why."""
    joint, others = chosen.tried[0], chosen.tried[1:]
    if chosen.weights is None:
        best = max(others, key=lambda each: each.accuracy)
        return f"the joint answer stays: {best.name} is {_compared(best, joint)}"
    weights = ", ".join(f"{branch} {weight:.2f}" for branch, weight in chosen.weights.items())
    return f"from now on {chosen.chosen.name} decides ({weights}): {_compared(chosen.chosen, joint)}"


def _compared(one: TriedWeights, joint: TriedWeights) -> str:
    apart = Difference.of(one.right, joint.right)
    return (
        f"{100 * abs(apart.value):.1f} points {'above' if apart.value > 0 else 'below'} it, "
        f"{'beyond' if apart.beyond_one_error else 'not beyond'} one standard error ({100 * apart.standard_error:.1f})"
    )
