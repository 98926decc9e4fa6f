"""Make one run of several: networks that were trained on the same classes, and answer together."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Float
from scipy.special import softmax

from foveate.config.branches import MEMBERS, Branch
from foveate.config.ensemble import EnsembleConfig, EnsembleMember
from foveate.data.records import ImageRecord, labels_of
from foveate.errors import UserError
from foveate.evaluation.predictions import PredictionTable
from foveate.evaluation.temperature import LEAST_PHOTOGRAPHS
from foveate.evaluation.view_weights import fit_view_weights, log_answers
from foveate.files.hashes import hash_of_file
from foveate.files.locks import working_in
from foveate.networks.ensemble import EnsembleNetwork
from foveate.recipes.config import TrainConfig
from foveate.recipes.datasets import load_splits
from foveate.runs.context import HERE, RunContext
from foveate.runs.held_out import HeldOut, HeldOutSource, keep_calibrated, read_calibration
from foveate.runs.run import Run, RunDescription
from foveate.workflows.held_out_answers import answers_of


def ensemble(
    *runs: Run | Path | str,
    out: Path | str,
    weights: Sequence[float] | None = None,
    context: RunContext = HERE,
) -> Run:
    """Make a run folder of several finished runs, which answers by all of them; nothing is trained.

    The answer is softmax(sum of weight x log p). Weights are fitted to the answers to validation photographs, where
    there are some that no member was trained with; else all count alike, each as sure as its temperature makes it. What
    then counts nothing is left out. The same call again returns the run that is there.

    Args:
        runs: Folders of two runs or more, of the same classes in the same order; the first one's network is grounded
            and explains.
        out: The run folder: new or empty, or holding the same ensemble.
        weights: How much each counts, above 0; None: as above.
        context: Where the photographs lie now, what computes, and who is told.

    Raises:
        UserError: Runs are not finished, are fewer than two, of other classes or unlike views; or the folder holds
            something else.
    """
    members = [Run.of(each) for each in runs]
    _check(members, weights)
    validation = _validation(members, context)
    prior = _prior(members, weights)
    tables = _answers(members, prior, validation, context) if validation else None
    shares = prior
    if weights is None:
        shares = prior if tables is None else _fitted(members, tables, prior, context.say)
    return joined(members, shares, None if tables is None else HeldOutTables(tables), Path(out), context.say)


class HeldOutTables(NamedTuple):
    """The answers of every member to the same photographs, from which it did not learn."""

    tables: Sequence[PredictionTable]
    source: HeldOutSource = HeldOutSource.VALIDATION
    folds: int | None = None


def joined(
    members: Sequence[Run],
    shares: Float[np.ndarray, " m"],
    held_out: HeldOutTables | None,
    out: Path,
    say: Callable[[str], None],
) -> Run:
    """Make the run folder of members that count by shares, of which some may be 0; as `ensemble` does."""
    counting = [place for place, share in enumerate(shares) if share > 0]
    chosen = [members[place] for place in counting]
    if len(chosen) < 2:
        raise UserError(
            f"an ensemble has two members or more; by the answers to held-out photographs {chosen[0].path} alone "
            f"counts, so that {out} would answer as it does; use that one, or give --weights"
        )
    config = EnsembleConfig(members=tuple(_member(members[place], float(shares[place])) for place in counting))
    first = members[0].config
    whole = TrainConfig(data=first.data, transforms=config.views, network=config, seed=first.seed)
    description = RunDescription(whole, members[0].class_names, members[0].description.dataset)
    if (there := Run.finished_as(out, description)) is not None:
        say(f"{there.path} holds this ensemble already")
        return there
    Run.check_start(out, description)
    with working_in(out, lambda: False):
        run = Run.start(out, description)
        run.keep_photographs_of(chosen)
        if held_out is not None:
            tables = [held_out.tables[place] for place in counting]
            answers = dict(zip(MEMBERS, tables, strict=False))
            answers[Branch.JOINT] = weighed(tables, [each.weight for each in config.members])
            say(keep_calibrated(run.path, HeldOut(answers, held_out.source, held_out.folds)))
        minutes = sum(member.metrics()["minutes"] for member in chosen)
        network = EnsembleNetwork([member.load_network() for member in chosen], config)
        run.finish(network, {"minutes": minutes, "members": [str(member.path) for member in chosen]})
    counts = ", ".join(
        f"{member.path.name} {shares[place]:.2f}" for place, member in zip(counting, chosen, strict=True)
    )
    say(f"an ensemble of {len(chosen)} ({counts}): {run.path}")
    return run


def weighed(tables: Sequence[PredictionTable], weights: Sequence[float]) -> PredictionTable:
    """Return the answers of all together to the same photographs, as `EnsembleNetwork` gives them."""
    summed = np.einsum("m,nmc->nc", np.asarray(weights), _logs(tables))
    return replace(tables[0], probabilities=softmax(summed, axis=1).astype(np.float32))


def fitted_shares(tables: Sequence[PredictionTable], prior: Float[np.ndarray, " m"]) -> Float[np.ndarray, " m"]:
    """Return how much each member counts, fitted to its answers; `prior` as in `fit_view_weights`."""
    return fit_view_weights(_logs(tables), tables[0].labels, prior)


def _check(members: Sequence[Run], weights: Sequence[float] | None) -> None:
    if len({member.path.resolve() for member in members}) < max(2, len(members)):
        names = ", ".join(str(member.path) for member in members) or "none"
        raise UserError(f"an ensemble needs two runs or more, each once; got {names}; name others")
    for one, other in pairwise(members):
        if one.class_names != other.class_names:
            pairs = enumerate(zip(one.class_names, other.class_names, strict=False), 1)
            place, first, second = next(((at, *pair) for at, pair in pairs if pair[0] != pair[1]), (0, "", ""))
            which = f"class {place} is {first!r} and {second!r}" if place else "some are in the longer list alone"
            raise UserError(
                f"the members of an ensemble know the same classes in the same order; {one.path} has "
                f"{len(one.class_names)} and {other.path} {len(other.class_names)}, and {which}; train them on the "
                "same data set"
            )
    if weights is not None and (len(weights) != len(members) or not all(0 < each < np.inf for each in weights)):
        raise UserError(
            f"weights must be one finite number above 0 for each of the {len(members)} runs; got {tuple(weights)}"
        )


def _member(run: Run, share: float) -> EnsembleMember:
    return EnsembleMember(
        network=run.config.network,
        transforms=run.config.transforms,
        weight=share,
        view_weights=read_calibration(run.path).view_weights,
        weights_hash=hash_of_file(run.weights),
    )


def _prior(members: Sequence[Run], weights: Sequence[float] | None) -> Float[np.ndarray, " m"]:
    """Return the weights that were given, or those by which all count alike, of sum 1."""
    sharpness = weights or [1 / read_calibration(member.path).temperature for member in members]
    return np.array(sharpness) / sum(sharpness)


def _validation(members: Sequence[Run], context: RunContext) -> Sequence[ImageRecord]:
    """Return the validation photographs with which no member was trained; none, where they are too few to say much."""
    records = load_splits(context.data_of(members[0])).validation
    trained = frozenset().union(*(member.trained_among(record.id for record in records) for member in members))
    records = [record for record in records if record.id not in trained]
    if len(records) >= LEAST_PHOTOGRAPHS:
        return context.readable(members[0], records)
    context.say(
        f"{len(records)} photographs are held out of all members' trainings, fewer than {LEAST_PHOTOGRAPHS}: nothing "
        "says how much each should count; train them with the same --data.validation-fraction, such as 0.2"
    )
    return ()


def _answers(
    members: Sequence[Run], prior: Float[np.ndarray, " m"], records: Sequence[ImageRecord], context: RunContext
) -> list[PredictionTable]:
    """Return what each member answers to photographs as the ensemble shows them."""
    config = EnsembleConfig(members=tuple(map(_member, members, prior.tolist())))
    network = EnsembleNetwork([member.load_network() for member in members], config)
    answers = answers_of(network, records, config.views, context.hardware)
    names, labels = members[0].class_names, np.array(labels_of(records))
    ids, origin = tuple(record.id for record in records), {"dataset": members[0].description.dataset}
    return [PredictionTable(ids, labels, answers[branch].numpy(), names, origin) for branch in network.branches[:-1]]


def _fitted(
    members: Sequence[Run],
    tables: Sequence[PredictionTable],
    prior: Float[np.ndarray, " m"],
    say: Callable[[str], None],
) -> Float[np.ndarray, " m"]:
    shares = fitted_shares(tables, prior)
    for member, share, table in zip(members, shares, tables, strict=True):
        right = 100 * float((table.probabilities.argmax(1) == table.labels).mean())
        out = "" if share > 0 else ": left out"
        say(f"{member.path}: {right:.1f}% of {len(table.ids)} held-out photographs, weight {share:.2f}{out}")
    return shares


def _logs(tables: Sequence[PredictionTable]) -> Float[np.ndarray, "n m c"]:
    return log_answers([table.probabilities for table in tables])
