"""Why a Guided Zoom kept or changed an answer, said in one sentence and written down in numbers."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from jaxtyping import Float

from foveate.files.documents import unstructured
from foveate.grounding.twins import TwinEvidence
from foveate.guided_zoom.config import Rule
from foveate.guided_zoom.explanation import ClassEvidence, ExplainedRound, ZoomExplanation

_MAP_CELLS = 32
"""Cells a side of the largest map that is written in numbers: those of RISE and of gradients are pictures."""


def reason(explanation: ZoomExplanation) -> str:
    """Say what was decided, and which weighted terms did it."""
    classes, config = explanation.classes, explanation.config
    best = classes[explanation.chosen]
    if not explanation.considered:
        return (
            f"Kept {best.class_name}: its entropy, {explanation.entropy:.2f} nats, is not above "
            f"{config.entropy_threshold:.2f}, so the evidence was not weighed."
        )
    if len(classes) == 1:
        return f"Kept {best.class_name}: no other class was considered."
    rival = explanation.rival
    assert rival is not None  # there are several
    words = (
        f"Changed from {rival.class_name} to {best.class_name}" if explanation.changed else f"Kept {best.class_name}"
    )
    if best.score == rival.score:
        return f"{words}: it scores as high as {rival.class_name}, {best.score:.3f}, and the network ranks it higher."
    scores = f"{words}: it scores {best.score:.3f}, {rival.class_name} {rival.score:.3f}"
    return f"{scores}; {_largest(best, rival) if config.rule is Rule.MAX else _margins(best, rival)}."


def remarks(explanation: ZoomExplanation) -> list[str]:
    """Say what to be careful of: nearly equal maps, different places, evidence off the object; a sentence each."""
    said = []
    if explanation.maps_alike:
        said.append(
            f"The maps of these classes are nearly equal (mean rank correlation {explanation.map_correlation:.2f}): "
            "they show where the network looks, not what tells the classes apart."
        )
    best, rival = explanation.classes[explanation.chosen], explanation.rival
    if explanation.judged_apart and rival is not None:
        said.append(
            f"{best.class_name} and {rival.class_name} are judged on different places: their evidence does not compare "
            "the same part."
        )
    off = [
        f"{term_name(number)} of {each.class_name}"
        for each in (best, *((rival,) if rival is not None else ()))
        for number, evidence in enumerate(each.rounds, start=1)
        if evidence.off_object
    ]
    if off:
        lies = "lies" if len(off) == 1 else "lie"
        words = _listed(off)
        said.append(f"{words[:1].upper()}{words[1:]} {lies} beside what the network takes for the object.")
    return said


def term_name(index: int) -> str:
    """Name a term of a score: the first answer, then the evidence of each round."""
    return "the first answer" if index == 0 else f"evidence {index}"


def _margins(best: ClassEvidence, rival: ClassEvidence) -> str:
    """Say by how much each term speaks for one class, what counts most first."""
    pairs = zip(best.terms, rival.terms, strict=True)
    margins = sorted(
        ((ours - theirs, term_name(i)) for i, (ours, theirs) in enumerate(pairs)), key=lambda each: -abs(each[0])
    )
    gains = [f"{name} by {margin:.3f}" for margin, name in margins if margin > 0]
    losses = [f"{name} by {-margin:.3f}" for margin, name in margins if margin < 0]
    gains, losses = (_seen(gains) or gains[:1], _seen(losses))
    words = f"{best.class_name} leads in {_listed(gains)}"
    return f"{words}, {rival.class_name} in {_listed(losses)}" if losses else words


def _seen(words: list[str]) -> list[str]:
    return [each for each in words if not each.endswith(" 0.000")]


def _largest(best: ClassEvidence, rival: ClassEvidence) -> str:
    ours, theirs = (term_name(each.terms.index(max(each.terms))) for each in (best, rival))
    return f"the largest term of {best.class_name} is {ours}, that of {rival.class_name} {theirs}"


def _listed(words: list[str]) -> str:
    return " and ".join(filter(None, (", ".join(words[:-1]), words[-1])))


def zoom_document(explanation: ZoomExplanation) -> dict[str, Any]:
    """Return all numbers of an explanation as JSON can hold them; places and boxes name the pixels they are in.

    A round's map is in [0, 1], row by row, its cells covering the view; null where it has too many.
    """
    answer = explanation.answer
    return {
        "photograph": explanation.title,
        "truth": explanation.truth,
        "source_view": {"side": explanation.image.width, "window_in_photograph_pixels": list(explanation.window)},
        "refinement": unstructured(explanation.config),
        "entropy": explanation.entropy,
        "considered": explanation.considered,
        "verdict": {
            "class_name": answer.class_name,
            "probability": answer.probability,
            "before": explanation.classes[0].class_name,
            "changed": explanation.changed,
            "reason": reason(explanation),
            "remarks": remarks(explanation),
        },
        "maps_of_classes": {
            "mean_rank_correlation": explanation.map_correlation,
            "nearly_equal": explanation.maps_alike,
        },
        "judged_on_different_places": explanation.judged_apart,
        "twins": None if explanation.twins is None else _twins_document(explanation.twins),
        "classes": [_class_document(each) for each in explanation.classes],
    }


def _twins_document(twins: TwinEvidence) -> dict[str, Any]:
    return {
        "first_class": twins.first_class,
        "second_class": twins.second_class,
        "first_rather_than_second": _map_document(twins.first),
        "second_rather_than_first": _map_document(twins.second),
    }


def _map_document(cells: Float[np.ndarray, "h w"]) -> list[list[float]] | None:
    return np.round(cells.astype(float), 3).tolist() if max(cells.shape) <= _MAP_CELLS else None


def _class_document(each: ClassEvidence) -> dict[str, Any]:
    return {
        "class_name": each.class_name,
        "probability_before": each.probability,
        "probability_after": each.refined,
        "score_before": each.terms[0],
        "score_after": each.score,
        "weighted_terms": list(each.terms),
        "rounds": [_round_document(number, evidence) for number, evidence in enumerate(each.rounds)],
    }


def _round_document(number: int, each: ExplainedRound) -> dict[str, Any]:
    return {
        "round": number,
        "found": each.found,
        "place_in_source_view_pixels": list(each.place),
        "box_in_source_view_pixels": list(each.box),
        "map": _map_document(each.heat),
        "share_of_patch_on_object": each.on_object,
        "off_object": each.off_object,
        "evidence_probability": each.probability,
        "evidence_score": each.score if math.isfinite(each.score) else None,
        "nearest_in_pool": [{"id": near.id, "cosine_distance": near.distance} for near in each.nearest],
    }
