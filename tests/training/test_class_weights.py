"""How much each class counts."""

from __future__ import annotations

import pytest
import torch

from foveate.training.class_weights import class_weights


def test_class_weights_by_hand() -> None:
    weights = class_weights([0, 0, 0, 1], classes=3)
    torch.testing.assert_close(weights, torch.tensor([4 / (2 * 3), 4 / (2 * 1), 0.0]))
    assert weights[[0, 0, 0, 1]].mean() == pytest.approx(1.0)
