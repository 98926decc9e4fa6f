"""What a run is made of: typed, checked, and light to import (no torch), so that the command line starts at once.

A recipe is one `TrainConfig`; a variant of it is `dataclasses.replace`; the command line overrides any field.
"""

from foveate.config.data import DataConfig, DatasetFormat, OnError, TestViews, TrainCrop, TransformConfig
from foveate.config.guided_zoom import (
    GroundingConfig,
    GroundingMethod,
    Keep,
    PatchConfig,
    PoolConfig,
    RefinementConfig,
    Rule,
    Scores,
)
from foveate.config.macnn import AttentionForm, MACNNConfig
from foveate.config.networks import (
    LARGEST_PARTS,
    PARTS,
    Aggregation,
    AttentionKernel,
    AttentionKind,
    BackboneConfig,
    Branch,
    Branches,
    CellPlacement,
    EntropySource,
    Fusion,
    Library,
    OwnConfig,
    Partition,
    PlainConfig,
    S3NConfig,
)
from foveate.config.training import (
    HardwareConfig,
    NetworkConfig,
    OptimiserConfig,
    Schedule,
    SmoothingOver,
    TrainConfig,
)
from foveate.config.trust import Background, CurveConfig, GroundingStudy, TrustStudy

__all__ = [
    "LARGEST_PARTS",
    "PARTS",
    "Aggregation",
    "AttentionForm",
    "AttentionKernel",
    "AttentionKind",
    "BackboneConfig",
    "Background",
    "Branch",
    "Branches",
    "CellPlacement",
    "CurveConfig",
    "DataConfig",
    "DatasetFormat",
    "EntropySource",
    "Fusion",
    "GroundingConfig",
    "GroundingMethod",
    "GroundingStudy",
    "HardwareConfig",
    "Keep",
    "Library",
    "MACNNConfig",
    "NetworkConfig",
    "OnError",
    "OptimiserConfig",
    "OwnConfig",
    "Partition",
    "PatchConfig",
    "PlainConfig",
    "PoolConfig",
    "RefinementConfig",
    "Rule",
    "S3NConfig",
    "Schedule",
    "Scores",
    "SmoothingOver",
    "TestViews",
    "TrainConfig",
    "TrainCrop",
    "TransformConfig",
    "TrustStudy",
]
