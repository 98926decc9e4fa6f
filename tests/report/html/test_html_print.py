"""What is closed on the screen is printed."""

from __future__ import annotations

from pathlib import Path

from browsers import chromium
from foveate.evaluation.bootstrap import Estimate
from foveate.report.html.contents import EvidenceGroup, PhotographCard, ReportContents, WrongPhotograph
from foveate.report.html.page import rendered

CARD = PhotographCard(0, "a.jpg", "wren", (("crow", 0.9), ("wren", 0.1)), "", (), None)

CONTENTS = ReportContents(
    title="run",
    method="plain",
    made="today",
    split="test",
    notes=(),
    accuracy=Estimate(0.5, 0.1, 0.9),
    top5=None,
    photographs=1,
    classes=2,
    cost=(),
    learning=(),
    comparison=None,
    gallery=(CARD,),
    wrong=(WrongPhotograph(CARD, None, (EvidenceGroup("the evidence of a wren", "", ()),)),),
)


def test_closed_evidence_is_opened_for_paper_and_closed_again(tmp_path: Path) -> None:
    file = tmp_path / "report.html"
    file.write_text(rendered(CONTENTS), encoding="utf-8")
    with chromium() as browser:
        page = browser.new_page()
        page.goto(file.as_uri())
        assert not page.get_by_text("the evidence of a wren").is_visible()
        page.evaluate("window.dispatchEvent(new Event('beforeprint'))")
        assert page.get_by_text("the evidence of a wren").is_visible()
        page.evaluate("window.dispatchEvent(new Event('afterprint'))")
        assert page.locator("details[open]").count() == 0
