"""Photographs to batches: images a second, against torchvision's ImageFolder with the same transforms."""

from __future__ import annotations

import tempfile
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch.utils.data import DataLoader
from torchvision import transforms
from torchvision.datasets import ImageFolder

from foveate.config.data import TransformConfig
from foveate.data.datasets import load_dataset
from foveate.data.images import read_image
from foveate.data.loading import Draw, TrainingViews, default_workers, training_loader
from foveate.data.records import ImageRecord
from foveate.plumage import PlumageConfig, draw_plumage
from harness import Built, Case, Side
from networks import Scale

_FOLDERS: list[tempfile.TemporaryDirectory[str]] = []  # removed when the process ends


@cache
def birds(count: int, size: int) -> Path:
    """Return a folder of drawn photographs."""
    folder = tempfile.TemporaryDirectory()
    _FOLDERS.append(folder)
    config = PlumageConfig(species=4, train_per_species=count // 4, test_per_species=1, size=size)
    return draw_plumage(Path(folder.name) / "birds", config, workers=1)


@cache
def camera_photographs(count: int, size: tuple[int, int]) -> tuple[Path, ...]:
    """Return files of drawn photographs, enlarged to a camera's size and with its grain, as JPEG of quality 90."""
    folder = tempfile.TemporaryDirectory()
    _FOLDERS.append(folder)
    grain, files = np.random.default_rng(0), []
    for number, drawn in enumerate(sorted(birds(4 * -(-count // 4), 512).rglob("*.jpg"))[:count]):
        pixels = np.asarray(read_image(drawn).resize(size, Image.Resampling.BICUBIC), np.float32)
        noisy = pixels + grain.normal(0, 3, pixels.shape).astype(np.float32)
        files.append(Path(folder.name) / f"{number}.jpg")
        Image.fromarray(noisy.clip(0, 255).astype(np.uint8)).save(files[-1], quality=90)
    return tuple(files)


def theirs(size: int, *, usual: bool) -> transforms.Compose:
    """Return torchvision's transforms: our random views; where usual, normalised floats in the end."""
    pixels = [
        transforms.RandomResizedCrop(size, scale=(0.5, 1.0), ratio=(3 / 4, 4 / 3)),
        transforms.RandomHorizontalFlip(),
    ]
    floats = [transforms.ToTensor(), transforms.Normalize((0.5,) * 3, (0.5,) * 3)]
    return transforms.Compose([*pixels, *(floats if usual else [transforms.PILToTensor()])])


def loader(data: ImageFolder, batch: int, workers: int) -> DataLoader[Any]:
    """Return torchvision's batches."""
    return DataLoader(data, batch, shuffle=True, num_workers=workers, persistent_workers=workers > 0)


def loading(quick: bool) -> Built:
    """Return an epoch over the photographs, of Foveate's loader and torchvision's, with as many worker processes."""
    scale, count, size = (Scale(batch=2, size=32), 4, 64) if quick else (Scale(), 64, 512)
    workers = 0 if quick else default_workers()
    root = birds(count, size)
    config = TransformConfig(input_size=scale.size, resize_size=8 * scale.size // 7)
    records = load_dataset(root).train
    views = TrainingViews([records[index % len(records)] for index in range(count + 4)], config, seed=0)
    loaders: dict[str, DataLoader[Any]] = {
        "foveate": training_loader(views, scale.batch, workers=workers),
        "torchvision": loader(ImageFolder(root / "images", theirs(scale.size, usual=False)), scale.batch, workers),
        "torchvision_float": loader(ImageFolder(root / "images", theirs(scale.size, usual=True)), scale.batch, workers),
    }

    def epoch(batches: DataLoader[Any]) -> None:
        torch.manual_seed(0)
        for _ in batches:
            pass

    def decode() -> None:
        for each in views.records:
            read_image(each.image)

    sides: dict[str, Side] = {name: partial(epoch, each) for name, each in loaders.items()}
    return Built(
        sides={**sides, "decode_alone": decode},
        reference="torchvision",
        images=count + 4,
        settings={"photographs": count + 4, "pixels": size, "size": scale.size, "batch": scale.batch}
        | {"workers": workers},
    )


def camera(quick: bool) -> Built:
    """Return training views of photographs of 12 megapixels, in this process: ours, and torchvision's transforms."""
    scale, files = Scale(), camera_photographs(2 if quick else 8, (160, 120) if quick else (4000, 3000))
    config = TransformConfig(input_size=scale.size, resize_size=8 * scale.size // 7)
    records = [ImageRecord(image=file, id=file.name, label=0, class_name="bird") for file in files]
    views = TrainingViews(records, config, seed=0)
    usual = theirs(scale.size, usual=False)

    def ours() -> None:
        for number in range(len(files)):
            views[Draw(0, number)]

    def torchvisions() -> None:
        torch.manual_seed(0)
        for file in files:
            usual(Image.open(file).convert("RGB"))

    return Built(
        sides={"foveate": ours, "torchvision": torchvisions},
        reference="torchvision",
        images=len(files),
        settings={"photographs": len(files), "size": scale.size, "megapixels": 12},
    )


CASES = (Case(name="loading", build=loading), Case(name="loading_camera", build=camera))
