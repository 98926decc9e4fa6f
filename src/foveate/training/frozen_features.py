"""What a frozen backbone makes of photographs: computed once, kept as a table with the hashes of what it rests on."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np
import pyarrow as pa
import torch
from jaxtyping import Float, Int64, UInt8
from torch import Tensor

from foveate.backbones.weight_hashes import hash_of_weights
from foveate.config.data import TestViews, TransformConfig
from foveate.config.engine import EngineConfig
from foveate.config.hardware import HardwareConfig
from foveate.data.loading import EvaluationViews, ViewsOf, evaluation_loader
from foveate.data.records import ImageRecord
from foveate.engines.ray_engine import Bulk, engine_of
from foveate.errors import UserError
from foveate.files.parquet import read_parquet, write_parquet
from foveate.guided_zoom.pool import hash_of_photographs
from foveate.hardware import device_of
from foveate.inference.classifier import Classifier
from foveate.networks.network import Network
from foveate.progress import progress

_BATCH, _BATCH_OF_GPU = 8, 32  # photographs, two views of each: larger ones outgrow the caches of a processor
_ORIGIN = b"foveate.origin"
MADE_BEFORE = ".features"
"""A folder beside that of the tables, with tables that were made before: read where they rest on the same."""
MADE_ANEW = "it is made anew"
"""How a line ends that is said of a table that cannot be used."""
Part = Callable[[Network, Float[Tensor, "b 3 Hs Ws"], Int64[Tensor, " b"]], Float[Tensor, "b d"]]
"""Of a network; see `FrozenFeatures`."""


@dataclass(frozen=True)
class KeptFeatures:
    """What parts of a network make of photographs, in their centre views and mirrored; see `FrozenFeatures`."""

    network: Network
    records: Sequence[ImageRecord]
    transforms: TransformConfig
    hardware: HardwareConfig
    folder: Path
    """Where the tables are kept; one is read where it rests on these weights, photographs and views, else made anew."""
    say: Callable[[str], None] = print
    engine: EngineConfig = field(default_factory=EngineConfig)
    """Who computes them."""

    def __call__(self, name: str, part: Part) -> Float[Tensor, "n v d"]:
        """Return the features, float32; arguments as in `FrozenFeatures`.

        Raises:
            UserError: A photograph cannot be read.
        """
        classifier, file = Classifier.place(self.network, self.hardware), self.folder / f"{name}.parquet"
        origin = {
            "weights": hash_of_weights(self.network.state_dict()),
            "photographs": hash_of_photographs(self.records),
            "transforms": json.dumps(asdict(self.transforms), sort_keys=True, default=str),
            "precision": str(classifier.dtype),
        }
        if (features := _kept(file, origin, self.say)) is None:
            before = _kept(self.folder.parent / MADE_BEFORE / file.name, origin, lambda line: None)
            features = self._computed(classifier, part, name) if before is None else before
            write_parquet(file, _table(self.records, features, origin), dictionaries=False)
        return features

    def _computed(self, classifier: Classifier, part: Part, name: str) -> Float[Tensor, "n v d"]:
        batches, count = [], 0
        computed = self._batches(classifier, part)
        with progress(name, len(self.records), self.say) as advance:
            for features in computed:
                batches.append(features)
                count += len(features)
                advance(count)
        return torch.cat(batches)

    def _batches(self, classifier: Classifier, part: Part) -> Iterator[Float[Tensor, "b v d"]]:
        engine, together = engine_of(self.engine), _BATCH
        if device_of(self.hardware).type != "cpu":
            together = _BATCH_OF_GPU
        if engine is None:
            views = EvaluationViews(self.records, self.transforms, TestViews.FLIP)
            loader = evaluation_loader(views, together, workers=self.hardware.workers)
            return (_features(classifier, part, batch.images, batch.position) for batch in loader)
        numbered = list(enumerate(self.records))
        batches = [numbered[start : start + together] for start in range(0, len(numbered), together)]
        decode, gpu = _NumberedViews(ViewsOf(self.transforms, TestViews.FLIP)), self.hardware.accelerator != "cpu"
        return engine.answers(Bulk(batches, decode, _Computing(self.network, self.hardware, part), gpu=gpu))


def _features(
    classifier: Classifier, part: Part, images: UInt8[Tensor, "b v H W 3"], positions: Int64[Tensor, " b"]
) -> Float[Tensor, "b v d"]:
    count, shown = images.shape[:2]
    features = classifier.part(part, images.flatten(0, 1), positions.repeat_interleave(shown))
    return features.view(count, shown, -1)


@dataclass(frozen=True)
class _NumberedViews:
    """Decodes a photograph, and says which of all it is."""

    views: ViewsOf

    def __call__(self, numbered: tuple[int, ImageRecord]) -> tuple[int, UInt8[np.ndarray, "v H W 3"]]:
        position, record = numbered
        return position, self.views(record)


@dataclass(frozen=True)
class _Computing:
    """Places the network in a worker."""

    network: Network
    hardware: HardwareConfig
    part: Part

    def __call__(self) -> Callable[[Sequence[tuple[int, UInt8[np.ndarray, "v H W 3"]]]], Float[Tensor, "b v d"]]:
        classifier = Classifier.place(self.network, self.hardware)

        def features(batch: Sequence[tuple[int, UInt8[np.ndarray, "v H W 3"]]]) -> Float[Tensor, "b v d"]:
            positions, views = zip(*batch, strict=True)
            return _features(classifier, self.part, torch.from_numpy(np.stack(views)), torch.tensor(positions))

        return features


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
        table = read_parquet(file, "features", MADE_ANEW)
    except UserError as error:
        say(str(error))
        return None
    content = json.loads((table.schema.metadata or {}).get(_ORIGIN, b"{}"))
    views = content.pop("views", None)
    if content != origin:
        differing = ", ".join(name for name in origin if content.get(name) != origin[name])
        say(f"{file} rests on other {differing}; {MADE_ANEW}")
        return None
    column = table.column("features").combine_chunks()
    values = np.asarray(column.values.to_numpy(zero_copy_only=False), np.float32)
    return torch.from_numpy(values.reshape(len(table), views, -1).copy())
