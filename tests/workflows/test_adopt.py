"""From a file of weights to a run, to evaluation, prediction and Guided Zoom."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal, cast

import pytest
import timm
import torch
from PIL import Image
from torch import nn
from torch.testing import assert_close
from torchvision import models
from torchvision.models.vgg import VGG, make_layers

from command_line import status
from foveate.backbones.weights import save_weights
from foveate.config.data import DataConfig, DatasetFormat, TransformConfig
from foveate.config.hardware import HardwareConfig
from foveate.config.networks import BackboneConfig, Library, OwnConfig, PlainConfig
from foveate.errors import UserError
from foveate.guided_zoom.config import Keep, PatchConfig, PoolConfig, RefinementConfig
from foveate.recipes import evidence as evidence_recipe
from foveate.recipes.config import TrainConfig
from foveate.recipes.datasets import load_splits
from foveate.runs.context import RunContext
from foveate.runs.guided_zoom_run import GuidedZoomRun
from foveate.runs.run import Run
from foveate.workflows.adopt import adopt
from foveate.workflows.build_guided_zoom import build_guided_zoom
from foveate.workflows.evaluate import evaluate
from foveate.workflows.evidence_training import EvidenceTraining, evidence_backbone
from foveate.workflows.model import load
from foveate.workflows.train import train

SLOW = HardwareConfig(accelerator="cpu", workers=0)
QUIET = RunContext(hardware=SLOW, say=lambda line: None)
ABSENT: Literal["mps", "gpu"] = "mps" if torch.cuda.is_available() else "gpu"
SMALL = TransformConfig(input_size=64, resize_size=72)
ON_THE_COMMAND_LINE = ["--transforms.input-size", 64, "--transforms.resize-size", 72]
ON_THE_COMMAND_LINE += ["--hardware.precision", "float32", "--hardware.workers", 0]


def silent(line: str) -> None:
    """Say nothing."""


def unread(line: str) -> None:
    """Refuse to hear that photographs are read."""
    assert not line.startswith("reading")


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Random weights of a tiny ResNet of timm, four classes."""
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("elsewhere") / "weights.pth"
    torch.save(timm.create_model("test_resnet", num_classes=4).state_dict(), path)
    return path


def taken_in(checkpoint: Path, out: Path, plumage: Path, **options: Any) -> Run:
    data = DataConfig(root=plumage, format=DatasetFormat.CUB)
    given: dict[str, Any] = {
        "architecture": "test_resnet",
        "data": data,
        "transforms": SMALL,
        "hardware": SLOW,
        "say": silent,
    }
    return adopt(checkpoint, out, **(given | options))


@pytest.fixture(scope="module")
def run(checkpoint: Path, plumage: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    return taken_in(checkpoint, tmp_path_factory.mktemp("runs") / "adopted", plumage)


@pytest.mark.usefixtures("without_noise")
def test_it_is_a_finished_run(run: Run, checkpoint: Path) -> None:
    again = Run.open(run.path)
    assert again.finished
    assert again.config.network == OwnConfig(architecture="test_resnet")
    assert len(again.trained_ids()) == 24
    metrics = again.metrics()
    assert (metrics["minutes"], metrics["adopted"], metrics["tried"]) == (0.0, str(checkpoint.resolve()), 24)
    network = timm.create_model("test_resnet", num_classes=4)
    network.load_state_dict(torch.load(checkpoint, weights_only=True))
    images = torch.rand(2, 3, 64, 64)
    with torch.no_grad():
        assert_close(again.load_network().eval()(images).original, network.eval()(images))


def test_it_is_evaluated_and_asked_as_any_run(run: Run, plumage: Path, tmp_path: Path) -> None:
    own = Run.open(Path(shutil.copytree(run.path, tmp_path / "own")))
    done = evaluate(own, context=RunContext(hardware=SLOW, results=tmp_path / "rows.jsonl", say=silent))
    assert done.accuracy.images == 12
    row = json.loads((tmp_path / "rows.jsonl").read_text())
    assert (row["method"], row["base"], row["preset"]) == ("own", "test_resnet", None)
    assert (row["epochs"], row["minutes"]) == (None, 0.0)
    photograph = min(plumage.rglob("*.jpg"))
    assert load(own.path, hardware=SLOW).predict(photograph, top=4).best.class_name in own.class_names


def test_a_network_of_one_size_is_adopted_at_another(plumage: Path, tmp_path: Path) -> None:
    torch.save(timm.create_model("test_vit", num_classes=4).state_dict(), tmp_path / "vit.pth")
    said: list[str] = []
    options: dict[str, Any] = {"architecture": "test_vit", "say": said.append}
    run = taken_in(tmp_path / "vit.pth", tmp_path / "run", plumage, **options)
    assert "interpolated 'pos_embed': learnt at another image size" in said
    assert load(run.path, hardware=SLOW).predict(min(plumage.rglob("*.jpg"))).best.class_name in run.class_names


def test_averaged_weights_are_taken_where_they_are_named(checkpoint: Path, plumage: Path, tmp_path: Path) -> None:
    plain = torch.load(checkpoint, weights_only=True)
    mean = {**plain, "fc.bias": plain["fc.bias"] + 1}
    file = tmp_path / "model_best.pth.tar"
    torch.save({"state_dict": plain, "state_dict_ema": mean}, file)
    said: list[str] = []
    runs = {
        key: taken_in(file, tmp_path / f"run {key}", plumage, weights_key=key, say=said.append)
        for key in (None, "state_dict_ema")
    }
    assert said[0] == "took the weights at 'state_dict'; --weights-key takes others: 'state_dict_ema'"
    for key, weights in ((None, plain), ("state_dict_ema", mean)):
        loaded = cast(nn.Module, runs[key].load_network().backbone.network).state_dict()
        assert_close(loaded["fc.bias"], weights["fc.bias"])
        assert taken_in(file, tmp_path / f"run {key}", plumage, weights_key=key).path == runs[key].path
    assert taken_in(file, tmp_path / "run None", plumage, weights_key="state_dict").path == runs[None].path
    with pytest.raises(UserError, match=r"which weights of the file it took \('state_dict_ema'\); name another"):
        taken_in(file, tmp_path / "run state_dict_ema", plumage)


def test_the_same_call_returns_what_is_there(run: Run, checkpoint: Path, plumage: Path) -> None:
    before = run.weights.stat().st_mtime_ns
    said: list[str] = []
    assert taken_in(checkpoint, run.path, plumage, say=said.append).path == run.path
    assert run.weights.stat().st_mtime_ns == before
    assert said == [f"{run.path} holds test_resnet of {checkpoint} already"]


def test_another_network_in_the_same_folder_is_refused(
    run: Run, checkpoint: Path, plumage: Path, tmp_path: Path
) -> None:
    weights = torch.load(checkpoint, weights_only=True)
    torch.save({**weights, "fc.bias": weights["fc.bias"] + 1}, tmp_path / "other.pth")
    with pytest.raises(
        UserError, match=r"a folder keeps the network that it holds; .* differs in its weights; name an"
    ):
        taken_in(tmp_path / "other.pth", run.path, plumage)
    with pytest.raises(UserError, match=r"differs in config\.transforms\.input_size; name another"):
        taken_in(checkpoint, run.path, plumage, transforms=replace(SMALL, input_size=48))


@pytest.mark.parametrize(("name", "value"), [("checkpoint_hash", None), ("weights_key", 3), ("weights_place", [""])])
def test_a_run_that_does_not_say_whose_weights_it_has_is_damaged(
    name: str, value: object, run: Run, checkpoint: Path, plumage: Path, tmp_path: Path
) -> None:
    own = Path(shutil.copytree(run.path, tmp_path / "own"))
    metrics = json.loads((own / "metrics.json").read_text())
    metrics |= {name: value}
    if value is None:
        del metrics[name]
    (own / "metrics.json").write_text(json.dumps(metrics))
    with pytest.raises(UserError, match=rf"metrics\.json is damaged: .*{name}; restore it from a copy"):
        taken_in(checkpoint, own, plumage)


def test_what_is_wrong_with_two_splits_is_said_at_once(checkpoint: Path, plumage: Path, tmp_path: Path) -> None:
    root = Path(shutil.copytree(plumage, tmp_path / "birds"))
    data = DataConfig(root=root, validation_fraction=0.5)
    splits = load_splits(data)
    for records in (splits.train, splits.validation):
        cast(Path, records[0].image).write_bytes(b"")
    with pytest.raises(UserError) as raised:
        taken_in(checkpoint, tmp_path / "run", plumage, data=data)
    assert all(records[0].id in str(raised.value) for records in (splits.train, splits.validation))


def test_a_stopped_adoption_is_done_again(checkpoint: Path, plumage: Path, tmp_path: Path) -> None:
    def stopping(line: str) -> None:
        if "named rightly" in line:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        taken_in(checkpoint, tmp_path / "run", plumage, say=stopping)
    assert not (tmp_path / "run").exists()
    assert taken_in(checkpoint, tmp_path / "run", plumage, transforms=replace(SMALL, input_size=48)).finished


def test_mistakes_leave_no_folder(checkpoint: Path, plumage: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"a checkpoint must be a file of weights; .*gone.pth is none"):
        taken_in(tmp_path / "gone.pth", tmp_path / "run", plumage)
    with pytest.raises(UserError, match=r"one that timm knows; got 'test_resnot'; close: .*test_resnet"):
        taken_in(checkpoint, tmp_path / "run", plumage, architecture="test_resnot")
    with pytest.raises(UserError, match=r"accelerator must be one of this machine's"):
        taken_in(checkpoint, tmp_path / "run", plumage, hardware=replace(SLOW, accelerator=ABSENT), say=unread)
    folders = tmp_path / "folders"
    for each in sorted((plumage / "images").iterdir())[:3]:
        shutil.copytree(each, folders / each.name)
    with pytest.raises(UserError, match=r"has 4 \(by 'fc.weight'\), the data set 3; give the data set"):
        taken_in(checkpoint, tmp_path / "run", plumage, data=DataConfig(root=folders))
    assert not (tmp_path / "run").exists()


COLOURS = {"blue": (20, 20, 200), "green": (20, 200, 20), "red": (200, 20, 20), "white": (230, 230, 230)}


def sure_of_colours(_: str, num_classes: int) -> nn.Module:
    """A network that answers with the colour that is nearest to the mean of its image."""
    network = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(3, num_classes))
    mean, deviation = torch.tensor([[0.485, 0.456, 0.406], [0.229, 0.224, 0.225]])
    colours = (torch.tensor(list(COLOURS.values())) / 255 - mean) / deviation
    weights = {"2.weight": colours, "2.bias": -colours.square().sum(1) / 2}
    network.load_state_dict(weights)
    return network


def test_its_answers_show_whether_the_classes_are_in_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(models, "get_model", sure_of_colours)
    for split, count in (("train", 6), ("test", 1)):
        for name, colour in COLOURS.items():
            (tmp_path / "flat" / split / name).mkdir(parents=True)
            for number in range(count):
                Image.new("RGB", (64, 64), colour).save(tmp_path / "flat" / split / name / f"{number}.png")
    for name, turned in (("right", 0), ("wrong", 1)):
        weights = {each: value.roll(turned, 0) for each, value in sure_of_colours("", 4).state_dict().items()}
        save_weights(tmp_path / f"{name}.safetensors", weights)
    told: dict[str, list[str]] = {"right": [], "wrong": []}
    runs = {
        name: taken_in(
            tmp_path / f"{name}.safetensors",
            tmp_path / name,
            tmp_path / "flat",
            data=DataConfig(root=tmp_path / "flat"),
            architecture="vgg16",
            library=Library.TORCHVISION,
            say=lines.append,
        )
        for name, lines in told.items()
    }
    assert [run.metrics()["right"] for run in runs.values()] == [24, 0]
    assert "24 of 24 training photographs named rightly, 4 classes" in told["right"]
    assert not any(line.startswith("warning") for line in told["right"])
    (warning,) = (line for line in told["wrong"] if line.startswith("warning"))
    first = runs["wrong"].class_names[0]
    assert warning.startswith("warning: guessing would name 6: the network's classes may be in another order")
    assert f"the data set's, which begins {first}" in warning


def test_it_is_not_trained(quick: TrainConfig, tmp_path: Path) -> None:
    config = replace(quick, network=OwnConfig(architecture="resnet18"))
    with pytest.raises(UserError, match="a network of your own is adopted, not trained; got resnet18"):
        train(config, tmp_path / "run", say=silent)
    assert not (tmp_path / "run").exists()


def small_vgg(_: str, num_classes: int) -> nn.Module:
    """A VGG of torchvision, as narrow as its construction allows."""
    network: nn.Module = VGG(
        make_layers([4, "M", 4, "M", 8, "M", 8, "M", 8, "M"]), num_classes=num_classes, init_weights=False
    )
    network.classifier = nn.Sequential(
        *(nn.Linear(8 * 49, 16), nn.ReLU(), nn.Dropout(), nn.Linear(16, 16), nn.ReLU(), nn.Dropout()),
        nn.Linear(16, num_classes),
    )
    return network


def test_guided_zoom_of_a_vgg(plumage: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its head is no linear layer on averaged features."""
    monkeypatch.setattr(models, "get_model", small_vgg)
    torch.manual_seed(0)
    save_weights(tmp_path / "vgg.safetensors", small_vgg("", 4).state_dict())
    zoom = tmp_path / "zoom"
    options = {"architecture": "vgg16", "library": Library.TORCHVISION}
    run = taken_in(tmp_path / "vgg.safetensors", GuidedZoomRun.network_folder(zoom), plumage, **options)
    pool = PoolConfig(patches=PatchConfig(source_size=96, rounds=1), keep=Keep.ERASED_CORRECT)
    evidence = replace(
        evidence_recipe(),
        transforms=TransformConfig(input_size=32, resize_size=40),
        network=PlainConfig(backbone=BackboneConfig(architecture="test_efficientnet", weights="none")),
        hardware=SLOW,
        epochs=1,
    )
    refinement, rows = RefinementConfig(top_k=3, weights=(0.5, 0.3, 0.2)), tmp_path / "rows.jsonl"
    made = build_guided_zoom(
        *(run, zoom),
        pool=pool,
        refinement=refinement,
        evidence=EvidenceTraining(config=evidence),
        context=RunContext(hardware=SLOW, results=rows, say=silent),
    )
    assert made[0].change.before == evaluate(run, context=QUIET).accuracy.top1.value
    row = json.loads(rows.read_text())
    assert (row["conventional"], row["base"], row["preset"]) == ("own", "vgg16", None)
    moved = GuidedZoomRun.open(zoom.rename(tmp_path / "moved"))
    assert moved.base_run().path == moved.path / "network"


@pytest.mark.parametrize(
    ("network", "architecture", "alike"),
    [
        (OwnConfig(architecture="test_resnet"), None, True),
        (OwnConfig(architecture="test_resnet", mean=(0.5, 0.5, 0.5)), None, False),
        (OwnConfig(architecture="efficientnet_b0", library=Library.TORCHVISION), "efficientnet_b0", False),
        (OwnConfig(architecture="test_vit"), None, True),
        (OwnConfig(architecture="mobilenetv3_small_050"), None, False),
    ],
)
def test_an_evidence_cnn_begins_as_a_network_that_is_built_and_fed_alike(
    run: Run, tmp_path: Path, network: OwnConfig, architecture: str | None, alike: bool
) -> None:
    base = replace(run, description=replace(run.description, config=replace(run.config, network=network)))
    config = EvidenceTraining(architecture=architecture).config_for(base, tmp_path, SLOW)
    assert isinstance(config.network, PlainConfig)
    assert config.network.backbone.weights == (str(run.path.resolve()) if alike else "auto")
    assert config.epochs == (4 if alike else 8)


def test_the_evidence_cnn_is_one_that_can_be_trained() -> None:
    for architecture in ("test_resnet", "test_vit"):
        of_timm = OwnConfig(architecture=architecture, mean=(0.5, 0.5, 0.5))
        assert evidence_backbone(of_timm) == BackboneConfig(architecture=architecture)
    for other in (
        OwnConfig(architecture="mobilenetv3_small_050"),
        OwnConfig(architecture="resnet18", library=Library.TORCHVISION),
    ):
        assert evidence_backbone(other) == BackboneConfig()
    backbone = BackboneConfig(architecture="resnet18", weights="none")
    assert evidence_backbone(PlainConfig(backbone=backbone)) == backbone


def test_on_the_command_line(
    checkpoint: Path,
    plumage: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("foveate.backbones.backbone._weights_source", lambda config: "none")  # instead of a download
    described = ["--architecture", "test_resnet", "--data.root", plumage, "--data.format", "cub", *ON_THE_COMMAND_LINE]
    described += ["--weights-key", "state_dict_ema"]
    run, zoom = tmp_path / "run", tmp_path / "zoom"
    torch.save({"state_dict_ema": torch.load(checkpoint, weights_only=True)}, checkpoint := tmp_path / "timm.pth.tar")
    assert status("adopt", checkpoint, "--out", run, *described) == 0
    assert "training photographs named rightly, 4 classes" in capsys.readouterr().out
    assert status("evaluate", run, "--hardware.workers", 0) == 0
    assert status("predict", run, plumage / "images", "--top", 1, "--out", tmp_path / "answers.csv") == 0
    pool = ["--pool.patches.source-size", 96, "--pool.patches.rounds", 0, "--pool.keep", "erased-correct"]
    asked = [*pool, "--refinement.top-k", 2, "--refinement.weights", 0.5, 0.5, "--epochs", 1]
    asked += ["--evidence-architecture", "test_efficientnet"]
    capsys.readouterr()
    for attempt in range(2):  # the second finds all of it there
        assert status("guided-zoom", checkpoint, "--out", zoom, *described, *asked) == 0
        told = capsys.readouterr().out
        assert "### zoom, test split" in told
        assert ("already" in told) == bool(attempt)
        assert ("trained in" in told) != bool(attempt)
    assert GuidedZoomRun.open(zoom).evidence_run().config.network.base == "test_efficientnet"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("adopt {file} --out {out}", "a checkpoint needs the name of its architecture"),
        ("guided-zoom {file} --out {out}", "a checkpoint needs the name of its architecture"),
        ("guided-zoom {run} --out {out} --architecture resnet18", "describe a file of weights"),
        ("guided-zoom {file} --out {full} --architecture test_resnet", "a new Guided Zoom needs an empty folder"),
    ],
)
def test_mistakes_on_the_command_line(
    arguments: str, message: str, run: Run, checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "letter.txt").write_text("dear")
    places = {"file": checkpoint, "run": run.path, "out": tmp_path / "out", "full": tmp_path / "full"}
    assert status(*arguments.format(**places).split()) == 2
    assert message in capsys.readouterr().err
    assert [each.name for each in tmp_path.iterdir()] == ["full"]
