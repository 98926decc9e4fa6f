"""`foveate adopt`: a network that was trained elsewhere, as a run."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import tyro

from foveate.commands import existence
from foveate.config.data import DataConfig, TransformConfig
from foveate.config.hardware import HardwareConfig
from foveate.config.networks import Library
from foveate.errors import UserError


@dataclass(frozen=True, kw_only=True)
class Checkpoint:
    """What a file of weights does not say of itself."""

    architecture: str | None = None
    """The library's name of the network, such as resnet50 or vgg16."""
    library: Library = Library.TIMM
    """Whose code builds it."""
    mean: tuple[float, float, float] | None = None
    """Of each colour channel, for pixels in [0, 1]; None: what timm says of the architecture, ImageNet's for
    torchvision."""
    std: tuple[float, float, float] | None = None
    """Standard deviation of each colour channel; None: as --mean."""
    weights_key: str | None = None
    """Where in the file the weights lie, such as state_dict_ema; None: the plain ones of those that fit."""
    data: DataConfig = field(default_factory=lambda: DataConfig(root=Path("photographs")))
    """The data set that it was trained with; its classes in their order."""
    transforms: TransformConfig = field(default_factory=TransformConfig)
    """The views that it is shown, of the size that it was trained for."""

    def adopt(self, file: Path, out: Path, hardware: HardwareConfig) -> None:
        """Take it in."""
        existence.check_there(file, "the checkpoint")

        if self.architecture is None:
            raise UserError(
                f"a checkpoint needs the name of its architecture; {file} came without; give --architecture, such as "
                "resnet50, and --data.root, the data set that it was trained with"
            )
        existence.check_data(self.data.root)
        from foveate.workflows.adopt import adopt

        adopt(
            file,
            out,
            architecture=self.architecture,
            library=self.library,
            data=self.data,
            transforms=self.transforms,
            mean=self.mean,
            std=self.std,
            weights_key=self.weights_key,
            hardware=hardware,
        )


@dataclass(frozen=True, kw_only=True)
class Adopt:
    """Take in a network that was trained elsewhere, as a run folder: evaluate, predict and guided-zoom then use it."""

    file: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="CHECKPOINT")]
    """Its state dict, as safetensors or torch file."""
    out: Path
    """The run folder: new, empty, or holding the same network."""
    checkpoint: Annotated[Checkpoint, tyro.conf.arg(name="")] = field(default_factory=Checkpoint)
    hardware: HardwareConfig = field(default_factory=HardwareConfig)

    def run(self) -> None:
        """Do it."""
        self.checkpoint.adopt(self.file, self.out, self.hardware)
