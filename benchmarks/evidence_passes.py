"""How many passes the decision of a trained Guided Zoom takes, and their price in passes of ResNet-50 at 448 pixels.

    PYTHONPATH=benchmarks python -m evidence_passes ZOOM... --every 4 --out results/evidence_passes.jsonl

The paper's Algorithm 1 (cEB or another `--method`, k = 5, L = 2, its weights, patches not mirrored) on every so many
test photographs, best first and looking at everything: passes of both networks, and whether the decisions are the same.
Nothing is asked about whether they are right. Patches are as large as the Evidence CNN learned them. The price is that
of the newest line of `guided_zoom_in_passes`.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import torch

from foveate.config.data import Split
from foveate.config.hardware import HardwareConfig
from foveate.data.loading import EvaluationViews, evaluation_loader
from foveate.files.documents import append_json_line
from foveate.grounding.config import GroundingConfig, GroundingMethod
from foveate.guided_zoom.algorithm_1 import decide
from foveate.guided_zoom.best_first import decide_best_first
from foveate.guided_zoom.config import RefinementConfig
from foveate.guided_zoom.conventional_cnn import ConventionalCNN
from foveate.guided_zoom.refiner import Refiner
from foveate.runs.context import HERE
from foveate.runs.environment import environment
from foveate.runs.guided_zoom_run import GuidedZoomRun
from foveate.workflows.load_guided_zoom import load_guided_zoom

PAPER = RefinementConfig(top_k=5, weights=(0.4, 0.3, 0.2, 0.1), mirrored=False)
BATCH = 16


def price(lines: Sequence[Path]) -> dict[str, float]:
    """Return what each part costs in forward passes, by the newest line of the benchmark."""
    rows = [json.loads(line) for file in lines for line in file.read_text().splitlines()]
    newest = max((row for row in rows if row["case"] == "guided_zoom_in_passes"), key=lambda row: str(row["date"]))
    cost = {name: float(side["median"]) for name, side in newest["times_as_long"].items()}
    return {"pass": cost["held_1"], "map": cost["held_2"] - cost["held_1"], "patch": cost["patch"]}


def counted(path: Path, every: int, grounding: GroundingConfig) -> dict[str, Any]:
    """Decide about some test photographs, and return the mean passes of each."""
    made = GuidedZoomRun.open(path)
    run = made.base_run()
    records = HERE.photographs_of(run, Split.TEST)[::every]
    hardware = HardwareConfig(precision="float32")
    zoom = load_guided_zoom(made, hardware)
    base = ConventionalCNN.place(zoom.conventional.classifier.network, grounding, hardware)
    patches = replace(zoom.patches, rounds=PAPER.rounds, elsewhere=False)
    zoom = Refiner.of(replace(zoom, conventional=base, patches=patches), PAPER).zoom
    seen = run.config.transforms
    source = replace(seen, source_size=zoom.patches.source_size)
    loaders = (evaluation_loader(EvaluationViews(records, each), BATCH, workers=0) for each in (seen, source))
    sums, same = torch.zeros(5), 0
    for small, large in zip(*loaders, strict=True):
        views = small.images[:, 0], large.images[:, 0]
        done, everything = decide_best_first(zoom, *views, PAPER), zoom.evidence(*views, PAPER.top_k)
        parts = (done.forwards, done.maps, done.patches, everything.forwards, everything.patches)
        sums += torch.stack([each.sum() for each in parts])
        same += int((decide(everything, PAPER).classes == done.classes).sum())
    means = [round(float(each), 2) for each in sums / len(records)]
    best_first = dict(zip(("passes", "maps", "patches"), means, strict=False))
    all_evidence = dict(zip(("passes", "patches"), means[3:], strict=True))
    photographs = {"data": run.config.data.root.name, "photographs": len(records), "same_decisions": same}
    settings = {"grounding": asdict(grounding), "refinement": asdict(PAPER), "patches": asdict(patches)}
    return {**photographs, "settings": settings, "best_first": best_first, "all_evidence": all_evidence}


def main() -> None:
    """Write a row for each Guided Zoom."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("zooms", type=Path, nargs="+", help="folders of foveate guided-zoom")
    parser.add_argument("--every", type=int, default=1, help="so that every so many photographs are looked at")
    parser.add_argument("--method", type=GroundingMethod, default=GroundingMethod.CEB, help="of grounding")
    parser.add_argument("--layer", help="that is grounded; none: the last of stride 16")
    parser.add_argument("--out", type=Path, required=True, help="where rows are added")
    chosen = parser.parse_args()
    cost = price(sorted((Path(__file__).parent / "results").glob("*.jsonl")))
    for path in chosen.zooms:
        row = counted(path, chosen.every, GroundingConfig(method=chosen.method, layer=chosen.layer))
        count = row["best_first"]
        further = count["maps"] - count["passes"]
        whole = count["passes"] * cost["pass"] + further * cost["map"] + count["patches"] * cost["patch"]
        row |= {"zoom": path.name, "priced": round(whole, 2), "price": cost, **environment()}
        append_json_line(chosen.out, row)
        print(json.dumps(row), flush=True)


if __name__ == "__main__":
    main()
