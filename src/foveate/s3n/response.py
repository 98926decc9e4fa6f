"""The response map: the best class's map where the network is sure, else those of the five best (S3N Eq. 3)."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from foveate.backbones.class_maps import class_maps
from foveate.s3n.config import Aggregation, CellPlacement, EntropySource, S3NConfig
from foveate.s3n.entropy import mean_of_class_maps, responding, top_entropy
from foveate.s3n.response_grid import fall_off_edges, on_grid

_ROUNDING = 32 * torch.finfo(torch.float32).eps


def response_map(
    features: Float[Tensor, "b d h w"],
    weight: Float[Tensor, "c d"],
    logits: Float[Tensor, "b c"],
    config: S3NConfig,
    bias: Float[Tensor, " c"] | None = None,
) -> Float[Tensor, "b g g"]:
    """Return R, where the predicted classes respond, in [0, 1] and float32.

    A response without spread (a constant image) is 0 everywhere. Of five classes or fewer the least likely one does not
    count (`responding`).

    Args:
        features: S, the last feature map.
        weight: W^fc of the linear head; always of the predicted classes, never of the labels, in training too.
        logits: The head's answers.
        config: Of which the fields from `entropy_from` to `detach_response` count.
        bias: Of the linear head; CLASS_MAPS_AND_BIAS chooses classes by it. It raises a map everywhere alike, so the
            response of the chosen classes is the same with it and without.
    """
    features, weight, logits = (each.float() for each in (features, weight, logits))
    if config.detach_response:
        features, weight, logits = (each.detach() for each in (features, weight, logits))
    cells = config.response_grid
    if config.entropy_from is not EntropySource.LOGITS:
        logits = mean_of_class_maps(features, weight, cells, config.placement)
    if config.entropy_from is EntropySource.CLASS_MAPS_AND_BIAS and bias is not None:
        logits = logits + bias.detach().float()
    best = logits.topk(responding(logits.shape[1])).indices
    maps = on_grid(class_maps(features, weight, best), cells, config.placement)
    several = maps.sum(1) if config.aggregation is Aggregation.SUM else maps.mean(1)
    sure = top_entropy(logits) <= config.entropy_threshold
    rows = torch.arange(best.shape[0], device=best.device)[:, None]
    size = class_maps(features.abs(), weight[best[:, 0]].abs(), rows).amax(dim=(1, 2, 3))
    total = torch.where(sure[:, None, None], maps[:, 0], several)
    if cells is not None and config.placement is CellPlacement.CENTRES:
        total = fall_off_edges(total, (features.shape[2], features.shape[3]))
    return scaled(total, size)


def scaled(maps: Float[Tensor, "b g g"], size: Float[Tensor, " b"]) -> Float[Tensor, "b g g"]:
    """Scale each map to [0, 1]; one whose values differ by no more than rounding becomes 0.

    Args:
        maps: What is scaled.
        size: The sum of the absolute terms that a value of the map is the sum of: what rounding goes with.
    """
    low, high = maps.amin(dim=(1, 2), keepdim=True), maps.amax(dim=(1, 2), keepdim=True)
    flat = ~(high - low > _ROUNDING * size[:, None, None])
    return torch.where(flat, 0.0, (maps - low) / torch.where(flat, 1.0, high - low))
