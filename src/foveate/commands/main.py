"""The command line: each command is a workflow with its typed configuration, and nothing else."""

import io
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Annotated, Literal

import tyro

from foveate import __version__
from foveate.commands import existence
from foveate.commands.analysis import Attention, Grounding, Localise, Trust
from foveate.commands.answers import Explain, Predict
from foveate.commands.contexts import MeasurementOptions, context_of
from foveate.commands.defects import raised_as_they_are, reported
from foveate.commands.evidence import Adopt, GuidedZoom, PoolBuild, PoolExport, Tune, pool_command
from foveate.commands.memory import keep_freed_memory
from foveate.commands.parsing import parsed
from foveate.config.checks import require
from foveate.config.data import LARGEST_MEGAPIXELS, DataConfig, DatasetFormat, OnError, TestViews
from foveate.config.hardware import HardwareConfig
from foveate.data.paths import with_home
from foveate.errors import UserError
from foveate.files.atomic import mend_of_any
from foveate.files.locks import interruption_behind
from foveate.recipes import RECIPES
from foveate.recipes.config import TrainConfig
from foveate.reproduction.tables import Scale


@dataclass(frozen=True, kw_only=True)
class Data:
    """Say what a data set holds and read every photograph once; or draw plumage, the embedded one."""

    root: tyro.conf.Positional[Path]
    """Folder of the archive or of the class folders, or a CSV or Parquet list; with --draw a new folder."""
    format: DatasetFormat = DatasetFormat.AUTO
    """How it is laid out; auto: recognised by what lies there."""
    exclude: tuple[str, ...] = ()
    """Of class folders: names of folders to leave out, at any depth, or their paths below the root; * is any text."""
    validation_fraction: float = 0.0
    """Share of each class's training photographs to hold out for validation, as `train` would."""
    test_fraction: float = 0.2
    """Share of each class to hold out as the test split where there is none, as `train` would; 0: none."""
    draw: bool = False
    """Draw the plumage data set into the folder first."""
    species: int = 20
    """With --draw: how many species."""
    train_per_species: int = 30
    """With --draw: training pictures of each."""
    test_per_species: int = 30
    """With --draw: test pictures of each."""
    size: int = 512
    """With --draw: side of the pictures, in pixels."""
    seed: int = 0
    """With --draw: seed of everything in the pictures."""
    on_error: OnError = OnError.STOP
    """What to do about photographs that cannot be read."""
    largest_megapixels: int = LARGEST_MEGAPIXELS
    """Photographs with more million pixels count as those that cannot be read."""

    def run(self) -> None:
        """Do it."""
        config = DataConfig(
            root=self.root,
            format=self.format,
            exclude=self.exclude,
            validation_fraction=self.validation_fraction,
            test_fraction=self.test_fraction,
            on_error=self.on_error,
            largest_megapixels=self.largest_megapixels,
        )
        if not self.draw:
            existence.check_data(self.root)
        from foveate.plumage import PlumageConfig, draw_plumage
        from foveate.workflows.demo import every
        from foveate.workflows.describe import describe_dataset

        if self.draw:
            birds = PlumageConfig(self.species, self.train_per_species, self.test_per_species, self.size, self.seed)
            draw_plumage(self.root, birds, progress=every(100, print))
        describe_dataset(config)


@dataclass(frozen=True, kw_only=True)
class Train(TrainConfig):
    """Train a recipe, any field of it overridden; the same command resumes after an interruption."""

    out: Path
    """The run folder: new, empty, or an unfinished run of the same configuration."""

    @classmethod
    def recipe(cls, config: TrainConfig) -> "Train":
        """Return the command that trains `config`; the folder must still be given."""
        return cls(out=tyro.MISSING, **{each.name: getattr(config, each.name) for each in fields(config)})

    def run(self) -> None:
        """Do it."""
        if not (self.out / "run.json").exists():  # what resumes says itself what it misses
            existence.check_training(self)
        from foveate.workflows.train import train

        train(TrainConfig(**{each.name: getattr(self, each.name) for each in fields(TrainConfig)}), self.out)


@dataclass(frozen=True, kw_only=True)
class Evaluate(MeasurementOptions):
    """Measure a run: top-1, top-3, top-5 and mean per-class accuracy with 95% intervals."""

    run_folder: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="RUN")]
    """The run folder."""
    split: Literal["test", "validation", "train"] = "test"
    """Which photographs to answer for."""
    views: TestViews = TestViews.CENTRE
    """Which views of a photograph are averaged."""
    zoom_entropy_threshold: float | None = None
    """Of an S3N run: look closer only where the entropy of the first look, in nats, is above this; None: always, and
    show what thresholds would do."""
    batch_size: int = 32
    """Photographs at a time."""
    sheet: Path | None = None
    """Also write a PNG sheet of right and wrong answers here."""

    def __post_init__(self) -> None:
        require(self.batch_size >= 1, "batch_size must be at least 1", self.batch_size)

    def run(self) -> None:
        """Do it."""
        existence.check_run(self.run_folder)
        existence.check_data(self.root)
        from foveate.runs.run import Run
        from foveate.workflows.evaluate import evaluate, evaluation_markdown
        from foveate.workflows.shown_answers import answer_sheet_of

        run = Run.open(self.run_folder)
        evaluation = evaluate(
            run,
            split=self.split,
            views=self.views,
            zoom_entropy_threshold=self.zoom_entropy_threshold,
            context=context_of(self),
        )
        title = f"{self.run_folder.name}, {self.split} split"
        print(evaluation_markdown(evaluation, title))
        print(f"{evaluation.milliseconds:.1f} milliseconds a photograph in the network\n")
        if self.sheet is not None:
            print(answer_sheet_of(evaluation, self.sheet, title=title))
        print(f"written to {evaluation.report} (also .json and .parquet)")


@dataclass(frozen=True, kw_only=True)
class Reproduce:
    """Make a table or figure of the papers: train what is missing, go on with what was stopped, skip what is done."""

    table: Annotated[tyro.conf.Positional[str], tyro.conf.arg(metavar="TABLE")]
    """s3n-1 to s3n-5, s3n-delta, gz-1, gz-2, gz-3; or a figure: s3n-fig4 to s3n-fig7, gz-fig2, gz-fig3."""
    archives: Path
    """The folder that holds the data sets under their own names, such as CUB_200_2011 or CUB_200_2011_20."""
    scale: Scale = Scale.SLICE
    """The papers' networks on their data sets, or small ones on the slice of CUB."""
    seeds: tuple[int, ...] = (0, 1, 2)
    """Of the trainings; each number is their mean. A figure shows the first."""
    out: Path = Path("reproduction")
    """Folder for the tables; `runs` in it holds the runs that they share."""
    hardware: HardwareConfig = field(default_factory=HardwareConfig)
    results: Path | None = None
    """A file of JSON lines that gets a row for each evaluation."""

    def run(self) -> None:
        """Do it."""
        existence.check_there(self.archives, "the folder of the data sets")
        from foveate.reproduction.reproduce import reproduce

        reproduce(
            self.table,
            self.out,
            archives=self.archives,
            scale=self.scale,
            seeds=self.seeds,
            hardware=self.hardware,
            results=self.results,
        )


@dataclass(frozen=True, kw_only=True)
class Recipes:
    """List the recipes that `train` knows."""

    def run(self) -> None:
        """Do it."""
        for name, recipe in RECIPES.items():
            print(f"foveate train {name}\n  {(recipe.__doc__ or '').splitlines()[0]}")


@dataclass(frozen=True, kw_only=True)
class Demo:
    """Draw birds, train on them, evaluate, and show right and wrong answers: minutes on two cores."""

    out: Path = Path("demo")
    """Folder for everything that is made; what an earlier call finished is used again."""

    def run(self) -> None:
        """Do it."""
        from foveate.workflows.demo import demo

        demo(self.out)


_Command = (
    Data
    | Train
    | Evaluate
    | Predict
    | Explain
    | Localise
    | Attention
    | Adopt
    | GuidedZoom
    | Tune
    | PoolBuild
    | PoolExport
    | Reproduce
    | Grounding
    | Trust
    | Recipes
    | Demo
)


def _commands() -> dict[str, Callable[..., _Command]]:
    recipes = {name: Train.recipe(recipe()) for name, recipe in RECIPES.items()}
    summaries = {name: (recipe.__doc__ or "").partition("\n")[0] for name, recipe in RECIPES.items()}
    recipe_type = tyro.extras.subcommand_type_from_defaults(recipes, descriptions=summaries)

    # A type made of values, as tyro wants it; without a name, so that its options have no prefix.
    def train(recipe: Annotated[recipe_type, tyro.conf.arg(name="")]) -> Train:  # type: ignore[valid-type]
        command: Train = recipe
        return command

    train.__doc__ = Train.__doc__
    return {
        "data": Data,
        "train": train,
        "evaluate": Evaluate,
        "predict": Predict,
        "explain": Explain,
        "localise": Localise,
        "attention": Attention,
        "adopt": Adopt,
        "guided-zoom": GuidedZoom,
        "tune": Tune,
        "pool": pool_command,
        "reproduce": Reproduce,
        "grounding": Grounding,
        "trust": Trust,
        "recipes": Recipes,
        "demo": Demo,
    }


def main(arguments: list[str] | None = None) -> int:
    """Run one command; 0 when done, 1 for a defect, 2 for what the user can mend, 130 when interrupted."""
    words = sys.argv[1:] if arguments is None else arguments
    if words == ["--version"]:
        print(f"foveate {__version__}")
        return 0
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # Line by line, so that the log of a long training can be followed; and whatever a name holds is printed.
            stream.reconfigure(line_buffering=True, errors="backslashreplace")
    try:
        _run(words)
    except UserError as error:
        if (interruption := interruption_behind(error)) is not None:
            return _interrupted(interruption)
        print(f"foveate: {error}", file=sys.stderr)
        return 2
    except BrokenPipeError:
        # The reader, such as `head`, has seen enough; nothing more may be written, not even at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except (Exception, KeyboardInterrupt) as error:
        if (interruption := interruption_behind(error)) is not None:
            return _interrupted(interruption)
        if isinstance(error, OSError) and (mend := mend_of_any(error)) is not None:
            print(f"foveate: {error}; {mend}", file=sys.stderr)
            return 2
        if raised_as_they_are():
            raise
        print(f"foveate: {reported(error)}", file=sys.stderr)
        return 1
    return 0


def _interrupted(error: KeyboardInterrupt) -> int:
    notes = dict.fromkeys(getattr(error, "__notes__", ()))  # of nested work each notes it
    print("; ".join(["foveate: interrupted", *notes]), file=sys.stderr)
    return 130


def _run(words: list[str]) -> None:
    command: _Command = parsed(
        _commands(),
        words,
        prog="foveate",
        description="Fine-grained image recognition that looks closer and shows why.",
        # A recipe's method is its own: its fields are options, not a further subcommand.
        config=(tyro.conf.EnumChoicesFromValues, tyro.conf.AvoidSubcommands),
    )
    keep_freed_memory()
    with_home(command).run()


if __name__ == "__main__":
    sys.exit(main())
