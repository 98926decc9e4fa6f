"""OpenVINO in torch's place: the same answers, and nothing else of a network changed."""

from __future__ import annotations

import copy
import importlib
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from unittest import mock

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from foveate.backbones.openvino import OpenVINOPass, run_by
from foveate.config.hardware import HardwareConfig, Runtime
from foveate.config.networks import BackboneConfig, Library, OwnConfig, PlainConfig
from foveate.errors import UserError
from foveate.grounding.config import GroundingConfig, GroundingMethod
from foveate.grounding.create import create_grounding
from foveate.inference.classifier import Classifier
from foveate.macnn.config import MACNNConfig
from foveate.macnn.network import MACNN
from foveate.networks.looker import Looker
from foveate.networks.network import Network
from foveate.networks.own import OwnNetwork
from foveate.networks.plain import PlainNetwork
from foveate.runs.context import RunContext
from foveate.runs.run import Run
from foveate.s3n.config import S3NConfig
from foveate.s3n.network import S3N
from foveate.workflows.evaluate import evaluate
from foveate.workflows.operations import gflop_of_an_answer

pytestmark = pytest.mark.usefixtures("without_noise")  # answers are compared with those of bare modules

TORCH = HardwareConfig(accelerator="cpu", precision="float32", workers=0)
OPENVINO = HardwareConfig(accelerator="cpu", precision="float32", workers=0, runtime=Runtime.OPENVINO)


def plain(architecture: str = "test_efficientnet") -> PlainNetwork:
    torch.manual_seed(0)
    backbone = BackboneConfig(architecture=architecture, weights="none")
    return PlainNetwork.create(PlainConfig(backbone=backbone), 5)


SMALL = BackboneConfig(architecture="test_resnet", weights="none")


def looking() -> S3N:
    """One whose views another network draws, as a looker that is loaded with it does."""
    network = S3N.create(S3NConfig(backbone=SMALL, looker="a run"), 5, 64)
    network.look_by(Looker(plain("test_resnet").backbone, 64))
    return network


NETWORKS: dict[str, Callable[[], Network]] = {
    "plain": lambda: plain(),
    "s3n": lambda: S3N.create(S3NConfig(backbone=SMALL), 5, 64),
    "s3n, looked for": looking,
    "macnn": lambda: MACNN.create(replace(MACNNConfig.paper(SMALL), part_size=64), 5, 64),
    "timm": lambda: OwnNetwork.create(OwnConfig(architecture="test_resnet"), 5),
    "torchvision": lambda: OwnNetwork.create(OwnConfig(architecture="resnet18", library=Library.TORCHVISION), 5),
}


def pixels(count: int, side: int = 64) -> Tensor:
    return torch.randint(0, 256, (count, side, side, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(1))


def compiled(network: Network) -> int:
    """Count the models that OpenVINO was asked for."""
    assert isinstance(network.backbone.runtime, OpenVINOPass)
    return len(network.backbone.runtime._models)


def test_nobody_is_told_that_it_was_used() -> None:
    """The first test: what comes later finds OpenVINO imported already."""
    assert "openvino" not in sys.modules
    assert OpenVINOPass(nn.ReLU(), torch.float32)(torch.ones(1, 3, 8, 8)).sum() == 192
    assert "openvino" in sys.modules
    assert not any(name.startswith("openvino_telemetry") for name in sys.modules), "it can report"
    try:
        importlib.import_module("openvino_telemetry")  # a program of the user's may still
    finally:
        sys.modules.pop("openvino_telemetry", None)


@pytest.mark.parametrize("name", NETWORKS)
def test_the_answers_are_torchs(name: str) -> None:
    torch.manual_seed(0)
    network = NETWORKS[name]()
    by_torch, by_openvino = Classifier.place(network, TORCH), Classifier.place(network, OPENVINO)
    assert compiled(by_openvino.network) == 0
    for count in (2, 1, 3):
        expected = by_torch.logits(pixels(count)).present()
        for branch, logits in by_openvino.logits(pixels(count)).present().items():
            torch.testing.assert_close(logits, expected[branch], rtol=1e-3, atol=1e-4)
    assert compiled(by_openvino.network) > 0


def test_a_looker_is_passed_through_it_too() -> None:
    classifier = Classifier.place(looking(), OPENVINO)
    assert isinstance(classifier.network, S3N)
    assert classifier.network.looker is not None
    runtime = classifier.network.looker.backbone.runtime
    assert isinstance(runtime, OpenVINOPass)
    assert not runtime._models
    classifier.logits(pixels(2))
    assert len(runtime._models) == 1


def test_every_size_of_image_has_a_model() -> None:
    by_torch, by_openvino = Classifier.place(plain(), TORCH), Classifier.place(plain(), OPENVINO)
    for side in (64, 96, 64):
        expected, logits = (each.logits(pixels(2, side)).original for each in (by_torch, by_openvino))
        torch.testing.assert_close(logits, expected, rtol=1e-3, atol=1e-4)
    assert compiled(by_openvino.network) == 2


def test_its_passes_cost_what_torchs_do() -> None:
    """It says nothing of its operations itself."""
    placed = [Classifier.place(plain(), each) for each in (TORCH, OPENVINO)]
    by_torch, by_openvino = (gflop_of_an_answer(each, 64) for each in placed)
    assert by_openvino == by_torch > 0
    placed[1].logits(pixels(1))
    assert compiled(placed[1].network) == 1


def test_four_threads_share_a_network() -> None:
    classifier = Classifier.place(plain(), OPENVINO)
    shown = [pixels(count)[:, None] for count in (1, 2, 3, 4)] * 4
    expected = [classifier.probabilities(each) for each in shown]
    with ThreadPoolExecutor(4) as threads:
        for answer, alone in zip(threads.map(classifier.probabilities, shown), expected, strict=True):
            assert torch.equal(answer, alone)


@pytest.mark.parametrize("method", [GroundingMethod.CEB, GroundingMethod.CLASS_MAPS])
def test_grounding_sees_torchs_modules(method: GroundingMethod) -> None:
    placed = [Classifier.place(plain("test_resnet"), each) for each in (TORCH, OPENVINO)]
    groundings = [create_grounding(each.network.backbone, GroundingConfig(method=method)) for each in placed]
    with mock.patch.object(OpenVINOPass, "__call__", side_effect=AssertionError("OpenVINO was asked")):
        maps = [ground(placed[0].inputs(pixels(2)), 2).maps for ground in groundings]
    assert torch.equal(*maps)


def test_features_of_the_evidence_cnn_are_torchs() -> None:
    features = [Classifier.place(plain(), each).features(pixels(2)) for each in (TORCH, OPENVINO)]
    torch.testing.assert_close(features[0], features[1], rtol=1e-3, atol=1e-4)


def test_a_run_is_evaluated_by_it(quick_run: Run, tmp_path: Path) -> None:
    by_torch, by_openvino = (
        evaluate(quick_run, context=RunContext(hardware=each, results=tmp_path / "rows.jsonl", say=lambda line: None))
        for each in (TORCH, OPENVINO)
    )
    np.testing.assert_allclose(by_openvino.table.probabilities, by_torch.table.probabilities, rtol=0, atol=1e-3)
    with (
        mock.patch.object(OpenVINOPass, "__call__", side_effect=AssertionError("OpenVINO was asked")),
        pytest.raises(AssertionError, match="OpenVINO was asked"),
    ):
        evaluate(quick_run, context=RunContext(hardware=OPENVINO, say=lambda line: None))


def test_a_copy_answers_by_its_own_weights() -> None:
    first = Classifier.place(plain(), OPENVINO).network
    expected = first(torch.ones(1, 3, 64, 64)).original
    second = copy.deepcopy(first)
    nn.init.zeros_(second.backbone.network.conv_head.weight)  # type: ignore[union-attr, arg-type]
    assert not torch.equal(second(torch.ones(1, 3, 64, 64)).original, expected)
    assert torch.equal(first(torch.ones(1, 3, 64, 64)).original, expected)


def test_another_device_is_refused() -> None:
    with pytest.raises(UserError, match=r"computes on the processor; got the device cuda; .*accelerator cpu"):
        run_by(plain().backbone, Runtime.OPENVINO, torch.device("cuda"), torch.float32)


def test_without_the_package_the_mend_is_named() -> None:
    with (
        mock.patch("importlib.import_module", side_effect=ImportError("openvino")),
        pytest.raises(UserError, match="not installed; pip install openvino"),
    ):
        Classifier.place(plain(), OPENVINO)
