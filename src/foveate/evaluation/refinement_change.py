"""What a refinement does to the answers of a split."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from foveate.evaluation.evidence_table import EvidenceTable
from foveate.guided_zoom.config import RefinementConfig


@dataclass(frozen=True, slots=True)
class RefinementChange:
    """What a refinement does to a split; shares are of its photographs."""

    before: float
    after: float
    changed: int
    """Answers that are others than before."""
    mended: int
    """Wrong answers that became right."""
    spoiled: int
    """Right answers that became wrong."""
    refined: float
    """Share of photographs that the entropy gate lets be refined."""


def refinement_change(table: EvidenceTable, config: RefinementConfig) -> RefinementChange:
    """Compare the answers before and after refinement."""
    decision = table.refined(config)
    before, after = table.right_before, np.asarray(decision.classes.numpy() == table.labels)
    return RefinementChange(
        before=float(before.mean()),
        after=float(after.mean()),
        changed=int((decision.classes != table.evidence.classes[:, 0]).sum()),
        mended=int((~before & after).sum()),
        spoiled=int((before & ~after).sum()),
        refined=float(decision.considered.float().mean()),
    )
