"""The command line: each command is a workflow with its typed configuration, and nothing else."""

import io
import os
import sys
from collections.abc import Callable, Sequence
from typing import Protocol

import tyro

from foveate import __version__
from foveate.commands.addresses import run_with_addresses
from foveate.commands.adopt import Adopt
from foveate.commands.analysis import Attention, Grounding, Localise, Trust
from foveate.commands.check import Check
from foveate.commands.compare import Compare
from foveate.commands.data import Data
from foveate.commands.defects import raised_as_they_are, reported
from foveate.commands.demo import Demo
from foveate.commands.derived_sizes import with_derived_sizes
from foveate.commands.ensemble import Ensemble
from foveate.commands.evaluate import Evaluate
from foveate.commands.explain import Explain
from foveate.commands.export import Export
from foveate.commands.fit import Fit
from foveate.commands.guided_zoom_commands import GuidedZoom, Tune, pool_command
from foveate.commands.memory import keep_freed_memory
from foveate.commands.models_here import with_models_here
from foveate.commands.old_spellings import refuse_old_words, refuse_unknown_words
from foveate.commands.overview import overview
from foveate.commands.parsing import parsed
from foveate.commands.predict import Predict
from foveate.commands.push import Push
from foveate.commands.recipes import Recipes
from foveate.commands.report import Report
from foveate.commands.reproduce import reproduce_command
from foveate.commands.serve import Serve
from foveate.commands.spelling import with_options
from foveate.commands.train import train_command
from foveate.config.addresses import without_secrets
from foveate.data.paths import with_home
from foveate.errors import UserError, lack_of_memory_named
from foveate.files.atomic import mend_of_any
from foveate.files.locks import interruption_behind


class Command(Protocol):
    """What the words of a command line become."""

    def run(self) -> None:
        """Do it."""


def commands(words: Sequence[str]) -> dict[str, Callable[..., Command]]:
    """Return the commands by name.

    Args:
        words: Of the command line. They say which command of a name is meant, and by which preset.

    Raises:
        UserError: As `train_command`.
    """
    return {
        "fit": Fit,
        "data": Data,
        "check": Check,
        "train": train_command(words),
        "evaluate": Evaluate,
        "compare": Compare,
        "report": Report,
        "predict": Predict,
        "explain": Explain,
        "serve": Serve,
        "export": Export,
        "push": Push,
        "localise": Localise,
        "attention": Attention,
        "adopt": Adopt,
        "ensemble": Ensemble,
        "guided-zoom": GuidedZoom,
        "tune": Tune,
        "pool": pool_command,
        "grounding": Grounding,
        "trust": Trust,
        "recipes": Recipes,
        "reproduce": reproduce_command(words),
        "demo": Demo,
    }


def main(arguments: list[str] | None = None) -> int:
    """Run one command; 0 when done, 1 for a defect, 2 for what the user can mend, 130 when interrupted."""
    words = sys.argv[1:] if arguments is None else arguments
    if words == ["--version"]:
        print(f"foveate {__version__}")
        return 0
    if words in (["--help"], ["-h"]):
        print(overview())
        return 0
    if not words:
        print(overview(), file=sys.stderr)
        return 2
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # Line by line, so that the log of a long training can be followed; and whatever a name holds is printed.
            stream.reconfigure(line_buffering=True, errors="backslashreplace")
    try:
        _run(words)
    except UserError as error:
        if (interruption := interruption_behind(error)) is not None:
            return _interrupted(interruption)
        print(f"foveate: {without_secrets(str(error))}", file=sys.stderr)
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
    refuse_old_words(words)
    refuse_unknown_words(words)
    words = with_derived_sizes(words)
    known = commands(words)
    command: Command = parsed(
        {name: each for name, each in known.items() if words[:1] == [name]} or known,  # suggests no other's options
        words,
        prog="foveate",
        description="Fine-grained image recognition that looks closer and shows why.",
        # A recipe's method is its own: its fields are options, not a further subcommand.
        config=(tyro.conf.EnumChoicesFromValues, tyro.conf.AvoidSubcommands),
    )
    keep_freed_memory()
    try:
        with lack_of_memory_named(f"`foveate {words[0]}`"):
            run_with_addresses(with_models_here(with_home(command)))
    except UserError as error:
        error.args = (with_options(str(error), command),)
        raise


if __name__ == "__main__":
    sys.exit(main())
