"""How the Evidence CNN of a Guided Zoom is trained, and whether one that is trained already is what was asked for."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from foveate.backbones.backbone import is_backbone
from foveate.config.hardware import HardwareConfig
from foveate.config.networks import BackboneConfig, NetworkConfig, PlainConfig
from foveate.errors import UserError
from foveate.guided_zoom.config import EvidenceStart
from foveate.recipes import evidence as evidence_recipe
from foveate.recipes.config import TrainConfig
from foveate.runs.run import Run

_EPOCHS_FROM_CONVENTIONAL = 4
"""Of an Evidence CNN that begins as the conventional network: half of the recipe's (docs/log.md, 2026-11-25)."""


def check_evidence(trained: Run, given: TrainConfig | None, architecture: str | None, epochs: int | None) -> None:
    """Refuse what was asked of an Evidence CNN that is trained otherwise; what was not asked is as it is.

    Raises:
        UserError: It differs; the fields are named.
    """
    there = trained.config
    asked = replace(given or there, data=there.data)
    asked = replace(asked, epochs=epochs, steps=None) if epochs else asked.counted(len(trained.trained_ids()))
    if architecture not in (None, there.network.timm_architecture):
        asked = replace(asked, network=PlainConfig(backbone=BackboneConfig(architecture=str(architecture))))
    elif architecture is not None:
        asked = replace(asked, network=there.network)
    if differing := trained.differences(asked):
        raise UserError(
            f"a trained Evidence CNN is used again; {trained.path} differs in {', '.join(differing)}; leave that out, "
            "or name another folder with --out"
        )


def evidence_config(
    given: TrainConfig | None,
    architecture: str | None,
    start: EvidenceStart,
    run: Run,
    pool: Path,
    hardware: HardwareConfig,
) -> TrainConfig:
    """Return how the Evidence CNN of a run is trained; arguments as `build_guided_zoom` has them."""
    recipe, network = evidence_recipe(), run.config.network
    if given is None or architecture is not None:
        own, epochs = evidence_backbone(network), recipe.epochs
        backbone = own if architecture in (None, own.architecture) else BackboneConfig(architecture=architecture)
        if start is EvidenceStart.CONVENTIONAL and backbone is own and not _fed_otherwise(network):
            backbone, epochs = replace(backbone, weights=str(run.path.resolve())), _EPOCHS_FROM_CONVENTIONAL
        given = given or replace(recipe, seed=run.config.seed, hardware=hardware, epochs=epochs)
        given = replace(given, network=PlainConfig(backbone=backbone))
    data = replace(recipe.data, root=pool, largest_megapixels=run.config.data.largest_megapixels)
    return replace(given, data=data)


def _fed_otherwise(network: NetworkConfig) -> bool:
    """Say whether an Evidence CNN of a network's own architecture is another's, or normalises images in another way."""
    return evidence_backbone(network).architecture != network.timm_architecture or network.normalises_otherwise


def evidence_backbone(network: NetworkConfig) -> BackboneConfig:
    """Return the conventional network's own, or the default where that is none."""
    if network.trained_backbone is not None:
        return network.trained_backbone
    name = network.timm_architecture
    return BackboneConfig(architecture=name) if name is not None and is_backbone(name) else BackboneConfig()
