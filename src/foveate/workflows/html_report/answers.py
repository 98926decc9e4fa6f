"""The answers of a report: a card for each photograph, accuracy by class, what refinement changed, trust."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Int

from foveate.evaluation.calibration import BINS, Judged, reliability
from foveate.evaluation.confusion import confusion_matrix
from foveate.evaluation.predictions import PredictionTable, aligned
from foveate.evaluation.risk_coverage import RiskCoverage, risk_coverage
from foveate.networks.answers import ranked_classes
from foveate.report.html.contents import Chart, ClassAccuracy, PhotographCard, Picture, Refinement
from foveate.report.html.figures import reliability_chart, risk_chart

_SHOWN = 5  # classes of an answer
_LEVEL = 0.02  # from which difference of confidence and accuracy is worth a word
_COVERAGE, _RISK = 0.8, 0.02  # what the sentence on risk speaks of


def cards(
    table: PredictionTable,
    before: PredictionTable | None,
    others: Sequence[PredictionTable],
    pictures: Mapping[str, Picture],
) -> tuple[PhotographCard, ...]:
    """Return a card for each photograph, in the answers' order.

    Args:
        table: The answers that count.
        before: Those of a Guided Zoom before the evidence was weighed.
        others: Of the other models, to the same photographs.
        pictures: By id; of some photographs there is none.
    """
    names = table.class_names
    first = None if before is None else aligned(table, before).probabilities.argmax(1)
    answers = [aligned(table, each).probabilities.argmax(1) for each in others]
    return tuple(
        PhotographCard(
            number=number,
            name=each,
            truth=names[table.labels[number]],
            top=tuple(ranked_classes(table.probabilities[number], names, _SHOWN)),
            before="" if first is None else names[first[number]],
            others=tuple(names[answer[number]] for answer in answers),
            picture=pictures.get(each),
        )
        for number, each in enumerate(table.ids)
    )


def accuracy_by_class(table: PredictionTable) -> tuple[ClassAccuracy, ...]:
    """Return how often each class is recognised, the worst first; of equal ones the one with more photographs."""
    matrix = confusion_matrix(Judged.of(table.probabilities, table.labels), len(table.class_names))
    present = np.flatnonzero(matrix.sum(1))
    rows = [_class_accuracy(matrix, label, table.class_names) for label in present.tolist()]
    return tuple(sorted(rows, key=lambda each: (each.share, -each.photographs)))


def _class_accuracy(matrix: Int[np.ndarray, "c c"], label: int, names: Sequence[str]) -> ClassAccuracy:
    wrong = matrix[label].copy()
    wrong[label] = 0
    most = int(wrong.argmax())
    taken_for = f"{names[most]} ({wrong[most]})" if wrong[most] else ""
    return ClassAccuracy(names[label], int(matrix[label].sum()), int(matrix[label, label]), taken_for)


def refinement(gallery: Sequence[PhotographCard]) -> Refinement | None:
    """Return what the evidence changed; None where no evidence was weighed."""
    if not all(card.before for card in gallery):
        return None
    right_before = np.array([card.before == card.truth for card in gallery])
    right = np.array([card.right for card in gallery])
    return Refinement(
        before=float(right_before.mean()),
        after=float(right.mean()),
        mended=tuple(card for card, was in zip(gallery, right_before, strict=True) if card.right and not was),
        spoiled=tuple(card for card, was in zip(gallery, right_before, strict=True) if was and not card.right),
        changed=sum(card.before != card.answer for card in gallery),
    )


def trust_charts(name: str, table: PredictionTable, before: PredictionTable | None) -> tuple[Chart, ...]:
    """Return how well the probabilities mean what they say, and how often the surest answers are wrong."""
    kinds = {name: table} if before is None else {"before the evidence": before, "after it": table}
    judged = {each: Judged.of(answers.probabilities, answers.labels) for each, answers in kinds.items()}
    bins = {each: reliability(answers, BINS) for each, answers in judged.items()}
    risks = {each: risk_coverage(answers) for each, answers in judged.items()}
    last = judged[list(judged)[-1]]
    confidence, right = float(last.confidence.mean()), float(last.right.mean())
    apart = right - confidence
    word = "It is" if abs(apart) < _LEVEL else "It is too modest:" if apart > 0 else "It is too sure:"
    calibration = (
        f"{word} {confidence:.0%} sure on average, and {right:.0%} are right. On the dashed line the two would be "
        f"equal; the mean distance from it is {100 * bins[list(bins)[-1]].error:.1f} points."
    )
    return (
        Chart(reliability_chart(bins), "Do the percentages mean what they say?", calibration),
        Chart(risk_chart(risks), "Answer only when sure", risk_sentence(risks[list(risks)[-1]])),
    )


def risk_sentence(measured: RiskCoverage) -> str:
    """Say what is gained by answering the surest photographs only."""
    at = int(np.searchsorted(measured.coverage, _COVERAGE - 1e-9))
    words = (
        f"Answer the surest {_COVERAGE:.0%} of the photographs, and {100 * measured.risk[at]:.1f}% of the answers are "
        f"wrong; answer all, and {100 * measured.risk[-1]:.1f}% are."
    )
    low = np.flatnonzero(measured.risk <= _RISK)
    if low.size and low[-1] != at and measured.risk[-1] > _RISK:
        words += f" At most {_RISK:.0%} are wrong among the surest {measured.coverage[low[-1]]:.0%}."
    return words
