"""What grows with the number of classes, beside S3N's head: class maps, nearest evidence, a probe."""

from __future__ import annotations

from functools import partial

import torch
from torch.nn import functional

from foveate.backbones.class_maps import class_maps
from foveate.config.networks import FOLDS, STRENGTHS
from foveate.guided_zoom.nearest_patches import nearest
from foveate.networks.probe import fit_probe
from harness import Built, Case

WIDTH, GRID, BATCH = 1280, 7, 16
SHOWN = 5
"""Classes of each photograph whose maps and evidence are asked for."""
EACH = 10
"""Patches and photographs of each class."""


def maps(classes: int, quick: bool) -> Built:
    """Return the logits of a batch and the maps of its best classes, which are five whatever there is."""
    count = min(classes, 50) if quick else classes
    features, weight = torch.rand(BATCH, WIDTH, GRID, GRID), torch.randn(count, WIDTH)
    pooled = features.mean((2, 3))
    best = functional.linear(pooled, weight).topk(SHOWN).indices
    return Built(
        sides={
            "logits": lambda: functional.linear(pooled, weight),
            "best": lambda: functional.linear(pooled, weight).topk(SHOWN),
            "maps": lambda: class_maps(features, weight, best),
        },
        reference="logits",
        settings={"classes": count, "batch": BATCH, "width": WIDTH, "weights_mb": round(4 * weight.numel() / 1e6, 1)},
    )


def evidence(classes: int, quick: bool) -> Built:
    """Return the search for the nearest patches of five classes, and one that compares with the whole pool."""
    count = min(classes, 50) if quick else classes
    labels = torch.arange(count).repeat_interleave(EACH)
    pool = functional.normalize(torch.randn(len(labels), WIDTH))
    asked, features = torch.arange(SHOWN), torch.randn(SHOWN, WIDTH)

    def whole() -> object:
        similar = functional.normalize(features) @ pool.T
        return similar.masked_fill(asked[:, None] != labels, -2.0).topk(3)

    return Built(
        sides={"own classes": lambda: nearest(features, asked, pool, labels, 3), "whole pool": whole},
        reference="whole pool",
        settings={"classes": count, "patches": len(labels), "width": WIDTH, "pool_mb": pool.numel() * 4 // 10**6},
    )


def probe(classes: int, quick: bool) -> Built:
    """Return a probe with its strength chosen by cross-validation; and one fit of it."""
    count, width = (min(classes, 5), 64) if quick else (classes, WIDTH)
    generator = torch.Generator().manual_seed(0)
    labels = torch.arange(count).repeat_interleave(EACH)
    centres = torch.randn(count, width, generator=generator)
    features = centres[labels][:, None] + 2.5 * torch.randn(len(labels), 2, width, generator=generator)
    return Built(
        sides={
            "chosen": lambda: fit_probe(features, labels, STRENGTHS, FOLDS),
            "one fit": lambda: fit_probe(features, labels, STRENGTHS[3:4], 2),
        },
        reference="one fit",
        settings={"classes": count, "photographs": len(labels), "views": 2, "width": width},
    )


CASES = (
    *(Case(name="class_maps", at={"classes": each}, build=partial(maps, each)) for each in (20, 200, 2000, 20000)),
    *(
        Case(name="nearest_evidence", at={"classes": each}, build=partial(evidence, each))
        for each in (20, 200, 2000, 20000)
    ),
    *(Case(name="probe", at={"classes": each}, build=partial(probe, each)) for each in (20, 200)),
)
