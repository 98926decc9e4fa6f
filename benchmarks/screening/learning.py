"""Fine-tune one network on one fold, and answer for the photographs that were held out."""

from __future__ import annotations

import copy
import math
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Any, NamedTuple, cast

import numpy as np
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler
from timm.optim._param_groups import param_groups_layer_decay
from torch import Tensor, nn
from torch.nn import functional

from foveate.backbones.backbone import pool
from foveate.config.networks import BackboneConfig, PlainConfig
from foveate.networks.network import Network, TrainingStep
from foveate.networks.plain import PlainNetwork
from foveate.s3n.config import S3NConfig
from foveate.s3n.network import S3N
from foveate.training.depthwise import FastDepthwiseGradients
from screening.mixing import patched
from screening.photographs import Photographs
from screening.settings import Settings
from screening.teachers import Lessons, lessons, reading
from screening.views import test_boxes, training_boxes, trivial_augment, windows

_STRENGTH = 0.05  # C of the probe: between what cross-validation chose for birds and for cars
_BLENDS = (0.6, 0.75, 0.9)  # shares of the trained weights where they are averaged with the first ones
_EMA = 0.998


class Fold(NamedTuple):
    """What is learned from and what is held out, on the device."""

    photographs: Photographs
    learned: Tensor
    held: Tensor


class Outcome(NamedTuple):
    """Held-out probabilities (n, c) by what answered, and how long it took."""

    answers: dict[str, Tensor]
    seconds: float


def fine_tune(settings: Settings, fold: Fold) -> Outcome:
    """Train as the settings say, and answer for the held-out photographs."""
    began = time.perf_counter()
    device = fold.photographs.images.device
    torch.manual_seed(settings.seed)
    network = _network(settings, fold.photographs.classes).to(device).to(memory_format=torch.channels_last)
    head = _kept_probe(network, settings, fold)
    if settings.probe:
        _put(network, head)
    first = copy.deepcopy(network.state_dict())
    average = copy.deepcopy(first)
    taught = None if settings.teacher == "none" else lessons(settings, fold.photographs, fold.learned)
    reader = _reader(network, fold, taught) if taught and settings.teacher == "features" else None
    optimiser = _optimiser(network, settings)
    if reader:
        optimiser.add_param_group({"params": list(reader.parameters()), "lr": settings.head_rate, "weight_decay": 0.0})
    rates = [group["lr"] for group in optimiser.param_groups]
    backward = _backward(network, settings, device, reader)
    followed, following = _floating(network.state_dict()), _floating(average)
    for step, (images, targets, keys) in enumerate(_batches(network, settings, fold, taught)):
        for group, rate in zip(optimiser.param_groups, rates, strict=True):
            group["lr"] = rate * _one_cycle(step / settings.steps)
        backward(images, targets, keys, step / settings.steps)
        optimiser.step()
        with torch.no_grad():
            torch._foreach_lerp_(following, followed, 1 - min(_EMA, (1 + step) / (10 + step)))
    answers = _answers("", network, settings, fold)
    trained = copy.deepcopy(network.state_dict())
    network.load_state_dict(average)
    answers |= _answers("ema ", network, settings, fold)
    if settings.looks == 1 or settings.probe:
        if not settings.probe:
            _put(network, head)
            first |= {name: value.clone() for name, value in network.state_dict().items() if "classifier" in name}
        for share in _BLENDS:
            blend = {
                name: value if not value.is_floating_point() else torch.lerp(first[name], value, share)
                for name, value in trained.items()
            }
            network.load_state_dict(blend)
            answers |= _answers(f"blend {share} ", network, settings, fold)
    return Outcome({name: each.float().cpu() for name, each in answers.items()}, time.perf_counter() - began)


def _network(settings: Settings, classes: int) -> Network:
    backbone = BackboneConfig(weights="package")
    if settings.looks == 1:
        return PlainNetwork.create(PlainConfig(backbone=backbone, dropout=settings.dropout), classes)
    return S3N.create(S3NConfig(backbone=backbone, radius_rate=settings.radius_rate), classes, settings.input)


@torch.no_grad()
def _put(network: Network, head: tuple[Tensor, Tensor]) -> None:
    """Let every head begin as the probe; one on the features of several views as the mean of what it says of each."""
    weight, bias = head
    for module in network.modules():
        if isinstance(module, nn.Linear) and len(module.bias) == len(bias):
            views, rest = divmod(module.in_features, weight.shape[1])
            if not rest:
                module.weight.copy_(weight.repeat(1, views) / views)
                module.bias.copy_(bias)


def _kept_probe(network: Network, settings: Settings, fold: Fold) -> tuple[Tensor, Tensor]:
    """Return what `_probe` does, or did in whichever process came first."""
    view = f"{settings.input}-{settings.share:.3f}-{settings.square}"
    file = Path(tempfile.gettempdir()) / f"foveate-{fold.photographs.name}-{int(fold.learned.sum())}-{view}.pt"
    if not file.exists():
        part = file.with_suffix(f".{os.getpid()}")
        torch.save(_probe(network, settings, fold), part)
        part.replace(file)
    weight, bias = torch.load(file, weights_only=True, map_location=fold.learned.device)
    return weight, bias


@torch.no_grad()
def _probe(network: Network, settings: Settings, fold: Fold) -> tuple[Tensor, Tensor]:
    """Return weight and bias of logistic regression on the features of the test view and its mirror image."""
    network.eval()
    images, labels = fold.photographs.images, fold.photographs.labels[fold.learned]
    features = [
        pool(network.backbone(_test_view(network, settings, fold, part, settings.input, mirrored)))
        for mirrored in (False, True)
        for part in torch.split(fold.learned, 100)
    ]
    values = torch.cat(features).float().cpu().numpy()
    scaler = StandardScaler().fit(values)
    regression = LogisticRegression(C=_STRENGTH, max_iter=200, tol=1e-3)
    regression.fit(scaler.transform(values), labels.cpu().repeat(2).numpy())
    weight = regression.coef_ / scaler.scale_
    bias = regression.intercept_ - weight @ scaler.mean_
    return tuple(torch.from_numpy(each).float().to(images.device) for each in (weight, bias))  # type: ignore[return-value]


def _test_view(
    network: Network, settings: Settings, fold: Fold, part: Tensor, size: int, mirrored: bool = False
) -> Tensor:
    images, aspects, device = fold.photographs.images[part], fold.photographs.aspects[part], part.device
    boxes = test_boxes(aspects, settings.share, square=settings.square)
    views = windows(images, boxes, size, torch.full((len(part),), mirrored, device=device))
    return network.backbone.normalisation(views.contiguous(memory_format=torch.channels_last))


def _optimiser(network: Network, settings: Settings) -> torch.optim.Optimizer:
    own = [group for group in network.parameter_groups() if group.decays]
    named = {id(parameter) for group in network.parameter_groups() for parameter in group.parameters}
    scales: dict[float, list[nn.Parameter]] = {}
    if settings.layer_decay == 1:
        scales[1.0] = list(network.backbone.parameters())
    else:
        for group in param_groups_layer_decay(
            cast(nn.Module, network.backbone.network), layer_decay=settings.layer_decay
        ):
            scales.setdefault(group["lr_scale"], []).extend(group["params"])
    groups: list[dict[str, Any]] = [
        {"params": [each for each in parameters if id(each) not in named], "lr": settings.learning_rate * scale}
        for scale, parameters in scales.items()
    ]
    groups += [
        {
            "params": list(group.parameters),
            "lr": settings.head_rate if group.new else settings.learning_rate * group.factor,
        }
        for group in own
        if group.new
    ]
    others = [group for group in network.parameter_groups() if not group.new]
    groups += [
        {"params": list(group.parameters), "lr": settings.learning_rate * group.factor, "weight_decay": 0.0}
        for group in others
    ]
    groups = [group for group in groups if group["params"]]
    if settings.optimiser == "adamw":
        return torch.optim.AdamW(groups, weight_decay=settings.weight_decay)
    return torch.optim.SGD(groups, momentum=0.9, weight_decay=settings.weight_decay)


def _one_cycle(progress: float) -> float:
    if progress < 0.3:
        return 0.04 + 0.96 * (1 - math.cos(math.pi * progress / 0.3)) / 2
    return (1 + math.cos(math.pi * (progress - 0.3) / 0.7)) / 2


@torch.no_grad()
def _reader(network: Network, fold: Fold, taught: Lessons) -> nn.Linear:
    """Return the layer that reads a teacher's features off the network's, as they are at first."""
    network.eval()
    first, said = [], []
    for view in range(4):
        for part in torch.split(fold.learned, 100):
            unturned = torch.zeros(len(part), dtype=torch.bool)
            views = windows(fold.photographs.images[part], taught.boxes[part, view], 224, unturned)
            with torch.autocast("cpu", torch.bfloat16):
                first.append(pool(network.backbone(network.backbone.normalisation(views))).float())
            said.append(taught.said[part, view])
    layer = reading(torch.cat(first), torch.cat(said))
    left = (layer(torch.cat(first)) - torch.cat(said)).square().mean()
    print(f"reads the teacher's features but for {float(left):.3f} of their variance", flush=True)
    return layer


def _batches(
    network: Network, settings: Settings, fold: Fold, taught: Lessons | None
) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    """Yield normalised views, soft targets (a teacher's features after them) and a number for each view."""
    photographs, device = fold.photographs, fold.learned.device
    generator = torch.Generator(device).manual_seed(settings.seed * 1000 + len(fold.learned))
    order = fold.learned.new_empty(0)
    for step in range(settings.steps):
        while len(order) < settings.batch:
            order = torch.cat(
                [order, fold.learned[torch.randperm(len(fold.learned), generator=generator, device=device)]]
            )
        chosen, order = order[: settings.batch].repeat(settings.crops), order[settings.batch :]
        boxes = training_boxes(
            photographs.aspects[chosen], settings.smallest, settings.jitter, generator, square=settings.square
        )
        if taught:
            which = torch.randint(settings.lesson_views, (len(chosen),), generator=generator, device=device)
            boxes = taught.boxes[chosen, which]
        flipped = torch.rand(len(chosen), generator=generator, device=device) < 0.5
        views = windows(photographs.images[chosen], boxes, _trained_source(settings), flipped)
        if settings.augment == "trivial":
            views = trivial_augment(views, generator)
        targets = functional.one_hot(photographs.labels[chosen], photographs.classes).float()
        if settings.mixup:
            share = float(np.random.default_rng([settings.seed, step]).beta(settings.mixup, settings.mixup))
            views, targets = (share * each + (1 - share) * each.flip(0) for each in (views, targets))
        if settings.patched != "none":
            labels = photographs.labels[chosen]
            views, targets = patched(cast(PlainNetwork, network), settings, views, labels, targets, step)
        targets = (1 - settings.smoothing) * targets + settings.smoothing / photographs.classes
        if taught and settings.teacher == "answers":
            targets = torch.lerp(targets, taught.said[chosen, which], settings.taught)
        elif taught:
            targets = torch.cat([targets, taught.said[chosen, which]], dim=1)
        normalised = network.backbone.normalisation(views.contiguous(memory_format=torch.channels_last))
        yield normalised, targets, step * 1000 + torch.arange(len(chosen), device=device)


def _trained_source(settings: Settings) -> int:
    return (settings.trained or settings.input) * settings.source // settings.input


def _first_stages(network: Network, count: int) -> list[nn.Module]:
    """Return the stem and so many stages of an EfficientNet; none where `count` is 0."""
    layers = cast(Any, network.backbone.network)
    return [layers.conv_stem, layers.bn1, *list(layers.blocks)[:count]] if count else []


_Step = Callable[[Tensor, Tensor, Tensor, float], None]


def _backward(network: Network, settings: Settings, device: torch.device, reader: nn.Linear | None) -> _Step:
    """Return what computes a batch's gradients; on a GPU a step is recorded once and played again."""
    network.train()
    for stage in _first_stages(network, settings.frozen_stages):
        stage.requires_grad_(requires_grad=False).eval()
    if settings.frozen_norms:
        for module in network.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.eval()

    cheap = FastDepthwiseGradients() if device.type == "cpu" else nullcontext()
    head = cast(nn.Linear, network.backbone.classifier)
    pooled: list[Tensor] = []
    if reader:
        head.register_forward_pre_hook(lambda module, given: pooled.append(given[0]) if module.training else None)
    count = head.out_features

    def direct(images: Tensor, targets: Tensor, keys: Tensor, progress: float) -> None:
        network.zero_grad(set_to_none=False)
        with cheap, torch.autocast(device.type, torch.bfloat16, cache_enabled=False):
            answers = network(images, TrainingStep(progress, keys))
        losses = [
            -(targets[:, :count] * each.float().log_softmax(-1)).sum(-1).mean() for each in answers.present().values()
        ]
        if reader:
            losses.append(settings.taught * (reader(pooled[-1].float()) - targets[:, count:]).square().mean())
            pooled.clear()
            reader.zero_grad()
        sum(losses[1:], losses[0]).backward()

    if device.type != "cuda":
        return direct
    try:
        phases = {False: _recorded(direct, network, settings, device, 0.0)}
        phases[True] = _recorded(direct, network, settings, device, 0.9) if settings.looks > 1 else phases[False]
    except RuntimeError as error:
        print(f"not recorded: {str(error)[:200]}", flush=True)
        torch.cuda.synchronize()
        return direct

    def played(images: Tensor, targets: Tensor, keys: Tensor, progress: float) -> None:
        phases[progress >= 1 / 3](images, targets, keys)  # S3NConfig.both_until

    return played


def _recorded(
    direct: _Step, network: Network, settings: Settings, device: torch.device, progress: float
) -> Callable[[Tensor, Tensor, Tensor], None]:
    count = settings.batch * settings.crops
    size = _trained_source(settings)
    images = torch.zeros(count, 3, size, size, device=device)
    images = images.contiguous(memory_format=torch.channels_last)
    targets = torch.zeros(count, network.backbone.classes, device=device)
    keys = torch.zeros(count, dtype=torch.int64, device=device)
    kept = copy.deepcopy(network.state_dict())
    stream = torch.cuda.Stream()  # type: ignore[no-untyped-call]
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        for _ in range(3):
            direct(images, targets, keys, progress)
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        direct(images, targets, keys, progress)
    network.load_state_dict(kept)

    def play(new_images: Tensor, new_targets: Tensor, new_keys: Tensor) -> None:
        images.copy_(new_images)
        targets.copy_(new_targets)
        keys.copy_(new_keys)
        graph.replay()

    return play


def _floating(state: dict[str, Tensor]) -> list[Tensor]:
    return [value for value in state.values() if value.is_floating_point()]


@torch.no_grad()
def _answers(prefix: str, network: Network, settings: Settings, fold: Fold) -> dict[str, Tensor]:
    """Return the probabilities of every branch, and those of the decision averaged with the mirror image's."""
    modes = {module: module.training for module in network.modules()}
    network.eval()
    parts: dict[str, list[Tensor]] = {}
    for part in torch.split(fold.held, 100):
        decisions = []
        for mirrored in (False, True):
            with torch.autocast(part.device.type, torch.bfloat16):
                answers = network(_test_view(network, settings, fold, part, settings.source, mirrored))
            decisions.append(answers.decision.float().softmax(-1))
            if not mirrored:
                for branch, logits in answers.present().items():
                    parts.setdefault(prefix + branch.value, []).append(logits.float().softmax(-1))
        parts.setdefault(prefix + "mirrored", []).append(sum(decisions) / 2)
    for module, mode in modes.items():
        module.training = mode
    return {name: torch.cat(each) for name, each in parts.items()}
