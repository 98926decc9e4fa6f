"""Evidence CNNs side by side, judged on held-out training photographs: how they are trained, and what they see.

    PYTHONPATH=benchmarks python -m judges CUB_200_2011 --split-seeds 1 2 --out results/judges.jsonl

One conventional network for each division; for each kind of judge a Guided Zoom of it, and a row with the change of
top-1 at each weight of the evidence beside the network's own 1. What was interrupted goes on, what has a row is kept.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path
from typing import Any

from foveate.config.data import DataConfig, Split
from foveate.config.hardware import HardwareConfig
from foveate.evaluation.evidence_table import EvidenceTable
from foveate.files.documents import append_json_line, read_json_lines
from foveate.guided_zoom.config import PatchConfig, PoolConfig, RefinementConfig
from foveate.recipes import RECIPES
from foveate.runs.context import RunContext
from foveate.runs.environment import environment
from foveate.runs.guided_zoom_run import GuidedZoomRun
from foveate.workflows.build_guided_zoom import build_guided_zoom
from foveate.workflows.evidence_training import EvidenceTraining
from foveate.workflows.split_evidence import evidence_of_split
from foveate.workflows.train import train

WEIGHTS = (0.25, 0.5, 0.75, 1.0, 1.5)
"""Of the evidence beside the network's own 1; 0.75 is the paper's 0.3 beside 0.4."""


def of_weight(table: EvidenceTable, weight: float) -> float:
    """Return the change of top-1 in points that evidence of a weight makes, with as many classes as there is of."""
    decision = RefinementConfig(top_k=table.evidence.scores.shape[1], weights=(1.0, weight))
    return round(100 * float(table.right_after(decision).mean() - table.right_before.mean()), 2)


def alone(table: EvidenceTable) -> float:
    """Return the top-1 in per cent of the evidence alone, among the network's best classes."""
    decision = RefinementConfig(top_k=table.evidence.scores.shape[1], weights=(0.0, 1.0))
    return round(100 * float(table.right_after(decision).mean()), 2)


def measured(run: Path, out: Path, patch: float, *, thorough: bool) -> dict[str, Any]:
    """Build a Guided Zoom and return what its evidence does to the held-out photographs."""
    pool = PoolConfig(patches=PatchConfig(patch=patch))
    build_guided_zoom(run, out, pool=pool, evidence=EvidenceTraining(thorough=thorough), split=Split.VALIDATION)
    zoom = GuidedZoomRun.open(out)
    table = evidence_of_split(zoom, Split.VALIDATION, zoom.description.refinement, context=RunContext())
    return {
        "photographs": len(table.ids),
        "before": round(100 * float(table.right_before.mean()), 2),
        "alone": alone(table),
        "change": {str(weight): of_weight(table, weight) for weight in WEIGHTS},
    }


def main() -> None:
    """Measure what has no row yet."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("root", type=Path, help="the data set")
    parser.add_argument("--split-seeds", type=int, nargs="+", default=[1], help="divisions of the training photographs")
    parser.add_argument(
        "--patches", type=float, nargs="+", default=[PatchConfig().patch], help="sides, as shares of the view's"
    )
    parser.add_argument("--training", nargs="+", choices=("usual", "thorough"), default=["usual", "thorough"])
    parser.add_argument("--work", type=Path, default=Path("runs/judges"), help="where networks and pools lie")
    parser.add_argument("--out", type=Path, required=True, help="the file of rows")
    given = parser.parse_args()
    known = read_json_lines(given.out) if given.out.exists() else []
    for seed in given.split_seeds:
        data = DataConfig(root=given.root, validation_fraction=0.25, split_seed=seed)
        config = replace(RECIPES["plain"]["foveate"](given.root), data=data, hardware=HardwareConfig(workers=1))
        place = given.work / f"{given.root.name}-{seed}"
        train(config, place / "plain")
        for patch in given.patches:
            for training in given.training:
                asked = {"dataset": given.root.name, "split_seed": seed, "patch": round(patch, 3), "training": training}
                if any(asked.items() <= row.items() for row in known):
                    continue
                zoom = place / f"zoom-{round(patch, 3)}-{training}"
                row = measured(place / "plain", zoom, patch, thorough=training == "thorough")
                where = {each: environment()[each] for each in ("command", "commit", "hardware")}
                append_json_line(given.out, asked | row | where)


if __name__ == "__main__":
    main()
