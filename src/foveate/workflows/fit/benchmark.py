"""A few seconds of each method on this machine: of a training step, and of an answer; and of photographs."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from statistics import median

import numpy as np
import torch

from foveate.data.loading import Batch, Draw, TrainingViews, default_workers
from foveate.data.records import ImageRecord
from foveate.hardware import autocast_dtype, device_of, processors
from foveate.inference.classifier import Classifier
from foveate.networks.network import Network
from foveate.recipes.config import TrainConfig
from foveate.recipes.methods import create_network
from foveate.training.frozen_layers import frozen
from foveate.training.module import TrainingModule
from foveate.training.optimiser import build_optimiser
from foveate.workflows.fit.time_model import Speed
from foveate.workflows.operations import gflop_of_an_answer

_READ = 24
"""Photographs that are read; the first one is not timed."""
_REPEATS, _LONG = 3, 3.0  # calls; of those that take more seconds one is enough
_ANSWERS = 16


def measure_reading(records: Sequence[ImageRecord], config: TrainConfig) -> float:
    """Return the seconds in which a photograph is read as a training sees it, all processors reading.

    Args:
        records: At least one, that can be read; some of them are.
        config: How it is trained.
    """
    chosen = [records[place] for place in np.linspace(0, len(records) - 1, _READ, dtype=int)]
    views = TrainingViews(chosen, config.transforms, config.seed)
    took = []
    for position in range(len(views)):
        began = time.perf_counter()
        views[Draw(0, position)]
        took.append(time.perf_counter() - began)
    device = device_of(config.hardware).type
    return float(np.mean(took[1:])) / (processors() if device == "cpu" else default_workers())


def measure_speed(config: TrainConfig, classes: int) -> Speed:
    """Measure a method on random images, its weights random.

    Args:
        config: How it is trained.
        classes: c.

    Raises:
        UserError: The hardware is not there, or the method cannot be built.
    """
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = create_network(config.network, config.transforms, classes, pretrained=False)
        images = torch.randint(0, 256, (_ANSWERS, 1, *2 * (config.transforms.source,), 3), dtype=torch.uint8)
        classifier = Classifier.place(network, config.hardware)
        answer = _seconds(lambda: classifier.branch_probabilities(images), config) / _ANSWERS
        gflop = gflop_of_an_answer(classifier, config.transforms.source)  # heads make no difference
        step = 0.0 if config.network.solved else _step(network, config, classes)
    return Speed(step=step, answer=answer, passes=1.0 + network.skippable_views, gflop=gflop)


def _step(network: Network, config: TrainConfig, classes: int) -> float:
    device, dtype = device_of(config.hardware), autocast_dtype(config.hardware)
    layout = torch.channels_last if config.hardware.channels_last else torch.contiguous_format
    config = config.counted(config.batch_size)  # the time of a step is the same in any epoch
    module = TrainingModule(network.to(memory_format=layout), config, range(classes)).to(device).train()
    optimiser = build_optimiser(network, network.parameter_groups(), config.optimiser)
    count, side = config.batch_size, config.transforms.source
    images = torch.randint(0, 256, (count, 1, side, side, 3), dtype=torch.uint8)
    batch = Batch(*(each.to(device) for each in (images, torch.arange(count) % classes, torch.arange(count))))

    def step() -> None:
        optimiser.zero_grad()
        with torch.autocast(device.type, dtype, enabled=dtype is not torch.float32):
            loss = module.losses(batch)[1]
        torch.autograd.backward(loss)
        optimiser.step()

    with frozen(module.kept):
        return _seconds(step, config)


def _seconds(call: Callable[[], object], config: TrainConfig) -> float:
    """Return the median time of some calls, the first left out, which is slower."""
    first = _timed(call, config)
    return median(_timed(call, config) for _ in range(1 if first > _LONG else _REPEATS))


def _timed(call: Callable[[], object], config: TrainConfig) -> float:
    began = time.perf_counter()
    call()
    _wait(config)
    return time.perf_counter() - began


def _wait(config: TrainConfig) -> None:
    """Wait for what a GPU was asked to do."""
    kind = device_of(config.hardware).type
    if kind == "cuda":
        torch.cuda.synchronize()
    elif kind == "mps":
        torch.mps.synchronize()
