"""What S3N adds between two passes: class maps to grid, against one pass and against a straightforward loop."""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor
from torch.nn import functional

from foveate.s3n.config import S3NConfig
from foveate.s3n.entropy import TOP, responding
from foveate.s3n.network import S3N
from foveate.s3n.response import response_map
from foveate.s3n.response_grid import fall_off_edges, on_grid
from foveate.s3n.sampler import gaussian
from harness import Built, Case
from networks import Scale, cast, dtype_of, normalised, pixels, s3n, smoke


@torch.inference_mode()
def grids(network: S3N, features: Tensor, logits: Tensor) -> Tensor:
    """Return the grids of both views, the discriminative ones first, as the network makes them."""
    where = response_map(features, network.backbone.classifier.weight, logits, network.config)
    attention = network.attention(where, network.config.test_partition)
    maps = torch.cat((attention.discriminative, attention.complementary))
    grid: Tensor = network.sampler(maps, network.input_size)
    return grid


@torch.inference_mode()
def looped_grids(network: S3N, features: Tensor, logits: Tensor) -> Tensor:
    """Return the same as one writes it from the paper's text: image by image, all classes' maps, peak by peak.

    Of Foveate's preset: every peak in both sets, response detached, cells in the middle of their pixels.
    """
    config, weight = network.config, network.backbone.classifier.weight
    radii = network.attention.log_radius.exp().tolist()
    discriminative, complementary = [], []
    for each, answer in zip(features.float(), logits.float(), strict=True):
        maps = torch.einsum("cd,dhw->chw", weight, each)
        where = _looped_response(maps, answer, config)
        peaks = _looped_peaks(where, config)
        discriminative.append(_looped_map(where, peaks, radii[0], config, inverse=False))
        complementary.append(_looped_map(where, peaks, radii[1], config, inverse=True))
    return torch.cat([_looped_grid(each, config, network.input_size) for each in (*discriminative, *complementary)])


def _looped_response(maps: Tensor, logits: Tensor, config: S3NConfig) -> Tensor:
    probabilities, best = logits.softmax(0).topk(min(TOP, len(logits)))
    entropy = -(probabilities * probabilities.log()).sum()
    chosen = best[: responding(len(logits))] if entropy > config.entropy_threshold else best[:1]
    gridded = on_grid(maps[chosen][None], config.response_grid, config.placement)
    total = fall_off_edges(gridded.mean(1), (maps.shape[1], maps.shape[2]))[0]
    return (total - total.min()) / (total.max() - total.min())


def _looped_peaks(where: Tensor, config: S3NConfig) -> list[tuple[int, int]]:
    window = config.peak_window
    largest = functional.max_pool2d(where[None, None], window, stride=1, padding=window // 2)[0, 0]
    peaks = (where == largest) & (where >= where.mean()) & (where > where.min())
    return [(int(row), int(column)) for row, column in peaks.nonzero()]


def _looped_map(
    where: Tensor, peaks: list[tuple[int, int]], radius: float, config: S3NConfig, *, inverse: bool
) -> Tensor:
    place = torch.arange(len(where)) / len(where)
    total = torch.full_like(where, config.sampling_floor)
    for row, column in peaks:
        strength = where[row, column]
        squared = (place[:, None] - row / len(where)) ** 2 + (place - column / len(where)) ** 2
        amplitude = 1 / strength if inverse else strength
        total += amplitude * torch.exp(-squared / (2 * strength * radius**2))
    return total


def _looped_grid(sampling_map: Tensor, config: S3NConfig, size: int) -> Tensor:
    cells = len(sampling_map)
    border, profile = cells - 1, gaussian(cells, config.regulariser_width)
    kernel = (profile[:, None] * profile)[None, None]
    continued = functional.pad(sampling_map[None, None], (border,) * 4, mode="replicate")
    place = torch.arange(-border, cells + border) / border
    moments = torch.cat([continued, continued * place, continued * place[:, None]])
    total, across, down = functional.conv2d(moments, kernel)[:, 0]
    places = torch.stack([across / total, down / total])[None].clamp(0, 1) * 2 - 1
    grid = functional.interpolate(places, size=(size, size), mode="bilinear", align_corners=True)
    return grid.permute(0, 2, 3, 1)


def head(classes: int, quick: bool) -> Built:
    """Return the head, the loop, and one pass of the backbone over the same batch."""
    scale = Scale(classes=classes)
    scale = smoke(scale) if quick else scale
    network = s3n(scale, "foveate").eval().to(memory_format=torch.channels_last)
    inputs = normalised(pixels(scale), torch.channels_last)
    with torch.inference_mode():
        features = network.backbone(inputs).float()
        logits = network.backbone.classifier(features.mean(dim=(2, 3)))

    def backbone() -> None:
        with torch.inference_mode(), cast(dtype_of()):
            network.backbone(inputs)

    return Built(
        sides={
            "head": lambda: grids(network, features, logits),
            "loop": lambda: looped_grids(network, features, logits),
            "backbone": backbone,
        },
        reference="backbone",
        settings=scale.settings(),
    )


CASES = tuple(
    Case(name="s3n_head", at={"classes": classes}, build=partial(head, classes)) for classes in (20, 200, 2000, 20000)
)
