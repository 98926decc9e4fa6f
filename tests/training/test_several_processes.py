"""A batch in parts, one after the other or on two processes, is learned from as the whole one is."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import pytest
import torch
from safetensors.torch import load_file

from foveate.backbones.backbone import create_backbone
from foveate.config.data import TransformConfig
from foveate.config.hardware import HardwareConfig, Strategy
from foveate.config.networks import BackboneConfig, NetworkConfig, PlainConfig
from foveate.config.optimiser import OptimiserConfig
from foveate.errors import UserError
from foveate.hardware import autocast_dtype
from foveate.macnn.config import MACNNConfig
from foveate.recipes.config import TrainConfig
from foveate.runs.run import Run
from foveate.s3n.config import S3NConfig
from foveate.training import fit
from foveate.workflows.train import train

UNNORMED = BackboneConfig(architecture="test_convnext", weights="none")
"""No batch norm, whose statistics are those of each part."""
_SCRIPT = """
import sys
from dataclasses import replace
from pathlib import Path

from torch import distributed

from foveate.runs.run import Run
from foveate.workflows.train import train

if __name__ == "__main__":
    for whole, out in zip(sys.argv[1::2], sys.argv[2::2], strict=True):
        config = Run.open(Path(whole)).config
        train(replace(config, hardware=replace(config.hardware, devices=2)), out)
        assert distributed.get_world_size() == 2, out
"""
"""Lightning starts it once more, for the second process; a process takes seconds to start, so it trains all."""
NETWORKS: dict[str, NetworkConfig] = {
    "plain": PlainConfig(backbone=UNNORMED),
    "s3n": S3NConfig(backbone=UNNORMED),
    "macnn": MACNNConfig(
        backbone=UNNORMED,
        parts=2,
        part_size=64,
        hidden=8,
        projection=16,
        start_steps=4,
        dropout=0,
        classifying_epochs=2,
    ),
}


def of(network: NetworkConfig, quick: TrainConfig, hardware: HardwareConfig) -> TrainConfig:
    """Ten steps and two, of 8 of 24 photographs."""
    sizes = TransformConfig(input_size=64, resize_size=72)
    optimiser = OptimiserConfig(learning_rate=1e-3, new_learning_rate=1e-2)
    return replace(
        quick, network=network, transforms=sizes, epochs=4, batch_size=8, optimiser=optimiser, hardware=hardware
    )


def assert_same(one: Run, other: Run) -> None:
    weights = load_file(other.path / "model.safetensors")
    for name, tensor in load_file(one.path / "model.safetensors").items():
        torch.testing.assert_close(tensor, weights[name], rtol=1e-5, atol=1e-5, msg=name)


@pytest.fixture(scope="module")
def whole(quick: TrainConfig, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Run]:
    """The runs of one process, each batch as a whole."""
    folder = tmp_path_factory.mktemp("several")
    return {
        name: train(of(network, quick, quick.hardware), folder / name, say=lambda line: None)
        for name, network in NETWORKS.items()
    }


@pytest.mark.parametrize("name", NETWORKS)
def test_a_batch_in_parts_is_learned_from_as_a_whole_one(
    name: str, whole: dict[str, Run], quick: TrainConfig, tmp_path: Path
) -> None:
    config = of(NETWORKS[name], quick, replace(quick.hardware, accumulate=4))
    assert_same(whole[name], train(config, tmp_path / "run", say=lambda line: None))


def test_two_processes_learn_what_one_does(whole: dict[str, Run], tmp_path: Path) -> None:
    (tmp_path / "several.py").write_text(_SCRIPT)
    folders = [str(folder) for name, run in whole.items() for folder in (run.path, tmp_path / name)]
    command = [sys.executable, "-m", "several", *folders]  # as `foveate` may be run
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("epoch 4/4") == len(whole), "one of the two speaks"
    for name, run in whole.items():
        other = Run.open(tmp_path / name)
        assert other.finished
        assert len(other.trained_ids()) == 24
        assert_same(run, other)


def test_activations_that_are_computed_again_change_nothing(
    whole: dict[str, Run], quick: TrainConfig, tmp_path: Path
) -> None:
    config = of(NETWORKS["plain"], quick, replace(quick.hardware, checkpointing=True))
    assert_same(whole["plain"], train(config, tmp_path / "run", say=lambda line: None))


def test_a_transformer_with_a_class_token_computes_its_body_again() -> None:
    vit: Any = create_backbone(BackboneConfig(architecture="test_vit", weights="none"), 4, input_size=64).network
    vit.set_grad_checkpointing(enable=True)
    assert vit.body.grad_checkpointing
    vit.set_grad_checkpointing(enable=False)
    assert not vit.body.grad_checkpointing


def test_a_compiled_network_learns_the_same_and_is_left_as_it_was(
    whole: dict[str, Run], quick: TrainConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    compiled = []
    monkeypatch.setattr(torch.nn.Module, "compile", lambda module: compiled.append(type(module).__name__))
    config = of(NETWORKS["plain"], quick, replace(quick.hardware, compile=True))
    assert_same(whole["plain"], train(config, tmp_path / "run", say=lambda line: None))
    assert compiled == ["Backbone"]


def test_batches_must_be_divisible(quick: TrainConfig, tmp_path: Path) -> None:
    config = of(NETWORKS["plain"], quick, replace(quick.hardware, accumulate=3))
    with pytest.raises(UserError, match=r"a multiple of the 1 devices times 3 parts \(accumulate\); got 8"):
        train(config, tmp_path / "run", say=lambda line: None)


def test_half_precision_is_for_gpus() -> None:
    with pytest.raises(UserError, match="precision fp16 is for GPUs; the device is a cpu; take bf16 or float32"):
        autocast_dtype(HardwareConfig(accelerator="cpu", precision="fp16"))


def test_what_lightning_is_told(quick: TrainConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told: dict[str, object] = {}

    class Told(pl.Trainer):
        def __init__(self, **given: object) -> None:
            told.update(given)

    monkeypatch.setattr(pl, "Trainer", Told)
    hardware = HardwareConfig(accelerator="cpu", nodes=2, devices=4, strategy=Strategy.FSDP, synchronised=True)
    fit._trainer(replace(quick, hardware=hardware), tmp_path, [], [])
    assert told["num_nodes"] == 2
    assert told["devices"] == 4
    assert told["strategy"] == "fsdp"
    assert told["sync_batchnorm"] is True
