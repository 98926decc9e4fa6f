"""Guided Zoom for a trained network: pool, Evidence CNN, evidence of a split, refined decisions."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path
from typing import Any

from foveate.config import HardwareConfig, OnError, PlainConfig, PoolConfig, RefinementConfig, Rule, TrainConfig
from foveate.data.evidence_pool import hash_of_file, hash_of_photographs
from foveate.data.loading import EvaluationViews, evaluation_loader
from foveate.data.parts import TableInParts
from foveate.data.preparation import checked
from foveate.data.records import ImageRecord
from foveate.documents import append_json_line, read_json, unstructured, write_json, write_text
from foveate.errors import UserError
from foveate.evaluation.accuracy import mcnemar
from foveate.evaluation.evidence import Change, EvidenceTable, change, evidence_rows, evidence_schema
from foveate.guided_runs import GuidedZoomDescription, GuidedZoomRun
from foveate.methods.guided_zoom import ConventionalCNN, GuidedZoom
from foveate.methods.inference import Classifier
from foveate.progress import progress
from foveate.recipes import evidence as evidence_recipe
from foveate.report.tables import markdown_table
from foveate.response.grounding import create_grounding
from foveate.runs import Run
from foveate.workflows.build_pool import build_pool
from foveate.workflows.evaluate import preset_of, records_of
from foveate.workflows.train import train

_PART = 64
_PAPER = (0.4, 0.3, 0.2, 0.1)


@dataclass(frozen=True, slots=True)
class RefinementRow:
    """One way to decide, and what it does to a split."""

    config: RefinementConfig
    change: Change
    p_value: float
    """McNemar's exact test against the network's own answers."""


def guided_zoom(
    run: Run | Path | str,
    out: Path | str,
    *,
    pool: PoolConfig | None = None,
    refinement: RefinementConfig | None = None,
    evidence: TrainConfig | None = None,
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
        run: The finished run of the conventional network, plain or S3N, or its folder.
        out: The Guided Zoom's folder: new, empty, or holding the same Guided Zoom.
        pool: What the evidence pool holds.
        refinement: How the evidence decides; None: as the folder says (`foveate tune` writes it down), else as the
            paper.
        evidence: How the Evidence CNN is trained; None: the recipe `evidence` with the conventional network's
            architecture and seed.
        epochs: Of the Evidence CNN; None: as `evidence` says.
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
    made = _started(run, Path(out), pool or PoolConfig(), refinement)
    asked = refinement or made.description.refinement
    build_pool(run, made.pool, made.description.pool, root=root, on_error=on_error, hardware=hardware, say=say)
    if not made.finished:
        train(_evidence_config(evidence, epochs, run, made, hardware), made.evidence, say=say)
    table = evidence_of_split(made, split, asked, root=root, on_error=on_error, hardware=hardware, say=say)
    rows = tuple(_row(table, each) for each in (asked, *paper_rows(table, asked)))
    say(_written(made, split, rows, table, results))
    return rows


def _started(run: Run, out: Path, pool: PoolConfig, refinement: RefinementConfig | None) -> GuidedZoomRun:
    """Begin the folder or return to it; nothing is written where more classes are asked for than there are."""
    if refinement is None:
        there = GuidedZoomRun.is_at(out)
        refinement = GuidedZoomRun.open(out).description.refinement if there else RefinementConfig()
    if refinement.top_k > len(run.class_names):
        raise UserError(
            f"top_k must be at most the number of classes, {len(run.class_names)}; got {refinement.top_k}; "
            "ask for fewer"
        )
    description = GuidedZoomDescription(
        base=run.path.resolve(), network_hash=hash_of_file(run.weights), pool=pool, refinement=refinement
    )
    return GuidedZoomRun.start(out, description)


def _evidence_config(
    given: TrainConfig | None, epochs: int | None, run: Run, made: GuidedZoomRun, hardware: HardwareConfig
) -> TrainConfig:
    recipe = evidence_recipe()
    if given is None:
        network = PlainConfig(backbone=run.config.network.backbone)
        given = replace(recipe, network=network, seed=run.config.seed, hardware=hardware)
    return replace(given, data=replace(recipe.data, root=made.pool), epochs=epochs or given.epochs)


def assemble(made: GuidedZoomRun, hardware: HardwareConfig) -> GuidedZoom:
    """Load both networks of a Guided Zoom and put them together.

    Raises:
        UserError: The Evidence CNN is not trained, or the conventional network is not the pool's.
    """
    pool, evidence = made.description.pool, made.evidence_run()
    classifier = Classifier.place(made.base_run().load_network(), hardware)
    grounding = create_grounding(classifier.network.backbone, pool.grounding, dtype=classifier.dtype)
    return GuidedZoom(
        ConventionalCNN(classifier, grounding),
        Classifier.place(evidence.load_network(), hardware),
        pool.patches,
        evidence.config.transforms,
        made.description.refinement.scores,
    )


def evidence_of_split(
    made: GuidedZoomRun,
    split: str,
    refinement: RefinementConfig,
    *,
    root: Path | None = None,
    on_error: OnError | None = None,
    hardware: HardwareConfig | None = None,
    say: Callable[[str], None] = print,
) -> EvidenceTable:
    """Return the evidence of a split for the five best classes (more where more are asked for); keep it on disk.

    What is kept is used again; what was stopped goes on with the part it was at.

    Raises:
        UserError: What is kept is of other networks or photographs.
    """
    hardware, run = hardware or HardwareConfig(), made.base_run()
    data = run.config.data if root is None else replace(run.config.data, root=root)
    records = checked(records_of(run, data, split), on_error or data.on_error, say)
    top_k = min(max(5, refinement.top_k), len(run.class_names))
    rounds = made.description.pool.patches.rounds + 1
    folder = made.path / "splits" / f"{split}-top-{top_k}-{refinement.scores.value}"
    _check_origin(folder, made, records)
    schema = evidence_schema(len(run.class_names), top_k, rounds)
    parts = TableInParts(folder, schema, len(records), _PART, "`foveate guided-zoom`")
    if parts.missing():
        zoom = replace(assemble(made, hardware), scores=refinement.scores)
        _judge(zoom, parts, records, run, top_k, hardware.workers)
    return EvidenceTable.of(parts.read(), rounds)


def _check_origin(folder: Path, made: GuidedZoomRun, records: Sequence[ImageRecord]) -> None:
    origin = {
        "network_hash": made.description.network_hash,
        "evidence_hash": hash_of_file(made.evidence_run().weights),
        "data_hash": hash_of_photographs(records),
    }
    file = folder / "origin.json"
    if not file.exists():
        write_json(file, origin)
    elif read_json(file) != origin:
        raise UserError(
            f"kept evidence belongs to the networks and photographs that it was found with; {folder} is of others; "
            "remove that folder, and it is found anew"
        )


def _judge(
    zoom: GuidedZoom,
    parts: TableInParts,
    records: Sequence[ImageRecord],
    run: Run,
    top_k: int,
    workers: int | None,
) -> None:
    chunks = {index: records[parts.members(index)] for index in parts.missing()}
    shown = [record for chunk in chunks.values() for record in chunk]
    seen = run.config.transforms
    source = replace(seen, source_size=zoom.patches.source_size)
    batches = zip(
        *(iter(evaluation_loader(EvaluationViews(shown, each), _PART, workers=workers)) for each in (seen, source)),
        strict=True,
    )
    done = 0
    with progress("judging", len(shown)) as advance:
        for index, chunk in chunks.items():
            small, large = next(batches)
            evidence = zoom.evidence(small.images[:, 0], large.images[:, 0], top_k)
            parts.write(index, evidence_rows(chunk, evidence, parts.schema))
            done += len(chunk)
            advance(done)


def paper_rows(table: EvidenceTable, asked: RefinementConfig) -> tuple[RefinementConfig, ...]:
    """Return the settings of the papers' tables that a table has evidence for: k, L, and how scores are joined."""
    found, rounds = table.evidence.scores.shape[1:]
    return tuple(
        replace(asked, top_k=k, weights=weights[: count + 2], rule=rule, entropy_above=None)
        for k, count, (weights, rule) in product(
            (3, 5), range(rounds), ((_PAPER, Rule.SUM), ((0.25,) * 4, Rule.SUM), ((1.0,) * 4, Rule.MAX))
        )
        if k <= found and count + 2 <= len(weights)
    )


def _row(table: EvidenceTable, config: RefinementConfig) -> RefinementRow:
    return RefinementRow(config, change(table, config), mcnemar(table.right_before, table.right_after(config)).p_value)


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


def _written(
    made: GuidedZoomRun, split: str, rows: Sequence[RefinementRow], table: EvidenceTable, results: Path | None
) -> str:
    """Write what was measured, and return it as Markdown."""
    report = made.path / "evaluation" / f"{split}.md"
    markdown = refinement_markdown(rows, f"{made.path.name}, {split} split")
    write_text(report, markdown)
    cost = {
        "forwards": float(table.evidence.forwards.float().mean()),
        "patches": float(table.evidence.patches.float().mean()),
    }
    content: dict[str, Any] = {"cost": cost, "rows": [unstructured(row) for row in rows]}
    write_json(report.with_suffix(".json"), content)
    if results is not None:
        append_json_line(results, result_row(made, split, rows[0]))
    return markdown


def result_row(made: GuidedZoomRun, split: str, row: RefinementRow) -> dict[str, object]:
    """Return one row of a results file, in per cent."""
    run, evidence = made.base_run(), made.evidence_run()
    config, trained = run.config, evidence.environment()
    return {
        "method": "guided-zoom",
        "base": config.network.backbone.architecture,
        "conventional": config.network.method,
        "preset": preset_of(config.network),
        "dataset": run.description.dataset,
        "split": split,
        "input_size": config.transforms.input_size,
        "source_size": made.description.pool.patches.source_size,
        "seed": config.seed,
        "grounding": made.description.pool.grounding.method.value,
        "top_k": row.config.top_k,
        "rounds": row.config.rounds,
        "weights": list(row.config.weights),
        "tuned_on": made.description.tuned_on if row.config == made.description.refinement else None,
        "before": round(100 * row.change.before, 2),
        "top1": round(100 * row.change.after, 2),
        "p_value": row.p_value,
        "epochs": evidence.config.epochs,
        "minutes": round(run.metrics()["minutes"] + evidence.metrics()["minutes"], 2),
        "command": trained["command"],
        "commit": trained["commit"],
        "hardware": trained["hardware"],
    }
