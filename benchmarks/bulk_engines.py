"""Bulk work by Ray Data beside the same by this process: rows a second, memory along time, and what kills cost.

One JSON line for each: ``python benchmarks/bulk_engines.py pictures|rows|kills [COUNT]``. `pictures` are decoded and
answered for by a small network; `rows` are numbers that cost nothing, so that what is measured is the engine alone;
`kills` kills the network's process in the middle of a job, each time.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from foveate.config.engine import EngineConfig, EngineName
from foveate.data.photographs import Photograph, read_photograph
from foveate.engines.ray_engine import Bulk, RayEngine, engine_of
from foveate.hardware import describe
from foveate.workflows.decoded_batches import Decoded, Remarks, decoded_batches

BATCH = 64


def picture(path: Photograph) -> Decoded:
    """Decode a picture, as a model's decoding does, in one view."""
    with read_photograph(path) as image:
        return Decoded((np.asarray(image.convert("RGB"))[None],), None)


def network() -> Callable[[Sequence[np.ndarray]], list[int]]:
    """Return a small network that answers for pictures."""
    torch.manual_seed(0)
    layers = torch.nn.Sequential(torch.nn.Conv2d(3, 8, 3, 2), torch.nn.ReLU(), torch.nn.AdaptiveAvgPool2d(1))

    def answer(pixels: Sequence[np.ndarray]) -> list[int]:
        images: Tensor = torch.from_numpy(np.stack(pixels)).permute(0, 3, 1, 2).float()
        with torch.inference_mode():
            classes: list[int] = layers(images).flatten(1).argmax(1).tolist()
        return classes

    return answer


def small_network() -> Callable[[Sequence[Decoded]], list[int]]:
    """Return the same for what is decoded."""
    answer = network()
    return lambda batch: answer([each.pixels[0][0] for each in batch])


def pictures(count: int) -> Iterator[dict[str, Any]]:
    """Yield what each engine takes for small pictures, drawn at random in 32 x 32 pixels."""
    with TemporaryDirectory() as folder:
        generator = np.random.default_rng(0)
        paths = [Path(folder, f"{number:06}.png") for number in range(count)]
        for path in paths:
            Image.fromarray(generator.integers(0, 256, (32, 32, 3), dtype=np.uint8)).save(path, compress_level=1)
        batches = [paths[start : start + BATCH] for start in range(0, count, BATCH)]
        answer = network()

        def local() -> Iterator[list[int]]:
            for _, pixels in decoded_batches(paths, BATCH, picture, Remarks()):
                yield answer([each[0][0] for each in pixels])

        yield measured("pictures", "local", count, local)
        yield measured("pictures", "ray", count, lambda: started().answers(Bulk(batches, picture, small_network)))


def rows(count: int) -> Iterator[dict[str, Any]]:
    """Yield what each engine takes for rows that cost nothing."""
    batches = [range(start, min(start + BATCH, count)) for start in range(0, count, BATCH)]

    def local() -> Iterator[list[int]]:
        answer = same()
        for batch in batches:
            yield answer([int(each) for each in batch])

    yield measured("rows", "local", count, local)
    yield measured("rows", "ray", count, lambda: started().answers(Bulk(batches, int, same)))


def kills(count: int) -> Iterator[dict[str, Any]]:
    """Yield, for each of so many jobs whose network's process is killed in the middle, what is lost and repeated."""
    engine, total = started(), 40
    for trial in range(count):
        with TemporaryDirectory() as folder:
            log = Path(folder, "log")

            def logged(log: Path = log) -> Callable[[Sequence[int]], tuple[list[int], int]]:
                def answer(batch: Sequence[int]) -> tuple[list[int], int]:
                    time.sleep(0.01)
                    with log.open("a") as lines:
                        lines.write(f"{batch[0]}\n")
                    return list(batch), os.getpid()

                return answer

            batches = [list(range(start, start + BATCH)) for start in range(0, total * BATCH, BATCH)]
            answers: list[list[int]] = []
            finished: list[int] = []
            began = time.perf_counter()
            for finished_batch, process in engine.answers(Bulk(batches, int, logged)):
                answers.append(finished_batch)
                if len(answers) == 1 + trial:
                    finished = [each[0] for each in answers]
                    os.kill(process, signal.SIGKILL)
            done = [int(line) for line in log.read_text().splitlines()]
            yield {
                "measured": "kills",
                "trial": trial,
                "killed_after_batches": len(finished),
                "answers_lost_or_out_of_order": sum(a != b for a, b in zip(answers, batches, strict=True)),
                "finished_batches_done_again": sum(done.count(each) > 1 for each in finished),
                "batches_done_again": len(done) - total,
                "seconds": round(time.perf_counter() - began, 1),
            }


def same() -> Callable[[Sequence[int]], list[int]]:
    """Return what answers with what it is asked."""
    return list


def started() -> RayEngine:
    """Return the engine, whose processes run."""
    engine = engine_of(EngineConfig(engine=EngineName.RAY))
    assert engine is not None
    return engine


def measured(what: str, engine: str, count: int, work: Callable[[], Iterator[list[int]]]) -> dict[str, Any]:
    """Return how long a job takes to its first answer and to its last, and its memory at each tenth of it."""
    began, first, total, checksum = time.perf_counter(), 0.0, 0, 0
    memory: list[int] = []
    for answer in work():
        first = first or time.perf_counter() - began
        total += len(answer)
        checksum = (checksum * 31 + sum(answer)) % 1_000_003
        if total * 10 // count > len(memory):
            memory.append(megabytes())
    seconds = time.perf_counter() - began
    assert total == count
    return {
        "measured": what,
        "engine": engine,
        "count": count,
        "checksum": checksum,
        "first_answer_seconds": round(first, 1),
        "seconds": round(seconds, 1),
        "rows_a_second": round(count / (seconds - first)),
        "megabytes_of_all_processes": memory,
        "hardware": describe(),
    }


def megabytes() -> int:
    """Return the memory of this process and of those that it started; what they share is counted once (Linux)."""
    parents = {}
    for file in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            parents[int(file.parent.name)] = int(file.read_text().rpartition(")")[2].split()[1])
    family, before = {os.getpid()}, 0
    while len(family) > before:
        before = len(family)
        family |= {process for process, parent in parents.items() if parent in family}
    total = 0
    for process in family:
        with suppress(OSError):
            lines = Path(f"/proc/{process}/smaps_rollup").read_text().splitlines()
            total += sum(int(line.split()[1]) for line in lines if line.startswith("Pss:"))
    return total // 1024


def main() -> None:
    """Measure what is named."""
    what, count = sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else None
    jobs = {"pictures": (pictures, 100_000), "rows": (rows, 1_000_000), "kills": (kills, 20)}
    job, usual = jobs[what]
    for line in job(count or usual):
        print(json.dumps(line), flush=True)


if __name__ == "__main__":
    main()
