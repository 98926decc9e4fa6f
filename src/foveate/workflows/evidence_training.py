"""How the Evidence CNN of a Guided Zoom is trained, and whether one is trained in that way already."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from foveate.backbones.backbone import is_backbone
from foveate.config.checks import require_count
from foveate.config.data import TransformConfig
from foveate.config.hardware import HardwareConfig
from foveate.config.networks import BackboneConfig, HeadStart, NetworkConfig, PlainConfig, ProbeConfig
from foveate.errors import UserError
from foveate.guided_zoom.config import EvidenceStart
from foveate.recipes import evidence as evidence_recipe
from foveate.recipes import plain as plain_recipe
from foveate.recipes.config import TrainConfig
from foveate.runs.run import Run

_EPOCHS_FROM_CONVENTIONAL = 4
"""Of an Evidence CNN that begins as the conventional network: half of the recipe's (docs/log.md, 2026-11-25)."""


_CLIP = 1.0
"""Of the thorough training: what begins with fine-tuned weights diverged at that rate without it (docs/log.md,
2026-11-28)."""


@dataclass(frozen=True, kw_only=True)
class EvidenceTraining:
    """How the Evidence CNN of a Guided Zoom is trained."""

    config: TrainConfig | None = None
    """All of it; None: the recipe `evidence` with the conventional network's architecture and seed."""
    architecture: str | None = None
    """timm's name of the network; None: as `config` says, and else the recipe's where an adopted network's is none that
    can be trained here."""
    start: EvidenceStart = EvidenceStart.CONVENTIONAL
    """What the training begins with, where `config` does not say it or an architecture is named."""
    epochs: int | None = None
    """None: as `config` says; without it 4 from the conventional network's backbone, else the recipe's 8."""
    probe: bool = False
    """Whether nothing is trained, where `config` does not say how: the backbone stays as it begins, and the head is
    solved for, as a probe's is, on what the backbone makes of the patches."""
    thorough: bool = False
    """Whether it is trained as `plain` is, where `config` does not say how: its head begins as a probe's, and rates and
    steps are those of that recipe, five to eight times as many, with clipped gradients (docs/log.md, 2026-11-28)."""

    def __post_init__(self) -> None:
        if self.probe and self.thorough:
            raise UserError(
                "an Evidence CNN is solved for (probe) or trained for long (thorough); got both; leave one of them out"
            )

    def config_for(self, run: Run, pool: Path, hardware: HardwareConfig) -> TrainConfig:
        """Return how the Evidence CNN of a run is trained.

        Args:
            run: Of the conventional network.
            pool: The folder of its evidence pool.
            hardware: Where `config` does not say it.
        """
        recipe, network, config = evidence_recipe(), run.config.network, self.config
        if config is None or self.architecture is not None:
            own, epochs = evidence_backbone(network), recipe.epochs
            named = self.architecture not in (None, own.architecture)
            backbone = BackboneConfig(architecture=str(self.architecture)) if named else own
            if self.start is EvidenceStart.CONVENTIONAL and not named and not _fed_otherwise(network):
                backbone, epochs = replace(backbone, weights=str(run.path.resolve())), _EPOCHS_FROM_CONVENTIONAL
            config = config or self._usual(recipe, epochs, run, hardware)
            config = replace(config, network=self._network(backbone))
        data = replace(recipe.data, root=pool, largest_megapixels=run.config.data.largest_megapixels)
        config = replace(config, data=data)
        if self.epochs is None:
            return config
        require_count("epochs", self.epochs)
        return replace(config, epochs=self.epochs, steps=None)

    def _usual(self, recipe: TrainConfig, epochs: int, run: Run, hardware: HardwareConfig) -> TrainConfig:
        """Return how it is trained where nothing is said of it; of a probe, nothing that is about steps."""
        if self.thorough:
            usual = replace(plain_recipe(), data=recipe.data, transforms=recipe.transforms)
            optimiser = replace(usual.optimiser, gradient_clip=_CLIP)
            return replace(usual, optimiser=optimiser, seed=run.config.seed, hardware=hardware)
        if not self.probe:
            return replace(recipe, seed=run.config.seed, hardware=hardware, epochs=epochs)
        seen = recipe.transforms
        sizes = TransformConfig(input_size=seen.input_size, resize_size=seen.resize_size)
        return TrainConfig(data=recipe.data, transforms=sizes, seed=run.config.seed, hardware=hardware)

    def _network(self, backbone: BackboneConfig) -> NetworkConfig:
        head = HeadStart.PROBE if self.thorough else HeadStart.NEW
        return ProbeConfig(backbone=backbone) if self.probe else PlainConfig(backbone=backbone, head=head)

    def check_trained(self, trained: Run) -> None:
        """Refuse an Evidence CNN that is trained otherwise; what is not said here is as it is.

        Raises:
            UserError: It differs; the fields are named.
        """
        if self.epochs is not None:
            require_count("epochs", self.epochs)
        begun, architecture = trained.config, self.architecture
        config = replace(self.config or begun, data=begun.data)
        if self.epochs:
            config = replace(config, epochs=self.epochs, steps=None)
        else:
            config = config.counted(len(trained.trained_ids()))
        if architecture not in (None, begun.network.timm_architecture):
            config = replace(config, network=self._network(BackboneConfig(architecture=str(architecture))))
        elif architecture is not None:
            config = replace(config, network=begun.network)
        if self.thorough and self.config is None:
            config = replace(config, optimiser=replace(config.optimiser, gradient_clip=_CLIP))
        if (self.probe and not begun.network.solved) or (self.thorough and not begun.network.begins_with_probe):
            config = replace(config, network=self._network(evidence_backbone(begun.network)))
        if differing := trained.differences(config):
            raise UserError(
                f"a trained Evidence CNN is used again; {trained.path} differs in {', '.join(differing)}; leave that "
                "out, or name another folder with --out"
            )


BY_RECIPE = EvidenceTraining()
"""Where nothing is said of it."""


def _fed_otherwise(network: NetworkConfig) -> bool:
    """Say whether an Evidence CNN of a network's own architecture is another's, or normalises images in another way."""
    return evidence_backbone(network).architecture != network.timm_architecture or network.normalises_otherwise


def evidence_backbone(network: NetworkConfig) -> BackboneConfig:
    """Return the conventional network's own, or the default where that is none."""
    if network.trained_backbone is not None:
        return network.trained_backbone
    name = network.timm_architecture
    return BackboneConfig(architecture=name) if name is not None and is_backbone(name) else BackboneConfig()
