"""Time a Guided Zoom's evidence against one float32 forward pass of its conventional network, on its own photographs.

Two sides, interleaved, a batch of test photographs at a time: the network's answer alone, and all that Algorithm 1
needs for the five best classes in three rounds, the answer included: grounding, erasing, answering and grounding again,
the patches through the Evidence CNN. Decoding is left out of both. How many passes are shared depends on the
photographs, so it needs a Guided Zoom that is trained (`foveate guided-zoom`). Prints one JSON line: median and spread
of the milliseconds of a photograph, their ratio, and the passes of both networks with and without sharing.

    python benchmarks/guided_zoom.py ZOOM [--batch 16] [--batches 6] [--top-k 5]
"""

from __future__ import annotations

import json
from collections.abc import Iterator
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
from foveate.guided_runs import GuidedZoomRun
from foveate.hardware import keep_freed_memory
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
    top_k: int = 5


def photographs(made: GuidedZoomRun, benchmark: Benchmark) -> list[tuple[Tensor, Tensor]]:
    """Return batches of test photographs as the network sees them, and as patches are cut from them."""
    run = made.base_run()
    records = records_of(run, run.config.data, "test")[::7][: benchmark.batch * benchmark.batches]
    seen = run.config.transforms
    source = replace(seen, source_size=made.description.pool.patches.source_size)
    loaders = (evaluation_loader(EvaluationViews(records, each), benchmark.batch, workers=0) for each in (seen, source))
    return [(small.images[:, 0], large.images[:, 0]) for small, large in zip(*loaders, strict=True)]


def main(benchmark: Benchmark) -> None:
    """Interleave the sides and print the line."""
    keep_freed_memory()
    made = GuidedZoomRun.open(benchmark.zoom)
    zoom, batches = assemble(made, HardwareConfig()), photographs(made, benchmark)
    found: list[Evidence] = []
    turns: dict[str, Iterator[tuple[Tensor, Tensor]]] = {"forward": cycle(batches), "evidence": cycle(batches)}

    def forward() -> None:
        classifier = zoom.conventional.classifier
        images = classifier.inputs(next(turns["forward"])[0])
        with torch.inference_mode():
            classifier.network(images)

    def evidence() -> None:
        found.append(zoom.evidence(*next(turns["evidence"]), benchmark.top_k))

    milliseconds = interleaved({"forward": forward, "evidence": evidence}, len(batches))
    rounds = made.description.pool.patches.rounds
    counts = {
        name: round(float(torch.cat([getattr(each, name) for each in found]).float().mean()), 2)
        for name in ("forwards", "patches")
    }
    line = {
        "case": "guided_zoom",
        "top_k": benchmark.top_k,
        "rounds": rounds,
        **{name: spread([each / benchmark.batch for each in values]) for name, values in milliseconds.items()},
        "forward_passes": round(ratio(milliseconds, "evidence", "forward"), 1),
        "shared": counts,
        "unshared": {"forwards": 1 + benchmark.top_k * rounds, "patches": benchmark.top_k * (rounds + 1)},
        **environment(),
    }
    print(json.dumps(line))


if __name__ == "__main__":
    main(tyro.cli(Benchmark))
