"""A small Guided Zoom of drawn birds, as several tests make and change it."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

from foveate.config.hardware import HardwareConfig
from foveate.grounding.config import GroundingConfig, GroundingMethod
from foveate.guided_zoom.config import Keep, PatchConfig, PoolConfig, RefinementConfig
from foveate.recipes.config import TrainConfig
from foveate.runs.context import RunContext
from foveate.runs.guided_zoom_run import GuidedZoomRun
from foveate.runs.run import Run
from foveate.workflows.build_guided_zoom import build_guided_zoom
from foveate.workflows.evidence_training import EvidenceTraining

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


QUIET = RunContext(hardware=SLOW, say=silent)


def made_of(run: Run, out: Path, config: TrainConfig | None, **options: object) -> tuple[object, ...]:
    given = {"pool": POOL, "refinement": REFINEMENT, "evidence": EvidenceTraining(config=config), "context": QUIET}
    return build_guided_zoom(run, out, **(given | options))  # type: ignore[arg-type]


def copied(made: GuidedZoomRun, folder: Path) -> Path:
    return Path(shutil.copytree(made.path, folder / "zoom"))
