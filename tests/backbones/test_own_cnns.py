"""Networks that were trained elsewhere: built by their library, loaded from any program's file."""

from __future__ import annotations

import re
from argparse import Namespace
from collections import defaultdict
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, cast
from unittest import mock

import numpy as np
import pytest
import timm
import torch
from safetensors.torch import save_file
from timm.models.vision_transformer import VisionTransformer, checkpoint_filter_fn
from torch import Tensor, nn
from torch.testing import assert_close
from torchvision import models

from foveate.backbones.backbone import Backbone, Normalisation, is_backbone
from foveate.backbones.own_cnns import OwnCNN, check_side, create_own_cnn, load_own_weights
from foveate.backbones.weight_names import without_wrapping
from foveate.config.networks import Library, OwnConfig
from foveate.errors import UserError
from foveate.grounding.config import GroundingConfig, GroundingMethod
from foveate.grounding.create import create_grounding
from foveate.networks.own import OwnNetwork

pytestmark = pytest.mark.usefixtures("without_noise")  # answers are compared with those of bare modules

CLASSES = 4
TINY = OwnConfig(architecture="test_resnet")
VIT = OwnConfig(architecture="test_vit")
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


def under(prefix: str, weights: dict[str, Tensor]) -> dict[str, Tensor]:
    return {f"{prefix}{name}": each for name, each in weights.items()}


class Settings:
    """A class of a program that is not there when its file is read."""


@pytest.mark.parametrize(
    "wrap",
    [
        lambda weights: {"state_dict": weights, "epoch": 3, "args": Namespace(lr=0.1)},
        lambda weights: {"model": weights},
        lambda weights: {"model_state_dict": weights},
        lambda weights: {"net_state_dict": under("pretrained_model.", weights)},
        lambda weights: {"a": {"b": {"params": weights}}},
        lambda weights: {"epoch": 1, "lr": 0.1, **weights},
        lambda weights: {"optimizer": {"state": {"0": {"momentum": torch.ones(2)}}}, "weights": weights},
        lambda weights: under("module.", weights),
        lambda weights: {"state_dict": under("model._orig_mod.", weights)},
        lambda weights: {"state_dict": under("net.backbone.", weights)},
        lambda weights: {"state_dict": {**under("model.", weights), "criterion.weight": torch.ones(3)}},
        lambda weights: {"n_averaged": torch.tensor(2), **under("module.", weights)},
        lambda weights: {name: each for name, each in weights.items() if not name.endswith("num_batches_tracked")},
        lambda weights: {name: each.half() for name, each in weights.items()},
        lambda weights: {
            "state_dict": weights,
            "best": np.float64(3.2),
            "path": Path("x"),
            "history": defaultdict(list),
        },
        lambda weights: {"state_dict": weights, "settings": Settings(), "array": np.arange(3)},
    ],
    ids=[
        *("timm's training script", "model", "model_state_dict", "another name", "deep", "among numbers", "optimiser"),
        *("several devices", "Lightning, compiled", "nested prefix", "beside a loss", "averaged model", "old", "half"),
        *("numbers and paths", "foreign objects"),
    ],
)
def test_what_other_programs_write_is_read(
    tiny: nn.Module, wrap: Callable[[dict[str, Tensor]], dict[str, Any]], tmp_path: Path
) -> None:
    weights = tiny.state_dict()
    half = {name: each.half().float() if each.is_floating_point() else each for name, each in weights.items()}
    tiny.load_state_dict(half)
    torch.save(wrap(half), tmp_path / "checkpoint.pt")
    with torch.no_grad():
        assert_close(answers(adopted(TINY, tmp_path / "checkpoint.pt"), photographs()), tiny(photographs()))


@pytest.mark.parametrize(
    "wrap",
    [
        lambda plain, mean: {"state_dict": plain, "state_dict_ema": mean},
        lambda plain, mean: {"model_ema": mean, "model": plain},
        lambda plain, mean: {"ema_state_dict": mean, "params": plain},
        lambda plain, mean: {"ema": {"module": mean}, "net": plain},
        lambda plain, mean: {"state_dict": under("ema_model.module.", mean) | under("model.", plain)},
        lambda plain, mean: {"state_dict": plain | under("ema.", mean)},
    ],
)
def test_of_plain_and_averaged_weights_it_says_which_it_took(
    tiny: nn.Module, wrap: Callable[[dict[str, Tensor], dict[str, Tensor]], dict[str, Any]], tmp_path: Path
) -> None:
    weights = tiny.state_dict()
    mean = {**weights, "fc.bias": weights["fc.bias"] + 1}
    file = tmp_path / "checkpoint.pth.tar"
    torch.save(wrap(weights, mean), file)
    network = OwnNetwork.create(TINY, CLASSES)
    taken = load_own_weights(network.backbone, file, TINY.architecture)
    assert_close(network.state_dict()["backbone.network.fc.bias"], weights["fc.bias"])
    (told,) = taken.remarks
    place = re.fullmatch(r"took the weights at .*; --weights-key takes others: '(.*ema.*)'", told)
    assert place is not None
    for key in (place.group(1), "ema"):
        assert load_own_weights(network.backbone, file, TINY.architecture, key=key).place == place.group(1)
        assert_close(network.state_dict()["backbone.network.fc.bias"], mean["fc.bias"])
    with pytest.raises(UserError, match=r"has none at 'nowhere'; there are .*; name one of these"):
        load_own_weights(network.backbone, file, TINY.architecture, key="nowhere")


@pytest.mark.parametrize("other", ["fc.1", "fc.head.2", "module.fc.linear"])
def test_a_head_in_a_container_is_the_head(tiny: nn.Module, other: str, tmp_path: Path) -> None:
    weights = {re.sub(r"^fc", other.removeprefix("module."), name): each for name, each in tiny.state_dict().items()}
    torch.save(under("module." if other.startswith("module.") else "", weights), tmp_path / "weights.pth")
    network = OwnNetwork.create(TINY, CLASSES)
    taken = load_own_weights(network.backbone, tmp_path / "weights.pth", TINY.architecture)
    assert taken.remarks == (f"took its last layer {other.removeprefix('module.')!r} for the architecture's",)
    with torch.no_grad():
        assert_close(answers(network.eval(), photographs()), tiny(photographs()))
    with pytest.raises(UserError, match=r"has 4 \(by 'fc.weight'\), the data set 7"):
        adopted(TINY, tmp_path / "weights.pth", classes=7)


def test_a_head_of_two_layers_is_another_network(tiny: nn.Module, tmp_path: Path) -> None:
    weights = {name: each for name, each in tiny.state_dict().items() if not name.startswith("fc")}
    head = nn.Sequential(nn.Linear(64, 8), nn.ReLU(), nn.Linear(8, CLASSES))
    with pytest.raises(UserError, match=r"2 missing, 'fc.weight', 'fc.bias'; 4 unknown, 'fc.0.weight', 'fc.0.bias', "):
        adopted(TINY, saved(weights | under("fc.", head.state_dict()), tmp_path))


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
    quantised = {**weights, "fc.weight": weights["fc.weight"].to(torch.int8)}
    with pytest.raises(UserError, match=r"plain numbers; .* 1 entries, 'fc.weight' \(torch.int8\); save"):
        adopted(TINY, saved(quantised, tmp_path))


def test_of_another_architecture_the_first_names_are_told(tmp_path: Path) -> None:
    other = timm.create_model("test_vit", num_classes=CLASSES)
    with pytest.raises(UserError) as raised:
        adopted(TINY, saved(under("x" * 1000 + ".", other.state_dict()), tmp_path))
    message = str(raised.value)
    assert "missing, 'conv1.0.weight', 'conv1.1.weight', 'conv1.1.bias' first" in message
    assert "unknown, 'cls_token', 'pos_embed', 'patch_embed.proj.weight' first" in message
    assert len(message.splitlines()) == 1


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


def test_a_module_of_ones_own_is_taken_in() -> None:
    resnet18: nn.Module = models.resnet18(num_classes=CLASSES)
    module = resnet18.eval()
    network = OwnNetwork.of(module, CLASSES)
    assert isinstance(network.backbone, OwnCNN)
    assert network.backbone.normalisation == create_own_cnn(RESNET, CLASSES).normalisation
    with torch.no_grad():
        assert_close(answers(network, photographs(64)), module(photographs(64)))
    half = Normalisation((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))
    for each in (module, timm.create_model(TINY.architecture, num_classes=CLASSES)):
        assert OwnNetwork.of(each, CLASSES, half).backbone.normalisation == half


def test_a_module_of_timms_own_is_seen_as_a_backbone() -> None:
    network = OwnNetwork.of(timm.create_model(TINY.architecture, num_classes=CLASSES), CLASSES)
    named = create_own_cnn(TINY, CLASSES)
    assert isinstance(network.backbone, Backbone)
    assert network.backbone.normalisation == named.normalisation
    assert network.backbone.stride16 == named.stride16
    averaging = OwnNetwork.of(timm.create_model("test_vit2", num_classes=CLASSES), CLASSES)
    assert isinstance(averaging.backbone, Backbone)
    transformer = OwnNetwork.of(timm.create_model("test_vit", num_classes=CLASSES), CLASSES)
    assert isinstance(transformer.backbone, OwnCNN)  # its head stands on the class token: class maps were no sum of it
    assert transformer.backbone.normalisation == create_own_cnn(VIT, CLASSES).normalisation


@pytest.mark.parametrize("method", sorted(set(GroundingMethod) - {GroundingMethod.CLASS_MAPS, GroundingMethod.ROLLOUT}))
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
    with pytest.raises(
        UserError, match=r"rest on a linear head .*; got resnet18, .*; take another method of grounding"
    ):
        create_grounding(create_own_cnn(RESNET, CLASSES), config)
    own = create_own_cnn(TINY, CLASSES).eval()
    assert isinstance(own, Backbone)
    assert create_grounding(own, config)(photographs(), 2).maps.shape[:2] == (2, 2)


def test_a_network_of_one_size_is_grounded_at_its_last_tokens() -> None:
    transformer = create_own_cnn(VIT, CLASSES).eval()
    assert isinstance(transformer, OwnCNN)
    with pytest.raises(UserError, match=r"gives tokens \(2, 101, 64\); take a method .*: grad-cam, .* or attn-lrp$"):
        create_grounding(transformer, GroundingConfig(method=GroundingMethod.EB))(photographs(160), 1)
    seen = create_grounding(transformer, GroundingConfig(method=GroundingMethod.GRAD_CAM))(photographs(160), 1)
    assert seen.maps.shape == (2, 1, 10, 10)


@pytest.mark.parametrize("learnt", [160, 96])
def test_a_network_of_one_size_is_built_for_the_size_of_the_images(learnt: int, tmp_path: Path) -> None:
    theirs = timm.create_model("test_vit", num_classes=CLASSES, img_size=learnt)
    ours = timm.create_model("test_vit", num_classes=CLASSES, img_size=96).eval()
    ours.load_state_dict(checkpoint_filter_fn(theirs.state_dict(), cast(VisionTransformer, ours)))
    network = OwnNetwork.create(VIT, CLASSES, 96)
    taken = load_own_weights(network.backbone, saved(theirs.state_dict(), tmp_path), VIT.architecture)
    assert taken.remarks == (("interpolated 'pos_embed': learnt at another image size",) if learnt != 96 else ())
    with torch.no_grad():
        assert_close(answers(network.eval(), photographs(96)), ours(photographs(96)))


def test_images_that_a_network_does_not_take_are_refused() -> None:
    with pytest.raises(UserError, match=r"test_vit takes none of 8 pixels; give --transforms.input-size 160 --transf"):
        create_own_cnn(VIT, CLASSES, 8)
    with pytest.raises(UserError, match=r"a size that it takes; resnet18 takes none of 0 pixels; give another --trans"):
        check_side(create_own_cnn(RESNET, CLASSES), RESNET, 0)
    with (
        pytest.raises(UserError, match=r"test_vit takes none of 96 pixels; give --transforms.input-size 160"),
        mock.patch.object(timm, "create_model", side_effect=RuntimeError("Given groups=1, weight of size")),
    ):
        create_own_cnn(VIT, CLASSES, 96)
    check_side(create_own_cnn(VIT, CLASSES), VIT, 160)


def test_memory_that_runs_out_is_no_fault_of_a_size() -> None:
    with pytest.raises(MemoryError), mock.patch.object(timm, "create_model", side_effect=MemoryError):
        create_own_cnn(VIT, CLASSES, 96)
    network = create_own_cnn(RESNET, CLASSES)
    with pytest.raises(MemoryError), mock.patch.object(type(network), "logits", side_effect=MemoryError):
        check_side(network, RESNET, 64)


def test_what_can_be_trained_here_is_told_from_what_cannot() -> None:
    assert is_backbone("test_resnet")
    assert is_backbone("test_vit")
    assert not is_backbone("mobilenetv3_small_050")
    assert not is_backbone("squeezenet1_1")
