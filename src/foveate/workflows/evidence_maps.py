"""Where a network sees each of some classes in one photograph."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from foveate.errors import UserError
from foveate.grounding.config import GroundingMethod
from foveate.grounding.ground import ground
from foveate.inference.classifier import Classifier
from foveate.networks.answers import decision

_PLACES = 56
_WAYS = (GroundingMethod.CEB, GroundingMethod.GRAD_CAM)
"""For a network without class maps: the first that sees through it."""


@dataclass(frozen=True, slots=True)
class EvidenceMaps:
    """Maps of some classes over the first view of one photograph, whose cells cover it.

    Of a network with class maps they are what each place adds to the class's logit (S3N, Eq. 1); other networks are
    grounded.
    """

    classes: tuple[int, ...]
    maps: Float[np.ndarray, "k y y"]

    def heat(self, index: int) -> Float[np.ndarray, "y y"]:
        """Return what speaks for a class, by its place in `classes`, as a share of the most: in [0, 1]."""
        return _share(self.maps[index].clip(min=0), self.maps[index].max())


def evidence_maps(
    classifier: Classifier, image: UInt8[Tensor, "1 H W 3"], classes: Sequence[int]
) -> EvidenceMaps | None:
    """Return where the network sees classes in a photograph; None where no way of finding it sees through it.

    Args:
        classifier: The network.
        image: What it takes, before normalisation.
        classes: Their numbers.
    """
    network, labels = classifier.network, torch.tensor(classes)
    try:
        network.check_class_maps()
    except UserError:
        return _grounded(classifier, image, classes)
    maps = decision(classifier.branch_maps(image.expand(len(classes), -1, -1, -1), labels, _PLACES).maps)
    return EvidenceMaps(tuple(classes), maps.float().nan_to_num(0.0).cpu().numpy())


def _grounded(classifier: Classifier, image: UInt8[Tensor, "1 H W 3"], classes: Sequence[int]) -> EvidenceMaps | None:
    inputs = classifier.inputs(image)
    for method in _WAYS:
        try:
            maps = ground(classifier.network, inputs, list(classes), method=method).maps[0]
        except UserError:
            continue
        shares = maps / maps.sum((1, 2), keepdim=True).clamp(min=torch.finfo(maps.dtype).tiny)
        return EvidenceMaps(tuple(classes), shares.float().cpu().numpy())
    return None


def _share(values: Float[np.ndarray, "y y"], most: float) -> Float[np.ndarray, "y y"]:
    shares: Float[np.ndarray, "y y"] = values / max(float(most), float(np.finfo(np.float32).tiny))
    return shares
