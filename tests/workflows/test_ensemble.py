"""Runs that answer together, as one run: on drawn birds."""

from __future__ import annotations

import shutil
from dataclasses import replace
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.testing import assert_close

import foveate
from command_line import status
from foveate.config.branches import Branch
from foveate.config.data import Split
from foveate.config.ensemble import EnsembleConfig
from foveate.config.networks import BackboneConfig, PlainConfig, ProbeConfig
from foveate.data.loading import EvaluationViews, evaluation_loader
from foveate.errors import UserError
from foveate.evaluation import view_weights
from foveate.evaluation.view_weights import fit_view_weights, unseen_answers
from foveate.guided_zoom.config import Keep, PatchConfig, PoolConfig
from foveate.inference.classifier import Classifier
from foveate.networks.plain import PlainNetwork
from foveate.recipes.config import TrainConfig
from foveate.runs.context import RunContext
from foveate.runs.guided_zoom_run import GuidedZoomRun
from foveate.runs.held_out import HeldOutSource, read_held_out
from foveate.runs.run import Run
from foveate.workflows import ensemble as ensemble_module
from foveate.workflows.analysis.localise import localise
from foveate.workflows.build_guided_zoom import build_guided_zoom
from foveate.workflows.compare import compare
from foveate.workflows.ensemble import ensemble, fitted_shares, unseen
from foveate.workflows.evidence_training import EvidenceTraining
from foveate.workflows.hub.shared_files import without_places
from foveate.workflows.model import load
from foveate.workflows.train import train
from foveate.workflows.tune_views import tune_views
from zooms import SLOW, silent

QUIET = RunContext(hardware=SLOW, say=silent)


@pytest.fixture(scope="module")
def members(quick: TrainConfig, tmp_path_factory: pytest.TempPathFactory) -> tuple[Run, Run]:
    """A network and a probe that leave the same photographs out."""
    folder = tmp_path_factory.mktemp("members")
    backbone = BackboneConfig(architecture="test_efficientnet", weights="none")
    network = replace(quick, network=PlainConfig(backbone=backbone))
    probe = replace(
        network,
        network=ProbeConfig(backbone=backbone, strengths=(1e-6,)),
        epochs=TrainConfig.epochs,
        batch_size=TrainConfig.batch_size,
    )
    data = replace(quick.data, validation_fraction=0.5)
    trained = [replace(each, data=data) for each in (network, probe)]
    runs = [train(each, folder / name, say=silent) for each, name in zip(trained, ("net", "probe"), strict=True)]
    return runs[0], runs[1]


def answers(run: Run) -> np.ndarray:
    """Return its answers to the test photographs, not calibrated."""
    placed = Classifier.place(run.load_network(), SLOW)
    views = EvaluationViews(QUIET.photographs_of(run, Split.TEST), run.config.transforms)
    return torch.cat([placed.probabilities(batch.images) for batch in evaluation_loader(views, 8, workers=0)]).numpy()


def test_it_is_a_run_whose_answers_are_those_of_both(members: tuple[Run, Run], tmp_path: Path) -> None:
    lines: list[str] = []
    context = replace(QUIET, say=lines.append)
    run = ensemble(*members, out=tmp_path / "both", weights=(3.0, 1.0), context=context)
    config = run.config.network
    assert isinstance(config, EnsembleConfig)
    assert [each.weight for each in config.members] == [0.75, 0.25]
    assert run.trained_ids() == members[0].trained_ids()
    each = [answers(member) for member in members]
    expected = np.exp(0.75 * np.log(each[0]) + 0.25 * np.log(each[1]))
    np.testing.assert_allclose(answers(run), expected / expected.sum(1, keepdims=True), atol=1e-4)
    assert run.metrics()["minutes"] == sum(member.metrics()["minutes"] for member in members)

    again = ensemble(*members, out=tmp_path / "both", weights=(3.0, 1.0), context=context)
    assert again.path == run.path
    assert lines[-1].endswith("holds this ensemble already")
    with pytest.raises(UserError, match="never overwritten"):
        ensemble(*members, out=tmp_path / "both", weights=(1.0, 3.0), context=QUIET)


def test_weights_are_fitted_to_what_no_member_learned_from(
    members: tuple[Run, Run], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ensemble_module, "LEAST_PHOTOGRAPHS", 12)
    lines: list[str] = []
    network, probe = members
    run = ensemble(network, probe, out=tmp_path / "both", context=replace(QUIET, say=lines.append))
    held_out = read_held_out(run.path)
    assert held_out is not None
    assert held_out.source is HeldOutSource.VALIDATION
    tables = [each for branch, each in held_out.answers.items() if branch != "joint"]
    assert not set(tables[0].ids) & (network.trained_ids() | probe.trained_ids())
    config = run.config.network
    assert isinstance(config, EnsembleConfig)
    prior = np.array([0.5, 0.5])
    fitted = fitted_shares(tables, prior)
    np.testing.assert_allclose([each.weight for each in config.members], fitted, atol=0.05)
    np.testing.assert_allclose(
        held_out.decision.probabilities,
        unseen(tables, prior).probabilities,
        atol=1e-6,
    )
    assert any("held-out photographs, weight" in line for line in lines)


def test_weights_are_fitted_to_other_groups() -> None:
    """Five groups of ten: whoever is in a group, none of it says how it is answered."""
    generator, labels = np.random.default_rng(0), np.arange(50) % 3
    logs = np.log(generator.dirichlet(np.ones(3), (50, 2)))
    groups = np.arange(5).repeat(10)
    answered = unseen_answers(logs, labels, np.array([0.5, 0.5]), 0, groups)
    for group in range(5):
        rest = groups != group
        weights = fit_view_weights(logs[rest], labels[rest], np.array([0.5, 0.5]))
        np.testing.assert_allclose(answered[~rest], np.einsum("v,nvc->nc", weights, logs[~rest]))


def test_weights_of_very_many_photographs_are_those_of_a_draw(monkeypatch: pytest.MonkeyPatch) -> None:
    generator, labels = np.random.default_rng(0), np.arange(400) % 3
    logs = np.log(generator.dirichlet(np.ones(3), (400, 2)))
    logs[np.arange(400), :, labels] += generator.uniform(0, 2, (400, 2))  # both say something
    prior = np.array([0.5, 0.5])
    whole = fit_view_weights(logs, labels, prior)
    monkeypatch.setattr(view_weights, "_MOST", 100)
    part = fit_view_weights(logs, labels, prior)
    assert part.tolist() != whole.tolist()
    drawn = np.random.default_rng(0).choice(400, 100, replace=False)
    assert part.tolist() == fit_view_weights(logs[drawn], labels[drawn], prior).tolist()


def test_without_held_out_photographs_all_count_alike(tiny_run: Run, s3n_run: Run, tmp_path: Path) -> None:
    lines: list[str] = []
    run = ensemble(tiny_run, s3n_run, out=tmp_path / "both", context=replace(QUIET, say=lines.append))
    config = run.config.network
    assert isinstance(config, EnsembleConfig)
    assert [each.weight for each in config.members] == pytest.approx([2 / 3, 1 / 3])  # by their temperatures, 0.5 and 1
    assert read_held_out(run.path) is None
    with pytest.raises(UserError, match="left none out together"):
        tune_views(run.path, context=QUIET)
    assert "nothing says how much each should count" in lines[0]


def test_other_commands_take_it(tiny_run: Run, s3n_run: Run, birds: list[Path], tmp_path: Path) -> None:
    run = tmp_path / "both"
    assert status("ensemble", s3n_run.path, tiny_run.path, "--out", run, "--weights", 1, 1) == 0
    model = load(run, hardware=SLOW)
    assert model.predict(birds[0]).best.class_name in model.class_names
    slow = ("--hardware.precision", "float32", "--hardware.workers", 0)
    assert status("explain", run, birds[0], *slow, "--out", tmp_path / "shown") == 0
    assert list((tmp_path / "shown").glob("**/*.png"))
    comparison = compare(run, tiny_run, context=QUIET, out=tmp_path / "compared")
    assert comparison.rows[0].cost.passes == 4


def test_it_is_exported(members: tuple[Run, Run], birds: list[Path], tmp_path: Path) -> None:
    run = ensemble(*members, out=tmp_path / "both", weights=(1.0, 2.0), context=QUIET)
    exported = foveate.export(run, context=QUIET)
    session = import_module("onnxruntime").InferenceSession(exported.path / "model.onnx")
    assert session.get_inputs()[0].shape[1:] == [64, 64, 3]


def test_what_cannot_be_one_is_refused(tiny_run: Run, s3n_run: Run, tmp_path: Path) -> None:
    def refused(*runs: Run, match: str, weights: tuple[float, ...] | None = None) -> None:
        with pytest.raises(UserError, match=match):
            ensemble(*runs, out=tmp_path / "none", weights=weights, context=QUIET)
        assert not (tmp_path / "none").exists()

    refused(tiny_run, match="two runs or more")
    refused(tiny_run, tiny_run, match="each once")
    refused(tiny_run, s3n_run, weights=(1.0,), match="one finite number above 0 for each of the 2 runs")
    refused(tiny_run, s3n_run, weights=(1.0, 0.0), match="above 0")
    description = replace(s3n_run.description, class_names=tuple(reversed(s3n_run.class_names)))
    refused(tiny_run, replace(s3n_run, description=description), match="class 1 is")
    ensemble(tiny_run, s3n_run, out=tmp_path / "both", weights=(1.0, 1.0), context=QUIET)
    refused(Run.open(tmp_path / "both"), s3n_run, weights=(1.0, 1.0), match="a member must be one network")


def test_what_is_shared_names_no_folder(members: tuple[Run, Run], tmp_path: Path) -> None:
    config = ensemble(*members, out=tmp_path / "both", weights=(1.0, 1.0), context=QUIET).config
    network = config.network
    here = [each.with_weights(f"/home/ada/runs/{number}") for number, each in enumerate(network.networks)]
    shared = without_places(replace(config, network=network.with_networks(here)))
    assert [each.trained_backbone and each.trained_backbone.weights for each in shared.network.networks] == ["0", "1"]
    assert "ada" not in str(shared)


def test_a_training_begins_with_its_first_members_backbone(members: tuple[Run, Run], tmp_path: Path) -> None:
    run = ensemble(*members, out=tmp_path / "both", weights=(1.0, 1.0), context=QUIET)
    backbone = BackboneConfig(architecture="test_efficientnet", weights=str(run.path))
    begun, first = PlainNetwork.create(PlainConfig(backbone=backbone), 4), members[0].load_network()
    for name, weight in first.backbone.state_dict().items():
        if "classifier" not in name:
            assert_close(begun.backbone.state_dict()[name], weight)


def test_each_member_and_all_together_are_localised(members: tuple[Run, Run], tmp_path: Path) -> None:
    run = ensemble(*members, out=tmp_path / "both", weights=(1.0, 1.0), context=QUIET)
    found = localise(run, context=QUIET)
    assert set(found.branches) == {Branch.ORIGINAL, Branch.MEMBER_2, Branch.JOINT}


def test_of_another_data_set_nothing_is_fitted(members: tuple[Run, Run], plumage: Path, tmp_path: Path) -> None:
    other = shutil.copytree(plumage, tmp_path / "other")
    classes = (other / "classes.txt").read_text(encoding="utf-8")
    (other / "classes.txt").write_text(classes.replace("Amber", "Azure"), encoding="utf-8")
    with pytest.raises(UserError, match="the classes that it was trained on"):
        ensemble(*members, out=tmp_path / "both", context=replace(QUIET, root=other))
    assert not (tmp_path / "both").exists()
    lines: list[str] = []
    gone = replace(QUIET, root=tmp_path / "gone", say=lines.append)
    assert ensemble(*members, out=tmp_path / "both", weights=(1.0, 1.0), context=gone).finished
    assert "nothing is calibrated" in lines[0]


def test_guided_zoom_questions_it(members: tuple[Run, Run], tmp_path: Path) -> None:
    run = ensemble(*members, out=tmp_path / "both", weights=(1.0, 1.0), context=QUIET)
    pool = PoolConfig(patches=PatchConfig(source_size=96), keep=Keep.FIRST_ALWAYS)
    (row, *_) = build_guided_zoom(run, tmp_path / "zoom", pool=pool, evidence=EvidenceTraining(epochs=1), context=QUIET)
    assert row.change.refined == 1  # of all photographs
    architecture = GuidedZoomRun.open(tmp_path / "zoom").evidence_run().config.network.timm_architecture
    assert architecture == "test_efficientnet"
