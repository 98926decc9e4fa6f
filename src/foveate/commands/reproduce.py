"""`foveate reproduce`: the papers' tables, figures and trainings."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import tyro

from foveate.commands import existence
from foveate.commands.run_folder import train_in
from foveate.config.hardware import HardwareConfig
from foveate.recipes.config import TrainConfig
from foveate.reproduction.listing import summary
from foveate.reproduction.tables import Scale
from foveate.reproduction.trainings import TRAININGS


@dataclass(frozen=True, kw_only=True)
class Table:
    """Make a table of the papers: train what is missing, go on with what was stopped, skip what is done."""

    name: Annotated[tyro.conf.Positional[str], tyro.conf.arg(metavar="TABLE")]
    """s3n-1 to s3n-5, s3n-delta, gz-1, gz-2, gz-3."""
    archives: Path
    """The folder that holds the data sets under their own names, such as CUB_200_2011 or CUB_200_2011_20."""
    scale: Scale = Scale.SLICE
    """The papers' networks on their data sets, or small ones on the slice of CUB."""
    seeds: tuple[int, ...] = (0, 1, 2)
    """Of the trainings; each number is their mean. A figure shows the first."""
    out: Path = Path("reproduction")
    """Folder for the tables and figures; `runs` in it holds the runs that they share."""
    hardware: HardwareConfig = field(default_factory=HardwareConfig)
    results: Path | None = None
    """A file of JSON lines that gets a row for each evaluation."""

    def run(self) -> None:
        """Do it."""
        existence.check_there(self.archives, "the folder of the data sets")
        from foveate.reproduction.reproduce import reproduce

        reproduce(
            self.name,
            self.out,
            archives=self.archives,
            scale=self.scale,
            seeds=self.seeds,
            hardware=self.hardware,
            results=self.results,
        )


@dataclass(frozen=True, kw_only=True)
class Figure(Table):
    """Make a figure of the papers: train what is missing, go on with what was stopped, skip what is done."""

    name: Annotated[tyro.conf.Positional[str], tyro.conf.arg(metavar="FIGURE")]
    """s3n-fig4 to s3n-fig7, gz-fig2, gz-fig3."""


@dataclass(frozen=True, kw_only=True)
class Training:
    """Train the network of a row; `foveate recipes` lists them by table. The same command resumes."""

    out: Annotated[
        Path | None, tyro.conf.arg(help_behavior_hint="(default: runs/NAME, or with the next free number)")
    ] = None
    """The run folder: new, empty, or holding a run of the same configuration, which is resumed."""
    name: tyro.conf.Suppress[tyro.conf.Fixed[str]]
    config: Annotated[TrainConfig, tyro.conf.arg(name="")]

    def run(self) -> None:
        """Do it."""
        train_in(self.out, self.config, lambda root: self.name)


def reproduce_command(words: Sequence[str]) -> Callable[..., Table | Training]:
    """Return what `foveate reproduce` is: a command for tables, one for figures, and one for each training.

    Args:
        words: Of the whole command line; of trainings only the one that they name.
    """
    chosen = words[2] if list(words[:2]) == ["reproduce", "training"] and len(words) > 2 else ""
    names = [chosen] if chosen in TRAININGS else list(TRAININGS)
    training_type = tyro.extras.subcommand_type_from_defaults(
        {name: Training(name=name, config=TRAININGS[name]()) for name in names},
        descriptions={name: summary(TRAININGS[name]) for name in names},
    )

    # Types made of values, as in `train_command`.
    def training(name: Annotated[training_type, tyro.conf.arg(name="")]) -> Training:  # type: ignore[valid-type]
        command: Training = name
        return command

    training.__doc__ = Training.__doc__
    kinds = (
        Annotated[Table, tyro.conf.subcommand("table")]
        | Annotated[Figure, tyro.conf.subcommand("figure")]
        | Annotated[Training, tyro.conf.subcommand("training", constructor=training)]
    )

    def reproduce(kind: Annotated[kinds, tyro.conf.arg(name="")]) -> Table | Training:
        """The papers' tables and figures, and the trainings behind them."""
        command: Table | Training = kind
        return command

    return reproduce
