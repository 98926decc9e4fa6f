from __future__ import annotations

import pytest

from foveate.evaluation.accuracy import Accuracy
from foveate.evaluation.bootstrap import Estimate
from foveate.report.tables import accuracy_markdown, markdown_table


def test_a_table_is_padded_and_escaped() -> None:
    assert markdown_table(("method", "%"), [("S3N | ours", "88.5"), ("plain\nCNN", "9")]) == (
        "| method      |    % |\n| ----------- | ---: |\n| S3N \\| ours | 88.5 |\n| plain CNN   |    9 |\n"
    )


def test_a_ragged_row_is_refused() -> None:
    with pytest.raises(ValueError, match="2 cells; got \\['x'\\]"):
        markdown_table(("a", "b"), [("x",)])


def test_accuracy_is_shown_in_per_cent_with_its_basis() -> None:
    half, whole = Estimate(0.5, 0.4321, 0.55), Estimate(1.0, 1.0, 1.0)
    text = accuracy_markdown(Accuracy(half, whole, whole, half, images=5794, classes=200), "S3N on\nCUB")
    assert text == (
        "### S3N on CUB\n"
        "\n"
        "| accuracy       |     % |   95% interval |\n"
        "| -------------- | ----: | -------------: |\n"
        "| top-1          |  50.0 |   43.2 to 55.0 |\n"
        "| top-3          | 100.0 | 100.0 to 100.0 |\n"
        "| top-5          | 100.0 | 100.0 to 100.0 |\n"
        "| mean per class |  50.0 |   43.2 to 55.0 |\n"
        "\n"
        "5,794 images, 200 classes; percentile bootstrap over images.\n"
    )
