"""Guided Zoom for a trained network: pool, Evidence CNN, evidence of a split, refined decisions."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path
from typing import Any

import torch

from foveate.config.data import OnError
from foveate.config.hardware import HardwareConfig
from foveate.config.networks import NAMED_WEIGHTS
from foveate.errors import UserError
from foveate.evaluation.accuracy import mcnemar
from foveate.evaluation.evidence_table import EvidenceTable
from foveate.evaluation.hits import HitSummary
from foveate.evaluation.refinement_change import RefinementChange, refinement_change
from foveate.files.documents import append_json_line, unstructured, write_json, write_text
from foveate.files.hashes import hash_of_file
from foveate.files.locks import working_in
from foveate.guided_zoom.config import EvidenceStart, PoolConfig, RefinementConfig, Rule
from foveate.guided_zoom.pool import EvidencePool
from foveate.recipes.config import TrainConfig
from foveate.recipes.create import create_network
from foveate.recipes.datasets import has_validation
from foveate.report.tables import markdown_table
from foveate.runs.guided_zoom_run import GuidedZoomDescription, GuidedZoomRun
from foveate.runs.run import Run, environment
from foveate.workflows.build_pool import build_pool, check_grounding
from foveate.workflows.evaluate import records_of, schedule_of
from foveate.workflows.evidence_training import check_evidence, evidence_config
from foveate.workflows.split_evidence import evidence_of_split, hits_of_split
from foveate.workflows.train import train
from foveate.workflows.tune import tune

_PAPER = RefinementConfig.paper().weights


@dataclass(frozen=True, slots=True)
class RefinementRow:
    """One way to decide, and what it does to a split."""

    config: RefinementConfig
    change: RefinementChange
    p_value: float
    """McNemar's exact test against the network's own answers."""


def build_guided_zoom(
    run: Run | Path | str,
    out: Path | str,
    *,
    pool: PoolConfig | None = None,
    refinement: RefinementConfig | None = None,
    tuned: bool = False,
    tuned_by: GuidedZoomRun | Path | str | None = None,
    evidence: TrainConfig | None = None,
    evidence_architecture: str | None = None,
    evidence_start: EvidenceStart = EvidenceStart.CONVENTIONAL,
    epochs: int | None = None,
    split: str = "test",
    root: Path | None = None,
    on_error: OnError | None = None,
    hardware: HardwareConfig | None = None,
    results: Path | None = None,
    say: Callable[[str], None] = print,
) -> tuple[RefinementRow, ...]:
    """Build the pool, train the Evidence CNN, refine a split; each step goes on where it was stopped.

    Args:
        run: The finished run of the conventional network, trained or adopted, or its folder.
        out: The Guided Zoom's folder: new, empty, or holding the same Guided Zoom.
        pool: What the evidence pool holds.
        refinement: How the evidence decides; None: as the folder says (`foveate tune` writes it down), else with the
            paper's weights as far as there are rounds, and all classes where there are fewer than five.
        tuned: Whether the decision is fitted to the validation split first, if the folder has none that is.
        tuned_by: Another Guided Zoom, whose decision is fitted, or its folder: decide as it does. So what was fitted
            with photographs held out serves a network that was trained on all.
        evidence: How the Evidence CNN is trained; None: the recipe `evidence` with the conventional network's
            architecture and seed.
        evidence_architecture: timm's name of the Evidence CNN's; None: as `evidence` says, with the recipe's where an
            adopted network's is none that can be trained here.
        evidence_start: What its training begins with, where `evidence` does not say it or an architecture is named.
        epochs: Of the Evidence CNN; None: as `evidence` says, without it 4 from the conventional network's backbone,
            else the recipe's 8.
        split: The split to refine.
        root: Where the data set lies now, if it has moved since the training.
        on_error: What to do about photographs that cannot be read; None: as the training did.
        hardware: Where to compute; None: the fast choice of this machine.
        results: A file of JSON lines to which one row is added.
        say: Receives lines of progress.

    Returns:
        What the asked refinement does to the split, and then every row of the papers' tables.

    Raises:
        UserError: Something the user can mend: see its message.
    """
    run = run if isinstance(run, Run) else Run.open(Path(run).expanduser())
    hardware = hardware or HardwareConfig()
    if tuned:
        _check_tunable(run, Path(out), refinement, root)
    other = None if tuned_by is None else _fitted(tuned_by, refinement, tuned=tuned)
    refinement, pool = refinement if other is None else other.refinement, pool or PoolConfig()
    description = _described(run, Path(out), pool, refinement or usual_refinement(run, Path(out), pool))
    config = evidence_config(evidence, evidence_architecture, evidence_start, run, Path(out) / "pool", hardware)
    config = config if epochs is None else replace(config, epochs=epochs, steps=None)
    records_of(run, replace(run.config.data, root=root or run.config.data.root), split)
    there = GuidedZoomRun.check_start(Path(out), description)
    if there is not None and there.finished:
        check_evidence(there.evidence_run(), evidence, evidence_architecture, epochs)
    _check_networks(run, Path(out), pool, config, hardware, trained=there is not None and there.finished)
    with working_in(Path(out), lambda: any(Path(out).glob("pool/parts/*.parquet"))):
        made = GuidedZoomRun.start(Path(out), description)
        if other is None:
            _remark_unused(made, refinement, say)
        build_pool(run, made.pool, made.description.pool, root=root, on_error=on_error, hardware=hardware, say=say)
        if not made.finished:
            train(config, made.evidence, say=say)
        if tuned and made.description.tuned_on is None:
            tune(made, root=root, on_error=on_error, hardware=hardware, say=say)
            made = GuidedZoomRun.open(made.path)
        if other is not None:
            made = made.with_refinement(other.refinement, other.tuned_on)
        asked = refinement or made.description.refinement
        table = evidence_of_split(made, split, asked, root=root, on_error=on_error, hardware=hardware, say=say)
        rows = tuple(_row(table, each) for each in (asked, *paper_rows(table, asked)))
        hits = hits_of_split(made, split, table, root=root)
        tuned_on = made.description.tuned_on if refinement is None or other is not None else None
        say(_written(made, split, rows, table, hits, results, tuned_on))
        return rows


def _check_networks(
    run: Run, out: Path, pool: PoolConfig, config: TrainConfig, hardware: HardwareConfig, *, trained: bool
) -> None:
    """Find out what the two networks do not allow before anything is read or written."""
    if not trained:
        with torch.random.fork_rng():
            create_network(config.network, config.transforms, len(run.class_names))
    if not EvidencePool.begun(out / "pool"):
        check_grounding(run.load_network(), pool.grounding, run.config.transforms, hardware)


def _check_tunable(run: Run, out: Path, refinement: RefinementConfig | None, root: Path | None) -> None:
    if refinement is not None:
        raise UserError(f"a decision is given or fitted, not both; got {refinement} and tuned; leave one of them out")
    fitted = GuidedZoomRun.is_at(out) and GuidedZoomRun.open(out).description.tuned_on
    data = run.config.data if root is None else replace(run.config.data, root=root)
    if not fitted and not has_validation(data):
        raise UserError(
            f"a decision is fitted to photographs that no network was trained with; {run.path} was trained without "
            "a validation split; train it with --data.validation-fraction, or leave --tuned out"
        )


def _fitted(
    other: GuidedZoomRun | Path | str, refinement: RefinementConfig | None, *, tuned: bool
) -> GuidedZoomDescription:
    other = other if isinstance(other, GuidedZoomRun) else GuidedZoomRun.open(Path(other).expanduser())
    if refinement is not None or tuned:
        raise UserError(
            f"one decision counts; got that of {other.path} and another, given or to be fitted; leave one of them out"
        )
    if other.description.tuned_on is None:
        raise UserError(
            f"a decision is taken over from a Guided Zoom where it is fitted; that of {other.path} is not; fit it with "
            "`foveate tune`, or give --refinement"
        )
    return other.description


def usual_refinement(run: Run, out: Path, pool: PoolConfig) -> RefinementConfig:
    """Return how a Guided Zoom decides where nothing is asked for: as its folder says, else as far as the paper goes.

    Args:
        run: Of the conventional network.
        out: The Guided Zoom's folder, begun or not.
        pool: What its evidence pool holds.
    """
    if GuidedZoomRun.is_at(out):
        return GuidedZoomRun.open(out).description.refinement
    return RefinementConfig(top_k=min(5, len(run.class_names)), weights=_PAPER[: pool.patches.rounds + 2])


def _described(run: Run, out: Path, pool: PoolConfig, refinement: RefinementConfig) -> GuidedZoomDescription:
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
        pool=pool,
        refinement=refinement,
    )


def paper_rows(table: EvidenceTable, asked: RefinementConfig) -> tuple[RefinementConfig, ...]:
    """Return the settings of the papers' tables that a table has evidence for: k, L, and how scores are joined."""
    found, rounds = table.evidence.scores.shape[1:]
    return tuple(
        replace(asked, top_k=k, weights=weights[: count + 2], rule=rule, entropy_threshold=None)
        for k, count, (weights, rule) in product(
            (3, 5), range(rounds), ((_PAPER, Rule.SUM), ((0.25,) * 4, Rule.SUM), ((1.0,) * 4, Rule.MAX))
        )
        if k <= found and count + 2 <= len(weights)
    )


def _remark_unused(made: GuidedZoomRun, refinement: RefinementConfig | None, say: Callable[[str], None]) -> None:
    there = made.description.pool.patches.rounds
    if refinement is not None and refinement.rounds < there:
        say(
            f"the pool's later rounds of evidence do not count: it has {there + 1}, and the weights are for "
            f"{refinement.rounds + 1}; --refinement.weights takes {there + 2} numbers"
        )


def _row(table: EvidenceTable, config: RefinementConfig) -> RefinementRow:
    return RefinementRow(
        config, refinement_change(table, config), mcnemar(table.right_before, table.right_after(config)).p_value
    )


def refinement_markdown(rows: Sequence[RefinementRow], title: str) -> str:
    """Return what each way to decide does, as Markdown; the first row is the one that was asked for."""
    header = ("k", "L", "rule", "weights", "before", "after", "changed", "mended", "spoiled", "p")
    lines = [
        (
            *(str(row.config.top_k), str(row.config.rounds), row.config.rule.value),
            " ".join(f"{weight:g}" for weight in row.config.weights),
            *(f"{100 * share:.1f}" for share in (row.change.before, row.change.after)),
            *(str(count) for count in (row.change.changed, row.change.mended, row.change.spoiled)),
            f"{row.p_value:.2g}",
        )
        for row in rows
    ]
    return f"### {title}\n\n{markdown_table(header, lines)}"


def hits_markdown(hits: HitSummary) -> str:
    """Return where the peaks of the network's own answers fall, round by round, as Markdown."""
    rounds = [f"round {number}" for number in range(len(hits.in_box))]
    shares = {"inside the box": hits.in_box, "near an annotated part": hits.near_part}
    lines = [(name, *(f"{100 * share:.1f}%" for share in each)) for name, each in shares.items()]
    lines += [(name, *map(str, counts)) for name, counts in hits.parts.items()]
    return f"#### Where the peaks fall ({hits.photographs} photographs)\n\n{markdown_table(('', *rounds), lines)}"


def _cost_markdown(made: GuidedZoomRun, table: EvidenceTable, *, mirrored: bool) -> str:
    evidence, rounds = table.evidence, made.description.pool.patches.rounds
    k = evidence.classes.shape[1]
    asked = k * (rounds + 1) * (2 if mirrored else 1)
    forwards, patches = (float(each.float().mean()) for each in (evidence.forwards, evidence.patches))
    return (
        f"Evidence of {k} classes in {rounds + 1} rounds: {forwards:.1f} passes of the network a photograph "
        f"({1 + k * rounds} if none were shared), {patches:.1f} of the Evidence CNN ({asked}).\n"
    )


def _written(
    made: GuidedZoomRun,
    split: str,
    rows: Sequence[RefinementRow],
    table: EvidenceTable,
    hits: HitSummary | None,
    results: Path | None,
    tuned_on: str | None,
) -> str:
    """Write what was measured, and return it as Markdown."""
    report = made.path / "evaluation" / f"{split}.md"
    markdown = refinement_markdown(rows, f"{made.path.name}, {split} split")
    markdown += f"\n{_cost_markdown(made, table, mirrored=rows[0].config.mirrored)}"
    if hits is not None:
        markdown += f"\n{hits_markdown(hits)}"
    write_text(report, markdown)
    cost = {
        "forwards": float(table.evidence.forwards.float().mean()),
        "patches": float(table.evidence.patches.float().mean()),
    }
    content: dict[str, Any] = {"cost": cost, "rows": [unstructured(row) for row in rows]}
    content["hits"] = None if hits is None else unstructured(hits)
    write_json(report.with_suffix(".json"), content)
    if results is not None:
        append_json_line(results, result_row(made, split, rows[0], hits, tuned_on) | cost)
    return markdown


def result_row(
    made: GuidedZoomRun, split: str, row: RefinementRow, hits: HitSummary | None = None, tuned_on: str | None = None
) -> dict[str, object]:
    """Return one row of a results file, in per cent."""
    run, evidence = made.base_run(), made.evidence_run()
    config, trained = run.config, evidence.environment()
    return {
        "method": "guided-zoom",
        "base": config.network.base,
        "conventional": config.network.method,
        **config.network.settings(),
        "schedule": schedule_of(config.optimiser),
        "dataset": run.description.dataset,
        "split": split,
        "input_size": config.transforms.input_size,
        "source_size": made.description.pool.patches.source_size,
        "base_source_size": config.transforms.source,
        "seed": config.seed,
        "grounding": made.description.pool.grounding.method.value,
        "top_k": row.config.top_k,
        "rounds": row.config.rounds,
        "weights": list(row.config.weights),
        "tuned_on": tuned_on,
        "keep": made.description.pool.keep.value,
        "stretch": made.description.pool.patches.stretch,
        "scores": row.config.scores.value,
        "whole": made.description.pool.whole,
        "mirrored": row.config.mirrored,
        "before": round(100 * row.change.before, 2),
        "top1": round(100 * row.change.after, 2),
        "p_value": row.p_value,
        "changed": row.change.changed,
        "mended": row.change.mended,
        "spoiled": row.change.spoiled,
        "in_box": None if hits is None else [round(100 * share, 2) for share in hits.in_box],
        "near_part": None if hits is None else [round(100 * share, 2) for share in hits.near_part],
        "evidence_start": _start_of(evidence, run),
        "epochs": evidence.config.epochs,
        "minutes": round(run.metrics()["minutes"] + evidence.metrics()["minutes"], 2),
        "command": environment()["command"],
        "commit": trained["commit"],
        "hardware": trained["hardware"],
    }


def _start_of(evidence: Run, run: Run) -> str:
    """Say what the Evidence CNN's training began with: a path that the network's own training did not have is a run."""
    networks = (evidence.config.network, run.config.network)
    weights, own = (each.trained_backbone and each.trained_backbone.weights for each in networks)
    conventional = weights not in (*NAMED_WEIGHTS, own)
    return (EvidenceStart.CONVENTIONAL if conventional else EvidenceStart.PRETRAINED).value
