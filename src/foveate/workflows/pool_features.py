"""What the Evidence CNN makes of every patch of its pool: computed once, kept in the Guided Zoom's folder."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import torch
from jaxtyping import Float, Int64
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor
from torch.nn import functional

from foveate.config.data import DataConfig, TransformConfig
from foveate.data.loading import EvaluationViews, evaluation_loader
from foveate.data.records import ImageDataset, ImageRecord, Patch, labels_of, photograph_of
from foveate.errors import UserError
from foveate.files.atomic import atomic_path
from foveate.files.hashes import hash_of_file
from foveate.guided_zoom.nearest_patches import Nearest, nearest
from foveate.guided_zoom.pool import patches_alone
from foveate.guided_zoom.pool_dataset import load_pool
from foveate.inference.classifier import Classifier
from foveate.progress import progress
from foveate.recipes.datasets import load_dataset
from foveate.runs.guided_zoom_run import GuidedZoomRun

_BATCH = 64


@dataclass(frozen=True, slots=True, eq=False)
class PoolFeatures:
    """The patches of a pool, and the features of each."""

    records: tuple[ImageRecord, ...]
    features: Float[Tensor, "p d"]
    """The input of the Evidence CNN's classifier, of length 1, on the CPU."""
    labels: Int64[Tensor, " p"]

    @classmethod
    def of(cls, records: Sequence[ImageRecord], features: Float[Tensor, "p d"]) -> PoolFeatures:
        """Return the features of these patches, in their order."""
        return cls(tuple(records), features, torch.tensor(labels_of(records), dtype=torch.int64))

    @classmethod
    def none(cls, evidence_cnn: Classifier, side: int) -> PoolFeatures:
        """Return those of no patch, for where the training photographs are gone.

        Args:
            evidence_cnn: The Evidence CNN.
            side: Of what it takes, in pixels.
        """
        return cls.of((), evidence_cnn.features(torch.zeros(1, side, side, 3, dtype=torch.uint8))[:0])

    def nearest(
        self, features: Float[Tensor, "n d"], classes: Int64[Tensor, " n"], count: int, besides: Path | None = None
    ) -> Nearest:
        """Return the nearest patches of the class of each; those of the photograph `besides` do not count."""
        classes, labels = classes.cpu(), self.labels
        if besides is not None:
            asked, photograph = torch.isin(labels, classes).nonzero()[:, 0].tolist(), besides.resolve()
            own = [row for row in asked if _is_of(self.records[row], photograph)]
            labels = labels.index_fill(0, torch.tensor(own, dtype=torch.int64), -1)
        return nearest(features, classes, self.features, labels, count)


def _is_of(record: ImageRecord, photograph: Path) -> bool:
    image = photograph_of(record.image)
    return isinstance(image, Path) and image.name == photograph.name and image.resolve() == photograph


def pool_features(
    zoom_run: GuidedZoomRun,
    evidence_cnn: Classifier,
    *,
    root: Path | None = None,
    workers: int | None = None,
    say: Callable[[str], None] = print,
) -> PoolFeatures:
    """Return the features of every patch of a pool: those that are kept, or new ones where either has changed.

    Args:
        zoom_run: A finished Guided Zoom.
        evidence_cnn: Its Evidence CNN.
        root: Where the photographs of the pool lie now; None: where they lay when it was built.
        workers: Processes that decode photographs.
        say: Receives lines of progress.

    Raises:
        UserError: The pool is unfinished, empty, without evidence of some class, or its photographs are gone.
    """
    if zoom_run.shared:
        raise UserError(f"its photographs are with those who shared {zoom_run.path.name}")
    run = zoom_run.evidence_run()
    records = patches_alone(load_pool(zoom_run.pool, partial(_photographs, root)).train)
    origin = {"evidence_hash": hash_of_file(run.weights), "pool_hash": _hash_of_patches(records)}
    file = zoom_run.path / "pool_features.safetensors"
    features = _kept(file, origin, say)
    if features is None:
        say(f"looking at the {len(records)} patches of the pool once")
        features = _computed(evidence_cnn, records, run.config.transforms, workers, say)
        with atomic_path(file) as temporary:
            temporary.write_bytes(save({"features": features.half()}, metadata=origin))
    return PoolFeatures.of(records, features)


def _photographs(root: Path | None, config: DataConfig) -> ImageDataset:
    return load_dataset(config if root is None else replace(config, root=root))


def _hash_of_patches(records: Sequence[ImageRecord]) -> str:
    content = hashlib.sha256()
    for record in records:
        cut = record.image[1:] if isinstance(record.image, Patch) else None  # all but where the photograph lies
        content.update(f"{record.id}\t{record.label}\t{cut}\n".encode())
    return content.hexdigest()


def _kept(file: Path, origin: dict[str, str], say: Callable[[str], None]) -> Float[Tensor, "p d"] | None:
    """Return what is kept, where it belongs to these networks and patches."""
    if not file.exists():
        return None
    try:
        with safe_open(file, framework="pt") as content:
            if content.metadata() == origin:
                features: Tensor = content.get_tensor("features")
                return features.float()
    except SafetensorError as error:
        say(f"{file} cannot be read ({error}); it is made anew")
        return None
    say(f"{file} belongs to another Evidence CNN or pool; it is made anew")
    return None


def _computed(
    evidence_cnn: Classifier,
    records: Sequence[ImageRecord],
    transforms: TransformConfig,
    workers: int | None,
    say: Callable[[str], None],
) -> Float[Tensor, "p d"]:
    features = []
    with progress("features", len(records), say) as advance:
        for batch in evaluation_loader(EvaluationViews(records, transforms), _BATCH, workers=workers):
            features.append(functional.normalize(evidence_cnn.features(batch.images[:, 0])))
            advance(int(batch.position[-1]) + 1)
    # As they are read back, so that the first explanation says what later ones say.
    return torch.cat(features).half().float()
