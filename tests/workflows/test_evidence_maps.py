"""Where a network sees its classes: by hand, and whatever the order."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

import foveate
from foveate.data.images import read_image
from foveate.runs.run import Run
from foveate.workflows.evidence_maps import EvidenceMaps, evidence_maps
from zooms import EXACT


def test_by_hand() -> None:
    maps = EvidenceMaps((4, 2), np.array([[[4.0, -1.0], [0.0, 2.0]], [[0.0, 1.0], [0.0, 4.0]]]))
    assert maps.heat(0).tolist() == [[1.0, 0.0], [0.0, 0.5]]
    flat = EvidenceMaps((0, 1), np.zeros((2, 2, 2)))
    assert not np.any(flat.heat(0))


def test_the_maps_are_those_of_the_classes(quick_run: Run, plumage: Path) -> None:
    model = foveate.load(quick_run.path, hardware=EXACT)
    pixels = torch.from_numpy(model.decoded(read_image(next(plumage.rglob("*.jpg")))).pixels[0])
    maps, others = (evidence_maps(model.classifier, pixels, classes) for classes in ([2, 0], [0, 2]))
    assert maps is not None
    assert others is not None
    np.testing.assert_allclose(maps.maps, others.maps[::-1], atol=1e-5)


def test_a_network_without_class_maps_is_grounded(macnn_run: Run, plumage: Path) -> None:
    model = foveate.load(macnn_run.path, hardware=EXACT)
    pixels = torch.from_numpy(model.decoded(read_image(next(plumage.rglob("*.jpg")))).pixels[0])
    maps = evidence_maps(model.classifier, pixels, [1, 3])
    assert maps is not None
    assert maps.maps.shape[0] == 2
    assert (maps.maps >= 0).all()
