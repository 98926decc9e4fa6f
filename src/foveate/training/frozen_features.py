"""What a frozen backbone makes of photographs: computed once, kept as a table with the hashes of what it rests on."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pyarrow as pa
import torch
from jaxtyping import Float
from torch import Tensor

from foveate.backbones.weight_hashes import hash_of_weights
from foveate.config.data import TestViews, TransformConfig
from foveate.config.hardware import HardwareConfig
from foveate.data.loading import EvaluationViews, evaluation_loader
from foveate.data.records import ImageRecord
from foveate.errors import UserError
from foveate.files.parquet import read_parquet, write_parquet
from foveate.guided_zoom.pool import hash_of_photographs
from foveate.inference.classifier import Classifier
from foveate.networks.network import Network
from foveate.progress import progress

_BATCH = 32
_ORIGIN = b"foveate.origin"


def frozen_features(
    network: Network,
    records: Sequence[ImageRecord],
    transforms: TransformConfig,
    hardware: HardwareConfig,
    file: Path,
    *,
    say: Callable[[str], None] = print,
) -> Float[Tensor, "n 2 d"]:
    """Return the globally averaged features of each photograph's centre view and of its mirror image, float32.

    Args:
        network: Its backbone counts; the head does not.
        records: n photographs.
        transforms: How they are shown.
        hardware: Where to compute.
        file: The table, read where it belongs to this backbone, these photographs and views, else made anew.
        say: Receives lines of progress.

    Raises:
        UserError: A photograph cannot be read, or the backbone's features end nowhere that is known.
    """
    classifier = Classifier.place(network, hardware)
    head = {f"network.{name}" for name in _head_of(network)}
    body = {name: each for name, each in network.backbone.state_dict().items() if name not in head}
    origin = {
        "weights": hash_of_weights(body),
        "photographs": hash_of_photographs(records),
        "transforms": json.dumps(asdict(transforms), sort_keys=True, default=str),
        "precision": str(classifier.dtype),
    }
    if (features := _kept(file, origin, say)) is not None:
        return features
    batches = []
    views = EvaluationViews(records, transforms, TestViews.FLIP)
    with progress("features", len(records)) as advance:
        for batch in evaluation_loader(views, _BATCH, workers=hardware.workers):
            count, shown = batch.images.shape[:2]
            batches.append(classifier.features(batch.images.flatten(0, 1)).view(count, shown, -1))
            advance(int(batch.position[-1]) + 1)
    features = torch.cat(batches)
    write_parquet(file, _table(records, features, origin), dictionaries=False)
    return features


def _head_of(network: Network) -> list[str]:
    """Name the entries of the head's weights inside the backbone's network."""
    backbone = network.backbone.with_linear_head()
    names = {id(parameter): name for name, parameter in backbone.network.named_parameters()}  # type: ignore[attr-defined]
    return [names[id(parameter)] for parameter in backbone.classifier.parameters()]


def _table(records: Sequence[ImageRecord], features: Float[Tensor, "n v d"], origin: dict[str, str]) -> pa.Table:
    _, views, width = features.shape
    values = pa.FixedSizeListArray.from_arrays(pa.array(features.flatten().numpy()), views * width)
    schema = pa.schema(
        [("id", pa.string()), ("label", pa.int64()), ("features", pa.list_(pa.float32(), views * width))],
        metadata={_ORIGIN: json.dumps(origin | {"views": views}).encode()},
    )
    ids, labels = [record.id for record in records], [record.label for record in records]
    return pa.table({"id": ids, "label": labels, "features": values}, schema=schema)


def _kept(file: Path, origin: dict[str, str], say: Callable[[str], None]) -> Float[Tensor, "n v d"] | None:
    """Return what is kept, where it rests on the same."""
    if not file.exists():
        return None
    try:
        table = read_parquet(file, "features", "it is made anew")
    except UserError as error:
        say(str(error))
        return None
    content = json.loads((table.schema.metadata or {}).get(_ORIGIN, b"{}"))
    views = content.pop("views", None)
    if content != origin:
        differing = ", ".join(name for name in origin if content.get(name) != origin[name])
        say(f"{file} rests on other {differing}; it is made anew")
        return None
    column = table.column("features").combine_chunks()
    values = np.asarray(column.values.to_numpy(zero_copy_only=False), np.float32)
    return torch.from_numpy(values.reshape(len(table), views, -1).copy())
