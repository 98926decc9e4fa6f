"""An answer with its evidence, ready to be sent: maps, views, patches, the two best classes side by side."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import UInt8
from PIL import Image
from torch import Tensor

from foveate.config.data import TestViews
from foveate.data.images import ImageError
from foveate.data.transforms import evaluation_geometries
from foveate.errors import UserError
from foveate.guided_zoom.explanation import ClassEvidence, ExplainedRound, ZoomExplanation
from foveate.guided_zoom.reasons import reason
from foveate.serve import pictures
from foveate.serve.schemas import (
    Answer,
    ClassMap,
    ClassShare,
    EvidenceForClass,
    EvidenceRound,
    Panel,
    PanelGroup,
    Rectangle,
    TrainingPatch,
    Twins,
    ZoomEvidence,
)
from foveate.serve.service import Received, Service
from foveate.serve.twin_choice import twin_of
from foveate.types import Box, Prediction, RankedClass, Size
from foveate.workflows.evidence_maps import EvidenceMaps, evidence_maps
from foveate.workflows.explain_zoom import ZoomExplainer

_CLASSES = 3
"""Whose maps are shown."""


def shares_of(prediction: Prediction, service: Service, top: int) -> list[ClassShare]:
    """Return the best classes of an answer that ranks all."""
    return _shares(prediction.top[:top], service)


def _shares(ranked: Sequence[RankedClass], service: Service) -> list[ClassShare]:
    numbers = {name: number for number, name in enumerate(service.model.class_names)}
    return [
        ClassShare(class_name=each.class_name, number=numbers[each.class_name], probability=min(each.probability, 1.0))
        for each in ranked
    ]


def answer_of(prediction: Prediction, service: Service, top: int, warning: str | None = None) -> Answer:
    """Return an answer as it is sent."""
    return Answer(
        photograph=prediction.image,
        top=shares_of(prediction, service, top),
        entropy=prediction.entropy,
        warning=warning,
    )


def explained(
    service: Service, received: Received, top: int, *, refined: bool, classes: Sequence[int] = ()
) -> dict[str, Any]:
    """Return the fields of `Explained`, but for how long it took.

    Args:
        service: What answers.
        received: The photograph.
        top: How many classes the answers rank.
        refined: Of a Guided Zoom: whether its evidence decides.
        classes: Numbers of those whose maps are shown, and the first two of which are twins; empty: the best. Of one
            alone the twin is chosen as of the best.

    Raises:
        UserError: The network's answer is not finite.
    """
    name, raster, decoded, shown = received
    refined = refined and service.zoom is not None
    (answer,) = service.answers(refined, [(name, decoded)])
    every = shares_of(answer, service, len(service.model.class_names))
    by_number = {each.number: each for each in every}
    shares = [by_number[number] for number in dict.fromkeys(classes)] or every[:_CLASSES]
    view = torch.from_numpy(decoded.pixels[0])
    maps = evidence_maps(service.unrefined.classifier, view, [each.number for each in shares])
    window = _window(service, raster.source)
    pair, words = _pair(service, every, shares, chosen=len(classes) > 1)
    return {
        "answer": answer_of(answer, service, top, decoded.warning),
        "first_answer": None if answer.first is None else _shares([answer.first], service)[0],
        "refined": refined,
        "photograph": pictures.shown(raster.image if shown is None else shown),
        "window": _rectangle(window, raster.source),
        "maps": [] if maps is None else _maps(maps, shares),
        "twins": _twins(service, view, pair, words),
        "without_twins": words if len(pair) < 2 and service.twins is not None else None,
        "groups": _groups(service, received),
        "evidence": _zoom_evidence(service, received) if refined else None,
    }


def _window(service: Service, size: Size) -> Box:
    (view,) = evaluation_geometries(size, service.model.run.config.transforms, TestViews.CENTRE)
    return view.window


def _rectangle(box: Box, size: Size) -> Rectangle:
    return Rectangle(
        left=box.left / size.width,
        top=box.top / size.height,
        right=box.right / size.width,
        bottom=box.bottom / size.height,
    )


def _maps(maps: EvidenceMaps, shares: Sequence[ClassShare]) -> list[ClassMap]:
    return [
        ClassMap(class_name=share.class_name, picture=pictures.heat(maps.heat(index)))
        for index, share in enumerate(shares)
    ]


def _pair(
    service: Service, every: Sequence[ClassShare], shares: Sequence[ClassShare], *, chosen: bool
) -> tuple[list[ClassShare], str]:
    """Return the classes that are held against each other, and why these; the first alone where it has no twin."""
    first = shares[0]
    if chosen:
        return list(shares[:2]), "Two classes side by side."
    others = [each for each in every if each.number != first.number]
    if not others:
        return [first], "It knows no other class."
    ranked = [(each.number, each.probability) for each in (first, *others)]
    choice = twin_of(ranked, service.confusions, service.model.class_names)
    return [first, *(each for each in others if each.number == choice.twin)], choice.words


def _twins(service: Service, view: UInt8[Tensor, "1 H W 3"], pair: Sequence[ClassShare], words: str) -> Twins | None:
    """Return where two classes differ; None of a single one, or where the network cannot be asked."""
    if service.twins is None or len(pair) < 2:
        return None
    first, second = pair
    try:
        found = service.twins.evidence(Image.fromarray(view[0].numpy()), first.class_name, second.class_name)
    except UserError:
        return None
    return Twins(
        words=words,
        first=first,
        second=second,
        for_first=pictures.heat(found.first),
        for_second=pictures.heat(found.second),
        most_for_first=float(found.first.max()),
        most_for_second=float(found.second.max()),
    )


def _groups(service: Service, received: Received) -> list[PanelGroup]:
    """Return what the network looked at beside the photograph; nothing of one that looks once."""
    classifier, pixels = service.unrefined.classifier, torch.from_numpy(received.decoded.pixels[0])
    try:
        classifier.network.check_explains()
        explanation = classifier.explanation(pixels, service.model.class_names, received.name)
    except UserError:
        return []
    if not explanation.own:  # the maps of its classes are shown already
        return []
    return [
        PanelGroup(
            title=group.title,
            words=group.words,
            panels=[Panel(picture=pictures.panel(each.picture), words=each.words) for each in group.panels],
        )
        for group in explanation.groups()
    ]


def _zoom_evidence(service: Service, received: Received) -> ZoomEvidence | None:
    if service.zoom is None:
        return None
    explanation = _explanation(service, service.zoom, received)
    return ZoomEvidence(
        reason=reason(explanation),
        changed=explanation.changed,
        classes=[_class(explanation, each) for each in explanation.classes],
    )


def _explanation(service: Service, zoom: ZoomExplainer, received: Received) -> ZoomExplanation:
    try:
        return zoom.explain(received.raster, received.name)
    except ImageError as error:
        service.say(f"the nearest training evidence is not shown any more: {error}")
        service.zoom = ZoomExplainer.without_pool(zoom.run, zoom.refiner, zoom.calibration)
        return service.zoom.explain(received.raster, received.name)


def _class(explanation: ZoomExplanation, each: ClassEvidence) -> EvidenceForClass:
    return EvidenceForClass(
        class_name=each.class_name,
        chosen=each is explanation.classes[explanation.chosen],
        terms=list(each.terms),
        score=each.score,
        rounds=[_round(explanation, evidence) for evidence in each.rounds],
    )


def _round(explanation: ZoomExplanation, evidence: ExplainedRound) -> EvidenceRound:
    """Return one round; its box is in shares of the window that the network looks at."""
    nearest = evidence.nearest[:1]
    return EvidenceRound(
        box=_rectangle(evidence.box, Size(*explanation.image.size)),
        patch=pictures.panel(evidence.patch),
        probability=evidence.probability,
        nearest=next(
            (
                TrainingPatch(photograph=near.id, distance=near.distance, picture=pictures.panel(near.picture))
                for near in nearest
            ),
            None,
        ),
    )
