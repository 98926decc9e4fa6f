"""Where a network tells one class from another adds up to the difference of their logits."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

import foveate
from foveate.data.images import read_image
from foveate.runs.run import Run
from foveate.workflows.evidence_maps import EvidenceMaps, evidence_maps
from zooms import EXACT


def test_by_hand() -> None:
    maps = EvidenceMaps((4, 2), np.array([[[4.0, -1.0], [0.0, 2.0]], [[0.0, 1.0], [0.0, 4.0]]]))
    assert maps.heat(0).tolist() == [[1.0, 0.0], [0.0, 0.5]]
    for_first, for_second = maps.contrast(0, 1)
    assert for_first.tolist() == [[1.0, 0.0], [0.0, 0.0]]
    assert for_second.tolist() == [[0.0, 0.5], [0.0, 0.5]]
    flat = EvidenceMaps((0, 1), np.zeros((2, 2, 2)))
    assert not np.any(flat.contrast(0, 1))
    assert not np.any(flat.heat(0))


def test_the_maps_are_those_of_the_classes(quick_run: Run, plumage: Path) -> None:
    model = foveate.load(quick_run.path, hardware=EXACT)
    pixels = torch.from_numpy(model.decoded(read_image(next(plumage.rglob("*.jpg")))).pixels[0])
    maps, others = (evidence_maps(model.classifier, pixels, classes) for classes in ([2, 0], [0, 2]))
    assert maps is not None
    assert others is not None
    np.testing.assert_allclose(maps.maps, others.maps[::-1], atol=1e-5)
    first, second = maps.contrast(0, 1)
    assert max(first.max(), second.max()) == pytest.approx(1)
    assert not np.any((first > 0) & (second > 0)), "a place speaks for one of them"


def test_a_network_without_class_maps_is_grounded(macnn_run: Run, plumage: Path) -> None:
    model = foveate.load(macnn_run.path, hardware=EXACT)
    pixels = torch.from_numpy(model.decoded(read_image(next(plumage.rglob("*.jpg")))).pixels[0])
    maps = evidence_maps(model.classifier, pixels, [1, 3])
    assert maps is not None
    assert maps.maps.shape[0] == 2
    assert (maps.maps >= 0).all()
