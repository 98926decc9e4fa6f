"""Head, middle and tail of the classes."""

from __future__ import annotations

import numpy as np
import pytest

from foveate.evaluation.accuracy import measure_accuracy
from foveate.evaluation.frequency_groups import frequency_groups
from foveate.report.tables import frequency_markdown

ANSWERS = np.eye(6)[[0, 0, 1, 2, 3, 3, 4, 0]]
LABELS = np.array([0, 0, 1, 2, 3, 4, 4, 5])
TRAINING = np.array([100, 90, 40, 30, 20, 2])


def test_thirds_by_hand() -> None:
    """Classes 0 and 1 are right, 2 and 3 too, of 4 a half and of 5 none."""
    groups = frequency_groups(ANSWERS, LABELS, TRAINING)
    assert [(each.name, each.classes, each.fewest, each.most, each.images) for each in groups] == [
        ("head", 2, 90, 100, 3),
        ("middle", 2, 30, 40, 2),
        ("tail", 2, 2, 20, 3),
    ]
    assert [each.mean_per_class.value for each in groups] == pytest.approx([1.0, 1.0, 0.25])
    assert "| tail         |       2 |                      2 to 20 |      3 |" in frequency_markdown(groups)


def test_thirds_of_equally_many_classes_average_to_the_whole() -> None:
    generator = np.random.default_rng(0)
    labels, answers = generator.integers(0, 9, 300), generator.random((300, 9))
    groups = frequency_groups(answers, labels, np.arange(1, 10) ** 2)
    whole = measure_accuracy(answers, labels).mean_per_class.value
    assert np.mean([each.mean_per_class.value for each in groups]) == pytest.approx(whole)
    assert sum(each.images for each in groups) == 300


@pytest.mark.parametrize("training", [[30] * 6, [49, 30, 30, 30, 30, 10], [100, 1, 0, 0, 0, 0]])
def test_even_or_few_classes_have_none(training: list[int]) -> None:
    assert frequency_groups(ANSWERS, LABELS, np.array(training)) == ()


def test_a_third_without_an_image_is_left_out() -> None:
    groups = frequency_groups(ANSWERS[:3], LABELS[:3], TRAINING)
    assert [each.name for each in groups] == ["head"]
