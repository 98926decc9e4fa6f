"""What larger packaged networks, left as they are, say of training views: their features, or a probe's answers."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import NamedTuple

import torch
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold
from torch import Tensor, nn

from foveate.backbones.backbone import create_backbone, pool
from foveate.config.networks import BackboneConfig
from screening.photographs import Photographs
from screening.settings import Settings
from screening.views import test_boxes, training_boxes, windows

_TEACHERS = {"tf_efficientnet_lite1": 240, "tf_efficientnet_lite2": 260}
_STRENGTH = 0.05  # C of the probe on what they say
_FOLDS = 5  # of the probe, so that each photograph is answered for by a probe that has not learned from it


class Lessons(NamedTuple):
    """For each photograph of a data set some training views and what was said of them; zeros where it is held out."""

    boxes: Tensor
    """(n, v, 4), as `training_boxes` draws them."""
    said: Tensor
    """(n, v, d): standardised features, or (n, v, c) probabilities."""


def lessons(settings: Settings, photographs: Photographs, learned: Tensor) -> Lessons:
    """Return what the teachers say of the views, or said in whichever process came first.

    Raises:
        ValueError: The views are mixed with others or of several looks, or the device is no processor.
    """
    if settings.looks > 1 or settings.mixup or settings.patched != "none" or photographs.images.device.type != "cpu":
        raise ValueError("teachers are for one look at unmixed views, on a processor")
    name = f"{photographs.name}-{int(learned.sum())}-{settings.lesson_views}-{settings.smallest}-{settings.jitter}"
    name += f"-{settings.share:.3f}-{settings.square}-{'-'.join(_TEACHERS)}"
    file = Path(tempfile.gettempdir()) / f"foveate-lessons-{name}.pt"
    if not file.exists():
        part = file.with_suffix(f".{os.getpid()}")
        torch.save(_shown(settings, photographs, learned), part)
        part.replace(file)
    boxes, views, tests = torch.load(file, weights_only=True)
    if settings.teacher == "features":
        flat = views[learned].flatten(0, 1)
        said = (views - flat.mean(0)) / flat.std(0).clamp(min=1e-6)
        return Lessons(boxes, said)
    said = torch.zeros(*views.shape[:2], photographs.classes)
    labels = photographs.labels[learned]
    for inside, outside in StratifiedKFold(_FOLDS, shuffle=True, random_state=0).split(labels, labels):
        some = tests[learned[inside]].flatten(0, 1)
        mean, spread = some.mean(0), some.std(0).clamp(min=1e-6)
        probe = LogisticRegression(C=_STRENGTH, max_iter=200, tol=1e-3)
        probe.fit((some - mean) / spread, labels[inside].repeat_interleave(2))
        asked = learned[outside]
        answers = probe.predict_proba(((views[asked] - mean) / spread).flatten(0, 1).numpy())
        said[asked] = torch.from_numpy(answers).float().view(len(asked), -1, photographs.classes)
    print(f"teacher: {100 * float((said[learned].argmax(-1) == labels[:, None]).float().mean()):.1f}% of views unseen")
    return Lessons(boxes, said)


@torch.no_grad()
def _shown(settings: Settings, photographs: Photographs, learned: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return views (n, v, 4), features of them (n, v, d), and features of the test view and its mirror (n, 2, d)."""
    generator = torch.Generator().manual_seed(len(learned))
    count, some = len(photographs.labels), settings.lesson_views
    drawn = [
        training_boxes(photographs.aspects, settings.smallest, settings.jitter, generator, square=settings.square)
        for _ in range(some)
    ]
    boxes, still = torch.stack(drawn, dim=1), test_boxes(photographs.aspects, settings.share, square=settings.square)
    whole = torch.cat([boxes, still[:, None], still[:, None]], dim=1)
    flipped = torch.arange(some + 2) == some + 1
    features = [_features(name, side, photographs, learned, whole, flipped) for name, side in _TEACHERS.items()]
    said = torch.zeros(count, some + 2, sum(each.shape[-1] for each in features))
    said[learned] = torch.cat(features, dim=-1)
    return boxes, said[:, :some], said[:, some:]


def _features(
    name: str, side: int, photographs: Photographs, learned: Tensor, boxes: Tensor, flipped: Tensor
) -> Tensor:
    teacher = create_backbone(BackboneConfig(architecture=name, weights="package"), 2).eval()
    teacher = teacher.to(memory_format=torch.channels_last)
    said = []
    for number in learned:
        image = photographs.images[number].expand(len(flipped), -1, -1, -1)
        views = windows(image, boxes[number], side, flipped)
        with torch.autocast("cpu", torch.bfloat16):
            said.append(pool(teacher(teacher.normalisation(views.contiguous(memory_format=torch.channels_last)))))
    return torch.stack(said).float()


def reading(first: Tensor, said: Tensor) -> nn.Linear:
    """Return ridge regression from a network's first features (m, k) to a teacher's (m, d)."""
    mean = first.mean(0)
    centred = (first - mean).double()
    gram = centred.T @ centred
    gram.diagonal().add_(0.1 * gram.diagonal().mean())
    weight = torch.linalg.solve(gram, centred.T @ said.double()).float()
    layer = nn.Linear(*weight.shape)
    with torch.no_grad():
        layer.weight.copy_(weight.T)
        layer.bias.copy_(-mean @ weight)
    return layer
