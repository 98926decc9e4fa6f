"""Every shipped training is loaded, built and stepped once; the papers' numbers are those of the papers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from foveate.config.data import TestViews, TrainCrop
from foveate.config.networks import BackboneConfig, BackboneNetworkConfig
from foveate.config.optimiser import Schedule
from foveate.data.datasets import DatasetFormat
from foveate.data.loading import Draw, TrainingViews
from foveate.data.transforms import evaluation_geometries, train_geometry
from foveate.inference.classifier import network_input
from foveate.macnn.config import MACNNConfig
from foveate.networks.network import Network, ParameterGroup, TrainingStep
from foveate.recipes import RECIPES
from foveate.recipes.config import TrainConfig
from foveate.recipes.datasets import load_splits
from foveate.recipes.methods import create_network
from foveate.reproduction.baselines import ft_resnet50_cub, ft_resnet101_cub
from foveate.reproduction.comparisons import ROWS
from foveate.reproduction.trainings import TRAININGS
from foveate.s3n.config import AttentionKind, S3NConfig
from foveate.training.losses import total_loss
from foveate.training.optimiser import build_optimiser
from foveate.training.schedule import build_schedule
from foveate.types import BranchLogits, Size
from miniatures import write_aircraft, write_cars, write_cub, write_dogs

STEPS = 30
ARCHIVES: dict[DatasetFormat, Callable[[Path], Path]] = {
    DatasetFormat.CUB: write_cub,
    DatasetFormat.DOGS: write_dogs,
    DatasetFormat.AIRCRAFT: write_aircraft,
    DatasetFormat.CARS: write_cars,
}
_FOLDERS = ("CUB_200_2011", "stanford_dogs", "fgvc-aircraft-2013b", "stanford_cars")
METHODS = {f"{method} {preset}": recipe for method, presets in RECIPES.items() for preset, recipe in presets.items()}
ALL: dict[str, Callable[[], TrainConfig]] = {**METHODS, **TRAININGS}
FULL = {name: recipe for name, recipe in TRAININGS.items() if recipe().data.root.name in _FOLDERS}


def random_network(config: TrainConfig, classes: int) -> Network:
    network = config.network
    assert isinstance(network, BackboneNetworkConfig)
    network = replace(network, backbone=replace(network.backbone, weights="none"))
    if isinstance(network, MACNNConfig):
        network = replace(network, part_size=64)
    transforms = replace(config.transforms, input_size=96, source_size=None)
    return create_network(network, transforms, classes)


def alike() -> dict[str, TrainConfig]:
    """Group the recipes that train the same network in the same way, on whatever photographs; one of each is enough.

    How much of a photograph an MA-CNN's parts show makes no other network of it. A method's first recipe with a
    backbone keeps it, the others of that backbone have one of timm's small ones in its place.
    """
    groups: dict[object, dict[str, TrainConfig]] = {}
    known: set[object] = set()
    for name, recipe in ALL.items():
        config = recipe()
        network = config.network
        if isinstance(network, MACNNConfig):
            network = replace(network, crop=MACNNConfig().crop)
        key = (network, config.optimiser, config.label_smoothing, config.smoothing_over)
        groups.setdefault(key, {})[name] = config if key in groups else narrowed(config, known)
    return {" ".join(group): next(iter(group.values())) for group in groups.values()}


def narrowed(config: TrainConfig, known: set[object]) -> TrainConfig:
    """Return the recipe as it is where its method with its backbone is not known yet, else with a small backbone."""
    network = config.network
    assert isinstance(network, BackboneNetworkConfig)
    key = (type(network), network.backbone)
    if key not in known:
        known.add(key)
        return config
    small = "test_resnet" if "resnet" in network.backbone.architecture else "test_efficientnet"
    return replace(config, network=replace(network, backbone=BackboneConfig(architecture=small)))


class Shown(NamedTuple):
    """A batch of training views, its labels, and how many classes there are."""

    pixels: Tensor
    labels: Tensor
    classes: int


def shown(config: TrainConfig, tmp_path: Path) -> Shown:
    """Return three training views of a miniature of the recipe's archive.

    The drawn photographs are noise, so that there is something to learn; where a recipe's data are a user's own or a
    pool, CUB's stand in.
    """
    known = config.data.format in ARCHIVES
    root = ARCHIVES[config.data.format if known else DatasetFormat.CUB](tmp_path)
    generator = np.random.default_rng(0)
    for path in root.rglob("*.jpg"):
        Image.fromarray(generator.integers(0, 256, (24, 32, 3), np.uint8)).save(path)
    data = replace(config.data, root=root, format=config.data.format if known else DatasetFormat.CUB)
    splits = load_splits(data)
    train = splits.named("train")
    views = TrainingViews(train, config.transforms, seed=0)
    batches = [views[Draw(epoch, epoch % len(train))] for epoch in range(3)]
    labels = torch.stack([batch.labels for batch in batches])
    return Shown(torch.cat([batch.images for batch in batches]), labels, len(splits.class_names))


@pytest.mark.parametrize("recipe", FULL.values(), ids=FULL.keys())
def test_full_recipes_read_their_archive_at_full_size(recipe: Callable[[], TrainConfig], tmp_path: Path) -> None:
    pixels, labels, classes = shown(recipe(), tmp_path)
    assert pixels.shape == (3, 448, 448, 3)
    assert 0 <= labels.min() <= labels.max() < classes


@pytest.mark.parametrize("config", alike().values(), ids=alike().keys())
def test_every_recipe_takes_a_step(config: TrainConfig, tmp_path: Path) -> None:
    torch.manual_seed(0)
    small = replace(config.transforms, input_size=96, resize_size=108, source_size=None)
    pixels, labels, classes = shown(replace(config, transforms=small), tmp_path)
    network = random_network(config, classes).train()
    groups = network.parameter_groups()
    optimiser = build_optimiser(network, groups, config.optimiser)
    schedule = build_schedule(optimiser, config.optimiser, STEPS)
    before = {key: parameter.clone() for key, parameter in network.named_parameters()}
    inputs = network_input(pixels, network.backbone.normalisation)
    answers: BranchLogits = network(inputs, TrainingStep(0.0, torch.arange(3)))
    assert all(logits.shape == (3, classes) for logits in answers.present().values())
    for epoch in (0, 1) if isinstance(config.network, MACNNConfig) else (0,):  # one of each phase
        loss = total_loss(network.losses(inputs, TrainingStep(0.0, torch.arange(3), epoch)), labels, config)
        assert torch.isfinite(loss)
        optimiser.zero_grad()
        torch.autograd.backward(loss)
        optimiser.step()
        schedule.step()
    after = dict(network.named_parameters())
    assert all(torch.isfinite(parameter).all() for parameter in after.values())
    moved = {key for key in before if not torch.equal(before[key], after[key])}
    new = {id(parameter) for group in groups if group.new for parameter in group.parameters}
    assert {key for key, parameter in after.items() if id(parameter) in new} <= moved
    assert next(iter(before)) in moved  # the stem; in between, residual branches that start at zero move later


@pytest.mark.parametrize("name", ALL)
def test_every_recipe_shows_views_of_its_size(name: str) -> None:
    config = ALL[name]().transforms
    generator = np.random.default_rng(0)
    photograph = Size(90, 60)
    side = config.source
    assert evaluation_geometries(photograph, config, TestViews.CENTRE)[0].output == (side, side)
    window = train_geometry(photograph, config, generator).window
    assert 0 <= window.left < window.right <= 90
    share = window.width * window.height / (90 * 60)
    assert 0.45 <= share <= 1


@pytest.mark.parametrize("name", TRAININGS)
def test_every_recipe_says_what_it_is(name: str) -> None:
    recipe = TRAININGS[name]
    assert recipe.__name__ == name.replace("-", "_")
    assert (recipe.__doc__ or "").strip()
    assert recipe() == recipe()


def test_s3ns_baseline_on_cub_is_the_papers() -> None:
    """S3N, section 4; the side of 600 and the one drop before the 20th of 30 epochs are its release's."""
    config = ft_resnet50_cub()
    assert config.network.base == "resnet50.tv_in1k"
    assert (config.transforms.input_size, config.transforms.resize_size) == (448, 600)
    assert config.batch_size == 16
    assert (config.optimiser.momentum, config.optimiser.weight_decay) == (0.9, 1e-4)
    assert rates(config, per_epoch=3) == {
        0: (0.001, 0.01),
        18: (0.001, 0.01),
        19: (0.0001, 0.001),
        29: (0.0001, 0.001),
    }
    assert (config.epochs, config.data.format, config.label_smoothing) == (30, DatasetFormat.CUB, 0.0)


def test_guided_zooms_baseline_on_cub_is_the_papers() -> None:
    """Guided Zoom, section 4; 5,994 photographs are 94 batches of 64, of which 30,000 are 319.1 epochs."""
    config = ft_resnet101_cub().counted(5_994)
    assert config.network.base == "resnet101.tv_in1k"
    assert (config.transforms.input_size, config.transforms.resize_size) == (448, 475)
    assert config.transforms.train_crop is TrainCrop.OFFSET
    assert (config.batch_size, config.epochs, config.optimiser.momentum) == (64, 319, 0.9)
    moved = rates(config, per_epoch=94)
    at = {epoch: rate for epoch, (rate, new) in moved.items() if rate == new}
    assert at[0] == 0.001
    drops = {iterations: at[iterations // 94] for iterations in (9_000, 11_000, 19_000, 21_000, 29_000)}
    assert drops == pytest.approx({9_000: 1e-3, 11_000: 1e-4, 19_000: 1e-4, 21_000: 1e-5, 29_000: 1e-5})


def rates(config: TrainConfig, per_epoch: int) -> dict[int, tuple[float, float]]:
    """Return the rates of the old and the new layers at the start of each epoch at which they were asked for."""
    network = torch.nn.ModuleDict({"old": torch.nn.Linear(1, 1), "new": torch.nn.Linear(1, 1)})
    optimiser = build_optimiser(network, [ParameterGroup(list(network["new"].parameters()))], config.optimiser)
    schedule = build_schedule(optimiser, config.optimiser, config.epochs * per_epoch)
    wanted = (0, 18, 19, 29) if config.epochs == 30 else range(config.epochs)
    seen: dict[int, tuple[float, float]] = {}
    for epoch in range(config.epochs):
        if epoch in wanted:
            old, new = (round(float(group["lr"]), 12) for group in optimiser.param_groups)
            seen[epoch] = (old, new)
        for _ in range(per_epoch):
            optimiser.step()
            schedule.step()
    return seen


@pytest.mark.parametrize(
    ("name", "architecture", "format", "published"),
    [
        ("ft-resnet50-cub", "resnet50.tv_in1k", DatasetFormat.CUB, "86.0"),  # S3N, table 5
        ("ft-resnet50-aircraft", "resnet50.tv_in1k", DatasetFormat.AIRCRAFT, "89.9"),
        ("ft-resnet50-cars", "resnet50.tv_in1k", DatasetFormat.CARS, "92.6"),
        ("ft-resnet101-cub", "resnet101.tv_in1k", DatasetFormat.CUB, "82.3"),  # Guided Zoom, table 1
        ("ft-resnet101-dogs", "resnet101.tv_in1k", DatasetFormat.DOGS, "86.9"),
        ("ft-resnet101-aircraft", "resnet101.tv_in1k", DatasetFormat.AIRCRAFT, "87.5"),
    ],
)
def test_a_papers_recipe_states_the_published_number(
    name: str, architecture: str, format: DatasetFormat, published: str
) -> None:
    recipe = TRAININGS[name]
    assert f"Published: {published} top-1" in (recipe.__doc__ or "")
    network = recipe().network
    assert isinstance(network, BackboneNetworkConfig)
    assert network.backbone == BackboneConfig(architecture=architecture)
    assert recipe().data.format is format
    assert recipe().optimiser.schedule is Schedule.STEP


@pytest.mark.parametrize(
    ("name", "photographs", "epochs"),
    [
        ("ft-resnet101-dogs", 12_000, 160),  # 30,000 of 188 = 159.6
        ("ft-resnet101-aircraft", 6_667, 286),  # of 105 = 285.7
        ("evidence-resnet101", 12_345, 155),  # of 193 = 155.4
        ("evidence-resnet101", 64, 30_000),
        ("evidence-resnet101", 10_000_000, 1),  # an epoch at least
    ],
)
def test_thirty_thousand_batches_of_64_in_epochs(name: str, photographs: int, epochs: int) -> None:
    config = TRAININGS[name]()
    assert (config.steps, config.batch_size) == (30_000, 64)
    assert config.counted(photographs) == replace(config, steps=None, epochs=epochs)


@pytest.mark.parametrize("name", ["s3n-reference-cub", "s3n-slice-reference", "s3n-resnet50-cub"])
def test_the_released_rate_falls_before_the_40th_of_60_epochs(name: str) -> None:
    moved = rates(TRAININGS[name](), per_epoch=3)
    assert [moved[epoch] for epoch in (0, 38, 39, 59)] == [(0.001, 0.01)] * 2 + [(0.0001, 0.001)] * 2


@pytest.mark.parametrize("name", ["macnn-vgg19-cub", "macnn-vgg19-aircraft", "macnn-vgg19-cars"])
def test_guided_zooms_other_base_network_sees_what_the_first_does(name: str) -> None:
    """Its text: the same input image sizes."""
    sizes, own = (TRAININGS[each]().transforms for each in (name, "ft-resnet101-cub"))
    assert replace(sizes, flip=own.flip) == own


def test_the_papers_evidence_cnn_trains_as_the_paper_says() -> None:
    """BMVC 2019, section 4; what the text does not name is not done, as in its conventional networks."""
    config = TRAININGS["evidence-resnet101"]()
    own, optimiser = TRAININGS["ft-resnet101-cub"](), config.optimiser
    assert optimiser == own.optimiser
    assert (optimiser.learning_rate, optimiser.new_learning_rate, optimiser.momentum) == (0.001, 0.001, 0.9)
    assert (optimiser.weight_decay, config.transforms.flip, config.label_smoothing) == (0.0, 0.0, 0.0)
    assert (config.batch_size, config.transforms.input_size, config.transforms.resize_size) == (64, 224, 256)


@pytest.mark.parametrize("base", ["s3n-slice", "s3n-plumage", "s3n-resnet50-cub"])
def test_a_row_of_s3ns_tables_differs_in_its_fields_alone(base: str) -> None:
    for suffix, row in ROWS.items():
        changed = replace(s3n_config(base), **row.fields)
        assert TRAININGS[f"{base}-{suffix}"]() == replace(TRAININGS[base](), network=changed)


def test_the_rows_of_s3ns_tables_are_the_papers() -> None:
    """Tables 2, 3 and 4; S3N itself is the last row of each."""
    published = {suffix: row.published for suffix, row in ROWS.items() if row.published is not None}
    assert published == {
        **{"o": 86.0, "od": 87.6, "oc": 87.3, "dc": 87.5},
        **{"saliency": 85.9, "class-response": 87.8},
        **{"all": 87.7, "random": 87.9, "probability": 88.5},
    }
    chosen = {suffix: s3n_config(f"s3n-resnet50-cub-{suffix}") for suffix in ROWS}
    assert chosen["probability"] == s3n_config("s3n-resnet50-cub")
    assert [chosen[each].attention for each in ("od", "class-response", "saliency")] == list(AttentionKind)
    assert [chosen[each].branches.value for each in ("o", "od", "oc", "dc")] == ["o", "o+d", "o+c", "d+c"]
    for each in ("all", "random", "expected", "extremes"):
        assert {chosen[each].train_partition.value, chosen[each].test_partition.value} == {each}


def s3n_config(name: str) -> S3NConfig:
    network = TRAININGS[name]().network
    assert isinstance(network, S3NConfig)
    return network


def test_the_alternatives_differ_from_the_slice_in_one_thing() -> None:
    """What a user could do instead of looking closer: more pixels, or more epochs."""
    plain = TRAININGS["plain-slice"]()
    larger, longer = TRAININGS["plain-slice-448"](), TRAININGS["plain-slice-long"]()
    assert replace(larger, transforms=plain.transforms) == plain
    assert (plain.transforms.input_size, larger.transforms.input_size) == (224, 448)
    assert replace(longer, epochs=plain.epochs) == plain
    assert longer.epochs == 3 * plain.epochs
