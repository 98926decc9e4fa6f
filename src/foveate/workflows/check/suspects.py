"""Photographs whose label is suspected: cleanlab's rule on the joint evidence, the surest first."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Int64

from foveate.evaluation.data_report import Finding, FindingKind, TypicalPhotograph
from foveate.workflows.check.label_evidence import LabelEvidence

_METHOD = "normalized_margin"


def suspicion(labels: Int64[np.ndarray, " n"], probabilities: Float[np.ndarray, "n c"]) -> Float[np.ndarray, " n"]:
    """Return how much likelier another class is than the label's, in [0, 1]; 0.5: as likely.

    It is 1 - cleanlab's label quality by the normalised margin.
    """
    from cleanlab.rank import get_label_quality_scores  # which loads pandas

    return 1.0 - np.asarray(get_label_quality_scores(labels, probabilities, method=_METHOD), dtype=np.float64)


def suspected_labels(evidence: LabelEvidence, split_of: dict[str, str]) -> list[Finding]:
    """Return the labels that confident learning takes for wrong by the joint answers.

    Args:
        evidence: Of the photographs whose labels are judged.
        split_of: The split of each photograph, by its id.
    """
    from cleanlab.filter import find_label_issues

    issues = find_label_issues(
        evidence.labels, evidence.joined, filter_by="prune_by_noise_rate", n_jobs=1, return_indices_ranked_by=_METHOD
    )
    scores, suggested = suspicion(evidence.labels, evidence.joined), evidence.joined.argmax(1)
    findings = []
    for place in map(int, issues):
        if suggested[place] == evidence.labels[place]:
            continue
        record, other = evidence.records[place], _nearest(evidence, place, int(suggested[place]))
        findings.append(
            Finding(
                kind=FindingKind.LABEL,
                photograph=record.id,
                split=split_of[record.id],
                class_name=record.class_name,
                suggested=evidence.classes[suggested[place]],
                score=round(float(np.clip(scores[place], 0, 1)), 4),
                other=evidence.records[other].id,
                other_split=split_of[evidence.records[other].id],
                other_class=evidence.records[other].class_name,
                words="" if evidence.features is None else "beside it the nearest photograph of the suggested class",
            )
        )
    return findings


def typical_photographs(evidence: LabelEvidence) -> tuple[TypicalPhotograph, ...]:
    """Return of each class the photograph that is surest to be of it."""
    places = [_surest(evidence, number) for number in range(len(evidence.classes))]
    return tuple(
        TypicalPhotograph(class_name=name, photograph=evidence.records[place].id)
        for name, place in zip(evidence.classes, places, strict=True)
    )


def _surest(evidence: LabelEvidence, number: int) -> int:
    own = np.flatnonzero(evidence.labels == number)
    return int(own[evidence.joined[own, number].argmax()])


def _nearest(evidence: LabelEvidence, place: int, number: int) -> int:
    """Return the photograph of a class that is nearest to another; the surest one where there are no features."""
    if evidence.features is None:
        return _surest(evidence, number)
    own = np.flatnonzero(evidence.labels == number)
    return int(own[(evidence.features[own] @ evidence.features[place]).argmax()])
