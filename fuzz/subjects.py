"""A few drawn birds, small finished runs of them and a Guided Zoom: made once, copied where something is damaged."""

from __future__ import annotations

import importlib
import os
import pkgutil
import re
from collections.abc import Sequence
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO, NamedTuple

import foveate
from foveate.commands.main import main
from foveate.plumage import PlumageConfig, draw_plumage
from fuzz.running import Verdict, fork, place_of

_LATE = ("pyarrow.dataset", "torch.utils.tensorboard", "matplotlib.backends.backend_agg", "torch._dynamo")
SLOW = ("--hardware.accelerator", "cpu", "--hardware.workers", "0", "--hardware.precision", "float32")
_SMALL = ("--network.backbone.architecture", "test_efficientnet", "--network.backbone.weights", "none")
_VIEWS = ("--batch-size", "8", "--transforms.input-size", "64", "--transforms.resize-size", "72")
TINY = (*_SMALL, *_VIEWS, *SLOW)
S3N = (*TINY, "--transforms.source-size", "96")
MACNN = (
    *("--network.parts", "2", "--network.hidden", "16", "--network.part-size", "48", "--network.object-stream"),
    *("--network.classifying-epochs", "1", "--network.start-steps", "5", *S3N),
)
POOL = (
    *("--pool.grounding.method", "class-maps", "--pool.patches.source-size", "96", "--pool.patches.rounds", "2"),
    *("--pool.keep", "first-always"),
)
_MOST_LINES, _MOST_CHARACTERS = 15, 2500
_LINES_OF_A_BOX = 30  # in which the parser explains an option


class Answer(NamedTuple):
    """What a command ended with and said."""

    status: int
    out: str
    err: str
    raised: str | None = None
    """The kind of the exception that it let pass, if it did."""


def ask(arguments: Sequence[object]) -> Answer:
    """Call the command line in this process, with all that it and the libraries below it write."""
    status, raised = 1, None
    with _file() as out, _file() as err:
        kept = os.dup(1), os.dup(2)
        os.dup2(out.fileno(), 1)
        os.dup2(err.fileno(), 2)
        try:
            with redirect_stdout(out), redirect_stderr(err):
                status = main(list(map(str, arguments)))
        except SystemExit as end:
            status = end.code if isinstance(end.code, int) else int(end.code is not None)
        except BaseException as error:
            raised = f"{place_of(error)}: {_general(str(error))}"
        finally:
            for number, stream in enumerate(kept, 1):
                os.dup2(stream, number)
                os.close(stream)
        for each in (out, err):
            each.seek(0)
        return Answer(status, out.read(), err.read(), raised)


def _file() -> IO[str]:
    return TemporaryFile("w+", encoding="utf-8", errors="backslashreplace")


def _general(words: str) -> str:
    """Return the beginning of a message without what differs from input to input."""
    return repr(re.sub(r"[0-9]+", "N", re.sub(r"\S*/fuzz-\w+", "", words.strip()))[:50])


def manners(answer: Answer) -> str | None:
    """Return the kind of fault in how a command ended, whatever it was asked; None where it ended as it should."""
    if answer.raised is not None:
        return f"raises {answer.raised}"
    if answer.status not in (0, 2, 130):
        return f"ends with status {answer.status}: {_general(answer.err)}"
    for sign in ("Traceback", "__tyro"):
        if sign in answer.err + answer.out:
            return f"shows {sign!r}"
    if answer.status and not answer.err.strip() and not answer.out.strip():
        return "ends with status 2 and no word"
    lines = [line for line in answer.err.splitlines() if len(set(line)) > 5]  # no rulers, no page of one digit given
    words = re.sub(r"[^\w\s.,;:'/()-]| {2,}", "", "\n".join(lines))  # without the frames of the parser's boxes
    box = answer.err.lstrip().startswith(("╭", "+-"))
    if len(lines) > (_LINES_OF_A_BOX if box else _MOST_LINES) or len(words) > _MOST_CHARACTERS:
        return f"says a page: {_general(words)}"
    if answer.status == 0 and "Warning" in answer.err:
        return f"warns: {next(line for line in lines if 'Warning' in line).rpartition('/')[2][:80]}"
    return None


def judged(answer: Answer, words: str, expected: str | None = None) -> Verdict:
    """Judge an answer; where `expected` is given and the command is content, it must have said just that."""
    fault = manners(answer)
    if fault is None and answer.status == 0 and expected is not None and answer.out != expected:
        fault = "gives another answer"
    return Verdict("answered" if answer.status == 0 else "refused", fault, f"{words}: {answer.err.strip()[-160:]}")


@dataclass(frozen=True)
class Subjects:
    """Folders of what was made."""

    birds: Path
    """Four species in CUB's layout, 6 training and 3 test pictures of each, 96 pixels."""
    plain: Path
    """A finished run, evaluated."""
    s3n: Path
    """A finished run of S3N, evaluated."""
    zoom: Path
    """A finished Guided Zoom of the plain run, tuned."""

    @classmethod
    def below(cls, root: Path) -> Subjects:
        """Return those of one folder."""
        return cls(root / "birds", root / "plain", root / "s3n", root / "zoom")

    @property
    def photograph(self) -> Path:
        """One of the birds."""
        return min(self.birds.glob("images/*/*.jpg"))


def load_modules() -> None:
    """Import what the commands import late, so that no child has to."""
    ours = (each.name for each in pkgutil.walk_packages(foveate.__path__, "foveate."))
    for name in (*(each for each in ours if each != "foveate.__main__"), *_LATE):
        importlib.import_module(name)


def make(root: Path) -> Subjects:
    """Make them, in a child of this process: what has trained must not be forked.

    Raises:
        RuntimeError: A command failed; its words are in the message.
    """
    made = Subjects.below(root)
    held = ("--data.validation-fraction", "0.4", "--data.split-seed", "3", "--seed", "5")
    commands: tuple[tuple[object, ...], ...] = (
        ("train", "plain", "--data.root", made.birds, "--out", made.plain, "--epochs", 2, *held, *TINY),
        ("evaluate", made.plain, *SLOW),
        ("train", "s3n", "--data.root", made.birds, "--out", made.s3n, "--epochs", 2, *S3N),
        ("evaluate", made.s3n, *SLOW),
        ("guided-zoom", made.plain, "--out", made.zoom, *POOL, "--refinement.top-k", 3, "--epochs", 1, *SLOW),
        ("tune", made.zoom, *SLOW),
    )

    def work() -> int:
        draw_plumage(made.birds, PlumageConfig(4, 6, 3, 96), workers=1)
        failed = next(filter(lambda answer: answer.status or answer.raised, map(ask, commands)), None)
        print(failed)
        return int(failed is not None)

    if os.waitpid(fork(work, root / "log"), 0)[1]:
        raise RuntimeError((root / "log").read_text())
    return made
