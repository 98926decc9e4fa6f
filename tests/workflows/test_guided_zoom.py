"""Guided Zoom as one call: pool, Evidence CNN, evidence of a split, decisions."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import pytest
import torch
from PIL import Image
from scipy.stats import binomtest
from torch import Tensor

from foveate.backbones.weights import save_weights
from foveate.commands.guided_zoom_commands import Decision
from foveate.commands.main import main
from foveate.config.data import DataConfig
from foveate.config.networks import HeadStart, PlainConfig
from foveate.data.images import read_image
from foveate.errors import UserError
from foveate.files.documents import write_json
from foveate.grounding.config import GroundingConfig, GroundingMethod
from foveate.guided_zoom.config import EvidenceStart, Keep, RefinementConfig, Rule
from foveate.guided_zoom.guided_zoom import GuidedZoom
from foveate.guided_zoom.pool import EvidencePool
from foveate.networks.plain import PlainNetwork
from foveate.recipes import plain as plain_recipe
from foveate.recipes.config import TrainConfig
from foveate.recipes.datasets import load_splits
from foveate.runs.context import RunContext
from foveate.runs.guided_zoom_run import GuidedZoomRun
from foveate.runs.run import Run
from foveate.types import Evidence
from foveate.workflows.build_guided_zoom import build_guided_zoom, usual_refinement
from foveate.workflows.evaluate_zoom import paper_rows
from foveate.workflows.evidence_training import EvidenceTraining
from foveate.workflows.load_guided_zoom import load_guided_zoom
from foveate.workflows.refinement_report import RefinementRow
from foveate.workflows.split_evidence import evidence_of_split, hits_of_split
from foveate.workflows.train import train
from miniatures import write_folder
from oracles.guided_zoom import naive_refined
from zooms import EXACT, POOL, QUIET, REFINEMENT, SLOW, copied, made_of, silent


def test_it_leaves_all_that_led_to_its_decisions(made: GuidedZoomRun) -> None:
    assert made.finished
    assert made.open_pool().parts.missing() == ()
    assert "| k" in (made.path / "evaluation" / "test.md").read_text()
    report = json.loads((made.path / "evaluation" / "test.json").read_text())
    assert report["rows"][0]["config"]["top_k"] == 3
    assert 1 <= report["cost"]["forwards"] <= 1 + 2 * 4
    assert 1 <= report["cost"]["patches"] <= 3 * 4
    assert report["hits"]["photographs"] == 12
    assert len(report["hits"]["in_box"]) == len(report["hits"]["near_part"]) == 3
    assert "Where the peaks fall" in (made.path / "evaluation" / "test.md").read_text()


def test_peaks_are_carried_back_to_the_photograph(made: GuidedZoomRun) -> None:
    """Were every peak in the middle of the view, it would be in the middle of the photograph, which is the bird's."""
    table = evidence_of_split(made, "test", REFINEMENT, context=QUIET)
    middle = torch.full_like(table.evidence.places, 48.0)
    moved = replace(table, evidence=table.evidence._replace(places=middle, found=table.evidence.found | True))
    hits = hits_of_split(made, "test", moved)
    records = {each.id: each for each in load_splits(made.base_run().config.data).test}
    inside = 0
    for each in table.ids:
        record = records[each]
        size = read_image(record.image).size
        assert record.box is not None
        inside += (
            record.box.left <= size[0] / 2 <= record.box.right and record.box.top <= size[1] / 2 <= record.box.bottom
        )
    assert hits is not None
    assert hits.in_box == (inside / 12,) * 3


def test_kept_evidence_decides_as_the_algorithm_does(made: GuidedZoomRun) -> None:
    table = evidence_of_split(made, "test", REFINEMENT, context=QUIET)
    refined = table.refined(REFINEMENT).classes.tolist()
    for index, probabilities in enumerate(table.probabilities.double()):
        scores = {
            int(each): table.evidence.scores[index, rank].tolist()
            for rank, each in enumerate(table.evidence.classes[index])
        }
        evidence = [scores.get(each, [0.0] * 3) for each in range(len(probabilities))]
        assert naive_refined(probabilities.tolist(), evidence, 3, REFINEMENT.weights) == refined[index]


def test_kept_evidence_is_what_the_networks_say(made: GuidedZoomRun, quick_run: Run) -> None:
    table = evidence_of_split(made, "test", REFINEMENT, context=QUIET)
    assert table.evidence.scores.shape == (12, 4, 3)  # four species: there is no fifth class
    assert ((table.evidence.scores >= 0) & (table.evidence.scores <= 1)).all()
    assert table.evidence.boxes.max() <= 96
    assert np.array_equal(table.right_before, table.evidence.logits.argmax(1).numpy() == table.labels)


def test_what_is_there_is_not_made_again(made: GuidedZoomRun, quick_run: Run, evidence: TrainConfig) -> None:
    before = {
        path: path.stat().st_mtime_ns for path in made.path.rglob("*") if path.suffix in (".parquet", ".safetensors")
    }
    with mock.patch("foveate.guided_zoom.guided_zoom.locate_evidence", side_effect=AssertionError):
        rows = made_of(quick_run, made.path, evidence)
    assert len(rows) == 1 + 3 * 3  # what was asked for, and k = 3 with three ways to join three numbers of rounds
    assert {path: path.stat().st_mtime_ns for path in before} == before


def test_the_rows_of_the_papers_tables(made: GuidedZoomRun, quick_run: Run, evidence: TrainConfig) -> None:
    table = evidence_of_split(made, "test", REFINEMENT, context=QUIET)
    assert [(each.top_k, each.weights, each.rule) for each in paper_rows(table, REFINEMENT)] == [
        *[(3, (0.4, 0.3), Rule.SUM), (3, (0.25, 0.25), Rule.SUM), (3, (1.0, 1.0), Rule.MAX)],
        *[(3, (0.4, 0.3, 0.2), Rule.SUM), (3, (0.25,) * 3, Rule.SUM), (3, (1.0,) * 3, Rule.MAX)],
        *[(3, (0.4, 0.3, 0.2, 0.1), Rule.SUM), (3, (0.25,) * 4, Rule.SUM), (3, (1.0,) * 4, Rule.MAX)],
    ]
    for row in made_of(quick_run, made.path, evidence):
        assert isinstance(row, RefinementRow)
        after = table.refined(row.config).classes.numpy() == table.labels
        lost, won = int((table.right_before & ~after).sum()), int((~table.right_before & after).sum())
        assert (row.change.spoiled, row.change.mended) == (lost, won)
        expected = binomtest(won, won + lost).pvalue if won + lost else 1.0
        assert row.p_value == pytest.approx(expected)


def test_weights_and_rounds_that_do_not_fit_are_told_before_anything_is_computed(
    made: GuidedZoomRun, quick_run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lines: list[str] = []
    asked = RefinementConfig(top_k=2, weights=(0.4, 0.3, 0.2), mirrored=False)
    build_guided_zoom(
        quick_run, made.path, pool=POOL, refinement=asked, context=RunContext(hardware=SLOW, say=lines.append)
    )
    expected = "it has 3, and the weights are for 2; --refinement.weights takes 4 numbers"
    assert lines[0] == f"the pool's later rounds of evidence do not count: {expected}"
    out = tmp_path / "zoom"
    words = ["guided-zoom", str(quick_run.path), "--out", str(out), "--refinement.top-k", "2"]
    assert main([*words, "--refinement.weights", "0.4", "0.3", "0.2", "0.1"]) == 2
    assert "2 at most for this pool; got (0.4, 0.3, 0.2, 0.1); give fewer, or --pool.patches.rounds 2" in " ".join(
        capsys.readouterr().err.split()
    )
    assert not out.exists()


def test_mirrored_evidence_is_kept_beside_the_other(made: GuidedZoomRun, tmp_path: Path) -> None:
    again, results = GuidedZoomRun.open(copied(made, tmp_path)), tmp_path / "rows.jsonl"
    asked = {mirrored: replace(REFINEMENT, mirrored=mirrored) for mirrored in (False, True)}
    for mirrored in (False, True, False):
        build_guided_zoom(
            again.base_run(),
            again.path,
            pool=POOL,
            refinement=asked[mirrored],
            context=RunContext(hardware=SLOW, results=results, say=silent),
        )
    rows = [json.loads(line) for line in results.read_text().splitlines()]
    assert [(row["mirrored"], row["whole"]) for row in rows] == [(False, True), (True, True)]  # the third is the first
    assert rows[1]["patches"] == 2 * rows[0]["patches"]
    assert "of the Evidence CNN (12)" in (again.path / "evaluation" / "test.md").read_text()
    once, twice = (
        evidence_of_split(again, "test", asked[each], context=RunContext(say=silent)).evidence for each in (False, True)
    )
    assert torch.equal(once.boxes, twice.boxes)
    assert not torch.equal(once.scores, twice.scores)
    assert load_guided_zoom(again.with_refinement(asked[False], None), SLOW).passes == 1
    assert load_guided_zoom(again.with_refinement(asked[True], None), SLOW).passes == 2


def test_a_decision_of_before_there_were_mirror_images_stays_as_it_was(made: GuidedZoomRun, tmp_path: Path) -> None:
    again = GuidedZoomRun.open(copied(made, tmp_path)).with_refinement(replace(REFINEMENT, mirrored=True), "validation")
    assert GuidedZoomRun.open(again.path).description.refinement.mirrored
    file = again.path / "guided_zoom.json"
    content = json.loads(file.read_text()) | {"schema_version": 1}
    for name in ("refinement", "given"):
        del content[name]["mirrored"]
    file.write_text(json.dumps(content))
    old = GuidedZoomRun.open(again.path).description
    assert old.given is not None
    assert not old.refinement.mirrored
    assert not old.given.mirrored


EXACTLY = RunContext(hardware=EXACT, say=silent)
ROUNDED = RunContext(hardware=replace(EXACT, precision="bf16"), say=silent)


def test_a_killed_evaluation_goes_on(made: GuidedZoomRun, tmp_path: Path) -> None:
    again = GuidedZoomRun.open(copied(made, tmp_path))
    shutil.rmtree(again.path / "splits")
    whole, calls = GuidedZoom.evidence, list[int]()

    def stopping(zoom: GuidedZoom, images: Tensor, source: Tensor, top_k: int) -> Evidence:
        calls.append(len(images))
        if len(calls) == 2:
            raise KeyboardInterrupt
        return whole(zoom, images, source, top_k)

    with mock.patch("foveate.workflows.split_evidence._PART", 5), mock.patch.object(GuidedZoom, "evidence", stopping):
        with pytest.raises(KeyboardInterrupt):
            evidence_of_split(again, "test", REFINEMENT, context=EXACTLY)
        with pytest.raises(UserError, match=r"has 1 of its 3 parts, in float32, .* give --hardware.precision float32,"):
            evidence_of_split(again, "test", REFINEMENT, context=ROUNDED)
        table = evidence_of_split(again, "test", REFINEMENT, context=EXACTLY)
    assert calls == [5, 5, 5, 2]
    assert table.precision == "float32"
    expected = evidence_of_split(made, "test", REFINEMENT, context=QUIET)
    assert table.ids == expected.ids
    torch.testing.assert_close(table.evidence.scores, expected.evidence.scores, rtol=0, atol=1e-4)


def test_other_views_of_an_s3n_run_are_cut_from_its_source(s3n_run: Run, evidence: TrainConfig, tmp_path: Path) -> None:
    rows = made_of(s3n_run, tmp_path / "zoom", evidence)
    assert len(rows) == 10


def test_a_row_for_the_file_of_results(
    made: GuidedZoomRun, quick_run: Run, evidence: TrainConfig, tmp_path: Path
) -> None:
    made_of(quick_run, made.path, evidence, context=replace(QUIET, results=tmp_path / "rows.jsonl"))
    (line,) = (tmp_path / "rows.jsonl").read_text().splitlines()
    row = json.loads(line)
    assert (row["method"], row["conventional"], row["grounding"]) == ("guided-zoom", "plain", "class-maps")
    assert (row["top_k"], row["rounds"], row["weights"]) == (3, 2, [0.4, 0.3, 0.2, 0.1])
    assert row["tuned_on"] is None
    assert (row["keep"], row["stretch"], row["scores"]) == ("erased-correct", False, "probabilities")


def test_fitting_needs_photographs_held_out(quick_run: Run, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="was trained without a validation split"):
        build_guided_zoom(quick_run, tmp_path / "zoom", tuned=True, context=QUIET)
    with pytest.raises(UserError, match="given or fitted, not both"):
        build_guided_zoom(
            quick_run,
            tmp_path / "zoom",
            tuned=True,
            refinement=RefinementConfig(),
            context=QUIET,
        )
    assert not (tmp_path / "zoom").exists()
    files = [f"{split}/{name}/1.jpg" for split in ("train", "val", "test") for name in ("owl", "wren")]
    data = DataConfig(root=write_folder(tmp_path / "birds", files))
    run = Run(quick_run.path, replace(quick_run.description, config=replace(quick_run.config, data=data)))
    with pytest.raises(UserError, match="it was trained on"):  # the authors hold photographs out; the next fails
        build_guided_zoom(run, tmp_path / "birds", tuned=True, context=QUIET)


@pytest.mark.parametrize(("classes", "top_k"), [(2, 2), (3, 3), (4, 4), (5, 5), (200, 5)])
def test_where_no_k_is_given_it_is_five_or_all_classes(classes: int, top_k: int, tmp_path: Path) -> None:
    run = mock.Mock(class_names=tuple(map(str, range(classes))))
    for rounds, weights in ((0, (0.4, 0.2)), (1, (0.4, 0.3, 0.2)), (2, (0.4, 0.3, 0.2, 0.1))):
        pool = replace(POOL, patches=replace(POOL.patches, rounds=rounds))
        assert usual_refinement(run, tmp_path / "new", pool) == RefinementConfig(top_k=top_k, weights=weights)


def test_an_option_changes_what_the_folder_says_and_nothing_else() -> None:
    fitted = RefinementConfig(top_k=3, weights=(0.7, 0.3), rule=Rule.MAX, mirrored=False, entropy_threshold=0.2)
    assert Decision().over(fitted) == fitted
    assert Decision(top_k=5).over(fitted) == replace(fitted, top_k=5)
    assert Decision(mirrored=True).over(fitted) == replace(fitted, mirrored=True)
    assert Decision(no_mirrored=True).over(RefinementConfig()) == RefinementConfig(mirrored=False)
    assert Decision(entropy_threshold=None).over(fitted) == replace(fitted, entropy_threshold=None)
    assert Decision(rule=Rule.SUM, weights=(1.0, 1.0)).over(fitted) == replace(
        fitted, rule=Rule.SUM, weights=(1.0, 1.0)
    )
    with pytest.raises(UserError, match="exclude each other"):
        Decision(mirrored=True, no_mirrored=True).over(fitted)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"pool": replace(POOL, grounding=GroundingConfig(layer="blocks.9"))}, "layer must be a module of the network"),
        (
            {"pool": replace(POOL, grounding=GroundingConfig(method=GroundingMethod.GRAD_CAM, layer="classifier"))},
            r"a grounding layer must give one feature map .*; 'classifier' gives \(1, 4\); name another, such as ",
        ),
        (
            {"evidence": EvidenceTraining(architecture="resnot")},
            "architecture must be one that timm knows; got 'resnot'",
        ),
        ({"evidence": EvidenceTraining(epochs=0)}, "epochs must be at least 1; got 0"),
        ({"split": "validation"}, "the validation split must hold photographs"),
        (
            {"context": RunContext(hardware=replace(SLOW, accelerator="mps" if torch.cuda.is_available() else "gpu"))},
            "accelerator must be one of this machine's",
        ),
    ],
)
def test_a_mistake_is_told_before_anything_is_read_or_written(
    quick_run: Run, evidence: TrainConfig, tmp_path: Path, change: dict[str, Any], message: str
) -> None:
    with (
        mock.patch("foveate.runs.context.checked", side_effect=AssertionError("photographs are read")),
        pytest.raises(UserError, match=message),
    ):
        made_of(quick_run, tmp_path / "zoom", evidence, **change)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_in_which_nothing_was_computed_takes_another_command(made: GuidedZoomRun, tmp_path: Path) -> None:
    """As a machine that failed between the first file and the first part leaves it."""
    for folder, other in (("zoom", {"pool": replace(POOL, whole=False)}), ("again", {"network_hash": "x"})):
        GuidedZoomRun.start(tmp_path / folder, made.description)
        description = replace(made.description, **other)
        EvidencePool.start(tmp_path / folder / "pool", made.open_pool().description)
        assert GuidedZoomRun.start(tmp_path / folder, description).description == description
        assert GuidedZoomRun.open(tmp_path / folder).description == description
        pool = replace(made.open_pool().description, config=description.pool, network_hash=description.network_hash)
        assert EvidencePool.start(tmp_path / folder / "pool", pool).description == pool
        assert EvidencePool.open(tmp_path / folder / "pool").description == pool


def test_more_classes_than_there_are_is_refused(quick_run: Run, evidence: TrainConfig, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="top_k must be at most the number of classes, 4; got 5; ask for fewer"):
        made_of(quick_run, tmp_path / "zoom", evidence, refinement=RefinementConfig(top_k=5))
    assert not (tmp_path / "zoom").exists()


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ({"network_hash": "x"}, "another network"),
        ({"pool": replace(POOL, whole=False)}, r"another pool \(whole True, not False\)"),
        (
            {"pool": replace(POOL, patches=replace(POOL.patches, patch=0.6))},
            rf"another pool \(patches\.patch {POOL.patches.patch}, not 0\.6\)",
        ),
    ],
)
def test_a_guided_zoom_of_another_is_refused(made: GuidedZoomRun, change: dict[str, object], what: str) -> None:
    with pytest.raises(UserError, match=f"began with {what}; ask for what it began with, or name another folder"):
        GuidedZoomRun.start(made.path, replace(made.description, **change))  # type: ignore[arg-type]


def test_a_folder_of_something_else_is_left_alone(made: GuidedZoomRun, tmp_path: Path) -> None:
    (tmp_path / "letter.txt").write_text("dear")
    with pytest.raises(UserError, match="a new Guided Zoom needs an empty folder"):
        GuidedZoomRun.start(tmp_path, made.description)
    with pytest.raises(UserError, match=r"a Guided Zoom is a folder with a guided_zoom\.json"):
        GuidedZoomRun.open(tmp_path)


def test_a_network_that_has_changed_is_refused(made: GuidedZoomRun, quick_run: Run, tmp_path: Path) -> None:
    base = Path(shutil.copytree(quick_run.path, tmp_path / "base"))
    changed = replace(made, description=replace(made.description, base=base))
    (base / "model.safetensors").write_bytes(b"other")
    with pytest.raises(UserError, match="have changed since; restore them, or make a new Guided Zoom"):
        changed.base_run()


def test_an_untrained_evidence_cnn_is_named(made: GuidedZoomRun, tmp_path: Path) -> None:
    again = GuidedZoomRun.open(copied(made, tmp_path))
    (again.evidence / "metrics.json").unlink()
    with pytest.raises(UserError, match="a Guided Zoom is used when its Evidence CNN is trained"):
        load_guided_zoom(again, SLOW)


def test_kept_evidence_of_another_evidence_cnn_is_refused(made: GuidedZoomRun, tmp_path: Path) -> None:
    again = GuidedZoomRun.open(copied(made, tmp_path))
    (origin,) = again.path.rglob("origin.json")
    origin.write_text(origin.read_text().replace('"evidence_hash": "', '"evidence_hash": "0'))
    with pytest.raises(UserError, match="kept evidence belongs to the networks and photographs"):
        evidence_of_split(again, "test", REFINEMENT, context=QUIET)


def test_kept_evidence_says_its_precision(made: GuidedZoomRun, tmp_path: Path) -> None:
    again, said = GuidedZoomRun.open(copied(made, tmp_path)), list[str]()
    context = RunContext(hardware=ROUNDED.hardware, say=said.append)
    (origin,) = again.path.rglob("origin.json")
    content = json.loads(origin.read_text())
    write_json(origin, {name: value for name, value in content.items() if name != "precision"})  # as older ones are
    assert evidence_of_split(again, "test", REFINEMENT, context=context).precision == "float32"
    assert "was found in float32, answers are given here in bfloat16" in said[-1]
    for part in origin.parent.glob("*.parquet"):
        part.unlink()
    assert evidence_of_split(again, "test", REFINEMENT, context=ROUNDED).precision == "bfloat16"
    assert json.loads(origin.read_text()) == content | {"precision": "bfloat16"}


def test_a_network_that_is_never_right_has_no_pool(quick_run: Run, evidence: TrainConfig, tmp_path: Path) -> None:
    """Its head answers with one class only: the others have no evidence."""
    base = Run.open(Path(shutil.copytree(quick_run.path, tmp_path / "base")))
    network = base.load_network()
    assert isinstance(network, PlainNetwork)
    with torch.no_grad():
        network.backbone.classifier.bias.copy_(torch.tensor([1e4, 0, 0, 0]))
    save_weights(base.weights, network.state_dict())
    with pytest.raises(UserError, match=r"a pool must hold evidence of every class; .* has none of 3 of 4"):
        made_of(base, tmp_path / "zoom", evidence, pool=replace(POOL, keep=Keep.CORRECT))


def test_on_the_command_line(quick_run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    options = [
        "--pool.grounding.method",
        "class-maps",
        "--pool.patches.source-size",
        "96",
        "--pool.keep",
        "erased-correct",
    ]
    options += [
        "--epochs",
        "1",
        "--hardware.precision",
        "float32",
        "--hardware.workers",
        "0",
    ]
    out = str(tmp_path / "zoom")
    mistyped = [*options, "--pool.grounding.layer", "blocks.9"]
    assert main(["guided-zoom", str(quick_run.path), "--out", out, *mistyped]) == 2
    assert "layer must be a module of the network; got 'blocks.9'; close: blocks." in capsys.readouterr().err
    assert main(["guided-zoom", str(quick_run.path), "--out", out, *options]) == 0
    assert "### zoom, test split" in capsys.readouterr().out
    assert GuidedZoomRun.open(Path(out)).description.refinement == RefinementConfig(top_k=4, weights=(0.4, 0.2))
    assert main(["guided-zoom", str(quick_run.path), "--out", out, *options, "--refinement.top-k", "9"]) == 2
    assert "--refinement.top-k must be at most the number of classes, 4" in capsys.readouterr().err


@pytest.mark.parametrize("start", EvidenceStart)
def test_where_the_evidence_cnn_begins(quick_run: Run, tmp_path: Path, start: EvidenceStart) -> None:
    begun = {}

    def noted(config: TrainConfig, out: Path, **_: object) -> None:
        begun[out] = config
        raise KeyboardInterrupt

    with (
        mock.patch("foveate.workflows.build_guided_zoom.train", noted),
        mock.patch("foveate.workflows.build_guided_zoom.create_network"),  # instead of a download
    ):
        for out, architecture in (
            ("same", None),
            ("named", quick_run.config.network.base),
            ("other", "resnet18"),
        ):
            with pytest.raises(KeyboardInterrupt):
                build_guided_zoom(
                    *(quick_run, tmp_path / out),
                    pool=POOL,
                    evidence=EvidenceTraining(architecture=architecture, start=start),
                    context=QUIET,
                )
    epochs = [4, 4, 8] if start is EvidenceStart.CONVENTIONAL else [8, 8, 8]
    assert [config.epochs for config in begun.values()] == epochs
    same, named, other = (config.network.trained_backbone for config in begun.values())
    assert same is not None
    assert other is not None
    assert quick_run.config.network.trained_backbone is not None
    usual = quick_run.config.network.trained_backbone.weights
    there = str(quick_run.path.resolve())
    assert same.weights == (there if start is EvidenceStart.CONVENTIONAL else usual)
    assert named == same
    assert (other.architecture, other.weights) == ("resnet18", "auto")


def test_evidence_may_be_judged_by_a_probe_on_patches(quick_run: Run, tmp_path: Path) -> None:
    judge = EvidenceTraining(probe=True)
    rows = made_of(quick_run, tmp_path / "zoom", None, evidence=judge)
    zoom = GuidedZoomRun.open(tmp_path / "zoom")
    evidence = zoom.evidence_run()
    assert evidence.config.network.solved
    assert evidence.config.trained_epochs is None
    assert evidence.metrics()["strength"] > 0
    begun, kept = (each.load_network().backbone.state_dict() for each in (quick_run, evidence))
    moved = {name for name, each in begun.items() if not torch.equal(each, kept[name])}
    assert moved == {name for name in begun if "classifier" in name}
    assert made_of(quick_run, tmp_path / "zoom", None, evidence=judge) == rows
    with pytest.raises(UserError, match="a trained Evidence CNN is used again"):
        made_of(quick_run, tmp_path / "zoom", None, evidence=replace(judge, architecture="resnet18"))


def test_a_thorough_training_of_the_evidence_cnn_is_that_of_plain(quick_run: Run, tmp_path: Path) -> None:
    config = EvidenceTraining(thorough=True).config_for(quick_run, tmp_path / "pool", SLOW)
    plain, usual = plain_recipe(), EvidenceTraining().config_for(quick_run, tmp_path / "pool", SLOW)
    assert (config.optimiser, config.epochs, config.frozen_stride) == (
        replace(plain.optimiser, gradient_clip=1.0),
        plain.epochs,
        plain.frozen_stride,
    )
    assert usual.network.trained_backbone is not None
    assert config.network == PlainConfig(backbone=usual.network.trained_backbone, head=HeadStart.PROBE)
    assert (config.data, config.transforms, config.seed) == (usual.data, usual.transforms, usual.seed)


def test_a_thorough_evidence_cnn_is_trained_and_taken_again(
    quick_run: Run, made: GuidedZoomRun, tmp_path: Path
) -> None:
    judge = EvidenceTraining(thorough=True, epochs=1)
    rows = made_of(quick_run, tmp_path / "zoom", None, evidence=judge)
    assert made_of(quick_run, tmp_path / "zoom", None, evidence=judge) == rows
    with pytest.raises(UserError, match=r"a trained Evidence CNN is used again; .* differs in config\.network"):
        made_of(quick_run, copied(made, tmp_path / "other"), None, evidence=EvidenceTraining(thorough=True))
    with pytest.raises(UserError, match="solved for \\(probe\\) or trained for long \\(thorough\\); got both"):
        EvidenceTraining(probe=True, thorough=True)


def test_a_probe_on_patches_has_no_epochs(quick_run: Run, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="epochs has no effect where heads are solved for"):
        made_of(quick_run, tmp_path / "zoom", None, evidence=EvidenceTraining(probe=True, epochs=3))
    assert not (tmp_path / "zoom").exists()


def test_a_trained_evidence_cnn_is_no_probe(made: GuidedZoomRun, tmp_path: Path, quick_run: Run) -> None:
    folder = copied(made, tmp_path)
    with pytest.raises(UserError, match=r"a trained Evidence CNN is used again; .* differs in config\.network"):
        made_of(quick_run, folder, None, evidence=EvidenceTraining(probe=True))


def test_tuning_writes_down_what_fits_and_plots_the_rest(
    made: GuidedZoomRun, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    zoom = copied(made, tmp_path)
    options = ["--hardware.precision", "float32", "--hardware.workers", "0"]
    assert main(["tune", str(zoom), "--split", "train", *options]) == 0
    assert "passes a photograph; written to" in capsys.readouterr().out
    tuned = GuidedZoomRun.open(zoom)
    assert tuned.description.tuned_on == "train"
    assert tuned.description.given == REFINEMENT
    tried = json.loads((zoom / "tuning" / "train.json").read_text())
    tuned.with_refinement(RefinementConfig(top_k=2, weights=(0.0, 1.0)), "train")
    assert main(["tune", str(zoom), "--split", "train", *options]) == 0  # begins with what was given, as the first did
    assert GuidedZoomRun.open(zoom).description == tuned.description
    table = evidence_of_split(tuned, "train", tuned.description.refinement, context=QUIET)
    assert tried["chosen"]["top_k"] == tuned.description.refinement.top_k
    assert table.right_before.sum() <= table.right_after(tuned.description.refinement).sum()
    assert table.right_after(tuned.description.refinement).sum() <= tried["fitted"][0]["right"]
    assert 0 <= min(tried["held_out"].values()) <= max(tried["held_out"].values()) <= 1
    base = str(tuned.description.base)
    pool = [
        "--pool.grounding.method",
        "class-maps",
        "--pool.patches.source-size",
        "96",
        "--pool.keep",
        "erased-correct",
    ]
    pool += ["--pool.patches.rounds", "2"]
    rows = tmp_path / "rows.jsonl"
    assert main(["guided-zoom", base, "--out", str(zoom), *pool, *options, "--tuned", "--results", str(rows)]) == 0
    assert main(["guided-zoom", base, "--out", str(zoom), *pool, *options, "--results", str(rows) + "2"]) == 0
    asked = ["--refinement.top-k", "2"]
    assert main(["guided-zoom", base, "--out", str(zoom), *pool, *options, *asked, "--results", str(rows)]) == 0
    by_fit, by_hand = map(json.loads, rows.read_text().splitlines())
    by_default = json.loads(Path(f"{rows}2").read_text())
    for each in (by_fit, by_default):
        assert (each["tuned_on"], each["top_k"]) == ("train", tuned.description.refinement.top_k)
        assert each["weights"] == list(tuned.description.refinement.weights)
    assert (by_hand["tuned_on"], by_hand["top_k"]) == (None, 2)
    assert by_hand["weights"] == by_fit["weights"]
    with Image.open(zoom / "tuning" / "train.png") as plot:
        assert plot.width > 600
    assert main(["tune", str(zoom), "--split", "test"]) == 2
    assert "says nothing about other photographs" in capsys.readouterr().err
    assert main(["tune", str(zoom)]) == 2
    told = capsys.readouterr().err
    assert f"--out {zoom}-held-out --tuned`, then `foveate guided-zoom " in told
    assert f"--out {zoom} --tuned-by {zoom}-held-out`" in told


def test_what_was_fitted_elsewhere_is_taken_over(
    made: GuidedZoomRun, quick_run: Run, evidence: TrainConfig, tmp_path: Path
) -> None:
    folder = copied(made, tmp_path)
    with pytest.raises(UserError, match="taken over from a Guided Zoom where it is fitted"):
        made_of(quick_run, tmp_path / "zoom-2", evidence, refinement=None, tuned=folder)
    fitted = RefinementConfig(top_k=2, weights=(0.5, 0.5), entropy_threshold=0.3)
    GuidedZoomRun.open(folder).with_refinement(fitted, "validation")
    again = copied(made, tmp_path / "again")
    rows = made_of(
        quick_run,
        again,
        evidence,
        refinement=None,
        tuned=folder,
        context=replace(QUIET, results=tmp_path / "rows.jsonl"),
    )
    assert rows[0].config == fitted  # type: ignore[attr-defined]
    assert json.loads((tmp_path / "rows.jsonl").read_text())["tuned_on"] == "validation"
    with pytest.raises(UserError, match="one decision counts"):
        made_of(quick_run, again, evidence, tuned=folder)


def test_one_call_fits_and_decides(quick_run: Run, evidence: TrainConfig, tmp_path: Path) -> None:
    config = replace(quick_run.config, data=replace(quick_run.config.data, validation_fraction=0.25))
    run = train(config, tmp_path / "run", say=silent)
    rows = build_guided_zoom(
        run, tmp_path / "zoom", pool=POOL, evidence=EvidenceTraining(config=evidence), tuned=True, context=QUIET
    )
    description = GuidedZoomRun.open(tmp_path / "zoom").description
    assert description.tuned_on == "validation"
    assert rows[0].config == description.refinement


def test_what_is_asked_of_a_trained_evidence_cnn_must_be_what_it_is(quick_run: Run) -> None:
    """Here the conventional network stands for it; what is not asked for is as it is."""
    own = quick_run.config.network.base
    for given, architecture, epochs in ((None, None, None), (None, own, 2), (quick_run.config, None, None)):
        EvidenceTraining(config=given, architecture=architecture, epochs=epochs).check_trained(quick_run)
    for given, architecture, epochs, name in (
        (None, None, 9, "config.epochs"),
        (None, "resnet18", None, "config.network.backbone.architecture"),
        (replace(quick_run.config, seed=5), None, None, "config.seed"),
    ):
        with pytest.raises(UserError, match=f"a trained Evidence CNN is used again; .* differs in {name}"):
            EvidenceTraining(config=given, architecture=architecture, epochs=epochs).check_trained(quick_run)
