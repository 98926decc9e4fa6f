"""The table of a comparison, by hand, and the sheet of disagreements."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from foveate.evaluation.bootstrap import Estimate
from foveate.evaluation.mcnemar import PairedTest
from foveate.report.comparison import ComparisonRow, Cost, comparison_markdown
from foveate.report.disagreements import Disagreement, DisagreementSection, ModelAnswer, disagreement_sheet
from foveate.types import RankedClass

FIRST = ComparisonRow(
    name="plain",
    folders=((Path("runs/plain"),),),
    seeds=((0,),),
    top1=(0.8,),
    accuracy=Estimate(0.8, 0.75, 0.85),
    cost=Cost(1, 12.34, 13.66),
    difference=None,
    tests=(),
)
OTHER = replace(
    FIRST,
    name="s3n",
    seeds=((3,), (4,)),
    top1=(0.81, 0.83),
    accuracy=Estimate(0.82, 0.7, 0.9),
    difference=Estimate(0.02, -0.01, 0.05),
    tests=(PairedTest(4, 9, -0.05, 0.27), PairedTest(4, 10, -0.06, 0.0314)),
)


def test_a_line_for_each_side() -> None:
    lines = comparison_markdown([FIRST, OTHER], "test split\n of birds", 100).splitlines()
    assert lines[0] == "### test split of birds"
    header, _, first, other = (cells(line) for line in lines[2:6])
    assert header[:6] == ["", "top-1, %", "minus plain, points", "p", "it alone right", "plain alone right"]
    assert first == ["plain", "80.0 (75.0 to 85.0)", "", "", "", "", "1.0", "12.3", "13.7"]
    assert other[:3] == ["s3n (seeds 3, 4)", "82.0 (70.0 to 90.0)", "+2.0 (-1.0 to +5.0)"]
    assert other[3:6] == ["0.031 to 0.27", "9.5", "4"]
    assert "| s3n | 81.0 83.0 |" in lines


def cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.split("|")[1:-1]]


def test_many_seeds_are_counted_and_single_ones_not_named() -> None:
    many = replace(OTHER, seeds=tuple((seed, seed) for seed in range(6)), top1=(0.8,) * 6)
    assert many.title == "s3n (6 seeds)"
    assert replace(many, seeds=many.seeds[:2], top1=(0.8,) * 2).title == "s3n (seeds 0, 1)"
    assert replace(many, seeds=((0, 1), (0, 2)), top1=(0.8,) * 2).title == "s3n (seeds 0/1, 0/2)"
    assert "seed" not in comparison_markdown([FIRST, replace(OTHER, top1=(0.8,))], "", 1).replace("of other seeds", "")


def disagreement(name: str, colour: str = "blue") -> Disagreement:
    better = ModelAnswer("s3n, 2 of 2 seeds right", RankedClass(name, 0.9))
    return Disagreement(
        Image.new("RGB", (60, 40), colour), "a.jpg", name, better, ModelAnswer("plain", RankedClass("crow", 0.5))
    )


@pytest.mark.parametrize("name", ["wren", "W" * 300, "a wren of many words " * 20, "鷦鷯"])
def test_a_sheet_of_any_names(name: str, tmp_path: Path) -> None:
    gained = DisagreementSection(f"Only {name} is right", 9, [disagreement(name)] * 5, True)
    lost = DisagreementSection("Only plain is right", 0, [], False)
    disagreement_sheet([gained, lost], tmp_path / "sheet.png", name)
    with Image.open(tmp_path / "sheet.png") as picture:
        assert (picture.format, picture.width) == ("PNG", 1600)
        colours = {colour for _, colour in picture.getcolors(1 << 24) or []}
    assert {(0, 0, 255), (0, 158, 115)} <= colours  # the photograph; the stripe of what was gained


def test_without_a_photograph_there_is_no_sheet(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="at least one"):
        disagreement_sheet([DisagreementSection("Only plain is right", 0, [], False)], tmp_path / "sheet.png", "")
