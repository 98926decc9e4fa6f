"""Explanations of a Guided Zoom made by hand."""

from __future__ import annotations

import numpy as np
from PIL import Image

from foveate.guided_zoom.config import RefinementConfig, Rule
from foveate.guided_zoom.explanation import ClassEvidence, ExplainedRound, PoolPatch, ZoomExplanation
from foveate.types import Box


def explained_round(number: int, probability: float, picture: Image.Image, near: bool = True) -> ExplainedRound:
    heat = np.zeros((4, 4), np.float32)
    heat[number % 4, 1] = 1
    place, box = (15.0 + 10 * number, 25.0), Box(5.0 + 10 * number, 10.0, 25.0 + 10 * number, 40.0)
    nearest = (PoolPatch("wrens/wren_1.jpg#0", 0.125, picture),) if near else ()
    return ExplainedRound(picture, heat, place, box, True, picture, probability, probability, nearest)


def explanation(
    *terms: tuple[float, ...], chosen: int = 0, considered: bool = True, rule: Rule = Rule.SUM
) -> ZoomExplanation:
    """Classes wren, robin, kite with these weighted terms."""
    picture = Image.new("RGB", (80, 80), (90, 140, 60))
    classes = [
        ClassEvidence(
            class_name=name,
            probability=0.5 - 0.1 * rank,
            refined=0.6 if rank == chosen else 0.2,
            terms=each,
            score=sum(each) if rule is Rule.SUM else max(each),
            rounds=tuple(explained_round(number, 0.3, picture) for number in range(len(each) - 1)),
        )
        for rank, (name, each) in enumerate(zip(("wren", "robin", "kite"), terms, strict=False))
    ]
    config = RefinementConfig(top_k=len(classes), weights=(1.0,) * len(terms[0]), rule=rule, entropy_threshold=0.5)
    return ZoomExplanation(
        "bird.jpg", picture, Box(1.0, 2.0, 3.0, 4.0), tuple(classes), chosen, considered, 0.25, config
    )
