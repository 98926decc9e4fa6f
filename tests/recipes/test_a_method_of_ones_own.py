"""A method that the package has never heard of: one entry in a dict, and all that is done with a run works.

Its joint head never agrees with its backbone's head, so that whatever takes the one for the other shows.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import ClassVar

import pytest
import torch
from jaxtyping import Float, UInt8
from safetensors.torch import load_file
from torch import Tensor

from foveate.backbones.backbone import Backbone, create_backbone
from foveate.config.branches import Branch
from foveate.config.checks import require
from foveate.config.data import TransformConfig
from foveate.config.networks import BackboneNetworkConfig, PlainConfig
from foveate.data.loading import EvaluationViews, evaluation_loader
from foveate.data.records import ImageRecord
from foveate.errors import UserError
from foveate.evaluation.predictions import read_predictions
from foveate.files.documents import write_text
from foveate.grounding.create import create_grounding
from foveate.guided_zoom.config import Keep
from foveate.guided_zoom.conventional_cnn import ConventionalCNN
from foveate.inference.classifier import network_input
from foveate.networks.explanation import Explanation
from foveate.networks.first_view import shrink
from foveate.networks.network import Losses, Network, ParameterGroup, TrainingStep
from foveate.recipes.config import TrainConfig
from foveate.recipes.datasets import load_splits
from foveate.recipes.methods import METHODS, Method
from foveate.report.result_versions import read_rows
from foveate.report.results import BEGIN, END, with_results
from foveate.runs.context import RunContext
from foveate.runs.guided_zoom_run import GuidedZoomRun
from foveate.runs.run import Run
from foveate.types import BranchLogits, Prediction
from foveate.workflows.analysis.localise import localise
from foveate.workflows.build_pool import build_pool
from foveate.workflows.evaluate import evaluate
from foveate.workflows.evidence_training import EvidenceTraining
from foveate.workflows.explain import explain
from foveate.workflows.explain_zoom import explain_zoom
from foveate.workflows.model import load
from foveate.workflows.refinement_report import RefinementRow
from foveate.workflows.split_evidence import evidence_of_split
from foveate.workflows.train import train
from zooms import EXACT, POOL, REFINEMENT, made_of, silent

close = partial(torch.testing.assert_close, rtol=1e-3, atol=1e-3)  # folded batch norms round otherwise


@dataclass(frozen=True, kw_only=True)
class ShiftedConfig(BackboneNetworkConfig):
    """A backbone whose head names the next class."""

    method: ClassVar[str] = "shifted"
    reads_source: ClassVar[bool] = True

    shift: int = 1
    """By how many classes the backbone's head is off; never a multiple of their number."""

    def __post_init__(self) -> None:
        require(self.shift > 0, "shift must be positive", self.shift)

    def settings(self) -> dict[str, str | None]:
        return super().settings() | {"preset": f"by {self.shift}"}


class Shifted(Network):
    """Decides by its backbone's answer, carried over to another class."""

    backbone: Backbone

    def __init__(self, backbone: Backbone, config: ShiftedConfig, input_size: int) -> None:
        super().__init__()
        self.backbone = backbone
        self.shift = config.shift
        self.input_size = input_size

    @classmethod
    def create(cls, config: ShiftedConfig, classes: int, transforms: TransformConfig, pretrained: bool) -> Shifted:
        backbone = create_backbone(config.backbone, classes, pretrained=pretrained)
        return cls(backbone, config, transforms.input_size)

    def forward(self, images: Float[Tensor, "b 3 Hs Ws"], step: TrainingStep | None = None) -> BranchLogits:
        original = self.backbone.logits(self.first_view(images))
        return BranchLogits(original, joint=original.roll(-self.shift, 1))

    def losses(self, images: Float[Tensor, "b 3 Hs Ws"], step: TrainingStep) -> Losses:
        return Losses(None, [self(images, step).decision])

    def first_view(self, images: Float[Tensor, "b 3 Hs Ws"]) -> Float[Tensor, "b 3 H W"]:
        return shrink(images, self.input_size)

    def check_explains(self, *, over_training: bool = False) -> None:
        if over_training:
            raise UserError("a Shifted shows no stages of its training; leave --epochs out")

    def explanation(
        self, images: Float[Tensor, "1 3 Hs Ws"], class_names: Sequence[str], title: str, truth: str | None = None
    ) -> Explanation:
        answers = self(images)
        named = (class_names[int(each.argmax())] for each in (answers.original, answers.decision))
        return ShiftedExplanation(title, *named)

    def parameter_groups(self) -> list[ParameterGroup]:
        return [ParameterGroup(list(self.backbone.classifier.parameters()))]


@dataclass(frozen=True)
class ShiftedExplanation(Explanation):
    """Words in place of a picture."""

    title: str
    backbone: str
    decision: str

    def draw(self, path: Path) -> None:
        write_text(path, f"{self.title}: not {self.backbone} but {self.decision}")


@pytest.fixture(scope="module", autouse=True)
def _one_entry() -> Iterator[None]:
    """All that the package is told of the method."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setitem(METHODS, ShiftedConfig.method, Method(ShiftedConfig, Shifted.create))
        yield


@pytest.fixture(scope="module")
def config(quick: TrainConfig) -> TrainConfig:
    transforms = replace(quick.transforms, source_size=96)
    changed = replace(quick, network=ShiftedConfig(), transforms=transforms, hardware=EXACT)
    return replace(changed, epochs=3, keep_epochs=(1,))


@pytest.fixture(scope="module")
def run(config: TrainConfig, tmp_path_factory: pytest.TempPathFactory) -> Run:
    return train(config, tmp_path_factory.mktemp("runs") / "shifted", say=silent)


@pytest.fixture(scope="module")
def records(run: Run) -> Sequence[ImageRecord]:
    """Those of the test split."""
    return load_splits(run.config.data).test


@pytest.fixture(scope="module")
def photographs(records: Sequence[ImageRecord]) -> list[Path]:
    return [record.image for record in records if isinstance(record.image, Path)]


@pytest.fixture(scope="module")
def zoom(run: Run, evidence: TrainConfig, tmp_path_factory: pytest.TempPathFactory) -> GuidedZoomRun:
    folder = tmp_path_factory.mktemp("guided")
    network = EvidenceTraining().config_for(run, folder, EXACT).network
    context = RunContext(hardware=EXACT, results=folder / "results.jsonl", say=silent)
    rows = made_of(run, folder / "zoom", replace(evidence, network=network), context=context)
    assert all(isinstance(row, RefinementRow) for row in rows)
    return GuidedZoomRun.open(folder / "zoom")


def views_of(run: Run, records: Sequence[ImageRecord]) -> UInt8[Tensor, "n H W 3"]:
    (batch,) = evaluation_loader(EvaluationViews(records, run.config.transforms), len(records))
    images: Tensor = batch.images[:, 0]
    return images


def answers_of(run: Run, records: Sequence[ImageRecord]) -> BranchLogits:
    """Return what the network itself answers."""
    network = run.load_network().eval()
    with torch.inference_mode():
        answers: BranchLogits = network(network_input(views_of(run, records), network.backbone.normalisation))
    return answers


def test_its_document_says_which_method_it_is(run: Run, config: TrainConfig) -> None:
    network = json.loads((run.path / "run.json").read_text())["config"]["network"]
    assert (network["method"], network["shift"]) == ("shifted", 1)
    assert Run.open(run.path).config == config
    assert type(run.load_network()) is Shifted


def test_without_the_entry_its_document_is_refused(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(METHODS, "shifted")
    with pytest.raises(UserError, match=r"one of plain, s3n, macnn, probe, own, ensemble; .* has 'shifted'"):
        Run.open(run.path)


def test_its_training_resumes_exactly(
    run: Run, config: TrainConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:
        whole, steps = Shifted.losses, iter(range(100))

        def interrupted(self: Shifted, images: Tensor, step: TrainingStep) -> Losses:
            if next(steps) == 7:  # in the third of three epochs, of three steps each
                raise KeyboardInterrupt
            return whole(self, images, step)

        patched.setattr(Shifted, "losses", interrupted)
        with pytest.raises(KeyboardInterrupt):
            train(config, tmp_path / "run", say=silent)
    lines: list[str] = []
    resumed = train(config, tmp_path / "run", say=lines.append)
    assert any("resuming" in line for line in lines)
    for file in ("model.safetensors", "epochs/epoch-001.safetensors"):
        before, after = load_file(run.path / file), load_file(resumed.path / file)
        assert before.keys() == after.keys()
        assert all(torch.equal(before[name], after[name]) for name in before)


def test_it_is_measured_by_its_joint_head(run: Run, records: Sequence[ImageRecord], tmp_path: Path) -> None:
    evaluation = evaluate(run, context=RunContext(results=tmp_path / "results.jsonl", hardware=EXACT, say=silent))
    answers = answers_of(run, records)
    close(torch.from_numpy(evaluation.table.probabilities), answers.decision.softmax(1))
    original = read_predictions(evaluation.report.with_name(f"{evaluation.report.stem}-{Branch.ORIGINAL}.parquet"))
    close(torch.from_numpy(original.probabilities), answers.original.softmax(1))
    (row,) = read_rows(tmp_path / "results.jsonl")
    expected = {"method": "shifted", "preset": "by 1", "attention": None, "base": "tf_efficientnet_lite0", "epochs": 3}
    assert {name: row[name] for name in expected} == expected
    assert row["top1"] == row["branches"]["joint"] == round(100 * evaluation.accuracy.top1.value, 2)
    assert "| shifted (by 1) |" in with_results(f"{BEGIN}{END}", [row])


def test_it_predicts_and_explains_by_its_joint_head(
    run: Run, records: Sequence[ImageRecord], photographs: list[Path], tmp_path: Path
) -> None:
    classes = answers_of(run, records).decision.argmax(1)
    expected = [run.class_names[each] for each in classes.tolist()]
    model = load(run.path, hardware=EXACT)
    assert [each.best.class_name for each in model.predict_many(photographs)] == expected
    assert [each.class_name for each in model.classify_many(photographs)] == expected
    backbones = [run.class_names[(each + 1) % 4] for each in classes.tolist()]
    pictures = explain(
        run, [str(path) for path in photographs], out=tmp_path, context=RunContext(hardware=EXACT, say=silent)
    )
    for picture, path, before, after in zip(pictures, photographs, backbones, expected, strict=True):
        assert picture.read_text().endswith(f"{path.name}: not {before} but {after}")


def test_what_it_does_not_offer_is_refused_in_words(run: Run, photographs: list[Path]) -> None:
    with pytest.raises(UserError, match=r"class maps, .* got a Shifted; localise a run of"):
        localise(run, context=RunContext(hardware=EXACT, say=silent))
    with pytest.raises(UserError, match="this one, a Shifted, looks once; leave it out"):
        load(run.path, zoom_entropy_threshold=0.2)
    with pytest.raises(UserError, match="shows no stages of its training"):
        explain(run, [str(photographs[0])], epochs=(1,), context=RunContext(hardware=EXACT, say=silent))


@pytest.mark.usefixtures("without_noise")
def test_it_is_grounded_for_the_classes_that_it_decides_between(run: Run, records: Sequence[ImageRecord]) -> None:
    """And never for those that its backbone's head would name: such a network was grounded for one, decided as another.

    The maps are those of its backbone in its first view.
    """
    network = run.load_network()
    cnn = ConventionalCNN.place(network, POOL.grounding, EXACT)
    images, answers = views_of(run, records), answers_of(run, records)
    grounded = cnn.answer(images, 3)
    close(grounded.logits, answers.decision)
    assert torch.equal(grounded.classes, answers.decision.topk(3).indices)
    assert (grounded.classes[:, 0] != answers.original.argmax(1)).all()
    close(cnn.logits(images), answers.decision)
    with torch.inference_mode():
        views = network.first_view(network_input(images, network.backbone.normalisation))
        expected = create_grounding(network.eval().backbone, POOL.grounding)(views, grounded.classes)
    close(grounded.maps, expected.maps)
    close(expected.logits, answers.original)


def test_a_pool_of_it_holds_what_its_joint_head_names_rightly(run: Run, tmp_path: Path) -> None:
    """Its backbone's head names none of these rightly."""
    records = load_splits(run.config.data).train
    right = answers_of(run, records).decision.argmax(1) == torch.tensor([record.label for record in records])
    pool = build_pool(
        run, tmp_path / "pool", replace(POOL, keep=Keep.CORRECT), context=RunContext(hardware=EXACT, say=silent)
    )
    assert right.any()
    first = [row["id"] for row in pool.parts.read().to_pylist() if row["round"] == 0]
    assert first == [record.id for record, each in zip(records, right, strict=True) if each]


def test_an_evidence_cnn_of_it_begins_with_its_backbone(run: Run, zoom: GuidedZoomRun) -> None:
    backbone = replace(ShiftedConfig().backbone, weights=str(run.path.resolve()))
    assert zoom.evidence_run().config.network == PlainConfig(backbone=backbone)


def test_a_guided_zoom_of_it_begins_with_its_decision(
    run: Run, records: Sequence[ImageRecord], zoom: GuidedZoomRun
) -> None:
    table = evidence_of_split(zoom, "test", REFINEMENT, context=RunContext(hardware=EXACT, say=silent))
    answers = answers_of(run, records).decision
    close(table.evidence.logits, answers)
    assert torch.equal(table.evidence.classes[:, 0], answers.argmax(1))
    (row,) = read_rows(zoom.path.parent / "results.jsonl")
    expected = {"method": "guided-zoom", "conventional": "shifted", "preset": "by 1", "evidence_start": "conventional"}
    assert {name: row[name] for name in expected} == expected
    assert row["before"] == round(100 * float(table.right_before.mean()), 2)
    assert "| shifted (by 1) |" in with_results(f"{BEGIN}{END}", [row])


def test_a_guided_zoom_of_it_predicts_and_explains(
    zoom: GuidedZoomRun, photographs: list[Path], tmp_path: Path
) -> None:
    table = evidence_of_split(zoom, "test", REFINEMENT, context=RunContext(hardware=EXACT, say=silent))
    names = zoom.base_run().class_names
    expected = [names[each] for each in table.refined(zoom.description.refinement).classes.tolist()]
    model = load(zoom.path, hardware=EXACT)
    refined: list[Prediction] = list(model.predict_many(photographs))
    assert [each.best.class_name for each in refined] == expected
    assert [each.class_name for each in model.classify_many(photographs)] == expected
    (picture,) = explain_zoom(zoom, [str(photographs[0])], out=tmp_path, context=RunContext(hardware=EXACT, say=silent))
    document = json.loads(picture.with_suffix(".json").read_text())
    own = table.evidence.logits[0].softmax(0)
    before = {each["class_name"]: each["probability_before"] for each in document["classes"]}
    assert max(before, key=lambda name: before[name]) == names[int(own.argmax())]
