"""The methods as a person meets them: each preset of each, on a folder of one's own."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import timm

from foveate import recipes
from foveate.config.data import DatasetFormat
from foveate.config.networks import BackboneConfig, BackboneNetworkConfig, PlainConfig
from foveate.config.optimiser import SmoothingOver
from foveate.macnn.config import MACNNConfig
from foveate.recipes import RECIPES
from foveate.recipes.methods import METHODS
from foveate.s3n.config import S3NConfig
from foveate.training.solve import check_solved

EACH = [(method, preset) for method, presets in RECIPES.items() for preset in presets]


@pytest.mark.parametrize(("method", "preset"), EACH)
def test_a_recipe_is_of_its_method_and_preset_and_takes_a_folder(method: str, preset: str) -> None:
    recipe = RECIPES[method][preset]
    config = recipe("birds")
    assert recipe.__name__ == (method if preset == "foveate" else f"{method}_{preset}")
    assert (recipe.__doc__ or "").strip()
    assert config.data.root == recipe(Path("birds")).data.root == Path("birds")
    assert config.network.method == {"evidence": "plain"}.get(method, method)
    assert config.data.format is (DatasetFormat.POOL if method == "evidence" else DatasetFormat.AUTO)
    assert recipe is getattr(recipes, recipe.__name__)


def test_the_presets_are_those_of_the_configurations() -> None:
    assert recipes.s3n().network == S3NConfig.from_probes()
    assert recipes.s3n_paper().network == S3NConfig.paper()
    assert recipes.s3n_reference().network == S3NConfig.reference()
    assert recipes.s3n_frozen().network == S3NConfig.without_training()
    assert recipes.macnn().network == MACNNConfig(part_size=96)
    paper = recipes.macnn_paper()
    assert (paper.network.base, paper.transforms.input_size) == ("vgg19.tv_in1k", 448)


def test_s3n_is_trained_as_plain_is_but_for_its_source_and_half_the_rate() -> None:
    plain, s3n = recipes.plain(), recipes.s3n()
    assert s3n.transforms == replace(plain.transforms, source_size=448)
    assert s3n.optimiser == replace(plain.optimiser, learning_rate=0.03)
    assert replace(s3n, network=plain.network, transforms=plain.transforms, optimiser=plain.optimiser) == plain
    assert (plain.optimiser.learning_rate, plain.optimiser.new_learning_rate) == (0.06, 0.01)
    assert (plain.epochs, plain.frozen_stride, plain.pretrained_share) == (0, 4, 0.1)


def test_a_continued_s3n_is_one_that_begins_with_a_run_and_is_half_as_long() -> None:
    usual, continued = recipes.s3n(), recipes.s3n_continued("photographs", "runs/other")
    assert continued.network.trained_backbone == BackboneConfig(weights="runs/other")
    assert continued.steps == 560 == usual.network.enough_steps / 2
    assert replace(continued, network=usual.network, steps=None) == usual
    assert usual.network.settings()["preset"] == "foveate"
    assert continued.network.settings() == {**usual.network.settings(), "preset": "continued"}
    for file in ("mine.safetensors", "mine.ckpt", "mine.pth.tar", "MINE.PTH", "auto"):
        assert S3NConfig.from_probes(BackboneConfig(weights=file)).settings()["preset"] == "foveate"
        assert PlainConfig(backbone=BackboneConfig(weights=file)).settings()["preset"] is None
    assert PlainConfig(backbone=BackboneConfig(weights="runs/other")).settings()["preset"] == "continued"


def test_what_is_solved_for_gives_nothing_that_has_no_effect() -> None:
    solved = [recipe() for presets in RECIPES.values() for recipe in presets.values() if recipe().network.solved]
    assert len(solved) == 4
    for config in solved:
        check_solved(config)


@pytest.mark.parametrize(("preset", "side"), [("lite1", 240), ("lite2", 260)])
@pytest.mark.parametrize("method", ["plain", "probe"])
def test_a_larger_lite_sees_as_many_pixels_as_it_was_trained_with(method: str, preset: str, side: int) -> None:
    config = RECIPES[method][preset]()
    expected = timm.get_pretrained_cfg(config.network.base)
    assert expected is not None
    assert config.transforms.input_size == side == expected.input_size[-1]
    assert config.transforms.input_size / config.transforms.resize_size == pytest.approx(224 / 256, abs=2e-3)


def test_only_the_reference_smooths_over_the_other_classes() -> None:
    smoothed = {preset: recipe() for preset, recipe in RECIPES["s3n"].items() if preset != "frozen"}
    assert {preset: config.label_smoothing for preset, config in smoothed.items()} == {
        "foveate": 0.1,
        "continued": 0.1,
        "paper": 0.0,
        "reference": 0.15,
    }
    others = [preset for preset, config in smoothed.items() if config.smoothing_over is SmoothingOver.OTHERS]
    assert others == ["reference"]


def test_every_method_that_can_be_trained_has_a_recipe() -> None:
    trainable = [method for method, each in METHODS.items() if issubclass(each.config, BackboneNetworkConfig)]
    assert set(trainable) == {recipe().network.method for presets in RECIPES.values() for recipe in presets.values()}
