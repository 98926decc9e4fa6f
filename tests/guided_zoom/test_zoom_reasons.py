"""Why a Guided Zoom kept or changed an answer: the sentence and the numbers."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from foveate.grounding.twins import TwinEvidence
from foveate.guided_zoom.config import Rule
from foveate.guided_zoom.explanation import ALIKE, ON_OBJECT, ZoomExplanation
from foveate.guided_zoom.reasons import reason, remarks, zoom_document
from foveate.types import Box, RankedClass
from zoom_examples import explanation


@pytest.mark.parametrize(
    ("example", "expected"),
    [
        (
            explanation((0.3, 0.1, 0.1), (0.2, 0.3, 0.05), chosen=1),
            "Changed from wren to robin: it scores 0.550, wren 0.500; robin leads in evidence 1 by 0.200, wren in the "
            "first answer by 0.100 and evidence 2 by 0.050.",
        ),
        (
            explanation((0.3, 0.3), (0.1, 0.1), (0.2, 0.2999)),
            "Kept wren: it scores 0.600, kite 0.500; wren leads in the first answer by 0.100.",
        ),
        (
            explanation((0.25, 0.25), (0.2, 0.3)),
            "Kept wren: it scores as high as robin, 0.500, and the network ranks it higher.",
        ),
        (
            explanation((0.2, 0.1), (0.1, 0.9), considered=False),
            "Kept wren: its entropy, 0.25 nats, is not above 0.50, so the evidence was not weighed.",
        ),
        (explanation((0.2, 0.1)), "Kept wren: no other class was considered."),
        (
            explanation((0.7, 0.1), (0.1, 0.9), chosen=1, rule=Rule.MAX),
            "Changed from wren to robin: it scores 0.900, wren 0.700; the largest term of robin is evidence 1, that of "
            "wren the first answer.",
        ),
    ],
)
def test_the_sentence_says_which_terms_decided(example: ZoomExplanation, expected: str) -> None:
    assert reason(example) == expected


def test_the_document_holds_every_number() -> None:
    example = explanation((0.3, 0.1), (0.2, 0.3), chosen=1)
    content = json.loads(json.dumps(zoom_document(example)))
    assert content["verdict"]["class_name"] == "robin"
    assert (content["verdict"]["before"], content["verdict"]["changed"]) == ("wren", True)
    assert content["verdict"]["probability"] == example.answer.probability
    assert content["source_view"] == {"side": 80, "window_in_photograph_pixels": [1.0, 2.0, 3.0, 4.0]}
    first = content["classes"][0]
    assert (first["score_before"], first["score_after"], first["weighted_terms"]) == (0.3, 0.4, [0.3, 0.1])
    assert first["rounds"][0] == {
        "round": 0,
        "found": True,
        "place_in_source_view_pixels": [15.0, 25.0],
        "box_in_source_view_pixels": [5.0, 10.0, 25.0, 40.0],
        "map": [[0.0, 1.0, 0.0, 0.0], *([0.0] * 4 for _ in range(3))],
        "share_of_patch_on_object": None,
        "off_object": False,
        "evidence_probability": 0.3,
        "evidence_score": 0.3,
        "nearest_in_pool": [{"id": "wrens/wren_1.jpg#0", "cosine_distance": 0.125}],
    }


def moved(example: ZoomExplanation, left: float, on_object: float | None = None) -> ZoomExplanation:
    """The second class's first patch lies elsewhere."""
    first, second = example.classes
    patch = replace(second.rounds[0], box=Box(left, 10.0, left + 20, 40.0), on_object=on_object)
    return replace(example, classes=(first, replace(second, rounds=(patch, *second.rounds[1:]))))


def test_classes_that_are_judged_on_different_places_are_named() -> None:
    example = explanation((0.3, 0.1), (0.2, 0.1))
    assert remarks(example) == []
    assert remarks(moved(example, 15.0)) == []  # half of the patch is shared
    (said,) = remarks(moved(example, 25.0))
    assert said == "wren and robin are judged on different places: their evidence does not compare the same part."
    assert zoom_document(moved(example, 25.0))["judged_on_different_places"] is True
    assert zoom_document(moved(example, 25.0))["verdict"]["remarks"] == [said]


@pytest.mark.parametrize(("share", "said"), [(None, False), (0.0, True), (ON_OBJECT - 0.01, True), (ON_OBJECT, False)])
def test_evidence_off_the_object_is_said(share: float | None, said: bool) -> None:
    example = moved(explanation((0.3, 0.1), (0.2, 0.1)), 5.0, share)
    words = ["Evidence 1 of robin lies beside what the network takes for the object."]
    assert remarks(example) == (words if said else [])
    (patch,) = zoom_document(example)["classes"][1]["rounds"]
    assert (patch["share_of_patch_on_object"], patch["off_object"]) == (share, said)


def test_maps_that_are_nearly_equal_are_said_to_be_so() -> None:
    example = explanation((0.3, 0.1), (0.2, 0.1))
    for correlation, said in ((0.5, 0), (ALIKE, 1)):
        each = replace(example, map_correlation=correlation)
        assert len(remarks(each)) == said
        assert zoom_document(each)["maps_of_classes"] == {
            "mean_rank_correlation": correlation,
            "nearly_equal": bool(said),
        }
    assert "nearly equal (mean rank correlation 0.90)" in remarks(replace(example, map_correlation=ALIKE))[0]


def test_what_tells_the_twins_apart_is_written_in_numbers() -> None:
    example = explanation((0.3, 0.1), (0.2, 0.3), chosen=1)
    assert example.rival is example.classes[0]
    assert [each.class_name for each in example.shown_classes] == ["robin", "wren"]
    twins = TwinEvidence("robin", "wren", np.array([[0.25, 0.0]]), np.array([[0.0, 1.0]]))
    assert zoom_document(replace(example, twins=twins))["twins"] == {
        "first_class": "robin",
        "second_class": "wren",
        "first_rather_than_second": [[0.25, 0.0]],
        "second_rather_than_first": [[0.0, 1.0]],
    }
    assert zoom_document(example)["twins"] is None


def test_a_map_of_many_cells_is_a_picture_and_no_table_of_numbers() -> None:
    example = explanation((0.3, 0.1))
    (seen,) = example.classes[0].rounds
    large = replace(seen, heat=np.zeros((33, 33), np.float32))
    document = zoom_document(replace(example, classes=(replace(example.classes[0], rounds=(large,)),)))
    assert document["classes"][0]["rounds"][0]["map"] is None


def test_the_answer_is_the_chosen_class() -> None:
    assert explanation((0.3, 0.1), (0.2, 0.3), chosen=1).answer == RankedClass("robin", 0.6)
    with pytest.raises(ValueError, match="must be one of 1; got number 1"):
        replace(explanation((0.3, 0.1)), chosen=1)
