"""Make one run of several: networks that were trained on the same classes, and answer together."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
from jaxtyping import Float
from scipy.special import softmax

from foveate.config.branches import MEMBERS, Branch
from foveate.config.ensemble import EnsembleConfig, EnsembleMember
from foveate.data.records import ImageRecord, groups_of, labels_of
from foveate.errors import UserError
from foveate.evaluation.predictions import PredictionTable
from foveate.evaluation.temperature import LEAST_PHOTOGRAPHS
from foveate.evaluation.view_weights import fit_view_weights, log_answers, unseen_answers
from foveate.files.hashes import hash_of_file
from foveate.files.locks import working_in
from foveate.networks.ensemble import EnsembleNetwork
from foveate.recipes.config import TrainConfig
from foveate.runs.context import HERE, RunContext
from foveate.runs.held_out import HeldOut, HeldOutSource, keep_calibrated, read_calibration
from foveate.runs.run import Run, RunDescription
from foveate.workflows.class_names import differing_class
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
    members, out = [Run.of(each) for each in runs], Path(out)
    _check(members, weights)
    prior = _prior(members, weights)
    records = _validation(members, context, needed=weights is None)
    tables = _answers(members, prior, records, context) if records else None
    if tables is None:
        return joined(members, prior, None, out, context.say)
    shares = prior if weights is not None else _fitted(members, tables, prior, context.say)
    counting = [place for place, share in enumerate(shares) if share > 0]
    if len(counting) < 2:
        raise UserError(
            f"an ensemble has two members or more; by the answers to held-out photographs {members[counting[0]].path} "
            f"alone counts, so that {out} would answer as it does; use that one, or give --weights"
        )
    members, tables, shares = [members[at] for at in counting], [tables[at] for at in counting], shares[counting]
    before = prior[counting] / prior[counting].sum()
    answers = dict(zip(MEMBERS, tables, strict=False))
    answers[Branch.JOINT] = weighed(tables, shares) if weights is not None else unseen(tables, before)
    return joined(members, shares, HeldOut(answers, HeldOutSource.VALIDATION, None), out, context.say)


def joined(
    members: Sequence[Run],
    shares: Float[np.ndarray, " m"],
    held_out: HeldOut | None,
    out: Path,
    say: Callable[[str], None],
) -> Run:
    """Make the run folder of members, each with its share; `held_out` are answers to keep. As `ensemble` otherwise."""
    config = EnsembleConfig(members=tuple(map(_member, members, shares.tolist())))
    first = members[0].config
    whole = TrainConfig(data=first.data, transforms=config.views, network=config, seed=first.seed)
    description = RunDescription(whole, members[0].class_names, members[0].description.dataset)
    if (there := Run.finished_as(out, description)) is not None:
        say(f"{there.path} holds this ensemble already")
        return there
    Run.check_start(out, description)
    with working_in(out, lambda: False):
        run = Run.start(out, description)
        run.keep_photographs_of(members)
        if held_out is not None:
            say(keep_calibrated(run.path, held_out))
        minutes = sum(member.metrics()["minutes"] for member in members)
        network = EnsembleNetwork([member.load_network() for member in members], config)
        run.finish(network, {"minutes": minutes, "members": [member.path.name for member in members]})
    counts = ", ".join(f"{member.path.name} {share:.2f}" for member, share in zip(members, shares, strict=True))
    say(f"an ensemble of {len(members)} ({counts}): {run.path}")
    return run


def weighed(tables: Sequence[PredictionTable], weights: Float[np.ndarray, " m"]) -> PredictionTable:
    """Return the answers of all together to the same photographs, as `EnsembleNetwork` gives them."""
    return _as_answers(tables[0], np.einsum("m,nmc->nc", weights, _logs(tables)))


def unseen(tables: Sequence[PredictionTable], prior: Float[np.ndarray, " m"], seed: int = 0) -> PredictionTable:
    """Return the same where each photograph is answered by weights that were fitted to others, of other groups."""
    first = tables[0]
    return _as_answers(first, unseen_answers(_logs(tables), first.labels, prior, seed, first.groups))


def fitted_shares(tables: Sequence[PredictionTable], prior: Float[np.ndarray, " m"]) -> Float[np.ndarray, " m"]:
    """Return how much each member counts, fitted to its answers; `prior` as in `fit_view_weights`."""
    return fit_view_weights(_logs(tables), tables[0].labels, prior)


def _check(members: Sequence[Run], weights: Sequence[float] | None) -> None:
    for member in members:
        member.metrics()  # for its error
    if len({member.path.resolve() for member in members}) < max(2, len(members)):
        names = ", ".join(str(member.path) for member in members) or "none"
        raise UserError(f"an ensemble needs two runs or more, each once; got {names}; name others")
    for one, other in pairwise(members):
        if (differing := differing_class(one.class_names, other.class_names)) is not None:
            raise UserError(
                f"the members of an ensemble know the same classes in the same order; {one.path} has "
                f"{len(one.class_names)} and {other.path} {len(other.class_names)}, and class {differing.place} is "
                f"{differing.one} and {differing.other}; train them on the same data set"
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


def _validation(members: Sequence[Run], context: RunContext, *, needed: bool) -> Sequence[ImageRecord]:
    """Return the validation photographs with which no member was trained; none, where they are too few to say much.

    Raises:
        UserError: Where they are needed, the data set is not there; or a member was trained on its test split.
    """
    first = members[0]
    root = context.data_of(first).root
    if not needed and not root.exists():
        context.say(f"nothing is calibrated: the photographs are not in {root} any more")
        return ()
    splits = context.splits_of(first)
    if shared := _trained_among(members, splits.test):
        raise UserError(
            f"photographs of the test split must not have been trained on; {len(shared)} of {len(splits.test)} were, "
            f"by one of the members, {min(shared)!r} first; train them with the same division of the data set"
        )
    trained = _trained_among(members, splits.validation)
    records = [record for record in splits.validation if record.id not in trained]
    if len(records) >= LEAST_PHOTOGRAPHS:
        return context.readable(first, records)
    if needed:
        context.say(
            f"{len(records)} photographs are held out of all members' trainings, fewer than {LEAST_PHOTOGRAPHS}: "
            "nothing says how much each should count, so that all count alike, each as sure as its temperature makes "
            "it: weights go with 1 / temperature; train them with the same "
            "--data.validation-fraction, such as 0.2, or give --weights"
        )
    return ()


def _trained_among(members: Sequence[Run], records: Sequence[ImageRecord]) -> frozenset[str]:
    ids = [record.id for record in records]
    return frozenset().union(*(member.trained_among(ids) for member in members))


def _answers(
    members: Sequence[Run], prior: Float[np.ndarray, " m"], records: Sequence[ImageRecord], context: RunContext
) -> list[PredictionTable]:
    """Return what each member answers to photographs as the ensemble shows them."""
    config = EnsembleConfig(members=tuple(map(_member, members, prior.tolist())))
    network = EnsembleNetwork([member.load_network() for member in members], config)
    answers = answers_of(network, records, config.views, context.hardware)
    names, labels = members[0].class_names, np.array(labels_of(records))
    ids, origin = tuple(record.id for record in records), {"dataset": members[0].description.dataset}
    groups = groups_of(records)
    return [
        PredictionTable(ids, labels, answers[branch].numpy(), names, origin, groups) for branch in network.branches[:-1]
    ]


def _fitted(
    members: Sequence[Run],
    tables: Sequence[PredictionTable],
    prior: Float[np.ndarray, " m"],
    say: Callable[[str], None],
) -> Float[np.ndarray, " m"]:
    shares = fitted_shares(tables, prior)
    for member, share, table in zip(members, shares, tables, strict=True):
        out = "" if share > 0 else ": left out"
        right = f"{100 * table.right.mean():.1f}% of {len(table.ids)} held-out photographs"
        say(f"{member.path}: {right}, weight {share:.2f}{out}")
    return shares


def _logs(tables: Sequence[PredictionTable]) -> Float[np.ndarray, "n m c"]:
    return log_answers([table.probabilities for table in tables])


def _as_answers(table: PredictionTable, summed: Float[np.ndarray, "n c"]) -> PredictionTable:
    return replace(table, probabilities=softmax(summed, axis=1).astype(np.float32))
