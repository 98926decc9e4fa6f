"""The training photographs of several data sets, squashed to one size, and their folds."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from PIL import Image
from sklearn.model_selection import StratifiedKFold
from torch import Tensor

from foveate.config.data import DataConfig, Split
from foveate.data.images import read_image
from foveate.recipes.datasets import load_splits

SIDE = 448
"""Of the squashed photographs, in pixels."""
FOLDS = 3
_QUALITY = 82


class Photographs(NamedTuple):
    """The training photographs of one data set."""

    name: str
    images: Tensor
    """(n, 3, SIDE, SIDE), uint8."""
    aspects: Tensor
    """(n,): width by height of each, before it was squashed."""
    labels: Tensor
    """(n,)."""
    splits: Tensor
    """(n,): 0 of training photographs, which come first, 1 of test photographs, where there are any."""

    @property
    def classes(self) -> int:
        """How many there are."""
        return int(self.labels.max()) + 1

    def fold(self, number: int) -> tuple[Tensor, Tensor]:
        """Return the indices of those learned from and those held out; after the last fold, of the two splits."""
        learned = int((self.splits == 0).sum())
        if number == FOLDS:
            return torch.arange(learned), torch.arange(learned, len(self.labels))
        folds = StratifiedKFold(FOLDS, shuffle=True, random_state=0)
        inside, outside = list(folds.split(np.zeros(learned), self.labels[:learned].cpu().numpy()))[number]
        return torch.from_numpy(inside), torch.from_numpy(outside)


def pack(folders: Sequence[Path], out: Path, split: Split) -> None:
    """Squash the photographs of a split of some data sets, and write them into one file."""
    packed = {}
    for folder in folders:
        encoded, aspects = [], []
        records = load_splits(DataConfig(root=folder)).named(split)
        for record in records:
            image = read_image(record.image)
            aspects.append(image.width / image.height)
            file = io.BytesIO()
            image.resize((SIDE, SIDE), Image.Resampling.BILINEAR).save(file, "WEBP", quality=_QUALITY)
            encoded.append(torch.frombuffer(bytearray(file.getvalue()), dtype=torch.uint8))
        packed[folder.name] = {"images": encoded, "aspects": aspects, "labels": [each.label for each in records]}
    torch.save(packed, out)


def unpack(file: Path) -> list[Photographs]:
    """Decode what `pack` wrote of the training split, and of the test split where test.pt lies beside it.

    The pixels are kept beside it, for the processes that need them next.
    """
    decoded = file.with_suffix(".decoded")
    if not decoded.exists():
        parts = [torch.load(each, weights_only=True) for each in (file, file.with_name("test.pt")) if each.exists()]
        whole = {name: _together([part[name] for part in parts]) for name in parts[0]}
        torch.save(whole, decoded)
    return [Photographs(name, *each) for name, each in torch.load(decoded, weights_only=True, mmap=True).items()]


def _together(parts: Sequence[Mapping[str, Any]]) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    encoded, aspects, labels = (
        [each for part in parts for each in part[name]] for name in ("images", "aspects", "labels")
    )
    splits = [number for number, part in enumerate(parts) for _ in part["labels"]]
    with ThreadPoolExecutor() as pool:
        images = torch.stack(list(pool.map(_decoded, encoded)))
    return images, torch.tensor(aspects, dtype=torch.float32), torch.tensor(labels), torch.tensor(splits)


def _decoded(encoded: Tensor) -> Tensor:
    pixels = np.array(Image.open(io.BytesIO(encoded.numpy().tobytes())).convert("RGB"))
    return torch.from_numpy(pixels).permute(2, 0, 1)
