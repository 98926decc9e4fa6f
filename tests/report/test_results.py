"""Tables of result rows, and that the document shows the file's rows."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from foveate.report.result_versions import read_rows
from foveate.report.results import BEGIN, END, row_table, summary_table, with_results


def row(seed: int, top1: float, **changes: object) -> dict[str, object]:
    """One row as `foveate evaluate --results` writes it, as far as the tables read it."""
    base = {
        "row_version": 3,
        "measured": "accuracy",
        "method": "plain",
        "base": "net",
        "dataset": "birds",
        "split": "test",
        "input_size": 224,
    }
    rest = {"source_size": 224, "seed": seed, "top1": top1, "top5": 90.0, "epochs": 15, "minutes": 6.0}
    trained = {"trained_command": f"foveate train --seed {seed}", "trained_commit": "abc", "trained_hardware": "EPYC"}
    measured = {f"measured_{name}": None for name in ("command", "commit", "hardware")}
    return {**base, **rest, **trained, **measured, **changes}


def test_seeds_of_one_setting_are_one_line_with_mean_and_spread() -> None:
    table = summary_table([row(0, 76.0), row(2, 80.0), row(0, 85.0, input_size=448)])
    lines = [[cell.strip() for cell in line.strip("|\n").split("|")] for line in table.splitlines()[2:]]
    assert lines[0] == ["plain", "net", "224", "224", "15", "0, 2", "78.0 ± 2.8", "90.0 ± 0.0"]
    assert lines[1] == ["plain", "net", "448", "224", "15", "0", "85.0", "90.0"]


def test_branches_are_listed_beside_the_mean_of_all() -> None:
    branches = {"original": 80.0, "discriminative": 84.0, "complementary": 82.0, "joint": 85.0, "mean": 86.0}
    more = {"method": "s3n", "preset": "foveate", "decides_from": "o+d+c", "source_size": 448}
    rows = [
        row(0, 76.0, branches={"original": 76.0}),
        row(0, 85.0, branches=branches, **more),
        row(1, 87.0, branches={**branches, "joint": 87.0}, **more),
        row(0, 83.0, branches={"original": 80.0, "joint": 83.0, "mean": 83.0}, **{**more, "decides_from": "o+d"}),
    ]
    table = with_results(f"{BEGIN}{END}", rows).split("\n\n")[2]
    lines = [[cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines()]
    assert lines[0][4:9] == ["original", "discriminative", "complementary", "joint", "mean"]
    means = ["80.0 ± 0.0", "84.0 ± 0.0", "82.0 ± 0.0", "86.0 ± 1.4", "86.0 ± 0.0"]
    assert lines[2:] == [
        ["s3n (foveate, o+d+c)", "224", "448", "2", *means],
        ["s3n (foveate, o+d)", "224", "448", "1", "80.0", "-", "-", "83.0", "83.0"],
    ]


def test_two_settings_of_ones_own_are_two_lines() -> None:
    command = "foveate train s3n-slice --network.radius {} --seed {}"
    settings = [(0.1, 0), (0.2, 0), (0.1, 1)]
    rows = [
        row(seed, 80.0, method="s3n", preset="own", trained_command=command.format(radius, seed))
        for radius, seed in settings
    ]
    lines = summary_table(rows).splitlines()[2:]
    assert [line.split("|")[1].strip() for line in lines] == [
        f"s3n (own --network.radius {radius})" for radius in (0.1, 0.2)
    ]


def test_what_the_tables_compare_is_told_apart() -> None:
    settings: list[dict[str, object]] = [
        {},
        {"attention": "saliency"},
        {"partition": "random"},
        {"zoom_entropy_threshold": 0.7},
    ]
    one: dict[str, object] = {"method": "s3n", "preset": "foveate", "decides_from": "o+d+c"}
    old, *new = (row(0, 80.0, **one, **setting) for setting in settings)
    same = row(1, 82.0, **one, attention=None, partition=None)
    lines = summary_table([old, *new, same]).splitlines()[2:]
    assert [line.split("|")[1].strip() for line in lines] == [
        "s3n (foveate, o+d+c)",
        "s3n (foveate, o+d+c, saliency)",
        "s3n (foveate, o+d+c, random)",
        "s3n (foveate, o+d+c, closer above 0.7 nats)",
    ]
    *_, first, second = row_table([old, new[-1]]).splitlines()
    assert (first, second) == (
        "1. trained by `foveate train --seed 0`",
        "2. trained by `foveate train --seed 0`, evaluated with `--zoom-entropy-threshold 0.7`",
    )
    assert "81.0 ± 1.4" in lines[0]


def of_version_1(folder: Path, *rows: dict[str, object]) -> list[dict[str, object]]:
    """Return rows as they are read where their file says no version."""
    file = folder / "rows.jsonl"
    kept = [{name: value for name, value in each.items() if name not in ("row_version", "measured")} for each in rows]
    file.write_text("".join(json.dumps(each) + "\n" for each in kept), encoding="utf-8")
    return read_rows(file)


def test_rows_of_the_former_presets_are_marked_and_not_averaged_with_new_ones(tmp_path: Path) -> None:
    """A row that does not say how the rate moved is older than S3N's presets are now; Foveate's own has not changed."""
    names = ("paper", "reference", "foveate")
    old = [row(0, 80.0, method="s3n", preset=name) for name in names]
    new = [row(1, 84.0, method="s3n", preset=name, schedule=None) for name in names]
    marked = row(2, 82.0, method="s3n", preset="former reference", schedule=None)
    others = [row(0, 70.0, method="macnn", preset="paper"), row(1, 72.0, method="macnn", preset="paper", schedule=None)]
    lines = [
        [line.split("|")[at].strip() for at in (1, 6, 7)]
        for line in summary_table([*of_version_1(tmp_path, *old), *new, marked, *others]).splitlines()[2:]
    ]
    assert lines == [
        ["s3n (former paper)", "0", "80.0"],
        ["s3n (former reference)", "0, 2", "81.0 ± 1.4"],
        ["s3n (foveate)", "0, 1", "82.0 ± 2.8"],
        ["s3n (paper)", "1", "84.0"],
        ["s3n (reference)", "1", "84.0"],
        ["macnn (paper)", "0, 1", "71.0 ± 1.4"],
    ]


def test_rows_of_another_schedule_are_lines_of_their_own() -> None:
    """So those of the papers' recipes before their rates fell where they do now."""
    rows = [row(0, 80.0), row(1, 82.0, schedule=None), row(2, 84.0, schedule="step 0.633")]
    names = [line.split("|")[1].strip() for line in summary_table(rows).splitlines()[2:]]
    assert names == ["plain", "plain (step 0.633)"]


def test_guided_zooms_are_a_table_of_their_own() -> None:
    zoom: dict[str, object] = {
        **{
            "measured": "refinement",
            "method": "guided-zoom",
            "conventional": "s3n",
            "preset": "foveate",
            "base_source_size": 448,
        },
        **{"grounding": "ceb", "top_k": 5, "rounds": 2, "weights": [0.4, 0.3, 0.2, 0.1], "tuned_on": None},
        **{"before": 80.0, "p_value": 0.012, "changed": 30, "mended": 20, "spoiled": 6, "forwards": 9.0},
        **{"in_box": [95.0, 90.0, 80.0], "near_part": [70.0, 60.0, 50.0], "patch": 0.335},
    }
    rows = [
        row(0, 76.0),
        row(0, 82.0, **zoom),
        row(1, 85.0, **{**zoom, "changed": 40, "in_box": None}),
        row(0, 83.0, **{**zoom, "tuned_on": "validation", "weights": [0.5, 0.5]}),
        row(1, 84.0, **{**zoom, "tuned_on": "validation", "weights": [0.6, 0.4]}),
        row(1, 86.0, **zoom, evidence_start="conventional"),
        row(1, 87.0, **zoom, evidence_start="conventional", whole=True, mirrored=True),
        row(2, 87.0, **zoom, evidence_start="conventional", whole=False, mirrored=False),
        row(3, 87.0, **zoom, evidence_start="conventional", keep="correct", stretch=False, scores="probabilities"),
        row(4, 87.0, **zoom, keep="erased-correct", stretch=True, scores="logits"),
        row(5, 87.0, **{**zoom, "preset": "former paper"}),
        row(6, 87.0, **{**zoom, "patch": 0.5}),
        row(6, 87.0, **{**zoom, "tuned_on": "validation", "weights": [0.4, 0.2]}),
    ]
    table = with_results(f"{BEGIN}{END}", rows).split("\n\n")[2]
    lines = [[cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines()]
    settings = ["s3n (foveate)", "448", "ceb", "pretrained, 15 epochs", "5", "2"]
    expected = ["0.4 0.3 0.2 0.1", "0, 1", "80.0 ± 0.0", "83.5 ± 2.1", "+3.5", "35", "20", "6", "0.01, 0.01"]
    assert lines[2] == [*settings, *expected, "95.0", "70.0 ± 0.0", "9.0 ± 0.0"]
    assert lines[3][6:10] == ["fitted to validation", "0, 1", "80.0 ± 0.0", "83.5 ± 0.7"]
    assert [line[3] for line in lines[4:]] == [
        "conventional, 15 epochs",
        "conventional, 15 epochs, whole, mirrored",
        "pretrained, 15 epochs, keep erased-correct, stretch True, scores logits",
        "pretrained, 15 epochs",
        "pretrained, 15 epochs, patches of 50%",
        "pretrained, 15 epochs",
    ]
    assert [line[7] for line in lines[4:]] == ["1, 2, 3", "1", "4", "5", "6", "6"]
    assert lines[9][6] == "0.4 0.2, k fitted"
    assert lines[7][0] == "s3n (former paper)"


def test_a_row_shows_what_trained_apart_from_what_measured() -> None:
    """A column that no row knows is left out; an unknown cell is a dash; equal commands have one number."""
    measured = {"measured_command": "__main__.py evaluate plain", "measured_commit": "def", "measured_hardware": "Xeon"}
    rows = [row(0, 76.0), row(1, 77.0, **measured), row(0, 75.0)]
    *table, blank, first, second = row_table(rows).splitlines()
    lines = [[cell.strip() for cell in line.strip("|").split("|")] for line in table]
    ends = ("trained at", "trained on", "measured at", "measured on")
    assert lines[0] == ["command", "seed", "top-1", "top-5", "minutes", *ends]
    costs = ["90.0", "6.0", "abc", "EPYC"]
    assert lines[2] == ["1", "0", "76.0", *costs, "-", "-"]
    assert lines[3] == ["2", "1", "77.0", *costs, "def", "Xeon"]
    assert lines[4][0] == "1"
    assert not blank
    assert first == "1. trained by `foveate train --seed 0`"
    assert second == "2. trained by `foveate train --seed 1`, measured by `foveate evaluate plain`"
    older = row(0, 82.0, trained_command=None, measured_command="foveate guided-zoom plain", top5=None)
    head = [cell.strip() for cell in row_table([older]).splitlines()[0].strip("|").split("|")]
    assert head == ["command", "seed", "top-1", "minutes", "trained at", "trained on"]


def test_where_rows_are_of_several_data_sets_a_summary_says_which() -> None:
    birds = [row(0, 76.0, dataset="birds"), row(0, 77.0, dataset="birds"), row(1, 78.0, dataset="birds")]
    one, other = (
        [[cell.strip() for cell in line.strip("|").split("|")] for line in summary_table(rows).splitlines()]
        for rows in (birds, [*birds, row(0, 60.0, dataset="cars", views="flip")])
    )
    assert one[0][:2] == ["method", "base"]
    assert one[2][5] == "0, 1 (3 runs)"
    assert other[0][:4] == ["method", "data set", "views", "base"]
    assert [line[1:3] for line in other[2:]] == [["birds", "centre"], ["cars", "flip"]]


def test_rows_of_other_measurements_are_in_no_table() -> None:
    other = {**row(0, 76.0), "measured": "localisation", "top1": {"original": 80.0}}
    document = f"{BEGIN}{END}"
    assert with_results(document, [row(0, 76.0), other]) == with_results(document, [row(0, 76.0)])


def test_only_what_lies_between_the_markers_is_made_anew() -> None:
    document = f"before\n{BEGIN}\nold\n{END}\nafter\n"
    once = with_results(document, [row(0, 76.0)])
    assert once.startswith(f"before\n{BEGIN}\n")
    assert once.endswith(f"{END}\nafter\n")
    assert "old" not in once
    assert with_results(once, [row(0, 76.0)]) == once


def test_a_document_without_markers_is_refused() -> None:
    with pytest.raises(ValueError, match="must hold the markers"):
        with_results("no markers", [row(0, 76.0)])
