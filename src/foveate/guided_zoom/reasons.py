"""Why a Guided Zoom kept or changed an answer, said in one sentence and written down in numbers."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from foveate.files.documents import unstructured
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
    others = [each for each in classes if each is not best]
    rival = classes[0] if explanation.changed else max(others, key=lambda each: each.score)
    words = (
        f"Changed from {rival.class_name} to {best.class_name}" if explanation.changed else f"Kept {best.class_name}"
    )
    if best.score == rival.score:
        return f"{words}: it scores as high as {rival.class_name}, {best.score:.3f}, and the network ranks it higher."
    scores = f"{words}: it scores {best.score:.3f}, {rival.class_name} {rival.score:.3f}"
    return f"{scores}; {_largest(best, rival) if config.rule is Rule.MAX else _margins(best, rival)}."


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
        },
        "classes": [_class_document(each) for each in explanation.classes],
    }


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
        "map": np.round(each.heat.astype(float), 3).tolist() if max(each.heat.shape) <= _MAP_CELLS else None,
        "evidence_probability": each.probability,
        "evidence_score": each.score if math.isfinite(each.score) else None,
        "nearest_in_pool": [{"id": near.id, "cosine_distance": near.distance} for near in each.nearest],
    }
