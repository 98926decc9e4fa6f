"""Looking closer at some photographs only: counted by hand."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from numpy.testing import assert_allclose

from foveate.evaluation.gating import gate_curve
from foveate.report.tables import gate_markdown

FIRST = np.array([[0.5, 0.5], [0.6, 0.4], [0.9, 0.1], [1.0, 0.0]])
"""Entropies 0.693, 0.673, 0.325 and 0 nats."""
FINAL = np.array([[0.1, 0.9], [0.2, 0.8], [0.3, 0.7], [0.9, 0.1]])
LABELS = np.array([1, 0, 1, 0])


def test_by_hand() -> None:
    """The first look is right about the second and the fourth, the final one about all but the second."""
    none, half, most, every = gate_curve(FIRST, FINAL, LABELS, 2, (0.0, 0.5, 0.75, 1.0))
    assert (none.above, none.share, none.passes, none.top1, none.changed) == (0.6932, 0, 1, 0.5, 3)
    assert half.above == 0.3251  # the third's 0.325, rounded up
    assert (half.share, half.passes, half.top1, half.changed) == (0.5, 2, 0.5, 1)
    assert most.above == 0  # the fourth is sure altogether
    assert (most.share, most.passes, most.top1, most.changed) == (0.75, 2.5, 0.75, 0)
    assert (every.above, every.share, every.passes, every.top1, every.changed) == (None, 1, 3, 0.75, 0)


def test_more_photographs_cost_more_and_change_less() -> None:
    generator = np.random.default_rng(0)
    first, final = (generator.dirichlet(np.ones(5), 200) for _ in range(2))
    curve = gate_curve(first, final, generator.integers(0, 5, 200), 1, np.linspace(0, 1, 11).tolist())
    assert_allclose([each.share for each in curve], np.linspace(0, 1, 11), atol=0.03)
    changed = [-1 if each.changed is None else each.changed for each in curve]
    assert all(less >= more for less, more in pairwise(changed))
    assert (changed[0] > 100, changed[-1]) == (True, 0)


def test_shares_are_shares() -> None:
    with pytest.raises(ValueError, match=r"shares must be in \[0, 1\]; got \[-0.1\]"):
        gate_curve(FIRST, FINAL, LABELS, 1, (-0.1,))


def test_the_table_gives_what_the_command_takes() -> None:
    lines = gate_markdown(gate_curve(FIRST, FINAL, LABELS, 2, (0.5, 1.0))).splitlines()
    assert [cell.strip() for cell in lines[-4].split("|")[1:-1]] == ["0.3251", "50.0", "2.00", "50.0", "1"]
    assert [cell.strip() for cell in lines[-3].split("|")[1:-1]] == ["every photograph", "100.0", "3.00", "75.0", "0"]
