"""The temperature, against a grid, and where it is known."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from scipy.special import log_softmax, softmax

from foveate.errors import UserError
from foveate.evaluation.calibration import Judged, reliability
from foveate.evaluation.temperature import HIGHEST, LEAST_PHOTOGRAPHS, LOWEST, fit_temperature, mean_log_loss


def drawn(seed: int, photographs: int, temperature: float) -> tuple[np.ndarray, np.ndarray]:
    """Logits of a network whose answers are right as often as they say once they are divided by the temperature."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(0, 2, (photographs, 4))
    labels = np.array([rng.choice(4, p=each) for each in softmax(logits, 1)])
    return logits * temperature, labels


@settings(deadline=None, max_examples=25)
@example(seed=0, photographs=20, temperature=5.0)
@given(st.integers(0, 10_000), st.integers(20, 60), st.floats(0.3, 5))
def test_no_temperature_of_a_grid_is_better(seed: int, photographs: int, temperature: float) -> None:
    """Where an end of the range is best, the search comes within its tolerance of it and never reaches it."""
    logits, labels = drawn(seed, photographs, temperature)
    if (logits.argmax(1) == labels).all():
        return
    best = mean_log_loss(logits / fit_temperature(logits, labels), labels)
    grid = [mean_log_loss(logits / each, labels) for each in np.geomspace(LOWEST, HIGHEST, 400)]
    assert best <= min(grid) + 1e-5


@pytest.mark.parametrize("temperature", [0.5, 1.0, 3.0])
def test_finds_the_one_that_answers_were_drawn_with(temperature: float) -> None:
    logits, labels = drawn(1, 20_000, temperature)
    assert fit_temperature(logits, labels) == pytest.approx(temperature, rel=0.03)
    before, after = (Judged.of(softmax(logits / each, 1), labels) for each in (1, temperature))
    assert reliability(after, 15).error < max(reliability(before, 15).error, 0.01)


def test_log_probabilities_say_the_same_as_logits() -> None:
    logits, labels = drawn(2, 300, 2.0)
    assert fit_temperature(log_softmax(logits, 1), labels) == pytest.approx(fit_temperature(logits, labels), abs=1e-6)


def test_by_hand() -> None:
    """Of answers at logits (a, 0) two thirds are right: the best probability is 2/3, so a / T = log 2."""
    logits, labels = np.array([[3.0, 0]] * 21), np.array([0, 0, 1] * 7)
    assert fit_temperature(logits, labels) == pytest.approx(3 / np.log(2), rel=1e-4)
    assert mean_log_loss(np.zeros((2, 4)), np.array([0, 3])) == pytest.approx(np.log(4))


def test_where_all_are_right_nothing_is_known() -> None:
    assert fit_temperature(np.array([[3.0, 0], [0, 1]]), np.array([0, 1])) == 1


def test_to_a_few_none_is_fitted() -> None:
    """Four of which one is wrong would have the highest there is."""
    logits, labels = np.array([[9.0, 0]] * LEAST_PHOTOGRAPHS), np.array([1, 1, 1, 0] * 5)
    assert fit_temperature(logits[1:], labels[1:]) == 1
    assert fit_temperature(logits, labels) == pytest.approx(HIGHEST, rel=1e-3)


def test_without_a_photograph_there_is_none() -> None:
    with pytest.raises(UserError, match="at least one image"):
        fit_temperature(np.zeros((0, 3)), np.zeros(0, int))
