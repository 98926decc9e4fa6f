"""Guided Zoom for a trained network: pool, Evidence CNN, evidence of a split, refined decisions."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import torch

from foveate.config.data import Split
from foveate.errors import UserError
from foveate.files.hashes import hash_of_file
from foveate.files.locks import working_in
from foveate.guided_zoom.config import PoolConfig, RefinementConfig
from foveate.guided_zoom.pool import EvidencePool
from foveate.recipes.config import TrainConfig
from foveate.recipes.datasets import has_validation
from foveate.recipes.methods import create_network
from foveate.runs.context import HERE, RunContext
from foveate.runs.guided_zoom_run import LOOKER, GuidedZoomDescription, GuidedZoomRun
from foveate.runs.run import Run
from foveate.training.solve import check_solved
from foveate.workflows.build_pool import build_pool, check_grounding, with_usual_grounding
from foveate.workflows.evaluate_zoom import evaluate_zoom
from foveate.workflows.evidence_training import BY_RECIPE, EvidenceTraining
from foveate.workflows.looker import loaded_looker, opened_looker
from foveate.workflows.refinement_report import RefinementRow
from foveate.workflows.train import train
from foveate.workflows.tune import tune

_PAPER = RefinementConfig.paper().weights


def build_guided_zoom(
    run: Run | Path | str,
    out: Path | str,
    *,
    pool: PoolConfig | None = None,
    evidence: EvidenceTraining = BY_RECIPE,
    refinement: RefinementConfig | None = None,
    tuned: bool | GuidedZoomRun | Path | str = False,
    looker: Run | Path | str | None = None,
    split: Split | str | None = Split.TEST,
    context: RunContext = HERE,
) -> tuple[RefinementRow, ...]:
    """Build the pool, train the Evidence CNN, refine a split; each step goes on where it was stopped.

    Args:
        run: The finished run of the conventional network, or its folder.
        out: The Guided Zoom's folder: new, empty, or holding the same Guided Zoom.
        pool: What the evidence pool holds.
        evidence: How the Evidence CNN is trained.
        refinement: How the evidence decides; None: `usual_refinement`.
        tuned: Whether the decision is fitted to the validation split first, if the folder has none that is. Or another
            Guided Zoom, or its folder, of which the fitted decision is taken, for a network trained on all photographs.
        looker: As `build_pool` has it; its run is copied into the Guided Zoom's folder.
        split: The split to refine; None: none, it is only built.
        context: As `RunContext` says.

    Returns:
        What the asked refinement does to the split, and then every row of the papers' tables.

    Raises:
        UserError: Something the user can mend: see its message.
    """
    run, out, pool = Run.of(run), Path(out), pool or PoolConfig()
    looking = opened_looker(_kept(looker, out), run)
    fitted = None if isinstance(tuned, bool) else _fitted(GuidedZoomRun.of(tuned), refinement)
    if tuned is True:
        _check_tunable(run, out, refinement, context)
    asked = fitted.refinement if fitted else refinement or usual_refinement(run, out, pool)
    description = _described(run, looking, out, pool, asked, context)
    config = evidence.config_for(run, out / "pool", context.hardware)
    split = None if split is None else _named(context, run, split)
    _check_start(run, looking, out, description, evidence, config, context)
    with working_in(out, lambda: any(out.glob("pool/parts/*.parquet"))):
        zoom = GuidedZoomRun.start(out, description)
        zoom.keep_looker(looking)
        _remark_unused(zoom, refinement, context.say)
        zoom = _trained(zoom, run, config, context, fitted, tuned=tuned is True)
        if split is None:
            return ()
        return evaluate_zoom(zoom, split=split, refinement=refinement, context=context).report.rows


def _named(context: RunContext, run: Run, split: Split | str) -> Split:
    """Return the split of a name, of which there must be photographs."""
    context.photographs_of(run, split)
    return Split(split)


def _trained(
    zoom: GuidedZoomRun,
    run: Run,
    config: TrainConfig,
    context: RunContext,
    fitted: GuidedZoomDescription | None,
    *,
    tuned: bool,
) -> GuidedZoomRun:
    """Build the pool, train the Evidence CNN, fit the decision or take a fitted one, as far as that is not there."""
    build_pool(run, zoom.pool, zoom.description.pool, looker=zoom.looker_run(), context=context)
    if not zoom.finished:
        train(config, zoom.evidence, say=context.say)
    if tuned and zoom.description.tuned_on is None:
        tune(zoom, context=context)
        zoom = GuidedZoomRun.open(zoom.path)
    return zoom if fitted is None else zoom.with_refinement(fitted.refinement, fitted.tuned_on)


def _check_start(
    run: Run,
    looker: Run | None,
    out: Path,
    description: GuidedZoomDescription,
    evidence: EvidenceTraining,
    config: TrainConfig,
    context: RunContext,
) -> None:
    """Find out what cannot be, of the folder and the networks, before anything is read or written."""
    zoom = GuidedZoomRun.check_start(out, description)
    if zoom is not None and zoom.finished:
        evidence.check_trained(zoom.evidence_run())
    else:
        with torch.random.fork_rng():
            create_network(config.network, config.transforms, len(run.class_names))
        if config.network.solved:
            check_solved(config)
    if not EvidencePool.begun(out / "pool"):
        network, looking = run.load_network(), loaded_looker(looker)
        check_grounding(network, description.pool.grounding, run.config.transforms, context.hardware, looking)


def _check_tunable(run: Run, out: Path, refinement: RefinementConfig | None, context: RunContext) -> None:
    if refinement is not None:
        raise UserError(f"a decision is given or fitted, not both; got {refinement} and tuned; leave one of them out")
    fitted = GuidedZoomRun.is_at(out) and GuidedZoomRun.open(out).description.tuned_on
    if not fitted and not has_validation(context.data_of(run)):
        raise UserError(
            f"a decision is fitted to photographs that no network was trained with; {run.path} was trained without "
            "a validation split; train it with --data.validation-fraction, or leave --tuned out"
        )


def _fitted(other: GuidedZoomRun, refinement: RefinementConfig | None) -> GuidedZoomDescription:
    if refinement is not None:
        raise UserError(f"one decision counts; got that of {other.path} and {refinement}; leave one of them out")
    if other.description.tuned_on is None:
        raise UserError(
            f"a decision is taken over from a Guided Zoom where it is fitted; that of {other.path} is not; fit it with "
            "`foveate tune`, or give --refinement"
        )
    return other.description


def usual_refinement(run: Run, out: Path, pool: PoolConfig) -> RefinementConfig:
    """Return how a Guided Zoom decides where nothing is asked for: as its folder says, else by the usual weights.

    With rounds of erasing the paper's weights are used, as many as there are rounds.

    Args:
        run: Of the conventional network.
        out: The Guided Zoom's folder, begun or not.
        pool: What its evidence pool holds.
    """
    if GuidedZoomRun.is_at(out):
        return GuidedZoomRun.open(out).description.refinement
    usual = RefinementConfig(top_k=min(5, len(run.class_names)))
    rounds = pool.patches.rounds
    return replace(usual, weights=_PAPER[: rounds + 2]) if rounds else usual


def _described(
    run: Run, looker: Run | None, out: Path, pool: PoolConfig, refinement: RefinementConfig, context: RunContext
) -> GuidedZoomDescription:
    """Describe it; refused is what asks for more classes or rounds than there are."""
    if refinement.top_k > len(run.class_names):
        raise UserError(
            f"top_k must be at most the number of classes, {len(run.class_names)}; got {refinement.top_k}; "
            "ask for fewer"
        )
    if refinement.rounds > pool.patches.rounds:
        raise UserError(
            "weights are that of the first answer and one for each round of evidence, "
            f"{pool.patches.rounds + 2} at most for this pool; got {refinement.weights}; give fewer, or "
            f"--pool.patches.rounds {refinement.rounds}"
        )
    base = run.path.resolve()
    return GuidedZoomDescription(
        base=base.relative_to(out.resolve()) if base.is_relative_to(out.resolve()) else base,
        network_hash=hash_of_file(run.weights),
        pool=with_usual_grounding(run, pool, out / "pool", context, looker),
        refinement=refinement,
        looker_hash=None if looker is None else hash_of_file(looker.weights),
    )


def _kept(looker: Run | Path | str | None, out: Path) -> Run | Path | str | None:
    """Return a looker, or what is kept of it where its folder is gone."""
    gone = isinstance(looker, Path | str) and not Path(looker).expanduser().exists()
    return out / LOOKER if gone and (out / LOOKER).exists() else looker


def _remark_unused(zoom: GuidedZoomRun, refinement: RefinementConfig | None, say: Callable[[str], None]) -> None:
    rounds = zoom.description.pool.patches.rounds
    if refinement is not None and refinement.rounds < rounds:
        say(
            f"the pool's later rounds of evidence do not count: it has {rounds + 1}, and the weights are for "
            f"{refinement.rounds + 1}; --refinement.weights takes {rounds + 2} numbers"
        )
