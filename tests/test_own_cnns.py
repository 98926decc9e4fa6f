"""Networks that were trained elsewhere: built by their library, loaded from any program's file."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import timm
import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.testing import assert_close
from torchvision import models

from foveate.backbones import Backbone, Normalisation, is_backbone
from foveate.config import GroundingConfig, GroundingMethod, Library, OwnConfig
from foveate.errors import UserError
from foveate.methods.own import OwnNetwork
from foveate.own_cnns import OwnCNN, create_own_cnn, load_own_weights, without_wrapping
from foveate.response.grounding import create_grounding

pytestmark = pytest.mark.usefixtures("without_noise")  # answers are compared with those of bare modules

CLASSES = 4
TINY = OwnConfig(architecture="test_resnet")
RESNET = OwnConfig(architecture="resnet18", library=Library.TORCHVISION)


@pytest.fixture(scope="module")
def tiny() -> nn.Module:
    """The library's own module, as its owner has it."""
    network: nn.Module = timm.create_model("test_resnet", num_classes=CLASSES)
    return network.eval()


def photographs(side: int = 96) -> Tensor:
    return torch.rand(2, 3, side, side, generator=torch.Generator().manual_seed(0))


def adopted(config: OwnConfig, file: Path, classes: int = CLASSES) -> OwnNetwork:
    network = OwnNetwork.create(config, classes)
    load_own_weights(network.backbone, file, config.architecture)
    return network.eval()


def answers(network: OwnNetwork, images: Tensor) -> Tensor:
    with torch.no_grad():
        logits: Tensor = network(images).original
    return logits


@pytest.mark.parametrize(
    "create",
    [
        lambda: models.resnet18(num_classes=CLASSES),
        lambda: models.squeezenet1_1(num_classes=CLASSES),
        lambda: models.googlenet(num_classes=CLASSES, init_weights=False),
        lambda: models.inception_v3(num_classes=CLASSES, init_weights=False),
    ],
    ids=["resnet18", "squeezenet1_1", "googlenet", "inception_v3"],
)
def test_it_answers_as_the_module_of_torchvision(
    create: Callable[[], nn.Module], request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    """GoogLeNet and Inception are saved with the auxiliary heads that they were trained with."""
    module = create().eval()
    torch.save(module.state_dict(), tmp_path / "weights.pth")
    config = OwnConfig(architecture=request.node.callspec.id, library=Library.TORCHVISION)
    with torch.no_grad():
        assert_close(answers(adopted(config, tmp_path / "weights.pth"), photographs()), module(photographs()))


def test_the_same_weights_answer_alike_in_both_libraries(tmp_path: Path) -> None:
    module = models.resnet18(num_classes=CLASSES).eval()
    save_file(module.state_dict(), tmp_path / "weights.safetensors")
    both = [replace(RESNET, library=each) for each in Library]
    of_timm, of_torchvision = (adopted(each, tmp_path / "weights.safetensors") for each in both)
    assert_close(answers(of_timm, photographs()), answers(of_torchvision, photographs()))
    assert of_timm.backbone.normalisation == of_torchvision.backbone.normalisation


@pytest.mark.parametrize(
    "wrap",
    [
        lambda weights: {"state_dict": weights, "epoch": 3, "args": Namespace(lr=0.1)},
        lambda weights: {"model": weights},
        lambda weights: {"model_state_dict": weights},
        lambda weights: {f"module.{name}": each for name, each in weights.items()},
        lambda weights: {"state_dict": {f"model._orig_mod.{name}": each for name, each in weights.items()}},
        lambda weights: {name: each for name, each in weights.items() if not name.endswith("num_batches_tracked")},
    ],
    ids=["timm's training script", "model", "model_state_dict", "several devices", "Lightning, compiled", "old"],
)
def test_what_other_programs_write_is_read(
    tiny: nn.Module, wrap: Callable[[dict[str, Tensor]], dict[str, Any]], tmp_path: Path
) -> None:
    torch.save(wrap(tiny.state_dict()), tmp_path / "checkpoint.pt")
    with torch.no_grad():
        assert_close(answers(adopted(TINY, tmp_path / "checkpoint.pt"), photographs()), tiny(photographs()))


def test_only_what_all_names_share_is_left_out() -> None:
    weights = {"model.fc.weight": torch.ones(1), "criterion.weight": torch.ones(1)}
    assert without_wrapping(weights) == weights
    assert without_wrapping({}) == {}


def saved(weights: dict[str, Tensor], folder: Path) -> Path:
    torch.save(weights, folder / "weights.pth")
    return folder / "weights.pth"


def test_other_weights_are_refused_and_named(tiny: nn.Module, tmp_path: Path) -> None:
    weights = tiny.state_dict()
    renamed = {name.replace("fc.bias", "head.bias"): each for name, each in weights.items()}
    with pytest.raises(UserError, match=r"does not fit 'test_resnet': 1 missing, 'fc.bias'; 1 unknown, 'head.bias'; n"):
        adopted(TINY, saved(renamed, tmp_path))
    first = next(iter(weights))
    with pytest.raises(UserError, match=f"1 of another shape, '{first}'; name the architecture"):
        adopted(TINY, saved({**weights, first: torch.ones(1, 1, 1, 1)}, tmp_path))
    with pytest.raises(UserError, match=r"must have the same classes; .* has 4 \(by 'fc.weight'\), the data set 7;"):
        adopted(TINY, saved(weights, tmp_path), classes=7)
    with pytest.raises(UserError, match=r"weights must be finite; .* 1 entries, first 'fc.bias'"):
        adopted(TINY, saved({**weights, "fc.bias": torch.full((4,), torch.nan)}, tmp_path))
    (tmp_path / "weights.pth").write_bytes(b"no weights")
    with pytest.raises(UserError, match=r"weights cannot be read from .*weights\.pth"):
        adopted(TINY, tmp_path / "weights.pth")


@pytest.mark.parametrize(
    ("library", "architecture", "message"),
    [
        (Library.TIMM, "resnet81", "one that timm knows; got 'resnet81'; close: .*resnet18"),
        (Library.TIMM, "resnet18.mine", "one that timm knows; got 'resnet18.mine'; close: .*resnet18"),
        (Library.TORCHVISION, "vgg61", "one that torchvision knows; got 'vgg61'; close: .*vgg16"),
        (Library.TORCHVISION, "test_resnet", "; timm knows it: give --library timm"),
        (Library.TIMM, "googlenet", "; torchvision knows it: give --library torchvision"),
    ],
)
def test_an_unknown_architecture_names_close_ones(library: Library, architecture: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        create_own_cnn(OwnConfig(library=library, architecture=architecture), CLASSES)


def test_the_normalisation_may_be_ones_own() -> None:
    half = (0.5, 0.5, 0.5)
    assert create_own_cnn(replace(RESNET, mean=half, std=half), CLASSES).normalisation == Normalisation(half, half)
    assert create_own_cnn(replace(TINY, mean=half), CLASSES).normalisation.mean == half
    with pytest.raises(UserError, match="std must be positive in every channel"):
        replace(TINY, std=(0.2, 0.0, 0.2))


@pytest.mark.parametrize("method", [each for each in GroundingMethod if each is not GroundingMethod.CLASS_MAPS])
def test_it_is_grounded_by_every_method_that_needs_no_linear_head(method: GroundingMethod) -> None:
    network = OwnNetwork.create(RESNET, CLASSES).eval()
    config = GroundingConfig(method=method, masks=8)
    grounded = create_grounding(network.backbone, config)(photographs(64), 2)
    assert grounded.maps.shape[:2] == (2, 2)
    assert_close(grounded.logits, answers(network, photographs(64)))
    named = create_grounding(network.backbone, replace(config, layer="layer3"))(photographs(64), 2)
    assert_close(named.maps, grounded.maps)


def test_class_maps_need_a_linear_head() -> None:
    config = GroundingConfig(method=GroundingMethod.CLASS_MAPS)
    with pytest.raises(UserError, match=r"rest on a linear head .*; got resnet18, .*; take another --pool.grounding"):
        create_grounding(create_own_cnn(RESNET, CLASSES), config)
    own = create_own_cnn(TINY, CLASSES).eval()
    assert isinstance(own, Backbone)
    assert create_grounding(own, config)(photographs(), 2).maps.shape[:2] == (2, 2)


def test_a_network_of_one_size_needs_a_layer_by_name() -> None:
    transformer = create_own_cnn(OwnConfig(architecture="vit_tiny_patch16_224"), CLASSES)
    assert isinstance(transformer, OwnCNN)
    with pytest.raises(
        UserError, match=r"vit_tiny_patch16_224 answers with AssertionError: .*; name a layer with --pool.grounding"
    ):
        create_grounding(transformer.eval(), GroundingConfig())


def test_what_can_be_trained_here_is_told_from_what_cannot() -> None:
    assert is_backbone("test_resnet")
    assert not is_backbone("test_vit")
    assert not is_backbone("squeezenet1_1")
