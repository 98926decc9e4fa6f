"""The pictures and numbers of how a Guided Zoom answers, and its refined answers."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from unittest import mock

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

import foveate
from command_line import status
from foveate.backbones.weights import save_weights
from foveate.config.data import TestViews
from foveate.data.images import read_image
from foveate.errors import UserError
from foveate.evaluation.evidence_table import EvidenceTable
from foveate.files.documents import write_json
from foveate.guided_zoom.config import RefinementConfig, Scores
from foveate.guided_zoom.conventional_cnn import ConventionalCNN
from foveate.guided_zoom.guided_zoom import GuidedZoom
from foveate.guided_zoom.picture import zoom_picture
from foveate.guided_zoom.refined_probabilities import refined_probabilities
from foveate.guided_zoom.refiner import Refiner
from foveate.networks.plain import PlainNetwork
from foveate.recipes.datasets import load_splits
from foveate.runs.context import RunContext
from foveate.runs.guided_zoom_run import GuidedZoomRun
from foveate.runs.held_out import Calibration
from foveate.runs.run import Run
from foveate.workflows.explain import explain
from foveate.workflows.explain_zoom import ZoomExplainer
from foveate.workflows.pool_features import PoolFeatures, pool_features
from foveate.workflows.split_evidence import evidence_of_split
from foveate.workflows.twins import TwinExplainer
from zooms import QUIET, REFINEMENT, SLOW, copied


@pytest.fixture(scope="module")
def own(made: GuidedZoomRun, tmp_path_factory: pytest.TempPathFactory) -> GuidedZoomRun:
    """A copy that these tests write into, its pool's features made."""
    own = GuidedZoomRun.open(copied(made, tmp_path_factory.mktemp("explained")))
    ZoomExplainer.of(own, QUIET)
    return own


@pytest.fixture(scope="module")
def table(made: GuidedZoomRun) -> EvidenceTable:
    return evidence_of_split(made, "test", REFINEMENT, context=QUIET)


@pytest.fixture(scope="module")
def photographs(quick_run: Run) -> dict[str, Path]:
    """The photographs of the test split and the training split by id."""
    splits = load_splits(quick_run.config.data)
    paths = {record.id: record.image for record in (*splits.test, *splits.train)}
    return {id: path for id, path in paths.items() if isinstance(path, Path)}


def test_a_picture_and_the_kept_evidence_as_numbers(
    own: GuidedZoomRun, table: EvidenceTable, photographs: dict[str, Path], tmp_path: Path
) -> None:
    chosen = [0, 5, 11]
    paths = [str(photographs[table.ids[index]]) for index in chosen]
    pictures = explain(own.path, paths, out=tmp_path, context=QUIET)
    decided, names = table.refined(REFINEMENT), own.base_run().class_names
    for index, picture in zip(chosen, pictures, strict=True):
        with Image.open(picture) as drawn:
            assert drawn.format == "PNG"
        content = json.loads(picture.with_suffix(".json").read_text())
        assert content["truth"] == names[int(table.labels[index])]
        twins = content["twins"]
        assert twins["first_class"] == content["verdict"]["class_name"] != twins["second_class"]
        assert np.shape(twins["first_rather_than_second"]) == np.shape(twins["second_rather_than_first"])
        evidence = table.evidence
        labels = evidence.classes[index, :3].tolist()
        assert [each["class_name"] for each in content["classes"]] == [names[label] for label in labels]
        assert content["verdict"]["class_name"] == names[int(decided.classes[index])]
        assert content["verdict"]["changed"] == (int(decided.classes[index]) != labels[0])
        assert content["source_view"]["side"] == 96
        for rank, each in enumerate(content["classes"]):
            assert each["probability_before"] == pytest.approx(
                float(table.probabilities[index, labels[rank]]), abs=1e-5
            )
            assert each["score_after"] == pytest.approx(float(decided.scores[index, rank]), abs=1e-5)
            assert sum(each["weighted_terms"]) == pytest.approx(each["score_after"], abs=1e-6)
            for number, found in enumerate(each["rounds"]):
                at = (index, rank, number)
                assert found["found"] == bool(evidence.found[at])
                assert found["box_in_source_view_pixels"] == evidence.boxes[at].tolist()
                assert found["place_in_source_view_pixels"] == pytest.approx(evidence.places[at].tolist())
                assert found["evidence_probability"] == pytest.approx(float(evidence.scores[at]), abs=1e-4)
                highest = np.unravel_index(np.argmax(found["map"]), np.shape(found["map"]))
                middle = [(96 / len(found["map"])) * (cell + 0.5) for cell in highest[::-1]]
                assert not found["found"] or middle == pytest.approx(found["place_in_source_view_pixels"], abs=0.01)
                (near,) = found["nearest_in_pool"]
                assert 0 <= near["cosine_distance"] <= 2


def test_the_nearest_patch_of_a_pooled_one_is_itself(own: GuidedZoomRun, photographs: dict[str, Path]) -> None:
    """A training photograph's evidence for its true class is in the pool, unless its own patches do not count."""
    explainer = ZoomExplainer.of(own, QUIET)
    record = next(each for each in explainer.pool.records if each.id.endswith("#0"))
    path = photographs[record.id.removesuffix("#0")]
    found = explainer.explain(read_image(path), "bird")
    (same,) = [each for each in found.classes if each.class_name == record.class_name]
    near = same.rounds[0].nearest[0]
    assert near.id == record.id
    assert near.distance == pytest.approx(0, abs=0.02)  # the pool's patch is cut by Pillow
    difference = np.abs(np.asarray(near.picture, float) - np.asarray(same.rounds[0].patch, float))
    assert difference.mean() < 3
    besides = explainer.explain(read_image(path), "bird", besides=path)
    ids = [near.id for each in besides.classes for found in each.rounds for near in found.nearest]
    assert ids
    assert not any(id.startswith(record.id.removesuffix("#0")) for id in ids)


def test_a_class_without_patches_has_no_nearest(own: GuidedZoomRun, photographs: dict[str, Path]) -> None:
    explainer = ZoomExplainer.of(own, QUIET)
    path = next(iter(photographs.values()))
    first = explainer.explain(read_image(path), "bird").classes[0].class_name
    kept = [row for row, record in enumerate(explainer.pool.records) if record.class_name != first]
    pool = PoolFeatures.of([explainer.pool.records[row] for row in kept], explainer.pool.features[kept])
    found = replace(explainer, pool=pool).explain(read_image(path), "bird")
    assert [len(each.rounds[0].nearest) for each in found.classes] == [0, 1, 1]


def test_features_of_the_pool_are_made_once(own: GuidedZoomRun, tmp_path: Path) -> None:
    again = GuidedZoomRun.open(copied(own, tmp_path))
    file, said = again.path / "pool_features.safetensors", list[str]()
    kept = load_file(file)["features"].clone()  # the file is written over below
    assert kept.dtype == torch.float16
    cnn = ZoomExplainer.of(again, RunContext(hardware=SLOW, say=said.append)).refiner.zoom.evidence_cnn
    assert said == []
    with mock.patch("foveate.inference.classifier.Classifier.features", side_effect=AssertionError):
        assert torch.equal(pool_features(again, cnn, workers=0, say=said.append).features, kept.float())
    file.write_bytes(b"damaged")
    pool_features(again, cnn, workers=0, say=said.append)
    assert "cannot be read" in said[0]
    assert "looking at the" in said[1]
    assert torch.equal(load_file(file)["features"], kept)
    network = again.evidence_run().load_network()
    assert isinstance(network, PlainNetwork)
    with torch.no_grad():
        network.backbone.classifier.bias.add_(1)
    save_weights(again.evidence / "model.safetensors", network.state_dict())
    pool_features(again, cnn, workers=0, say=said.append)
    assert "belongs to another Evidence CNN or pool; it is made anew" in said[2]


def test_refined_answers_are_those_of_the_evaluation(
    made: GuidedZoomRun, table: EvidenceTable, photographs: dict[str, Path]
) -> None:
    model = foveate.load(made.path, hardware=SLOW)
    answers = list(model.predict_many([photographs[id] for id in table.ids], top=4, batch_size=5))
    decided = table.refined(REFINEMENT)
    expected = refined_probabilities(table.probabilities, table.evidence.classes, decided, REFINEMENT.scores)
    for index, answer in enumerate(answers):
        assert answer.best.class_name == model.class_names[int(decided.classes[index])]
        assert sum(each.probability for each in answer.top) == pytest.approx(1, abs=1e-5)
        for each in answer.top:
            label = model.class_names.index(each.class_name)
            assert each.probability == pytest.approx(float(expected[index, label]), abs=1e-4)


def test_an_answer_that_the_gate_leaves_alone_costs_no_evidence(made: GuidedZoomRun, plumage: Path) -> None:
    bird = next(plumage.glob("images/*/*.jpg"))
    model = foveate.load(made.path, hardware=SLOW)
    assert model.refiner is not None
    plain = foveate.load(made.description.base, hardware=SLOW).predict(bird)
    sure = replace(model, refiner=replace(model.refiner, config=replace(REFINEMENT, entropy_threshold=9.0)))
    with (
        mock.patch.object(GuidedZoom, "evidence", side_effect=AssertionError),
        mock.patch.object(ConventionalCNN, "answer", side_effect=AssertionError),  # nothing is grounded
    ):
        gated = sure.predict(bird)
    assert [each.class_name for each in gated.top] == [each.class_name for each in plain.top]
    assert gated.best.probability == pytest.approx(plain.best.probability, abs=1e-4)
    unsure = replace(model, refiner=replace(model.refiner, config=replace(REFINEMENT, entropy_threshold=0.0)))
    assert unsure.predict(bird).best.class_name == model.predict(bird).best.class_name


@pytest.mark.parametrize("gated", [False, True])
@pytest.mark.parametrize("scores", list(Scores))
def test_names_alone_are_the_refined_ones_for_less(
    made: GuidedZoomRun, plumage: Path, scores: Scores, gated: bool
) -> None:
    birds = sorted(plumage.glob("images/*/*.jpg"))[::3]
    model = foveate.load(made.path, hardware=SLOW)
    assert model.refiner is not None
    own = list(replace(model, refiner=None).predict_many(birds))
    gate = sorted(each.entropy for each in own)[len(own) // 2] if gated else None  # half are left alone
    refinement = replace(REFINEMENT, scores=scores, entropy_threshold=gate)
    model = replace(model, refiner=Refiner.of(model.refiner.zoom, refinement))
    counts: list[int] = []

    def patch_scores(self: GuidedZoom, source: torch.Tensor, patches: torch.Tensor) -> torch.Tensor:
        """An Evidence CNN that is sure of one class, so that what is left to look at depends on no rounding."""
        counts.append(len(patches))
        answers = torch.zeros(len(patches), 4)
        answers[:, 0] = 1
        return answers

    with mock.patch.object(GuidedZoom, "patch_scores", patch_scores):
        best = [(each.image, each.best.class_name) for each in model.predict_many(birds)]
        everything = sum(counts)
        counts.clear()
        assert list(model.classify_many(birds)) == best
    assert 0 < sum(counts) <= everything
    assert scores is Scores.LOGITS or sum(counts) < everything


def test_several_views_are_refused(made: GuidedZoomRun, plumage: Path) -> None:
    bird = next(plumage.glob("images/*/*.jpg"))
    with pytest.raises(UserError, match="looks for evidence in one view of a photograph, views centre; got flip"):
        foveate.load(made.path, hardware=SLOW).predict(bird, views=TestViews.FLIP)


def test_fewer_weights_look_for_less(own: GuidedZoomRun, photographs: dict[str, Path]) -> None:
    explainer = ZoomExplainer.of(own.with_refinement(RefinementConfig(top_k=2, weights=(0.5, 0.5)), None), QUIET)
    found = explainer.explain(read_image(next(iter(photographs.values()))), "bird")
    assert [len(each.rounds) for each in found.classes] == [1, 1]
    own.with_refinement(REFINEMENT, None)


def test_on_the_command_line(
    own: GuidedZoomRun, plumage: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bird = next(plumage.glob("images/*/*.jpg"))
    options = ["--hardware.precision", "float32", "--hardware.workers", 0]
    assert status("explain", own.path, bird, *options) == 0
    picture = Path(capsys.readouterr().out.strip())
    assert picture.parent == own.path / "explanations"
    assert picture.name.startswith(f"{bird.parent.name}-{bird.name}-")
    document = json.loads(picture.with_suffix(".json").read_text())
    assert (document["photograph"], document["path"]) == (f"{bird.parent.name}/{bird.name}", str(bird))
    assert status("predict", own.path, bird, "--out", tmp_path / "answers.csv", *options) == 0
    said = json.loads(picture.with_suffix(".json").read_text())["verdict"]["class_name"]
    assert said in (tmp_path / "answers.csv").read_text().splitlines()[1]
    capsys.readouterr()
    assert status("explain", own.path, bird, "--epochs", 1) == 2
    assert "a Guided Zoom keeps no epochs" in capsys.readouterr().err


def unfinished(zoom: GuidedZoomRun) -> None:
    (zoom.evidence / "metrics.json").unlink()


def without_patches_of_a_class(zoom: GuidedZoomRun) -> None:
    """As if the pool had been built of photographs whose first class is never right."""
    description = json.loads((zoom.pool / "pool.json").read_text())
    description["class_names"].append("Dodo")
    write_json(zoom.pool / "pool.json", description)


def too_many_classes(zoom: GuidedZoomRun) -> None:
    zoom.with_refinement(RefinementConfig(top_k=9), None)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (unfinished, "a Guided Zoom is used when its Evidence CNN is trained"),
        (without_patches_of_a_class, "a pool must hold evidence of every class; .* has none of 1 of 5, 'Dodo' first"),
        (too_many_classes, "classes must be between 1 and the network's 4; got 9; ask for fewer"),
    ],
)
def test_what_cannot_be_explained_is_named(
    own: GuidedZoomRun, plumage: Path, tmp_path: Path, spoil: Callable[[GuidedZoomRun], None], message: str
) -> None:
    zoom = GuidedZoomRun.open(copied(own, tmp_path))
    spoil(zoom)
    with pytest.raises(UserError, match=message):
        explain(
            zoom.path,
            [str(next(plumage.glob("images/*/*.jpg")))],
            out=tmp_path / "out",
            context=QUIET,
        )
    assert not (tmp_path / "out").exists()


def test_an_unreadable_photograph_is_named(own: GuidedZoomRun, tmp_path: Path) -> None:
    torn = tmp_path / "torn.jpg"
    torn.write_bytes(b"\xff\xd8\xff")
    with pytest.raises(UserError, match="image cannot be decoded"):
        explain(own, [str(torn)], out=tmp_path / "out", context=QUIET)


def test_what_is_nearly_blank_or_too_large_is_said_of_a_guided_zoom_too(
    own: GuidedZoomRun, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    night = tmp_path / "night.png"
    Image.new("RGB", (1500, 1000), "black").save(night)
    assert status("explain", own.path, night, "--out", tmp_path, "--largest-megapixels", 1) == 2
    assert "at most 1 megapixels" in capsys.readouterr().err
    explain(
        own,
        [str(night)],
        out=tmp_path,
        context=RunContext(largest_megapixels=2, hardware=SLOW, say=(said := list[str]()).append),
    )
    assert said[0].startswith(f"warning: {night} is nearly blank")


def test_a_pool_whose_photographs_are_gone_is_named(own: GuidedZoomRun, plumage: Path, tmp_path: Path) -> None:
    zoom = GuidedZoomRun.open(copied(own, tmp_path))
    file = zoom.pool / "pool.json"
    file.write_text(file.read_text().replace(str(plumage), str(tmp_path / "gone")))
    shutil.copy(bird := next(plumage.glob("images/*/*.jpg")), tmp_path)
    with pytest.raises(UserError, match="gone"):
        explain(zoom, [str(tmp_path / bird.name)], context=QUIET)


def test_a_network_without_a_layer_for_twins_is_explained_without_them(own: GuidedZoomRun, plumage: Path) -> None:
    image = read_image(next(plumage.glob("images/*/*.jpg")))
    explainer = ZoomExplainer.of(own, QUIET)
    assert explainer.twins is not None
    with mock.patch.object(TwinExplainer, "evidence", side_effect=UserError("neither method sees through it")):
        assert explainer.explain(image, "bird").twins is None
    zoom = explainer.refiner.zoom
    layers = list(own.base_run().load_network().backbone.network.state_dict())
    layer = next(each for each in layers if each.startswith("blocks.")).rsplit(".", 1)[0]
    for name in (layer, "no.such.layer"):  # the pool's own layer is the one that is looked into
        conventional = replace(zoom.conventional, layer=name)
        refiner = replace(explainer.refiner, zoom=replace(zoom, conventional=conventional))
        bare = ZoomExplainer.without_pool(explainer.run, refiner, Calibration())
        assert (bare.twins is None) == (name != layer)
        found = bare.explain(image, "bird")
        assert (found.twins is None) == (name != layer)
        zoom_picture(found, own.path / "bare.png")
