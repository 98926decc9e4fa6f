"""Where a Guided Zoom's peaks fall, in words."""

from __future__ import annotations

from foveate.evaluation.pointing_game import HitSummary
from foveate.workflows.refinement_report import hits_markdown


def test_where_no_part_is_annotated_no_peak_is_said_to_be_near_none() -> None:
    assert "near an annotated part" in hits_markdown(HitSummary(2, (0.5,), (0.25,), {"beak": (1,)}))
    without = hits_markdown(HitSummary(2, (0.5,), (0.0,), {}))
    assert "inside the box" in without
    assert "part" not in without
