"""Foveate: fine-grained image recognition that looks closer and shows why.

>>> import foveate
>>> run = foveate.train(foveate.recipes.plain_slice(), "runs/plain")
>>> foveate.load("runs/plain").predict("bird.jpg").best
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from foveate import recipes
    from foveate.config import (
        BackboneConfig,
        Branches,
        DataConfig,
        EvidenceStart,
        GroundingConfig,
        GroundingMethod,
        GroundingStudy,
        HardwareConfig,
        Keep,
        Library,
        MACNNConfig,
        Partition,
        PatchConfig,
        PlainConfig,
        PoolConfig,
        RefinementConfig,
        Rule,
        Runtime,
        S3NConfig,
        Scores,
        TestViews,
        TrainConfig,
        TransformConfig,
        TrustStudy,
    )
    from foveate.data.evidence_pool import EvidencePool
    from foveate.errors import UserError
    from foveate.guided_runs import GuidedZoomRun
    from foveate.runs import Run
    from foveate.types import Box, PartPoint, Prediction, RankedClass
    from foveate.workflows.adopt import adopt
    from foveate.workflows.attention import AttentionReport, analyse_attention
    from foveate.workflows.build_pool import build_pool
    from foveate.workflows.evaluate import Evaluation, evaluate
    from foveate.workflows.explain import explain
    from foveate.workflows.guided_zoom import RefinementRow, guided_zoom
    from foveate.workflows.localise import LocalisationReport, localise
    from foveate.workflows.measure_grounding import GroundingReport, measure_grounding
    from foveate.workflows.model import Model, load
    from foveate.workflows.train import train
    from foveate.workflows.trust import TrustReport, measure_trust
    from foveate.workflows.tune import tune

__version__ = "0.1.0"

_PUBLIC = {
    "AttentionReport": "foveate.workflows.attention",
    "BackboneConfig": "foveate.config",
    "Box": "foveate.types",
    "Branches": "foveate.config",
    "DataConfig": "foveate.config",
    "Evaluation": "foveate.workflows.evaluate",
    "EvidencePool": "foveate.data.evidence_pool",
    "EvidenceStart": "foveate.config",
    "GroundingConfig": "foveate.config",
    "GroundingMethod": "foveate.config",
    "GroundingReport": "foveate.workflows.measure_grounding",
    "GroundingStudy": "foveate.config",
    "GuidedZoomRun": "foveate.guided_runs",
    "HardwareConfig": "foveate.config",
    "Keep": "foveate.config",
    "Library": "foveate.config",
    "LocalisationReport": "foveate.workflows.localise",
    "MACNNConfig": "foveate.config",
    "Model": "foveate.workflows.model",
    "PartPoint": "foveate.types",
    "Partition": "foveate.config",
    "PatchConfig": "foveate.config",
    "PlainConfig": "foveate.config",
    "PoolConfig": "foveate.config",
    "Prediction": "foveate.types",
    "RankedClass": "foveate.types",
    "RefinementConfig": "foveate.config",
    "RefinementRow": "foveate.workflows.guided_zoom",
    "Rule": "foveate.config",
    "Runtime": "foveate.config",
    "Run": "foveate.runs",
    "S3NConfig": "foveate.config",
    "Scores": "foveate.config",
    "TestViews": "foveate.config",
    "TrainConfig": "foveate.config",
    "TransformConfig": "foveate.config",
    "TrustReport": "foveate.workflows.trust",
    "TrustStudy": "foveate.config",
    "UserError": "foveate.errors",
    "adopt": "foveate.workflows.adopt",
    "analyse_attention": "foveate.workflows.attention",
    "build_pool": "foveate.workflows.build_pool",
    "evaluate": "foveate.workflows.evaluate",
    "explain": "foveate.workflows.explain",
    "guided_zoom": "foveate.workflows.guided_zoom",
    "load": "foveate.workflows.model",
    "localise": "foveate.workflows.localise",
    "measure_grounding": "foveate.workflows.measure_grounding",
    "measure_trust": "foveate.workflows.trust",
    "train": "foveate.workflows.train",
    "tune": "foveate.workflows.tune",
}

__all__ = [
    "AttentionReport",
    "BackboneConfig",
    "Box",
    "Branches",
    "DataConfig",
    "Evaluation",
    "EvidencePool",
    "EvidenceStart",
    "GroundingConfig",
    "GroundingMethod",
    "GroundingReport",
    "GroundingStudy",
    "GuidedZoomRun",
    "HardwareConfig",
    "Keep",
    "Library",
    "LocalisationReport",
    "MACNNConfig",
    "Model",
    "PartPoint",
    "Partition",
    "PatchConfig",
    "PlainConfig",
    "PoolConfig",
    "Prediction",
    "RankedClass",
    "RefinementConfig",
    "RefinementRow",
    "Rule",
    "Run",
    "Runtime",
    "S3NConfig",
    "Scores",
    "TestViews",
    "TrainConfig",
    "TransformConfig",
    "TrustReport",
    "TrustStudy",
    "UserError",
    "adopt",
    "analyse_attention",
    "build_pool",
    "evaluate",
    "explain",
    "guided_zoom",
    "load",
    "localise",
    "measure_grounding",
    "measure_trust",
    "recipes",
    "train",
    "tune",
]


def __getattr__(name: str) -> object:
    """Import a public name when it is first used, so that the command line starts without torch."""
    if name == "recipes":
        return import_module("foveate.recipes")
    if name not in _PUBLIC:
        raise AttributeError(f"module 'foveate' has no attribute {name!r}")

    return getattr(import_module(_PUBLIC[name]), name)
