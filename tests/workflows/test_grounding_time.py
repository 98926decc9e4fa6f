from __future__ import annotations

from dataclasses import replace

import pytest

from foveate.evaluation.config import CurveConfig, GroundingStudy
from foveate.grounding.config import GroundingMethod
from foveate.workflows.analysis.grounding_time import passes_of, said_before

STUDY = GroundingStudy(curves=CurveConfig(steps=4), masks=99, sanity_photographs=2, stages=3)


def test_each_pass_is_counted() -> None:
    """Curves: 2 x 5 passes and one for the answer; maps of 4 networks for 2 photographs, with RISE 100 passes each."""
    passes = passes_of(STUDY, 10)
    assert passes["chance"] == 10 * 11
    assert passes["eb"] == 10 * (5 + 11) + 2 * 4 * 5
    assert passes["rise"] == 10 * (100 + 11) + 2 * 4 * 100
    assert passes_of(STUDY, 1)["eb"] == 1 * (5 + 11) + 1 * 4 * 5  # there are not two photographs


def test_what_is_most_of_it_can_be_left_out() -> None:
    study = replace(STUDY, masks=999)
    passes = passes_of(study, 10)
    seconds = 600 / sum(passes.values())
    share = passes["rise"] / sum(passes.values())
    others = " ".join(each.value for each in GroundingMethod if each is not GroundingMethod.RISE)
    assert said_before(study, 10, seconds) == (
        f"about 10 minutes: 10 photographs, {len(GroundingMethod)} methods, rise takes {share:.0%} of it; leave it out "
        f"with --methods {others}"
    )


@pytest.mark.parametrize("methods", [(GroundingMethod.RISE,), (GroundingMethod.EB, GroundingMethod.CEB)])
def test_one_method_and_equal_ones_are_not_left_out(methods: tuple[GroundingMethod, ...]) -> None:
    line = said_before(GroundingStudy(methods=methods), 100, 1.0)
    assert line is not None
    assert line.endswith(f": 100 photographs, {len(methods)} methods")


def test_what_is_short_is_not_told() -> None:
    assert said_before(STUDY, 10, 1e-4) is None
