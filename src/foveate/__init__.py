"""Foveate: fine-grained image recognition that looks closer and shows why.

>>> import foveate
>>> run = foveate.train(foveate.recipes.plain("photographs"), "runs/plain")
>>> foveate.load("runs/plain").predict("bird.jpg").best
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from foveate._version import __version__ as __version__

if TYPE_CHECKING:
    from foveate import recipes
    from foveate.config.data import DataConfig, TestViews, TransformConfig
    from foveate.config.hardware import HardwareConfig, Runtime
    from foveate.config.networks import BackboneConfig, Library, PlainConfig
    from foveate.errors import UserError
    from foveate.evaluation.config import GroundingStudy, TrustStudy
    from foveate.grounding.config import GroundingConfig, GroundingMethod
    from foveate.guided_zoom.config import EvidenceStart, Keep, PatchConfig, PoolConfig, RefinementConfig, Rule, Scores
    from foveate.guided_zoom.pool import EvidencePool
    from foveate.macnn.config import MACNNConfig
    from foveate.recipes.config import TrainConfig
    from foveate.runs.guided_zoom_run import GuidedZoomRun
    from foveate.runs.run import Run
    from foveate.s3n.config import Branches, Partition, S3NConfig
    from foveate.types import Box, PartPoint, Prediction, RankedClass
    from foveate.workflows.adopt import adopt
    from foveate.workflows.analysis.attention import AttentionReport, analyse_attention
    from foveate.workflows.analysis.localise import LocalisationReport, localise
    from foveate.workflows.analysis.measure_grounding import GroundingReport, measure_grounding
    from foveate.workflows.analysis.trust import TrustReport, measure_trust
    from foveate.workflows.build_guided_zoom import RefinementRow, build_guided_zoom
    from foveate.workflows.build_pool import build_pool
    from foveate.workflows.evaluate import Evaluation, evaluate
    from foveate.workflows.explain import explain
    from foveate.workflows.model import Model, load
    from foveate.workflows.train import train
    from foveate.workflows.tune import tune


_PUBLIC = {
    "AttentionReport": "foveate.workflows.analysis.attention",
    "BackboneConfig": "foveate.config.networks",
    "Box": "foveate.types",
    "Branches": "foveate.s3n.config",
    "DataConfig": "foveate.config.data",
    "Evaluation": "foveate.workflows.evaluate",
    "EvidencePool": "foveate.guided_zoom.pool",
    "EvidenceStart": "foveate.guided_zoom.config",
    "GroundingConfig": "foveate.grounding.config",
    "GroundingMethod": "foveate.grounding.config",
    "GroundingReport": "foveate.workflows.analysis.measure_grounding",
    "GroundingStudy": "foveate.evaluation.config",
    "GuidedZoomRun": "foveate.runs.guided_zoom_run",
    "HardwareConfig": "foveate.config.hardware",
    "Keep": "foveate.guided_zoom.config",
    "Library": "foveate.config.networks",
    "LocalisationReport": "foveate.workflows.analysis.localise",
    "MACNNConfig": "foveate.macnn.config",
    "Model": "foveate.workflows.model",
    "PartPoint": "foveate.types",
    "Partition": "foveate.s3n.config",
    "PatchConfig": "foveate.guided_zoom.config",
    "PlainConfig": "foveate.config.networks",
    "PoolConfig": "foveate.guided_zoom.config",
    "Prediction": "foveate.types",
    "RankedClass": "foveate.types",
    "RefinementConfig": "foveate.guided_zoom.config",
    "RefinementRow": "foveate.workflows.build_guided_zoom",
    "Rule": "foveate.guided_zoom.config",
    "Runtime": "foveate.config.hardware",
    "Run": "foveate.runs.run",
    "S3NConfig": "foveate.s3n.config",
    "Scores": "foveate.guided_zoom.config",
    "TestViews": "foveate.config.data",
    "TrainConfig": "foveate.recipes.config",
    "TransformConfig": "foveate.config.data",
    "TrustReport": "foveate.workflows.analysis.trust",
    "TrustStudy": "foveate.evaluation.config",
    "UserError": "foveate.errors",
    "adopt": "foveate.workflows.adopt",
    "analyse_attention": "foveate.workflows.analysis.attention",
    "build_pool": "foveate.workflows.build_pool",
    "evaluate": "foveate.workflows.evaluate",
    "explain": "foveate.workflows.explain",
    "build_guided_zoom": "foveate.workflows.build_guided_zoom",
    "load": "foveate.workflows.model",
    "localise": "foveate.workflows.analysis.localise",
    "measure_grounding": "foveate.workflows.analysis.measure_grounding",
    "measure_trust": "foveate.workflows.analysis.trust",
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
    "build_guided_zoom",
    "build_pool",
    "evaluate",
    "explain",
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
