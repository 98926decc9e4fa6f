"""The page: what it says, what it escapes, and that it fetches nothing."""

from __future__ import annotations

import html
import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from foveate.evaluation.bootstrap import Estimate
from foveate.report.html.contents import (
    Chart,
    ClassAccuracy,
    EvidenceGroup,
    PhotographCard,
    Picture,
    Refinement,
    ReportContents,
    Table,
    TwinPhotograph,
    Twins,
    WrongPhotograph,
)
from foveate.report.html.figures import learning_chart
from foveate.report.html.page import rendered, write_page
from foveate.report.html.pictures import PictureStore

EVIL = "<script>alert('\"&</script>"
DOT = Picture("data:image/webp;base64,AAAA", 1, 1, f"a dot {EVIL}")
RIGHT = PhotographCard(0, "a/right.jpg", "wren", (("wren", 0.9), ("crow", 0.1)), "crow", ("wren",), DOT)
WRONG = PhotographCard(1, f"a/{EVIL}.jpg", EVIL, (("wren", 0.75), (EVIL, 0.25)), "wren", (EVIL,), None)
TWIN = TwinPhotograph(EVIL, DOT, DOT, DOT, number=1, answer="wren")
CONTENTS = ReportContents(
    title=EVIL,
    method="s3n",
    made="today",
    split="test",
    notes=(f"gone {EVIL}",),
    accuracy=Estimate(0.5, 0.1, 0.9),
    top5=None,
    photographs=2,
    classes=2,
    cost=(("passes", "3.0"),),
    learning=(Chart(learning_chart({EVIL: np.array([[1, 2.0], [2, 1.0]])}, "loss"), "Loss", EVIL),),
    comparison=Table(("", EVIL), ((EVIL, "1.0"),)),
    by_class=(ClassAccuracy(EVIL, 4, 1, EVIL),),
    twins=(Twins("wren", EVIL, 0, 1, (TWIN,), (), (TWIN,)),),
    wrong=(WrongPhotograph(WRONG, DOT, (EvidenceGroup(EVIL, EVIL, (DOT,)),)),),
    gallery=(RIGHT, WRONG),
    others=(EVIL,),
    refinement=Refinement(0.0, 0.5, (RIGHT,), (), 1),
)


def gallery_of(page: str) -> dict[str, object]:
    match = re.search(r'<script type="application/json" id="gallery-data">(.*?)</script>', page, re.DOTALL)
    assert match is not None
    parsed: dict[str, object] = json.loads(match.group(1))
    return parsed


def test_no_name_becomes_markup() -> None:
    page = rendered(CONTENTS)
    assert "<script>alert" not in page
    assert page.count("<script") == 2  # the gallery's data, and the page's own
    assert html.escape(EVIL, quote=True).replace("&#x27;", "&#39;").replace("&quot;", "&#34;") in page
    assert gallery_of(page)["classes"] == sorted(["crow", "wren", EVIL])


def test_it_fetches_nothing() -> None:
    page = rendered(CONTENTS)
    addresses = re.findall(r'(?:src|href)="([^"]+)"', page)
    assert {each.split(":")[0] for each in addresses if not each.startswith("#")} == {"data"}
    assert set(re.findall(r"url\(.", page)) <= {"url(#"}
    assert "http:" not in re.sub(r'http://www\.w3\.org/[^"]+', "", page)


def test_every_link_within_the_page_has_its_target() -> None:
    page = rendered(CONTENTS)
    targets = set(re.findall(r' id="([^"]+)"', page)) | {"photograph-0", "photograph-1"}  # the script draws these
    assert set(re.findall(r'(?:href|xlink:href)="#([^"]+)"', page)) <= targets
    found = re.findall(r' id="([^"]+)"', page)
    assert len(found) == len(set(found))


def test_sections_without_contents_are_left_out() -> None:
    bare = replace(
        CONTENTS,
        twins=(),
        wrong=(),
        gallery=(),
        comparison=None,
        by_class=(),
        refinement=None,
        learning=(),
        accuracy=None,
    )
    page = rendered(bare)
    assert "<section" not in page
    assert "<li>" not in page
    assert "<script" not in page


def test_the_gallery_by_hand() -> None:
    rows = gallery_of(rendered(CONTENTS))["cards"]
    assert rows == [
        [0, "a/right.jpg", 2, 2, 0.9, 1, [2], DOT.source],
        [1, f"a/{EVIL}.jpg", 0, 2, 0.75, 2, [0], ""],
    ]


def test_beside_the_page_lie_the_gallery_and_the_pictures(tmp_path: Path) -> None:
    beside = tmp_path / "report_files"
    store = PictureStore(beside)
    picture = store.put(Image.new("RGB", (40, 20), "red"), 10, "red", square=True)
    write_page(replace(CONTENTS, gallery=(replace(RIGHT, picture=picture), WRONG)), tmp_path / "report.html", beside)
    page = (tmp_path / "report.html").read_text()
    assert '<script src="report_files/gallery.js">' in page
    script = (beside / "gallery.js").read_text()
    assert "<" not in script
    data = json.loads(script.removeprefix("window.foveateGallery = ").rstrip().removesuffix(";"))
    with Image.open(tmp_path / data["cards"][0][-1]) as shown:
        assert shown.size == (10, 10)
    assert not store.full


def test_two_reports_at_once_share_their_folder(tmp_path: Path) -> None:
    one, other = PictureStore(tmp_path / "a b_files"), PictureStore(tmp_path / "a b_files")
    red, blue = (Image.new("RGB", (8, 8), colour) for colour in ("red", "blue"))
    sources = [one.put(red, 8, "red"), other.put(blue, 8, "blue"), one.put(blue, 8, "blue"), other.put(red, 8, "red")]
    assert sources[0] == sources[3]
    assert sources[1] == sources[2]
    assert sorted(each.name for each in (tmp_path / "a b_files").iterdir()) == sorted(
        each.source.removeprefix("a%20b_files/") for each in sources[:2]
    )


def test_pictures_in_the_page_count_against_its_budget() -> None:
    store = PictureStore(budget=200)
    wide = store.put(Image.new("RGBA", (400, 100)), 40, "wide")
    assert (wide.width, wide.height) == (40, 10)
    assert wide.source.startswith("data:image/webp;base64,")
    assert not store.full
    noise = np.random.default_rng(0).integers(0, 255, (64, 64, 3), dtype=np.uint8)
    store.put(Image.fromarray(noise), 64, "noise")
    assert store.full


@pytest.mark.parametrize("name", ["a & b", "$x_1$"])
def test_a_chart_is_an_element_with_the_pages_colours(name: str) -> None:
    svg = learning_chart({name: np.array([[1, 2.0], [2, 1.0]]), "other": np.array([[1, 1.0], [2, 0.5]])}, "loss")
    assert svg.startswith("<svg")
    assert "var(--soft)" in svg
    assert "<style" not in svg
    assert html.escape(name) in svg
