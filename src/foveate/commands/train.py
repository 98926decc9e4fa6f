"""`foveate train`: a method, on photographs of one's own."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated

import tyro

from foveate.commands.parsing import options_given
from foveate.commands.run_folder import train_in
from foveate.config.engine import EngineConfig
from foveate.config.trackers import Tracker
from foveate.errors import UserError
from foveate.recipes import RECIPES
from foveate.recipes.config import TrainConfig
from foveate.reproduction.listing import summary

_FOLDER = Path("FOLDER\0")
"""Stands for photographs that are still to be named; no path can be that."""


@dataclass(frozen=True, kw_only=True)
class Train:
    """Train a method on your photographs, as `foveate train s3n FOLDER`; the same command resumes what was stopped."""

    folder: Annotated[
        tyro.conf.Positional[Path | None], tyro.conf.arg(metavar="FOLDER", help_behavior_hint="(or --data.root)")
    ] = None
    """The photographs: a folder of class folders, an archive as its authors made it, or a CSV or Parquet list; of
    `evidence` the pool."""
    preset: str = "foveate"
    """What the other options are where they are not given: foveate; of plain and probe also lite1 and lite2, larger
    backbones; of s3n also continued, which goes on from the run of a plain network (--network.backbone.weights),
    frozen, which trains nothing, paper, the text's settings, and reference, the released code's; of macnn also paper,
    the published network."""
    out: Annotated[
        Path | None, tyro.conf.arg(help_behavior_hint="(default: runs/FOLDER-METHOD, or with the next free number)")
    ] = None
    """The run folder: new, empty, or holding a run of the same configuration, which is resumed."""
    logger: Tracker | None = None
    """The tracker that settings and numbers go to too; None: CSV and TensorBoard alone, in logs/ of the run folder."""
    engine: Annotated[EngineConfig, tyro.conf.arg(name="")] = field(default_factory=EngineConfig)
    method: tyro.conf.Suppress[tyro.conf.Fixed[str]]
    config: Annotated[TrainConfig, tyro.conf.arg(name="")]

    @classmethod
    def of(cls, method: str, preset: str) -> "Train":
        """Return the command that trains a method; its photographs must still be given."""
        return cls(method=method, preset=preset, config=RECIPES[method][preset](_FOLDER))

    def run(self) -> None:
        """Do it."""
        train_in(self.out, self._on_photographs(), self._name, self.logger, self.engine)

    def _name(self, root: Path) -> str:
        """Return the name of a run on photographs that are there."""
        root, preset = root.resolve(), () if self.preset == _usual(self.method) else (self.preset,)
        return "-".join((root.stem if root.is_file() else root.name, self.method, *preset))

    def _on_photographs(self) -> TrainConfig:
        """Return the configuration with the photographs that were named."""
        data = self.config.data
        if self.folder is None and data.root == _FOLDER:
            raise UserError(
                "a training needs the folder of its photographs; got none; give it after the method: foveate train "
                f"{self.method} FOLDER"
            )
        if self.folder is None:
            return self.config
        if data.root not in (_FOLDER, self.folder):
            raise UserError(
                f"FOLDER and --data.root are the same; got {str(self.folder)[:200]} and {str(data.root)[:200]}; "
                "leave one of them out"
            )
        return replace(self.config, data=replace(data, root=self.folder))


def train_command(words: Sequence[str]) -> Callable[..., Train]:
    """Return what `foveate train` is: a command for each method, by the preset that the words name.

    Args:
        words: Of the whole command line.

    Raises:
        UserError: The method has no such preset.
    """
    chosen = words[1] if words[:1] == ["train"] and len(words) > 1 else ""
    methods = [chosen] if chosen in RECIPES else list(RECIPES)  # no other method's options are suggested for a mistake
    method_type = tyro.extras.subcommand_type_from_defaults(
        {method: Train.of(method, _preset(method, words)) for method in methods},
        descriptions={method: summary(RECIPES[method][_usual(method)]) for method in methods},
    )

    # A type made of values, as tyro wants it; without a name, so that its options have no prefix.
    def train(method: Annotated[method_type, tyro.conf.arg(name="")]) -> Train:  # type: ignore[valid-type]
        command: Train = method
        return command

    train.__doc__ = Train.__doc__
    return train


def _usual(method: str) -> str:
    return next(iter(RECIPES[method]))


def _preset(method: str, words: Sequence[str]) -> str:
    """Return what --preset says, where the words are of a method's training; else the usual one."""
    given = options_given(words).get("preset")
    if given is None or given.option != "--preset" or list(words[:2]) != ["train", method]:
        return _usual(method)
    if given.value not in RECIPES[method]:
        raise UserError(f"--preset of {method} must be {' or '.join(RECIPES[method])}; got {given.value[:200]}")
    return given.value
