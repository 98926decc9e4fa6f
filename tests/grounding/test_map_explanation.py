"""A method without a picture of its own is explained by the maps of its best classes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
import torchvision
from PIL import Image
from torch import Tensor, nn

from brightness import BACKBONE, CLASSES
from foveate.config.networks import PlainConfig
from foveate.errors import UserError
from foveate.grounding.config import GroundingMethod
from foveate.grounding.explanation import MapsExplanation, explained_by_maps
from foveate.networks.network import Network
from foveate.networks.own import OwnNetwork
from foveate.networks.plain import PlainNetwork
from foveate.types import RankedClass

NAMES = ("wren", "robin", "kite", "owl", "crow", "finch")
PROBABILITIES = torch.tensor([[0.1, 0.4, 0.05, 0.3, 0.1, 0.05]])


def explained(network: Network) -> MapsExplanation:
    torch.manual_seed(1)
    return explained_by_maps(network.eval(), torch.randn(1, 3, 64, 64), PROBABILITIES, NAMES, "bird", "owl")


def test_a_linear_heads_class_maps_are_its_weights_on_the_last_features() -> None:
    torch.manual_seed(0)
    network = PlainNetwork.create(PlainConfig(backbone=BACKBONE), CLASSES).eval()
    explanation = explained(network)
    torch.manual_seed(1)
    with torch.no_grad():
        features = network.backbone(torch.randn(1, 3, 64, 64))[0]
    assert explanation.method is GroundingMethod.CLASS_MAPS
    assert [each.class_name for each in explanation.answer] == ["robin", "owl", "wren", "crow", "kite"]
    for heat, label in zip(explanation.maps, (1, 3, 0), strict=True):
        naive = np.zeros(features.shape[1:])
        for channel, weight in zip(features, network.backbone.classifier.weight[label].tolist(), strict=True):
            naive += weight * channel.numpy()
        np.testing.assert_allclose(heat, naive.clip(min=0), atol=1e-4)


class Bent(nn.Module):
    """Excitation backprop knows no sine."""

    def __init__(self) -> None:
        super().__init__()
        self.convolution, self.head = nn.Conv2d(3, 8, 3, stride=16, padding=1), nn.Linear(8, CLASSES)

    def forward(self, images: Tensor) -> Tensor:
        return self.head(torch.sin(self.convolution(images)).mean((2, 3)))  # type: ignore[no-any-return]


@pytest.mark.parametrize(
    ("module", "method"),
    [
        (torchvision.models.resnet18(num_classes=CLASSES), GroundingMethod.CEB),
        (Bent(), GroundingMethod.GRAD_CAM),
    ],
    ids=["no linear head", "no rule of EB"],
)
def test_without_a_linear_head_another_method_shows_where(module: nn.Module, method: GroundingMethod) -> None:
    explanation = explained(OwnNetwork.of(module, classes=CLASSES))
    assert explanation.method is method
    assert len(explanation.maps) == 3


def test_the_picture_shows_the_photograph_in_colour(tmp_path: Path) -> None:
    heat, image = np.array([[0.0, 1.0], [0.5, 0.25]], np.float32), Image.new("RGB", (64, 64), (200, 40, 40))
    answer = (RankedClass("a long name of a wren that differs at its very end", 0.7), RankedClass("robin", 0.2))
    explanation = MapsExplanation("bird", image, (heat, heat), answer, GroundingMethod.CEB, "robin")
    explanation.draw(tmp_path / "maps.png")
    picture = Image.open(tmp_path / "maps.png").convert("RGB")
    colours = picture.getcolors(1 << 24) or []
    assert sum(count for count, colour in colours if colour == (200, 40, 40)) > 400 * 400 * 0.9
    flat = MapsExplanation("bird", image, (0 * heat,), answer, GroundingMethod.CEB)
    flat.draw(tmp_path / "flat.png")  # nothing speaks for the class: no division by zero


@pytest.mark.parametrize("maps", [(), (np.full((2, 2), -1.0),), (np.full((2, 2), np.nan),), (np.zeros((2, 2)),) * 2])
def test_what_is_no_map_is_refused(maps: tuple[np.ndarray, ...]) -> None:
    with pytest.raises(ValueError, match="map"):
        MapsExplanation("bird", Image.new("RGB", (8, 8)), maps, (RankedClass("wren", 1.0),), GroundingMethod.CEB)


def test_what_allows_no_method_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def none(*_: object, **__: object) -> None:
        raise UserError("it cannot be")

    monkeypatch.setattr("foveate.grounding.explanation.create_grounding", none)
    with pytest.raises(UserError, match="this network allows none: class-maps: it cannot be; ceb: it cannot be"):
        explained(PlainNetwork.create(PlainConfig(backbone=BACKBONE), CLASSES))
