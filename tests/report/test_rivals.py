"""Accuracy against compute: lines, their cost and the Pareto front, from rows that were reckoned by hand."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from types import ModuleType

import pytest

from foveate.report.accuracy_against_compute import (
    Measured,
    Title,
    _picture,
    compute_markdown,
    measured_sets,
    save_picture,
)
from foveate.report.result_versions import read_rows
from foveate.report.results import results_markdown
from foveate.report.rivals import (
    CONTINUED,
    FIRST_LOOK,
    ON_PLAIN,
    ON_S3N,
    PLAIN,
    PROBE,
    THREE_LOOKS,
    ZOOM_FREE,
    Rival,
    front,
    rivals,
)

ROOT = Path(__file__).parents[2]
FLOOR = Path(__file__).parents[1] / "files" / "results" / "floor.jsonl"
CPU, GPU = "AMD EPYC, 2 threads", "AMD EPYC, 1 threads, NVIDIA H200"


def pass_gflop(base: str, size: int) -> float:
    """Half a GFLOP for the small network at 224 pixels, twice that for the large one; by area."""
    return {"small": 0.5, "large": 1.0}[base] * (size / 224) ** 2


def row(method: str, seed: int, top1: float, **changes: object) -> dict[str, object]:
    """One row as `foveate evaluate --results` writes it, as far as the table reads it."""
    settings = dict.fromkeys(("preset", "decides_from", "attention", "partition"))
    where = {"base": "small", "dataset": "Stanford Cars", "split": "test", "photographs": 809}
    sizes = {"input_size": 224, "source_size": 224, "seed": seed, "epochs": 10, "schedule": None}
    ran = {"trained_command": f"train {method}", "trained_commit": "abc", "trained_hardware": CPU}
    measured = {"views": "centre", "passes": 1, "top1": top1, "branches": {"original": top1}, "minutes": 4.0}
    start = {"row_version": 3, "measured": "accuracy", "run": f"{method}-{seed}", "method": method}
    return {**start, **settings, **where, **sizes, **ran, **measured, **changes}


def zoomed(seed: int, top1: float, **changes: object) -> dict[str, object]:
    """One row as `foveate guided-zoom --results` writes it, of the default."""
    pool = {"grounding": "eb", "keep": "correct", "stretch": False, "whole": True, "source_size": 448, "patch": 0.5}
    decision = {"top_k": 5, "rounds": 0, "weights": [0.4, 0.2], "tuned_on": None, "scores": "probabilities"}
    cost = {"mirrored": True, "forwards": 1.0, "patches": 2.5, "minutes": 9.0, "conventional_hardware": CPU}
    kind = {"measured": "refinement", "conventional": "plain", "base_source_size": 224}
    return row("guided-zoom", seed, top1, **{**pool, **decision, **cost, **kind, **changes})


LOOKS = {"preset": "foveate", "decides_from": "o+d+c", "passes": 3}


def s3n(seed: int, top1: float, first: float, **changes: object) -> dict[str, object]:
    """One row of an S3N; `first`: the accuracy of its first look alone."""
    return row("s3n", seed, top1, branches={"original": first, "joint": top1}, **{**LOOKS, **changes})


def lines_of(*rows: dict[str, object]) -> dict[tuple[str, str, int], Rival]:
    return {(line.name, line.base, line.input_size): line for line in rivals(rows, [], pass_gflop)}


def test_the_lines_of_a_small_file_are_those_reckoned_by_hand() -> None:
    """tests/files/results/floor.jsonl: passes times 0.5 GFLOP, 2.0 at 448 pixels; means of the seeds."""
    (cars,) = measured_sets(read_rows(FLOOR), [], pass_gflop)
    shown = [(line.name, line.input_size, line.passes, line.gflop, line.mean, line.minutes) for line in cars.lines]
    assert shown == [
        (PLAIN, 224, 1, 0.5, 71.0, 5.0),
        (FIRST_LOOK, 224, 1, 0.5, 78.0, 12.0),
        (PROBE, 224, 2, 1.0, 60.0, 1.0),
        (THREE_LOOKS, 224, 3, 1.5, 80.0, 12.0),
        (PLAIN, 448, 1, 2.0, 79.0, None),
        (ON_PLAIN, 224, 6, 3.0, 73.0, 9.0),
    ]
    assert [line.name for line in front(cars.lines)] == [FIRST_LOOK, THREE_LOOKS]


def test_the_table_marks_the_front_and_names_what_is_missing() -> None:
    (cars,) = measured_sets(read_rows(FLOOR), [], pass_gflop)
    text = compute_markdown(cars)
    table = [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines() if line[:1] == "|"]
    assert table[2] == [PLAIN, "small", "224", "1", "0.5", "5", "2", "71.0 (70.0 to 72.0)", ""]
    assert [line[0] for line in table[2:] if line[-1] == "●"] == [FIRST_LOOK, THREE_LOOKS]
    assert table[-1][1:-1] == ["small", "224 of 448", "6", "3", "9", "1", "73.0"]
    assert text.startswith("### Cars: 39 models of Stanford Cars, 809 test photographs\n\n")
    assert "An ordinary fine-tuned network (plain) is right on 71.0% of the photographs (2 runs)." in text
    assert f"For the least compute the best is {FIRST_LOOK}: 78.0% (one run)." in text
    assert "The best of all is S3N, 224 pixels: 80.0% (one run), for 3 times that compute." in text
    (missing,) = [line for line in text.splitlines() if line.startswith("Not measured yet: ")]
    assert missing.removeprefix("Not measured yet: ").removesuffix(".").split("; ") == [
        *(f"{PLAIN}, mirrored", f"{PLAIN}, ten-crop", f"{PLAIN}, 3 times the steps", f"{PLAIN}, mean of 3 networks"),
        *(ZOOM_FREE, CONTINUED, ON_S3N, f"{PLAIN} with the next larger backbone"),
    ]


def test_nothing_is_missing_where_all_is_measured() -> None:
    frozen = {"preset": "frozen"}
    rows = [row("plain", seed, 70.0, epochs=10) for seed in range(3)]
    rows += [row("plain", 0, 71.0, views=views, passes=passes) for views, passes in (("flip", 2), ("ten-crop", 10))]
    rows += [row("plain", 0, 75.0, epochs=30), row("plain", 0, 76.0, input_size=448), row("probe", 0, 60.0)]
    rows += [
        row("plain", 0, 74.0, base="large", input_size=240),
        row("plain", 0, 73.0, members=3, passes=3, run="mean"),
    ]
    rows += [
        s3n(0, 80.0, 78.0),
        s3n(0, 82.0, 79.0, preset="continued"),
        s3n(0, 62.0, 60.0, view_weights={"original": 1.0}, **frozen),
    ]
    rows += [zoomed(0, 72.0), zoomed(0, 81.0, conventional="s3n", tuned_on="validation", top_k=3, **{**LOOKS})]
    (cars,) = measured_sets(rows, [], pass_gflop)
    assert "Not measured" not in compute_markdown(cars)
    costs = {(line.name, line.input_size): line.passes for line in cars.lines}
    assert (costs[CONTINUED, 224], costs[f"{CONTINUED}, first look alone", 224]) == (3, 1)
    assert costs[f"{PLAIN}, mirrored", 224] == 2
    assert costs[f"{PLAIN}, mean of 3 networks", 224] == 3
    assert costs[f"{ON_S3N}, tuned", 224] == 1 * (3 + 1) + 2.5 * 2  # three looks, one that is grounded, patches twice


def test_a_plain_network_that_goes_on_from_another_is_no_run_of_plain() -> None:
    """Nor is a Guided Zoom of it one of plain."""
    further = {"preset": "continued"}
    rows = [row("plain", 0, 81.0), row("plain", 1, 83.0), row("plain", 0, 82.0, run="more", **further)]
    lines = lines_of(*rows, zoomed(0, 84.0), zoomed(0, 99.0, run="zoom of more", **further))
    assert lines[PLAIN, "small", 224].top1 == (81.0, 83.0)
    assert lines[ON_PLAIN, "small", 224].top1 == (84.0,)
    assert len(lines) == 2


def test_an_ensemble_costs_what_its_row_says_and_is_called_after_its_members() -> None:
    """Its members' backbones may differ, so that passes alone say little."""
    whose = {"preset": "plain + probe", "base": "small + large", "passes": 2}
    rows = [row("ensemble", seed, 80.0 + seed, gflop=1.5, **whose) for seed in range(2)]
    other = row("ensemble", 0, 85.0, gflop=2.5, **{**whose, "preset": "plain + s3n continued"})
    lines = {line.name: line for line in rivals([*rows, other], [], pass_gflop)}
    together = lines["ensemble: plain + probe"]
    assert (together.top1, together.passes, together.gflop) == ((80.0, 81.0), 2, 1.5)
    assert lines["ensemble: plain + s3n continued"].gflop == 2.5
    larger = row("ensemble", 2, 90.0, gflop=3.0, **whose)  # other backbones in its place
    assert [line.top1 for line in rivals([*rows, larger], [], pass_gflop)] == [(80.0, 81.0), (90.0,)]
    assert rivals([row("ensemble", 0, 80.0, **whose)], [], pass_gflop) == [], "an older row does not say it"


def test_a_network_that_remembers_more_is_a_line_of_its_own() -> None:
    lines = lines_of(row("plain", 0, 70.0, pretrained_share=0.1), row("plain", 0, 74.0, pretrained_share=0.4))
    assert lines[PLAIN, "small", 224].top1 == (70.0,)
    assert lines[f"{PLAIN}, 40% of its first weights", "small", 224].top1 == (74.0,)
    lines = lines_of(
        row("plain", 0, 70.0),
        row("plain", 0, 60.0, pretrained_share=0.0),
        row("probe", 0, 50.0, epochs=None, pretrained_share=None),
    )
    assert {name for name, *_ in lines} == {PLAIN, f"{PLAIN}, 0% of its first weights", PROBE}
    assert {name for name, *_ in lines_of(zoomed(0, 80.0, pretrained_share=0.4))} == {
        f"{ON_PLAIN}, 40% of its first weights"
    }


def test_rows_of_experiments_and_of_other_splits_are_no_lines() -> None:
    other = [
        *(row("plain", 0, 99.0, split="validation"), row("macnn", 0, 99.0), row("plain", 0, 99.0, measured="trust")),
        *(s3n(0, 99.0, 99.0, preset="own"), s3n(0, 99.0, 99.0, attention="saliency")),
        *(s3n(0, 99.0, 99.0, decides_from="o+d"), s3n(0, 99.0, 99.0, zoom_entropy_threshold=0.5)),
        *(zoomed(0, 99.0, grounding="ceb"), zoomed(0, 99.0, top_k=3), zoomed(0, 99.0, conventional="macnn")),
        row("plain", 3, 99.0, epochs=13),  # neither the usual length nor some times that
    ]
    lines = lines_of(row("plain", 0, 70.0), row("plain", 1, 72.0), *other)
    assert list(lines) == [(PLAIN, "small", 224)]
    assert lines[PLAIN, "small", 224].top1 == (70.0, 72.0)


def test_a_first_look_that_two_rows_say_is_one_run() -> None:
    alone = [s3n(seed, top1, top1, branch="original", passes=1) for seed, top1 in ((0, 78.0), (2, 77.0))]
    lines = lines_of(s3n(0, 80.0, 78.0), *alone, s3n(1, 82.0, 76.0))
    assert lines[FIRST_LOOK, "small", 224].top1 == (78.0, 77.0, 76.0)
    assert lines[THREE_LOOKS, "small", 224].top1 == (80.0, 82.0)


def test_a_run_whose_networks_were_not_all_trained_on_a_processor_says_no_minutes() -> None:
    base, minutes = (PLAIN, "small", 224), [row("plain", seed, 70.0, minutes=4.0 + seed) for seed in range(3)]
    assert lines_of(*minutes, row("plain", 3, 70.0, trained_hardware=GPU, minutes=0.1))[base].minutes == 5.0
    for hardware in (GPU, None):
        assert lines_of(zoomed(0, 73.0, conventional_hardware=hardware))[ON_PLAIN, "small", 224].minutes is None


def test_a_former_recipe_stands_in_where_todays_has_no_row() -> None:
    old = [row("plain", 0, 60.0, epochs=15), s3n(0, 70.0, 65.0, epochs=15)]
    lines = {line.name: line for line in rivals([row("plain", 0, 75.0)], [old], pass_gflop)}
    assert {name: (line.mean, line.former) for name, line in lines.items()} == {
        PLAIN: (75.0, False),
        FIRST_LOOK: (65.0, True),
        THREE_LOOKS: (70.0, True),
    }
    (cars,) = measured_sets([row("plain", 0, 75.0)], [old], pass_gflop)
    text = compute_markdown(cars)
    assert text.count("†") == 3
    assert "| plain (fine-tuned) " in text


def test_of_two_former_recipes_the_later_one_stands_in() -> None:
    """Their runs are neither averaged nor told apart by their lengths."""
    later, first = [s3n(0, 80.0, 75.0, epochs=29)], [s3n(seed, 70.0, 65.0, epochs=15) for seed in (0, 1)]
    lines = {line.name: line.top1 for line in rivals([], [later, [*first, row("plain", 0, 60.0)]], pass_gflop)}
    assert lines == {FIRST_LOOK: (75.0,), THREE_LOOKS: (80.0,), PLAIN: (60.0,)}


def test_a_former_guided_zoom_is_that_of_its_time() -> None:
    """Patches of 150 of 448 pixels at the paper's weights, which are no default now; today's network's come first."""
    then = {"patch": 0.335, "weights": [0.4, 0.3]}
    (line,) = rivals([zoomed(0, 70.0, **then)], [[zoomed(1, 71.0, **then), zoomed(2, 90.0)]], pass_gflop)
    assert (line.name, line.top1, line.former) == (ON_PLAIN, (70.0,), True)
    (line,) = rivals([zoomed(0, 70.0, **then), zoomed(1, 72.0)], [], pass_gflop)
    assert (line.top1, line.former) == ((72.0,), False)


def test_the_front_holds_neither_a_dearer_nor_a_worse_line() -> None:
    def line(gflop: float, top1: float) -> Rival:
        return Rival(PLAIN, "small", 224, 224, 1, gflop, None, (top1,), former=False)

    cheap, level, better, worse, best = (line(*each) for each in ((1, 70), (1.5, 70), (2, 80), (3, 75), (4, 81)))
    assert front([worse, best, level, better, cheap]) == [cheap, better, best]


def test_the_picture_is_the_same_to_the_byte(tmp_path: Path) -> None:
    (cars,) = measured_sets(read_rows(FLOOR), [], pass_gflop)
    pictures = [tmp_path / name for name in ("a.svg", "b.svg")]
    for picture in pictures:
        save_picture(cars, picture)
    assert pictures[0].read_bytes() == pictures[1].read_bytes()


def test_the_legend_of_many_methods_lies_within_the_picture() -> None:
    many = [Rival(f"method {each}", "small", 224, 224, 1, 1 + each, None, (70.0,), former=False) for each in range(30)]
    figure = _picture(Measured(Title("cars", "Cars"), 12, many))
    figure.draw_without_rendering()
    (legend,) = figure.legends
    shown = legend.get_window_extent()
    assert figure.bbox.ymin <= shown.ymin
    assert shown.ymax <= figure.bbox.ymax


def test_other_data_sets_are_called_after_their_name() -> None:
    (other,) = measured_sets([row("plain", 0, 70.0, dataset="My Set", photographs=12)], [], pass_gflop)
    assert other.picture_name == "results-my-set-12.svg"
    assert compute_markdown(other).startswith("### My Set, 12 test photographs")


@pytest.fixture(scope="module")
def update() -> ModuleType:
    spec = importlib.util.spec_from_file_location("update", ROOT / "docs" / "update.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_documents_are_those_of_the_rows(update: ModuleType) -> None:
    measured = update.measured_sets()
    documents = {
        "results": lambda text: update.results_document(text, measured),
        "results-rows": update.rows_document,
        "reproduction": update.reproduction_document,
        "reproduction-rows": update.reproduction_rows_document,
    }
    for name, made_anew in documents.items():
        document = (ROOT / "docs" / f"{name}.md").read_text(encoding="utf-8")
        assert made_anew(document) == document, f"{name}: run `make tables`"
    names = {each.picture_name for each in measured}
    assert names <= {path.name for path in (ROOT / "docs" / "images").iterdir()}


def test_a_pass_is_counted_without_computing(update: ModuleType) -> None:
    """EfficientNet-Lite0 has 0.39 thousand million multiply-adds; four times that at twice the size."""
    once, large = update.pass_gflop("tf_efficientnet_lite0", 224), update.pass_gflop("tf_efficientnet_lite0", 448)
    assert once == pytest.approx(0.77, abs=0.01)
    assert large == pytest.approx(4 * once, rel=0.01)


def test_the_appendix_has_every_row_and_tells_ensembles_from_networks() -> None:
    rows = [{**row("plain", 0, 70.0), "top5": 90.0}, {**row("plain", 0, 73.0, members=3), "top5": 91.0}]
    text = results_markdown(json.loads(json.dumps(rows)))
    assert "plain (mean of 3 networks)" in text
    assert results_markdown([]) == ""
