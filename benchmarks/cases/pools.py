"""The evidence pool: what building it costs, and what its table costs when it is large."""

from __future__ import annotations

import tempfile
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow as pa
import torch

from cases.zooms import conventional, drawn
from foveate.config.data import DataConfig, TransformConfig
from foveate.data.records import ImageRecord
from foveate.guided_zoom.config import Keep, PatchConfig, PoolConfig
from foveate.guided_zoom.pool import SCHEMA, EvidencePool, PoolDescription
from foveate.guided_zoom.pool_rule import pool_rows
from harness import Built, Case
from networks import FAST, Scale

CLASSES, ROUNDS, SIDE = 200, 3, 448


def building(quick: bool) -> Built:
    """Return the rows of a batch of photographs, and one pass of the network over it; nothing is decoded."""
    scale, source = (Scale(architecture="test_resnet", size=64, batch=2), 96) if quick else (Scale(), SIDE)
    network = conventional(scale, FAST)
    images = drawn(scale.batch, scale.size)
    # Every label the network's own answer, so that no photograph drops out before its evidence is erased.
    answers = network.classifier.logits(images).decision.argmax(1).tolist()
    records = [ImageRecord(str(place), Path(), label, "") for place, label in enumerate(answers)]
    config = PoolConfig(patches=PatchConfig(source_size=source, rounds=2), keep=Keep.ERASED_CORRECT)
    return Built(
        sides={
            "pool": lambda: pool_rows(network, images, records, config),
            "forward": lambda: network.classifier.logits(images),
        },
        reference="forward",
        images=scale.batch,
        settings={**scale.settings(), "rounds": config.patches.rounds + 1},
        notes=lambda: {"rows": pool_rows(network, images, records, config).num_rows},
    )


def photographs(count: int) -> list[ImageRecord]:
    """Return records of photographs that are not there."""
    names = [f"{label:03d}.Red_Kite/Red_Kite" for label in range(CLASSES)]
    return [
        ImageRecord(f"{name}_{place:07d}.jpg", Path(name), place % CLASSES, name)
        for place, name in ((place, names[place % CLASSES]) for place in range(count))
    ]


def simulated(folder: Path, records: list[ImageRecord]) -> EvidencePool:
    """Write a pool with three rounds of evidence of every photograph."""
    description = PoolDescription(
        config=PoolConfig.paper(),
        data=DataConfig(root=folder),
        transforms=TransformConfig(source_size=SIDE),
        dataset="simulated",
        class_names=tuple(f"kite {label}" for label in range(CLASSES)),
        photographs=len(records),
        data_hash="",
        network_hash="",
    )
    pool = EvidencePool.start(folder / "pool", description)
    generator = np.random.default_rng(0)
    for index in range(len(pool.parts)):
        of = [record for record in records[pool.parts.members(index)] for _ in range(ROUNDS)]
        pool.parts.write(index, _rows(of, generator))
    return pool


def _rows(of: list[ImageRecord], generator: np.random.Generator) -> pa.Table:
    count = len(of)
    places = {axis: generator.uniform(75, SIDE - 75, count).astype(np.float32) for axis in ("x", "y")}
    edges = {"left": ("x", -75), "top": ("y", -75), "right": ("x", 75), "bottom": ("y", 75)}
    columns = {
        "id": [record.id for record in of],
        "label": [record.label for record in of],
        "round": np.arange(count) % ROUNDS,
        **places,
        "found": np.ones(count, dtype=bool),
        **{edge: (places[axis] + by).astype(np.int32) for edge, (axis, by) in edges.items()},
        "probability": generator.random(count),
    }
    return pa.table(columns).cast(SCHEMA)


def table(rows: int, quick: bool) -> Built:
    """Return opening a pool that was opened before, and its data set; and a thousand of its records in random order."""
    count = max((min(rows, 3000) if quick else rows) // ROUNDS, CLASSES)
    records, folder = photographs(count), tempfile.TemporaryDirectory()
    path = simulated(Path(folder.name), records).path
    patches = EvidencePool.open(path).dataset(records).train
    asked = np.random.default_rng(0).integers(0, len(patches), 1000).tolist()

    def notes() -> dict[str, object]:
        folder.cleanup()
        return {"rows": len(patches)}

    return Built(
        sides={
            "table": lambda: EvidencePool.open(path).table(),
            "open": lambda: EvidencePool.open(path).dataset(records),
            "records": lambda: [patches[index] for index in asked],
        },
        reference="table",
        settings={"photographs": count, "rows": len(patches), "threads": torch.get_num_threads()},
        notes=notes,
    )


CASES = (
    Case(name="pool_building", build=building),
    *(
        Case(name="pool_table", at={"rows": rows}, build=partial(table, rows))
        for rows in (1_000, 10_000, 100_000, 1_000_000)
    ),
)
