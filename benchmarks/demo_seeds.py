"""The demo's three answers for each of some seeds: whether what it shows is so whatever the seed.

    PYTHONPATH=benchmarks python -m demo_seeds --out results/demo.jsonl

`FOVEATE_PRECISION` says in which precision. Beside them a control: the plain network, trained as many more epochs as
S3N has after it. With `--rival` also a plain network that looks at `RIVAL_VIEW` pixels, for about the time that S3N
takes. A training that was interrupted goes on, and what has a row is not measured again.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path
from typing import Any

from foveate.config.hardware import HardwareConfig
from foveate.config.networks import BackboneConfig, HeadStart, PlainConfig
from foveate.files.documents import append_json_line, read_json_lines
from foveate.hardware import autocast_dtype
from foveate.recipes.demo import plain_demo, s3n_demo
from foveate.runs.context import RunContext
from foveate.runs.environment import environment
from foveate.workflows.demo import PLUMAGE, Trained, drawn, train_and_measure
from foveate.workflows.evaluate import evaluate
from foveate.workflows.train import trained

RIVAL_VIEW = 192
"""Pixels a side: four times the demo's, about what the three looks of S3N cost."""


def row_of(made: Trained) -> dict[str, Any]:
    """Return what the demo's table says, in per cent, and how sure its differences are."""
    closer, change = made.looking_closer, made.refined.change
    runs = {"plain": made.plain, "s3n": made.s3n, "evidence": made.zoom.evidence_run()}
    return {
        "plain": round(100 * made.plain_answers.accuracy.top1.value, 2),
        "s3n": round(100 * made.s3n_answers.accuracy.top1.value, 2),
        "plain_with_guided_zoom": round(100 * change.after, 2),
        "only_s3n": closer.only_a,
        "only_plain": closer.only_b,
        "p_value": closer.p_value,
        "mended": change.mended,
        "spoiled": change.spoiled,
        "guided_zoom_p_value": made.refined.p_value,
        "minutes": {name: run.metrics()["minutes"] for name, run in runs.items()},
    }


def control_of(birds: Path, runs: Path, plain: Path, seed: int) -> dict[str, Any]:
    """Return what the plain network answers where it goes on as long as S3N does after it."""
    config = plain_demo(birds, seed)
    backbone = BackboneConfig(weights=str(plain.resolve()))
    network = PlainConfig(backbone=backbone, head=HeadStart.PROBE)
    longer = replace(config, network=network, epochs=s3n_demo(birds, plain, seed).epochs)
    run = trained(longer, runs / "plain-longer")
    accuracy = evaluate(run, context=RunContext(say=lambda line: None)).accuracy
    return {"plain_longer": round(100 * accuracy.top1.value, 2), "plain_longer_minutes": run.metrics()["minutes"]}


def rival_of(birds: Path, runs: Path, seed: int) -> dict[str, Any]:
    """Return what a plain network answers that looks at larger views, trained as often."""
    config = plain_demo(birds, seed)
    transforms = replace(config.transforms, input_size=RIVAL_VIEW, resize_size=RIVAL_VIEW)
    run = trained(replace(config, transforms=transforms), runs / f"plain-{RIVAL_VIEW}")
    accuracy = evaluate(run, context=RunContext(say=lambda line: None)).accuracy
    return {
        "rival_view": RIVAL_VIEW,
        "rival": round(100 * accuracy.top1.value, 2),
        "rival_minutes": run.metrics()["minutes"],
    }


def main() -> None:
    """Measure what has no row yet."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2, 3, 4], help="of the trainings")
    parser.add_argument("--rival", action="store_true", help="train a plain network with larger views too")
    parser.add_argument("--work", type=Path, default=Path("runs/demo-seeds"), help="where birds and trainings lie")
    parser.add_argument("--out", type=Path, required=True, help="the file of rows")
    given = parser.parse_args()
    known = read_json_lines(given.out) if given.out.exists() else []
    precision = str(autocast_dtype(HardwareConfig())).removeprefix("torch.")
    birds = drawn(given.work, print)
    for seed in given.seeds:
        asked = {"seed": seed, "precision": precision, "test": PLUMAGE.species * PLUMAGE.test_per_species}
        if any(asked.items() <= row.items() for row in known):
            continue
        runs = given.work / f"{precision}-{seed}"
        made = train_and_measure(birds, runs, seed, print)
        row = asked | row_of(made) | control_of(birds, runs, made.plain.path, seed)
        if given.rival:
            row |= rival_of(birds, runs, seed)
        where = {each: environment()[each] for each in ("command", "commit", "hardware")}
        append_json_line(given.out, row | where)
        print(row)


if __name__ == "__main__":
    main()
