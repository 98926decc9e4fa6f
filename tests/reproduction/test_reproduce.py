"""A paper's table from end to end, of networks that train in seconds."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import tyro

from foveate.commands.guided_zoom_commands import GuidedZoom
from foveate.commands.main import main
from foveate.data.images import read_image
from foveate.errors import UserError
from foveate.evaluation.evidence_table import EvidenceTable
from foveate.evaluation.predictions import read_predictions, write_predictions
from foveate.files.documents import write_json
from foveate.grounding.config import GroundingConfig, GroundingMethod
from foveate.guided_zoom.config import PatchConfig, PoolConfig, RefinementConfig
from foveate.recipes.config import TrainConfig
from foveate.reproduction import figures as figures_module
from foveate.reproduction import paper_runs
from foveate.reproduction import reproduce as module
from foveate.reproduction.figures import surest
from foveate.reproduction.paper_runs import PaperRuns
from foveate.reproduction.reproduce import reproduce
from foveate.reproduction.tables import Cell, PaperTable, Quantity, Row, Scale, Training
from foveate.runs.run import Run
from foveate.workflows.build_guided_zoom import build_guided_zoom
from foveate.workflows.evidence_training import BY_RECIPE, EvidenceTraining
from zooms import POOL, SLOW, silent

PAPER_POOL = paper_runs._PAPER_POOL


@pytest.fixture
def small(
    quick: TrainConfig, quick_s3n: TrainConfig, evidence: TrainConfig, monkeypatch: pytest.MonkeyPatch
) -> TrainConfig:
    """Tables of two rows; recipes as small as the tests' runs."""
    recipes = {"plain-small": lambda: replace(quick, epochs=1), "s3n-small": lambda: replace(quick_s3n, epochs=2)}
    monkeypatch.setattr(paper_runs, "TRAININGS", recipes)
    monkeypatch.setattr(paper_runs, "_REFINED", {Quantity.REFINED_3: 2, Quantity.REFINED_5: 3})
    monkeypatch.setattr(paper_runs, "_PAPER_POOL", POOL)
    larger = replace(evidence, transforms=quick.transforms)  # so that a batch of one patch has a variance
    monkeypatch.setattr(
        paper_runs,
        "build_guided_zoom",
        lambda run, out, **options: build_guided_zoom(
            run, out, **(options | {"evidence": EvidenceTraining(config=larger)})
        ),
    )
    plain, s3n = (((Scale.SLICE, Training(name)),) for name in recipes)
    measured = (Quantity.TOP1, Quantity.ORIGINAL, Quantity.DISCRIMINATIVE, Quantity.LOCALISATION, Quantity.HIT_RATE)
    tables = {
        "plain": PaperTable(
            "Plain",
            (
                Row("rival", (Cell("birds", 50.0),)),
                Row("plain", (Cell("birds", 40.0, trainings=plain), Cell("top-5", 100.0, Quantity.TOP5, plain))),
            ),
        ),
        "s3n": PaperTable("S3N", (Row("S3N", tuple(Cell(each.value, 60.0, each, s3n) for each in measured)),)),
        "zoom": PaperTable(
            "Zoom",
            (
                Row("plain", (Cell("birds", 40.0, trainings=plain),)),
                Row("Zoom, k=3", (Cell("birds", 45.0, Quantity.REFINED_3, plain),)),
                Row("Zoom, k=5", (Cell("birds", 46.0, Quantity.REFINED_5, plain),)),
            ),
        ),
        "full": PaperTable("Full", (Row("plain", (Cell("birds", 1.0, trainings=((Scale.FULL, Training("x")),)),)),)),
    }
    monkeypatch.setattr(module, "TABLES", tables)
    figures = {"plain": plain, "s3n": s3n, "s3n-epochs": s3n, "guided-zoom": plain}
    monkeypatch.setattr(figures_module, "ON_CUB", figures)
    monkeypatch.setattr(figures_module, "_EPOCHS", (1, 2))
    return quick


def made(name: str, quick: TrainConfig, out: Path, seeds: tuple[int, ...] = (0,), **options: object) -> str:
    archives = quick.data.root.parent
    return reproduce(
        name,
        out,
        archives=archives,
        seeds=seeds,
        hardware=SLOW,
        **({"say": silent} | options),  # type: ignore[arg-type]
    ).read_text()


def test_it_trains_measures_and_says_so(small: TrainConfig, tmp_path: Path) -> None:
    results = tmp_path / "rows.jsonl"
    table = made("plain", small, tmp_path / "out", seeds=(0, 1), results=results)
    assert "| rival" in table
    assert "foveate reproduce training plain-small" in table
    content = json.loads((tmp_path / "out" / "plain-slice.json").read_text())
    (rival, *cells) = content["cells"]
    assert rival["values"] == []
    for cell, measured in zip(cells, ("top1", "top5"), strict=True):
        for seed, value in enumerate(cell["values"]):
            report = tmp_path / f"out/runs/plain-small-{seed}/evaluation/test-centre.json"
            assert value == pytest.approx(100 * json.loads(report.read_text())["accuracy"][measured]["value"])
        assert len(cell["values"]) == 2
    assert [json.loads(line)["seed"] for line in results.read_text().splitlines()] == [0, 1]


def test_what_is_done_is_not_done_again(small: TrainConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = made("plain", small, tmp_path)
    monkeypatch.setattr(paper_runs, "evaluate", None)
    monkeypatch.setattr("foveate.workflows.train.train", None)
    assert made("plain", small, tmp_path) == first


def test_branches_boxes_and_peaks_are_those_of_their_reports(small: TrainConfig, tmp_path: Path) -> None:
    def stop(line: str) -> None:
        if line.startswith("epoch 2/2"):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        made("s3n", small, tmp_path, say=stop)
    told: list[str] = []
    made("s3n", small, tmp_path, say=told.append)
    assert [line.split(":")[0] for line in told if line.startswith("epoch")] == ["epoch 2/2"]
    report = json.loads((tmp_path / "runs/s3n-small-0/evaluation/test-centre.json").read_text())
    cells = json.loads((tmp_path / "s3n-slice.json").read_text())["cells"]
    for cell, name in zip(cells[:3], ("joint", "original", "discriminative"), strict=True):
        assert cell["values"] == [pytest.approx(100 * report["branches"][name]["value"])]
    boxes, peaks = (
        json.loads((tmp_path / f"runs/s3n-small-0/evaluation/test-{name}.json").read_text())
        for name in ("localisation", "attention")
    )
    assert cells[3]["values"] == [pytest.approx(100 * boxes["branches"]["joint"]["localised"])]
    assert cells[4]["values"] == [pytest.approx(100 * peaks["mean_hit_rate"])]


def test_guided_zoom_finds_the_evidence_of_most_classes_once(
    small: TrainConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stopped: list[str] = []

    def stop(line: str) -> None:
        stopped.append(line)
        if sum(each.startswith("epoch") for each in stopped) == 2:  # the Evidence CNN's, after the network's only one
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        made("zoom", small, tmp_path, say=stop)
    kept = json.loads((tmp_path / "zoom-slice.json").read_text())["cells"]
    assert [len(cell["values"]) for cell in kept] == [1, 0, 0]
    told: list[str] = []
    table = made("zoom", small, tmp_path, say=told.append)
    assert sum(line.startswith("epoch") for line in told) == 1  # what was done is not done again
    rows = json.loads((tmp_path / "runs/guided-zoom-plain-small-0/evaluation/test.json").read_text())["rows"]
    after = {row["config"]["top_k"]: 100 * row["change"]["after"] for row in rows[:1]}
    cells = {cell["row"]: cell["values"] for cell in json.loads((tmp_path / "zoom-slice.json").read_text())["cells"]}
    assert cells["Zoom, k=3"] == [pytest.approx(after[2])]
    commands = [cell["command"] for cell in json.loads((tmp_path / "zoom-slice.json").read_text())["cells"]]
    assert commands[0] == "foveate reproduce training plain-small"
    assert [command.split("; foveate guided-zoom RUN")[0] for command in commands[1:]] == commands[:1] * 2
    assert [command.split()[-1] for command in commands[1:]] == ["3", "5"]
    monkeypatch.setattr(paper_runs, "build_guided_zoom", None)
    assert made("zoom", small, tmp_path) == table
    monkeypatch.setattr(EvidenceTable, "right_before", property(lambda table: np.zeros(len(table.ids), bool)))
    monkeypatch.setattr(EvidenceTable, "right_after", lambda table, config: np.ones(len(table.ids), bool))
    monkeypatch.setattr(figures_module, "_SHOWN", 1)
    for name in ("gz-fig2", "gz-fig3"):
        folder = reproduce(name, tmp_path, archives=small.data.root.parent, seeds=(0,), hardware=SLOW, say=silent)
        (picture,) = folder.rglob("*.png")
        assert read_image(picture).width > 200
    assert "round 0" in (folder / "rounds.md").read_text()
    monkeypatch.setattr(paper_runs, "_PAPER_POOL", replace(POOL, whole=not POOL.whole))
    with pytest.raises(UserError, match=r"began with another pool \(whole True, not False\)"):
        made("zoom", small, tmp_path)


def test_guided_zoom_is_asked_for_as_the_paper_has_it(
    small: TrainConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench = PaperRuns(runs=tmp_path, archives=small.data.root.parent, hardware=SLOW, say=silent)
    run = bench.run(Training("plain-small"), 0)
    asked: list[tuple[str, PoolConfig, RefinementConfig, object]] = []

    def record(_: Run, out: Path, **given: Any) -> None:
        asked.append((out.name, given["pool"], given["refinement"], given["evidence"]))
        raise KeyboardInterrupt

    monkeypatch.setattr(paper_runs, "build_guided_zoom", record)
    monkeypatch.setattr(paper_runs, "_PAPER_POOL", PAPER_POOL)
    with pytest.raises(KeyboardInterrupt):
        bench.zoom(run)
    monkeypatch.setattr(paper_runs, "_PAPER_LAYERS", {run.config.network.base: "res4a"})
    monkeypatch.setattr(paper_runs, "TRAININGS", {"evidence-resnet101": lambda: small})
    with pytest.raises(KeyboardInterrupt):
        bench.zoom(run)
    rounds, paper = PatchConfig(patch=150 / 448, rounds=2), replace(RefinementConfig.paper(), top_k=3)
    ceb = GroundingConfig(method=GroundingMethod.CEB)
    at_res4a = replace(PoolConfig.paper(), grounding=replace(ceb, layer="res4a"))
    assert asked == [
        ("guided-zoom-plain-small-0", PoolConfig(grounding=ceb, patches=rounds, whole=False), paper, BY_RECIPE),
        ("guided-zoom-plain-small-0", at_res4a, paper, EvidenceTraining(config=replace(small, seed=0, hardware=SLOW))),
    ]


@pytest.mark.parametrize(("quantity", "top_k"), [(Quantity.REFINED_3, 3), (Quantity.REFINED_5, 5)])
def test_the_command_beside_a_refined_number_asks_for_what_is_measured(quantity: Quantity, top_k: int) -> None:
    command = quantity.measured_by
    assert command is not None
    options = (tyro.conf.EnumChoicesFromValues, tyro.conf.AvoidSubcommands)  # as `foveate.commands.main` has them
    asked = tyro.cli(GuidedZoom, args=[*command.split()[2:], "--out", "zoom"], config=options)
    assert asked.pool == PAPER_POOL
    assert asked.refinement.over(RefinementConfig()) == replace(RefinementConfig.paper(), top_k=top_k)


def test_each_refined_number_is_that_of_its_own_guided_zoom(
    small: TrainConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench = PaperRuns(runs=tmp_path, archives=small.data.root.parent, hardware=SLOW, say=silent)
    for place, top_k in enumerate((3, 5)):
        write_json(tmp_path / f"evaluation/test-k{top_k}.json", {"top1": place / 100})
    monkeypatch.setattr(paper_runs, "_REFINED", {Quantity.REFINED_3: 3, Quantity.REFINED_5: 5})
    monkeypatch.setattr(PaperRuns, "zoom", lambda self, run: SimpleNamespace(path=tmp_path))
    asked = (Quantity.REFINED_3, Quantity.REFINED_5)
    assert [bench.measured(each, Training("plain-small"), 0) for each in asked] == [0, 1]


def test_a_figure_is_a_folder_of_pictures(small: TrainConfig, tmp_path: Path) -> None:
    archives = small.data.root.parent
    made("plain", small, tmp_path)
    # A plain network that is always wrong, so that there is something to show.
    answers = tmp_path / "runs/plain-small-0/evaluation/test-centre.parquet"
    table = read_predictions(answers)
    write_predictions(answers, replace(table, probabilities=np.roll(np.eye(4), 1, axis=1)[table.labels]))
    expected = {"s3n-fig4": 4, "s3n-fig5": 1, "s3n-fig6": 1, "s3n-fig7": 2}
    for name, count in expected.items():
        folder = reproduce(name, tmp_path, archives=archives, seeds=(0,), hardware=SLOW, say=silent)
        assert folder == tmp_path / f"{name}-slice"
        pictures = list(folder.rglob("*.png"))
        assert len(pictures) >= count
        for picture in pictures:
            assert read_image(picture).width > 200
    with pytest.raises(UserError, match="no test photograph of plain-small-0 is what the figure shows"):
        reproduce("gz-fig3", tmp_path, archives=archives, seeds=(0,), hardware=SLOW, say=silent)


def test_a_figure_shows_the_surest_of_what_is_wanted() -> None:
    wanted = np.array([True, False, True, True, True, True])
    assert surest(wanted, np.array([0.1, 0.9, 0.3, 0.3, 0.2, 0.5])) == [5, 2, 3, 4]
    assert surest(np.zeros(3, bool), np.ones(3)) == []


def test_what_cannot_be_shown_is_refused(small: TrainConfig, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="one of plain, s3n"):
        made("other", small, tmp_path)
    with pytest.raises(UserError, match="its data set has no slice; give --scale full"):
        made("full", small, tmp_path)
    with pytest.raises(UserError, match="needs a seed"):
        made("plain", small, tmp_path, seeds=())
    with pytest.raises(UserError, match="has no such folder; give the folder that holds the data sets"):
        reproduce("plain", tmp_path, archives=tmp_path, hardware=SLOW, say=silent)


def test_another_run_in_its_place_is_refused(small: TrainConfig, tmp_path: Path) -> None:
    made("plain", small, tmp_path)
    (tmp_path / "runs/plain-small-0").rename(tmp_path / "runs/plain-small-1")
    with pytest.raises(UserError, match=r"differs in config\.seed"):
        made("plain", small, tmp_path, seeds=(1,))


def test_on_the_command_line(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert main(["reproduce", "table", "gz-2", "--archives", str(tmp_path), "--out", str(tmp_path / "out")]) == 2
    assert "Stanford Dogs" in capsys.readouterr().err
