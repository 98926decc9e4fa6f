"""The load test judges as it should, and the document shows what it kept."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from fuzz.document import DOCUMENT
from fuzz.serving import Sent, _judged, with_figures

GOOD, BAD = Sent("whole", b"", {"ani": 0.75, "wren": 0.25}), Sent("no picture", b"", None)


def answered(name: str, ani: float) -> dict[str, Any]:
    top = [{"class_name": "ani", "probability": ani}, {"class_name": "wren", "probability": 1 - ani}]
    return {"answers": [{"photograph": name, "top": top}]}


@pytest.mark.parametrize(
    ("sent", "status", "content", "fault"),
    [
        (GOOD, 200, answered("a.jpg", 0.75), None),
        (GOOD, 200, answered("a.jpg", 0.7), "wrong answer"),
        (GOOD, 200, answered("b.jpg", 0.75), "mixed up"),
        (GOOD, 503, {"error": {"sentence": "come again"}}, None),
        (GOOD, 503, {}, "503 without a sentence"),
        (GOOD, 415, {"error": {"sentence": "no picture"}}, "415 no picture"),
        (GOOD, 500, {"error": {"sentence": "a defect"}}, "500 a defect"),
        (BAD, 415, {"error": {"sentence": "no picture"}}, None),
        (BAD, 200, answered("a.jpg", 0.75), "answered what cannot be read"),
        (BAD, 500, {"error": {"sentence": "a defect"}}, "500 a defect"),
    ],
)
def test_what_is_wrong_is_seen(sent: Sent, status: int, content: dict[str, Any], fault: str | None) -> None:
    assert _judged(httpx.Response(status, json=content), [sent], ["a.jpg"])[0] == fault


def test_the_document_shows_the_figures_that_are_kept() -> None:
    text = DOCUMENT.read_text(encoding="utf-8")
    assert with_figures(text) == text, "run `make load`"
