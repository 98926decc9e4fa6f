"""Time a Guided Zoom against one float32 forward pass of its conventional network, on its own photographs.

Three sides, interleaved, a batch of test photographs at a time: the network's answer alone; all that Algorithm 1 needs
for the five best classes in three rounds, the answer included: grounding, erasing, answering and grounding again, the
patches through the Evidence CNN; and the same decisions best first, with no more evidence than they need. Decoding is
left out of all. How many passes are shared or spared depends on the photographs, so it needs a Guided Zoom that is
trained (`foveate guided-zoom`). Prints one JSON line: median and spread of the milliseconds of a photograph, the ratios
to a pass, the passes of both networks, and how many decisions differ.

    python benchmarks/guided_zoom.py ZOOM [--batch 16] [--batches 6] [--every 7]
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import cycle
from pathlib import Path
from typing import Annotated

import torch
import tyro
from timing import interleaved, ratio, spread
from torch import Tensor

from foveate.config import HardwareConfig
from foveate.data.loading import EvaluationViews, evaluation_loader
from foveate.decision.refinement import decide
from foveate.guided_runs import GuidedZoomRun
from foveate.hardware import keep_freed_memory
from foveate.methods.best_first import Decided, decide_best_first
from foveate.runs import environment
from foveate.types import Evidence
from foveate.workflows.evaluate import records_of
from foveate.workflows.judge import assemble


@dataclass(frozen=True)
class Benchmark:
    """What to time."""

    zoom: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="ZOOM")]
    batch: int = 16
    batches: int = 6
    every: int = 7
    """Every so manyth photograph of the test split."""


def photographs(made: GuidedZoomRun, benchmark: Benchmark) -> list[tuple[Tensor, Tensor]]:
    """Return batches of test photographs as the network sees them, and as patches are cut from them."""
    run = made.base_run()
    records = records_of(run, run.config.data, "test")[:: benchmark.every][: benchmark.batch * benchmark.batches]
    seen = run.config.transforms
    source = replace(seen, source_size=made.description.pool.patches.source_size)
    loaders = (evaluation_loader(EvaluationViews(records, each), benchmark.batch, workers=0) for each in (seen, source))
    return [(small.images[:, 0], large.images[:, 0]) for small, large in zip(*loaders, strict=True)]


def counts(results: Sequence[Evidence] | Sequence[Decided]) -> dict[str, float]:
    """Return the mean passes of both networks a photograph."""
    return {
        name: round(float(torch.cat([getattr(each, name) for each in results]).float().mean()), 2)
        for name in ("forwards", "patches")
    }


def main(benchmark: Benchmark) -> None:
    """Interleave the sides and print the line."""
    keep_freed_memory()
    made = GuidedZoomRun.open(benchmark.zoom)
    zoom, batches = assemble(made, HardwareConfig()), photographs(made, benchmark)
    found: list[Evidence] = []
    decided: list[Decided] = []
    config = made.description.refinement
    names = ("forward", "evidence", "best_first")
    turns: dict[str, Iterator[tuple[Tensor, Tensor]]] = {name: cycle(batches) for name in names}

    def forward() -> None:
        classifier = zoom.conventional.classifier
        images = classifier.inputs(next(turns["forward"])[0])
        with torch.inference_mode():
            classifier.network(images)

    def evidence() -> None:
        found.append(zoom.evidence(*next(turns["evidence"]), config.top_k))

    def best_first() -> None:
        decided.append(decide_best_first(zoom, *next(turns["best_first"]), config))

    milliseconds = interleaved({"forward": forward, "evidence": evidence, "best_first": best_first}, len(batches))
    rounds = made.description.pool.patches.rounds
    others = [decide(one, config).classes != other.classes for one, other in zip(found, decided, strict=True)]
    line = {
        "case": "guided_zoom",
        "photographs": sum(len(small) for small, _ in batches),
        "top_k": config.top_k,
        "rounds": rounds,
        **{name: spread([each / benchmark.batch for each in values]) for name, values in milliseconds.items()},
        **{f"{name}_passes": round(ratio(milliseconds, name, "forward"), 1) for name in names[1:]},
        "shared": counts(found),
        "unshared": {"forwards": 1 + config.top_k * rounds, "patches": config.top_k * (rounds + 1)},
        "spared": counts(decided),
        "differing": int(torch.cat(others).sum()),
        **environment(),
    }
    print(json.dumps(line))


if __name__ == "__main__":
    main(tyro.cli(Benchmark))
