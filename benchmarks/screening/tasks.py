"""One training of the screening, in whichever process."""

from __future__ import annotations

import time
import traceback
from dataclasses import asdict, replace
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from screening.learning import Fold, fine_tune
from screening.photographs import Photographs, unpack
from screening.plan import PLAN


class Task(NamedTuple):
    """One setting on one fold of one data set."""

    name: str
    data: int
    fold: int
    seed: int
    packed: Path
    steps: int | None
    size: int | None
    deadline: float
    """On the clock; after it nothing begins."""


def row_of(task: Task) -> tuple[dict[str, Any], dict[str, np.ndarray]] | None:
    """Train and answer: return the row, and the probabilities by name; None after the deadline, or where it failed."""
    if time.time() > task.deadline:
        return None
    photographs = _photographs(task.packed, task.data)
    settings = replace(PLAN[task.name], seed=task.seed)
    if task.steps is not None:
        settings = replace(settings, steps=task.steps)
    if task.size is not None:
        settings = replace(settings, input=task.size, source=task.size)
    device = photographs.images.device
    learned, held = (indices.to(device) for indices in photographs.fold(task.fold))
    try:
        outcome = fine_tune(settings, Fold(photographs, learned, held))
    except Exception:  # the others go on
        traceback.print_exc()
        return None
    labels = photographs.labels[held].cpu()
    top1 = {name: float((each.argmax(1) == labels).float().mean()) for name, each in outcome.answers.items()}
    loss = {name: _least_loss(each, labels) for name, each in outcome.answers.items()}
    row = {"settings": task.name, "data": photographs.name, "fold": task.fold, "seed": task.seed, "top1": top1}
    row["loss"] = loss
    kept = {
        f"{task.name}|{photographs.name}|{task.fold}|{task.seed}|{name}": each.half().numpy()
        for name, each in outcome.answers.items()
        if "blend" not in name
    }
    return row | {"seconds": round(outcome.seconds, 1), "values": asdict(settings)}, kept


def _least_loss(probabilities: Tensor, labels: Tensor) -> float:
    """Return the cross entropy in nats at the best temperature: steadier than top-1 where photographs are few."""
    logs = probabilities.clamp(min=1e-9).log()
    scales = torch.linspace(0.4, 4, 73)
    scaled = (logs * scales[:, None, None]).log_softmax(-1)
    return round(-float(scaled[:, torch.arange(len(labels)), labels].mean(1).max()), 4)


@cache
def _photographs(packed: Path, number: int) -> Photographs:
    device = "cuda" if torch.cuda.is_available() else "cpu"
    photographs = unpack(packed)[number]
    images, labels = photographs.images.to(device), photographs.labels
    return photographs._replace(images=images, aspects=photographs.aspects.float().to(device), labels=labels.to(device))


def hardware() -> str:
    """Name what computes."""
    return torch.cuda.get_device_name() if torch.cuda.is_available() else "cpu"
