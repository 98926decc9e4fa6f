"""A small Guided Zoom of drawn birds, as several tests make and change it."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

from foveate.config import (
    GroundingConfig,
    GroundingMethod,
    HardwareConfig,
    Keep,
    PatchConfig,
    PoolConfig,
    RefinementConfig,
    TrainConfig,
)
from foveate.guided_runs import GuidedZoomRun
from foveate.runs import Run
from foveate.workflows.guided_zoom import guided_zoom

SLOW = HardwareConfig(accelerator="cpu", workers=0)
EXACT = HardwareConfig(accelerator="cpu", precision="float32", workers=0)
"""For two ways to one number, which agree no closer than their arithmetic."""
POOL = PoolConfig(
    grounding=GroundingConfig(method=GroundingMethod.CLASS_MAPS),
    patches=PatchConfig(source_size=96, rounds=2),
    keep=Keep.ERASED_CORRECT,
)
REFINEMENT = replace(RefinementConfig.paper(), top_k=3)


def silent(line: str) -> None:
    """Say nothing."""


def made_of(run: Run, out: Path, evidence: TrainConfig, **options: object) -> tuple[object, ...]:
    given = {"pool": POOL, "refinement": REFINEMENT, "evidence": evidence, "hardware": SLOW, "say": silent}
    return guided_zoom(run, out, **(given | options))  # type: ignore[arg-type]


def copied(made: GuidedZoomRun, folder: Path) -> Path:
    return Path(shutil.copytree(made.path, folder / "zoom"))
