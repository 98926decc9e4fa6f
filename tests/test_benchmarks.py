"""The benchmark suite: every case runs, sides take turns, lines are compared and shown."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

import gpu
from cases import CASES
from cases.head import grids, looped_grids
from cases.zooms import random_zoom, unshared
from compare import compared, latest
from document import BEGIN, END, by_machine, growth, plot, with_benchmarks
from foveate.errors import UserError
from foveate.files.documents import append_json_line, read_json_lines
from gpu import measure
from harness import Budget, gflop_of, interleaved, measured, ratios, spread
from networks import Scale, s3n
from suite import Options, chosen, missing, one_of_each, run_apart

ONCE = Budget(seconds=0.0, least=1, most=1, warm_up=0)


@pytest.mark.parametrize("label", one_of_each(list(CASES)))
def test_every_case_runs(label: str) -> None:
    line = measured(CASES[label], ONCE, quick=True)
    assert line["quick"]
    assert line["reference"] in line["sides"]
    assert line["times_as_long"].keys() == line["sides"].keys() - {line["reference"]}
    assert line["memory_mb"].keys() == line["sides"].keys()
    assert all(values["low"] > 0 for values in line["sides"].values())
    assert not line["sides"].keys() & line["skipped"].keys()


def test_sides_take_turns_and_the_warm_up_does_not_count() -> None:
    called: list[str] = []
    sides = {name: lambda name=name: called.append(name) for name in "abc"}
    seconds = interleaved(sides, Budget(seconds=0.0, least=2, most=9, warm_up=1))
    assert "".join(called) == "abc" + "abc" + "bca"
    assert {name: len(values) for name, values in seconds.items()} == {"a": 2, "b": 2, "c": 2}


def test_ratios_are_taken_round_by_round() -> None:
    # The machine is ten times as slow in the second round: the ratio is not touched.
    found = ratios({"one": [2.0, 20.0, 2.0], "whole": [1.0, 10.0, 1.0]}, "whole")
    assert found == {"one": {"median": 2.0, "lower": 2.0, "upper": 2.0, "low": 2.0, "high": 2.0}}


def test_the_spread_by_hand() -> None:
    assert spread([5.0, 1.0, 2.0, 3.0, 4.0]) == {"median": 3, "lower": 2, "upper": 4, "low": 1, "high": 5}
    assert spread([7.0]) == {"median": 7, "lower": 7, "upper": 7, "low": 7, "high": 7}


def test_operations_are_counted() -> None:
    matrix, kernel = torch.ones(200, 100), torch.ones(8, 4, 3, 3)
    product = 2 * 200 * 100 * 200
    convolution = 2 * 8 * 4 * 9 * 62 * 62

    def side() -> None:
        with torch.inference_mode():
            torch.nn.functional.conv2d(torch.ones(1, 4, 64, 64), kernel)
            matrix @ matrix.T

    assert gflop_of(side) == pytest.approx((product + convolution) / 1e9, rel=1e-3)
    assert gflop_of(lambda: sum([1, 2])) is None


@pytest.mark.parametrize("groups", [1, 8])
def test_the_operations_of_gradients_are_twice_those_of_a_convolution(groups: int) -> None:
    images = torch.ones(3, 8, 16, 16, requires_grad=True)
    kernel = torch.ones(8, 8 // groups, 3, 3, requires_grad=True)

    def convolve() -> Tensor:
        return torch.nn.functional.conv2d(images, kernel, padding=1, groups=groups)

    once = gflop_of(convolve)
    assert once is not None
    assert once == pytest.approx(2 * 3 * 8 * 16 * 16 * 8 // groups * 9 / 1e9, rel=1e-3)
    assert gflop_of(lambda: torch.autograd.backward(convolve().sum())) == pytest.approx(3 * once, rel=1e-3)


def test_the_loop_that_the_head_is_compared_with_gives_its_grids() -> None:
    scale = Scale(architecture="test_resnet", size=64, batch=3)
    network = s3n(scale, "foveate").eval()
    generator = torch.Generator().manual_seed(3)
    features = torch.rand(3, network.backbone.channels, 5, 5, generator=generator)
    for sharpness in (0.1, 30.0):  # in doubt, and sure
        logits = sharpness * torch.randn(3, scale.classes, generator=generator)
        fast, slow = grids(network, features, logits), looped_grids(network, features, logits)
        torch.testing.assert_close(fast, slow, atol=2e-4, rtol=0)


def test_the_loop_that_guided_zoom_is_compared_with_makes_every_pass() -> None:
    shown = random_zoom(2, True)
    assert unshared(shown) == {"forwards": 2 * (1 + 5 * 2), "patches": 2 * 2 * 5 * 3}


def test_names_choose_points() -> None:
    assert chosen(("s3n_head",)) == [f"s3n_head@classes={count}" for count in (20, 200, 2000, 20000)]
    assert chosen(("pool_table@rows=1000",)) == ["pool_table@rows=1000"]
    assert chosen(()) == list(CASES)
    with pytest.raises(UserError, match=r"a benchmark must be one of .*; got 'hed'"):
        chosen(("hed",))


def test_what_has_a_line_from_this_machine_is_not_missing(tmp_path: Path) -> None:
    kept = tmp_path / "kept.jsonl"
    assert missing(["head", "head@classes=9"], kept, "h") == ["head", "head@classes=9"]
    append_json_line(kept, line(10))
    append_json_line(kept, {**line(10, classes=9), "hardware": "another"})
    assert missing(["head", "head@classes=9"], kept, "h") == ["head@classes=9"]


def test_no_case_is_begun_after_the_time_is_up(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_apart(["machine", "loading"], Options(minutes=0.0, out=tmp_path / "none.jsonl")) == 0
    assert "left for --missing: machine, loading" in capsys.readouterr().err


def test_the_script_for_a_gpu_runs_on_any_processor(tmp_path: Path) -> None:
    lines = measure(gpu.Options(out=tmp_path / "lines.jsonl", tiny=True))
    assert [each["gpu_case"] for each in lines] == ["training_test_resnet", "guided_zoom_test_resnet"]
    assert all(each["times_as_long_as_bare"]["bare"] == 1 for each in lines)
    assert latest(read_json_lines(tmp_path / "lines.jsonl")) == {}  # they are no lines of the suite


def line(median: float, date: str = "2026-01-01", unit: str = "ms", **at: int) -> dict[str, Any]:
    values = {"median": median, "lower": 0.9 * median, "upper": 1.1 * median, "low": median, "high": median}
    return {
        **{"case": "head", "at": at, "unit": unit, "date": date, "reference": "pass", "commit": "c", "hardware": "h"},
        **{"sides": {"head": values, "pass": values}, "times_as_long": {"head": {"median": 0.5}}},
        **{"memory_mb": {"head": 3.0, "pass": None}, "skipped": {"other": "not importable"}},
    }


def test_two_files_compared_by_hand() -> None:
    rows = list(compared(latest([line(10)]), latest([line(99), line(12, "2026-01-02"), line(5, classes=9)])))
    assert rows[0] == ("head", "head", "ms", "10", "12", "1.200", "yes", "0.5", "0.5")
    assert rows[1][-2:] == ("-", "-")
    assert len(rows) == 2
    (faster, _) = compared(latest([line(10, unit="images/s")]), latest([line(20, unit="images/s")]))
    assert faster[5:7] == ("0.500", "no")


def test_lines_of_before_the_suite_are_left_out() -> None:
    assert latest([{"case": "training_step", "milliseconds": {}}]) == {}


def test_the_document_keeps_its_prose() -> None:
    document = f"before {BEGIN} old {END} after"
    shown = with_benchmarks(document, [latest([line(10), line(20, classes=9)])], ["images/a.svg"])
    assert shown.startswith("before ")
    assert shown.endswith(" after")
    assert " old " not in shown
    assert "| head@classes=9 | head |     20 |" in shown
    assert "Not measured: other (not importable)" in shown
    assert "![a](images/a.svg)" in shown
    assert with_benchmarks(shown, []).count(BEGIN) == 1
    with pytest.raises(ValueError, match="must hold the markers"):
        with_benchmarks("none", [])


def test_rates_are_shares_of_the_machines_best_by_hand() -> None:
    best = {**line(100), "case": "machine", "gflop": {"head": 2.0, "pass": 1.0}}  # 20 and 10 GFLOP/s
    case = {**line(1000), "gflop": {"head": 5.0, "pass": None}}
    shown = with_benchmarks(f"{BEGIN}{END}", [latest([best, case])])
    assert "|head|head|1000|900to1100|ms|0.5pass|3|5|25%|" in shown.replace(" ", "")
    assert "|head|pass|1000|900to1100|ms|-|-|-|-|" in shown.replace(" ", "")
    assert with_benchmarks(f"{BEGIN}{END}", [latest([case])]).count("%") == 0


def test_each_machine_has_a_table_of_its_own() -> None:
    other = {**line(30, "2026-01-03"), "hardware": "another"}
    first, second = by_machine([line(10), other, line(20, "2026-01-02"), {"hardware": "third", "milliseconds": {}}])
    assert (first["head"]["sides"]["head"]["median"], second["head"]["hardware"]) == (20, "another")
    shown = with_benchmarks(f"{BEGIN}{END}", [first, second])
    assert shown.count("| case |") == 2


def test_growth_is_drawn_in_order(tmp_path: Path) -> None:
    points = [replace_at(line(value), value) for value in (200, 20, 2000)]
    found = growth(latest(points))
    assert [each["at"]["classes"] for each in found["head", "classes"]] == [20, 200, 2000]
    figure = plot("classes", found["head", "classes"])
    assert figure.axes[0].lines[0].get_xdata().tolist() == [20, 200, 2000]  # type: ignore[union-attr]


def replace_at(point: dict[str, Any], value: int) -> dict[str, Any]:
    return {**point, "at": {"classes": value}}
