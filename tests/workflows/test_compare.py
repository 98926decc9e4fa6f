"""What `foveate compare` says of runs, Guided Zooms and ensembles, from end to end."""

from __future__ import annotations

import csv
import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_allclose
from PIL import Image

from command_line import status
from foveate.config.data import Split
from foveate.errors import UserError
from foveate.evaluation.accuracy import measure_accuracy
from foveate.evaluation.paired_difference import mean_accuracy, paired_difference
from foveate.evaluation.predictions import PredictionTable, read_predictions, write_predictions
from foveate.files.documents import unstructured, write_json
from foveate.recipes.config import TrainConfig
from foveate.report.result_versions import read_rows
from foveate.report.rivals import rivals
from foveate.runs import guided_zoom_run
from foveate.runs import run as runs
from foveate.runs.context import RunContext
from foveate.runs.guided_zoom_run import GuidedZoomRun
from foveate.runs.run import Run
from foveate.workflows.compare import Comparison, compare
from foveate.workflows.compared_sides import _common, _distinct
from foveate.workflows.evaluate import evaluate
from foveate.workflows.split_evidence import evidence_of_split
from foveate.workflows.train import train
from zooms import QUIET, SLOW, copied, silent

FIRST = "1111 0000 1110"
OTHER = "0111 1111 1011"  # right where the first is wrong at 4 + 1 photographs, and the other way round at 1 + 1
KEPT = "evaluation/test-centre.parquet"


@pytest.fixture(scope="module")
def answered(quick_run: Run, tmp_path_factory: pytest.TempPathFactory) -> tuple[Run, PredictionTable]:
    """A copy of the trained run, and its answers."""
    path = tmp_path_factory.mktemp("compare") / "answered"
    run = Run.open(shutil.copytree(quick_run.path, path, ignore=shutil.ignore_patterns("checkpoints", "logs")))
    return run, evaluate(run, context=QUIET).table


def copy_of(
    answered: tuple[Run, PredictionTable], path: Path, right: str | None = None, *, seed: int = 0, sure: float = 0.7
) -> Path:
    """Copy the run, with answers that are right where a 1 stands, and with a seed."""
    run, table = answered
    shutil.copytree(run.path, path)
    config = replace(run.config, seed=seed)
    write_json(path / "run.json", unstructured(replace(run.description, config=config)), runs.SCHEMA_VERSION)
    if right is not None:
        ones = np.array([mark == "1" for mark in right if mark != " "])
        classes = np.where(ones, table.labels, (table.labels + 1) % 4)
        probabilities = np.where(np.eye(4, dtype=bool)[classes], sure, (1 - sure) / 3).astype(np.float32)
        write_predictions(path / KEPT, replace(table, probabilities=probabilities))
    return path


def masks(*rights: str) -> np.ndarray:
    return np.array([[mark == "1" for mark in right if mark != " "] for right in rights])


def quietly(*models: object, **options: object) -> Comparison:
    return compare(*models, context=QUIET, **options)  # type: ignore[arg-type]


def test_two_runs_by_hand(answered: tuple[Run, PredictionTable], tmp_path: Path) -> None:
    a, b = copy_of(answered, tmp_path / "a", FIRST), copy_of(answered, tmp_path / "b", OTHER)
    found = quietly(a, b)
    first, other = found.rows
    assert (first.name, first.top1, first.difference, first.tests) == ("a", (7 / 12,), None, ())
    assert (other.name, other.accuracy.value, found.photographs) == ("b", 10 / 12, 12)
    assert (other.it_alone, other.first_alone) == (5, 2)
    (test,) = other.tests
    assert test.p_value == pytest.approx(2 * (1 + 7 + 21) / 2**7)
    assert other.difference == paired_difference(masks(FIRST), masks(OTHER))
    assert other.difference is not None
    assert other.difference.value == pytest.approx(3 / 12)
    run = Run.open(a)
    assert first.cost.megabytes == run.weights.stat().st_size / 1e6
    assert (first.cost.passes, first.cost.milliseconds > 0) == (1, True)
    assert found.report == a / "evaluation/test-a-against-b.md"
    (line,) = (line for line in found.markdown.splitlines() if line.startswith("| b "))
    assert line.split("|")[2].strip().startswith("83.3 (")
    assert "+25.0 (" in line
    told = json.loads(found.report.with_suffix(".json").read_text(encoding="utf-8"))
    assert told["compared"][1]["difference"]["value"] == other.difference.value
    assert (told["split"], told["photographs"], told["classes"]) == ("test", 12, 4)


def test_photographs_of_one_group_count_as_one(answered: tuple[Run, PredictionTable], tmp_path: Path) -> None:
    """Of three groups of four, which say less than twelve photographs."""
    groups = np.arange(3).repeat(4)
    paths = [copy_of(answered, tmp_path / name, right) for name, right in (("a", FIRST), ("b", OTHER))]
    for path in paths:
        write_predictions(path / KEPT, replace(read_predictions(path / KEPT), groups=groups))
    found = quietly(*paths)
    other = found.rows[1]
    assert other.difference == paired_difference(masks(FIRST), masks(OTHER), groups)
    # Right more often by -1, 4 and 0: all four sums of both signs are at least as far from 0 as 3.
    assert [test.p_value for test in other.tests] == [1.0]
    assert (
        found.rows[0].accuracy
        == measure_accuracy(
            *(getattr(read_predictions(paths[0] / KEPT), name) for name in ("probabilities", "labels", "groups"))
        ).top1
    )
    assert found.groups == json.loads(found.report.with_suffix(".json").read_text())["groups"] == 3
    assert (
        "bootstrap over 3 groups of them; fewer than 6 say nothing of others. p: exact, of whole groups, two-sided."
        in found.markdown
    )
    assert "over 3 groups" in found._repr_html_()
    write_predictions(paths[0] / KEPT, replace(read_predictions(paths[0] / KEPT), groups=None))  # kept before
    again = quietly(*paths)
    assert (again.groups, again.rows[0].accuracy, again.rows[1].tests) == (3, found.rows[0].accuracy, other.tests)


def test_the_photographs_that_tell_them_apart(answered: tuple[Run, PredictionTable], tmp_path: Path) -> None:
    a, b = copy_of(answered, tmp_path / "a", FIRST), copy_of(answered, tmp_path / "b", OTHER)
    found, ids = quietly(a, b, out=tmp_path / "out"), answered[1].ids
    with found.report.with_suffix(".csv").open(encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    differing = np.flatnonzero(masks(FIRST)[0] != masks(OTHER)[0])
    assert {row["id"] for row in rows} == {ids[index] for index in differing}
    assert len(rows) == len(differing) == 7
    for row in rows:
        assert Path(row["path"]).samefile(Run.open(a).config.data.root / row["id"])
        for name in ("a", "b"):
            assert (row[f"{name}: answer"] == row["class"]) == (row[f"{name}: right"] == "True")
            assert float(row[f"{name}: probability"]) == 0.7
        assert (row["a: right"] == "True") != (row["b: right"] == "True")
    with Image.open(found.report.with_suffix(".png")) as picture:
        assert (picture.width, picture.height > 1000) == (1600, True)
    assert {each.name for each in (tmp_path / "out").iterdir()} == {
        f"test-a-against-b.{ending}" for ending in ("md", "json", "csv", "png")
    }


def test_against_a_copy_of_itself_nothing_differs(answered: tuple[Run, PredictionTable], tmp_path: Path) -> None:
    a, b = copy_of(answered, tmp_path / "a"), copy_of(answered, tmp_path / "b")
    found = quietly(a, b)
    other = found.rows[1]
    assert other.difference is not None
    assert (other.difference.value, other.difference.low, other.difference.high) == (0, 0, 0)
    assert [test.p_value for test in other.tests] == [1]
    assert len(found.report.with_suffix(".csv").read_text(encoding="utf-8").splitlines()) == 1
    assert not found.report.with_suffix(".png").exists()


def test_the_order_of_kept_answers_does_not_matter(answered: tuple[Run, PredictionTable], tmp_path: Path) -> None:
    a, b = copy_of(answered, tmp_path / "a", FIRST), copy_of(answered, tmp_path / "b", OTHER)
    before = quietly(a, b).rows[1]
    table, order = read_predictions(b / KEPT), np.random.default_rng(0).permutation(12)
    ids = tuple(table.ids[index] for index in order)
    shuffled = replace(table, ids=ids, labels=table.labels[order], probabilities=table.probabilities[order])
    write_predictions(b / KEPT, shuffled)
    after = quietly(a, b).rows[1]
    assert (after.difference, after.tests, after.accuracy) == (before.difference, before.tests, before.accuracy)


def test_seeds_of_one_configuration_are_averaged(answered: tuple[Run, PredictionTable], tmp_path: Path) -> None:
    rights = (FIRST, OTHER, "1111 1111 0000")
    plain = [copy_of(answered, tmp_path / f"plain-{seed}", right, seed=seed) for seed, right in enumerate(rights)]
    again = copy_of(answered, tmp_path / "again", OTHER, seed=1)  # the same seed as one of them: another side
    found = quietly(*plain, again)
    first, other = found.rows
    assert (first.name, other.name) == ("plain", "again")
    assert first.seeds == ((0,), (1,), (2,))
    assert first.title == "plain (seeds 0, 1, 2)"
    assert_allclose(first.top1, [7 / 12, 10 / 12, 8 / 12])
    assert first.accuracy == mean_accuracy(masks(*rights))
    assert other.difference == paired_difference(masks(*rights), masks(OTHER))
    assert len(other.tests) == 3
    assert other.tests[1].p_value == 1
    assert "over seeds too" in found.markdown
    assert "| plain | 58.3 83.3 66.7 |" in found.markdown
    assert found.report.with_suffix(".png").exists()


def test_another_configuration_is_no_seed(answered: tuple[Run, PredictionTable], tmp_path: Path) -> None:
    a, b = copy_of(answered, tmp_path / "a", FIRST), copy_of(answered, tmp_path / "b", OTHER, seed=1)
    run = Run.open(b)
    config = replace(run.config, label_smoothing=0.2)
    write_json(b / "run.json", unstructured(replace(run.description, config=config)), runs.SCHEMA_VERSION)
    assert len(quietly(a, b).rows) == 2


def test_an_ensemble_is_the_mean_at_the_cost_of_all(
    answered: tuple[Run, PredictionTable], s3n_run: Run, tmp_path: Path
) -> None:
    a = copy_of(answered, tmp_path / "a", FIRST, sure=0.9)
    b, c = copy_of(answered, tmp_path / "b", OTHER, sure=0.5), tmp_path / "c"
    shutil.copytree(s3n_run.path, c, ignore=shutil.ignore_patterns("checkpoints", "epochs", "logs"))
    found = quietly(a, [a, b], (b, c))
    mean = np.mean([read_predictions(each / KEPT).probabilities for each in (a, b)], axis=0)
    ensemble, last = found.rows[1:]
    assert ensemble.name == "mean of a, b"
    assert ensemble.top1 == pytest.approx(((mean.argmax(1) == answered[1].labels).mean(),))
    assert ensemble.top1 == (7 / 12,)  # the surer one decides
    assert (ensemble.cost.passes, last.cost.passes) == (2, 1 + 3)
    assert last.cost.megabytes == pytest.approx(
        sum((each / "model.safetensors").stat().st_size for each in (b, c)) / 1e6
    )
    assert (ensemble.seeds, ensemble.folders) == (((),), ((a, b),))
    assert found.report.with_name(f"{found.report.stem}-mean-of-a-b.png").exists() == bool(ensemble.tests[0].only_b)


def test_an_ensemble_of_seeds_is_a_row_and_another_is_none(
    answered: tuple[Run, PredictionTable], s3n_run: Run, made: GuidedZoomRun, tmp_path: Path
) -> None:
    a, b = (
        copy_of(answered, tmp_path / f"run-{seed}", FIRST, seed=seed, sure=sure) for seed, sure in ((3, 0.9), (4, 0.5))
    )
    c = shutil.copytree(s3n_run.path, tmp_path / "c", ignore=shutil.ignore_patterns("checkpoints", "epochs", "logs"))
    evaluate(c, context=QUIET)
    rows = tmp_path / "rows.jsonl"
    for _ in range(2):  # what stands there is not added again
        compare(a, [a, b], (b, c), (made.path, a), context=replace(QUIET, results=rows))
    (row,) = read_rows(rows)
    told = {
        name: row[name] for name in ("measured", "method", "run", "members", "seeds", "views", "passes", "photographs")
    }
    assert told == {
        **{"measured": "accuracy", "method": "plain", "run": "run-3 + run-4", "members": 2, "seeds": [3, 4]},
        **{"views": "centre", "passes": 2, "photographs": 12},
    }
    assert row["top1"] == round(100 * 7 / 12, 2)  # FIRST's, twice
    assert row["minutes"] == pytest.approx(2 * answered[0].metrics()["minutes"], abs=0.01)
    (line,) = rivals([row], [], lambda base, size: 0.5)
    assert (line.name, line.gflop) == ("plain (fine-tuned), mean of 2 networks", 1.0)


def test_what_is_not_kept_is_evaluated(quick_run: Run, answered: tuple[Run, PredictionTable], tmp_path: Path) -> None:
    a = copy_of(answered, tmp_path / "a", FIRST)
    b, said = tmp_path / "b", list[str]()
    shutil.copytree(quick_run.path, b, ignore=shutil.ignore_patterns("checkpoints", "logs", "evaluation"))
    context = RunContext(hardware=SLOW, say=said.append, results=tmp_path / "rows.jsonl")
    found = compare(a, str(b), context=context)
    assert "no answers are kept as it decides now" in said[0]
    kept = read_predictions(b / KEPT)
    assert_allclose(kept.probabilities, answered[1].probabilities, atol=1e-6)
    assert found.rows[1].accuracy.value == (kept.probabilities.argmax(1) == kept.labels).mean()
    assert json.loads((tmp_path / "rows.jsonl").read_text())["run"] == "b"
    before = (b / KEPT).stat().st_mtime_ns
    quietly(a, b)
    assert (b / KEPT).stat().st_mtime_ns == before


def test_a_guided_zoom_by_its_evidence(made: GuidedZoomRun, quick_run: Run, tmp_path: Path) -> None:
    zoom = GuidedZoomRun.open(copied(made, tmp_path))
    run = Run.open(shutil.copytree(quick_run.path, tmp_path / "run"))
    found = quietly(run, zoom)
    config = zoom.description.refinement
    table = evidence_of_split(zoom, Split.TEST, config, context=QUIET)
    first, other = found.rows
    assert other.top1 == (table.right_after(config).mean(),)
    assert (other.it_alone, other.first_alone) == (
        (~table.right_before & table.right_after(config)).sum(),
        (table.right_before & ~table.right_after(config)).sum(),
    )
    weights = (run.weights, zoom.evidence_run().weights)
    assert other.cost.megabytes == pytest.approx(sum(each.stat().st_size for each in weights) / 1e6)
    assert other.cost.passes > first.cost.passes == 1
    assert other.cost.milliseconds > first.cost.milliseconds


def test_guided_zooms_of_other_seeds_are_one_configuration(made: GuidedZoomRun, tmp_path: Path) -> None:
    base = made.base_run()
    shutil.copytree(base.path, tmp_path / "base")
    moved = replace(base.description, config=replace(base.config, seed=3))
    write_json(tmp_path / "base/run.json", unstructured(moved), runs.SCHEMA_VERSION)
    other = GuidedZoomRun.open(copied(made, tmp_path))
    description = replace(other.description, base=tmp_path / "base")
    fitted = replace(description, tuned_on="validation", given=description.refinement)
    decided = replace(description.refinement, top_k=2)
    for changed, alike in (
        (description, True),
        (replace(description, refinement=decided), False),
        (replace(fitted, refinement=decided), False),  # the one was fitted, the other was not
    ):
        assert made.alike_but_for_seeds(replace(other, description=changed)) is alike
    both = replace(made, description=replace(made.description, tuned_on="validation"))
    assert both.alike_but_for_seeds(replace(other, description=replace(fitted, refinement=decided)))
    write_json(other.path / "guided_zoom.json", unstructured(description), guided_zoom_run.SCHEMA_VERSION)
    own, run = copied(made, tmp_path / "own"), shutil.copytree(base.path, tmp_path / "run")
    row, single = quietly(own, run, other.path, out=tmp_path / "out").rows
    assert (len(row.top1), len(single.top1)) == (2, 1)


def test_validation_photographs(quick: TrainConfig, tmp_path: Path) -> None:
    config = replace(quick, data=replace(quick.data, validation_fraction=0.25), epochs=1)
    run = train(config, tmp_path / "a", say=silent)
    other = shutil.copytree(run.path, tmp_path / "b")
    found = quietly(run, other, split="validation")
    assert found.photographs == 8  # two of each species
    assert found.report.name == "validation-a-against-b.md"


def test_macnn_passes_the_whole_the_object_and_each_part(
    macnn_run: Run, answered: tuple[Run, PredictionTable], tmp_path: Path
) -> None:
    a = copy_of(answered, tmp_path / "a")
    b = shutil.copytree(macnn_run.path, tmp_path / "b", ignore=shutil.ignore_patterns("checkpoints", "logs"))
    assert quietly(a, b).rows[1].cost.passes == 1 + 1 + 2


def test_a_report_of_others_stays(answered: tuple[Run, PredictionTable], tmp_path: Path) -> None:
    a, b = copy_of(answered, tmp_path / "a", FIRST), copy_of(answered, tmp_path / "x/b", OTHER)
    c, said = copy_of(answered, tmp_path / "y/b", FIRST), list[str]()
    report = quietly(a, b).report
    before = report.read_bytes()
    other = compare(a, c, context=replace(QUIET, say=said.append)).report
    assert other.name.startswith("test-a-against-b-compared-")
    assert report.read_bytes() == before
    assert "and stays" in said[0]
    said.clear()
    compare(a, b, context=replace(QUIET, say=said.append))
    assert said[0].startswith("replaces the comparison of")


@pytest.mark.parametrize(
    ("paths", "names"),
    [(("/r/a", "/r/b"), ["a", "b"]), (("/r/1/a", "/r/2/a"), ["1/a", "2/a"]), (("/a", "/b/a"), ["/a", "b/a"])],
)
def test_names_tell_apart(paths: tuple[str, ...], names: list[str]) -> None:
    assert _distinct(list(map(Path, paths))) == names


@pytest.mark.parametrize(
    ("names", "common"),
    [
        (["plain-0", "plain-1"], "plain"),
        (["resnet50-10", "resnet50-11"], "resnet50"),
        (["s3n-seed0", "s3n-seed12"], "s3n"),
        (["0", "1"], "0"),
        (["1/plain", "2/plain"], "1/plain"),
        (["one"], "one"),
    ],
)
def test_the_common_name_of_seeds(names: list[str], common: str) -> None:
    assert _common(names) == common


class TestBadInput:
    def refused(self, message: str, *models: object) -> None:
        with pytest.raises(UserError, match=message):
            quietly(*models)

    def test_one_side(self, quick_run: Run) -> None:
        self.refused("two sides or more; got 1", quick_run)
        self.refused("two sides or more; got 0")

    def test_a_side_twice(self, quick_run: Run, s3n_run: Run) -> None:
        self.refused("got .*quick twice", quick_run, s3n_run, quick_run.path / "logs/..")
        self.refused("got .* twice", [quick_run, s3n_run], (s3n_run, quick_run))

    def test_ensembles(self, quick_run: Run, s3n_run: Run) -> None:
        self.refused("two members or more, each once; got .*quick;", quick_run, [quick_run])
        self.refused("two members or more, each once", s3n_run, [quick_run, quick_run.path])
        self.refused("two members or more, each once; got none", s3n_run, [])

    def test_what_is_no_run(self, quick_run: Run, tmp_path: Path) -> None:
        self.refused("a run is a folder with a run.json", quick_run, tmp_path)

    def test_unfinished(self, quick_run: Run, made: GuidedZoomRun, tmp_path: Path) -> None:
        run = shutil.copytree(quick_run.path, tmp_path / "run")
        (run / "metrics.json").unlink()
        self.refused("the training in .* is not finished", quick_run, run)
        self.refused("the training in .* is not finished", quick_run, [quick_run, run])
        zoom = copied(made, tmp_path)
        (zoom / "evidence/metrics.json").unlink()
        self.refused("its Evidence CNN is trained", quick_run, zoom)

    @pytest.mark.parametrize(
        ("change", "message"),
        [
            ("photographs", "a and b are not comparable: .* 4 are in one of them only"),
            ("labels", "a and b are not comparable: .* 3 of 12 differ"),
        ],
    )
    def test_other_photographs(
        self, change: str, message: str, answered: tuple[Run, PredictionTable], tmp_path: Path
    ) -> None:
        a, b = copy_of(answered, tmp_path / "a", FIRST), copy_of(answered, tmp_path / "b", OTHER)
        table, labels = read_predictions(b / KEPT), answered[1].labels.copy()
        if change == "photographs":
            table = replace(table, ids=("x", "y", *table.ids[2:]))
        else:
            labels[:3] = (labels[:3] + 1) % 4
            table = replace(table, labels=labels)
        write_predictions(b / KEPT, table)
        self.refused(message, a, b)

    def test_other_classes_before_anything_is_evaluated(self, quick_run: Run, tmp_path: Path) -> None:
        unanswered = shutil.ignore_patterns("evaluation")
        a, b = (shutil.copytree(quick_run.path, tmp_path / name, ignore=unanswered) for name in "ab")
        run = Run.open(b)
        names = ("Red Kite", *run.class_names[1:])
        write_json(b / "run.json", unstructured(replace(run.description, class_names=names)), runs.SCHEMA_VERSION)
        self.refused("class 0 named .* and 'Red Kite', and 0 more that differ", a, b)
        assert not (a / KEPT).exists()

    def test_photographs_that_are_gone(self, answered: tuple[Run, PredictionTable], tmp_path: Path) -> None:
        folders = [copy_of(answered, tmp_path / name, FIRST) for name in "ab"]
        for each in folders:
            table = read_predictions(each / KEPT)
            write_predictions(each / KEPT, replace(table, ids=("x", *table.ids[1:])))
        self.refused("1 of 12 are not in the test split of", *folders)


def test_on_the_command_line(
    answered: tuple[Run, PredictionTable], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    a, b = copy_of(answered, tmp_path / "a", FIRST), copy_of(answered, tmp_path / "b+c", OTHER)
    assert status("compare", a, b, f"{a}+{tmp_path / 'a/../a'}") == 2
    assert "each once" in capsys.readouterr().err
    plain = copy_of(answered, tmp_path / "d", OTHER)
    assert status("compare", a, b, f"{a}+{plain}", "--out", tmp_path / "out", "--hardware.workers", 0) == 0
    told = capsys.readouterr().out
    assert all(name in told for name in ("| a ", "| b+c ", "| mean of a, d "))
    assert status("compare", a, tmp_path / "nothing+there") == 2
    assert "nothing does not exist; `foveate fit`" in capsys.readouterr().err
    assert status("compare", a) == 2
    assert "two sides or more; got 1" in capsys.readouterr().err
    assert status("compare", a, "+") == 2
    assert "folders joined by +; got '+'" in capsys.readouterr().err
    assert status("compare", a, b, "--batch-size", 0) == 2
