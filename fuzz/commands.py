"""Every option of every command set to hostile values: status 0, 2 or 130, and a few lines."""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from foveate.recipes import RECIPES
from foveate.reproduction.trainings import TRAININGS
from fuzz.running import Say, Tally, Verdict, try_all
from fuzz.subjects import MACNN, POOL, S3N, SLOW, TINY, Subjects, ask, judged

_HUGE = ("1000000000", "1" + "0" * 30, str(2**64), "1e308")
VALUES: tuple[tuple[str, ...], ...] = (
    *((value,) for value in ("0", "-1", "1", "0.5", "nan", "inf", "-inf", "1e-320", *_HUGE, "9" * 5000)),
    *(
        (value,)
        for value in ("", " ", "None", "True", "hostile", "é\u0301🦉", "\u202eabc", "a\nb", "%s{}%n", "--", "-rf")
    ),
    *(
        (value,)
        for value in ("/nowhere/at/all", ".", "file", "folder", "x" * 300, "/dev/null", "/dev/full", "folder/..")
    ),
    *((value,) for value in ("cpu", "float32", "test", "validation", "stop", "logits", "resnet18", "\udcff")),
    (),
    ("0", "0"),
    ("1", "2", "3"),
    ("0.4", "0.3", "0.2", "0.1"),
    ("hostile", "hostile"),
)
_PROCESSES = ("--hardware.workers", "--hardware.devices", "--workers")
"""Options that start processes: of these nobody should start thousands here."""


class Call(NamedTuple):
    """A command, and the option that is hostile."""

    base: tuple[str, ...]
    option: str
    values: tuple[str, ...]

    @property
    def words(self) -> str:
        """Say so."""
        given = (*self.base[:3], "...", self.option, *map(repr, self.values))
        return " ".join(each[:60] for each in given)

    @property
    def long(self) -> bool:
        """Whether it may rightly work for long."""
        return self.base[0] == "demo" or any(value in _HUGE for value in self.values)


def commands(made: Subjects) -> tuple[tuple[str, ...], ...]:
    """Return a content call of every command; `NEW` is a folder that does not exist yet."""
    birds = str(made.birds)
    train = ("--out", "NEW", "--epochs", "1")
    plain, photograph, weights = str(made.plain), str(made.photograph), str(made.plain / "model.safetensors")
    own = ("--architecture", "test_efficientnet", "--data.root", str(made.birds))
    views = ("--transforms.input-size", "64", "--transforms.resize-size", "72")
    maps = ("--methods", "grad-cam", "--photographs", "1", "--sanity-photographs", "1", "--masks", "4")
    return (
        ("data", str(made.birds)),
        ("train", "plain", birds, *train, *TINY),
        ("train", "s3n", birds, "--preset", "paper", *train, *S3N),
        ("train", "macnn", "--data.root", birds, *train, *MACNN),
        ("train", "plain", birds, "--epochs", "1", *TINY),
        ("reproduce", "training", "plain-slice", "--data.root", birds, *train, *TINY),
        ("evaluate", plain, *SLOW),
        ("evaluate", str(made.s3n), *SLOW),
        ("predict", plain, photograph, *SLOW),
        ("predict", str(made.zoom), photograph, *SLOW),
        ("explain", str(made.s3n), photograph, "--out", "NEW", *SLOW),
        ("explain", str(made.zoom), photograph, "--out", "NEW", *SLOW),
        ("localise", plain, *SLOW),
        ("attention", str(made.s3n), *SLOW),
        ("adopt", weights, "--out", "NEW", *own, *views, *SLOW),
        ("guided-zoom", plain, "--out", "NEW", *POOL, "--refinement.top-k", "3", "--epochs", "1", *SLOW),
        ("tune", str(made.zoom), *SLOW),
        ("pool", "build", plain, "--out", "NEW", *POOL, *SLOW),
        ("pool", "export", str(made.zoom / "pool"), "--out", "NEW"),
        ("reproduce", "table", "s3n-1", "--archives", str(made.birds.parent), "--seeds", "0", *SLOW),
        ("grounding", plain, *maps, *SLOW),
        ("trust", plain, *SLOW),
        ("trust", str(made.zoom), *SLOW),
        ("compare", plain, str(made.zoom), "--out", "NEW", *SLOW),
        ("recipes",),
        ("demo", "--out", "file"),
    )


def options(command: Sequence[str]) -> tuple[str, ...]:
    """Return the options of a command as its help names them."""
    words = 1 + (command[0] in {"train", "pool", "reproduce"}) + (command[:2] == ("reproduce", "training"))
    os.environ["COLUMNS"] = "400"  # no name is broken into two
    told = ask([*command[:words], "--help"]).out
    os.environ["COLUMNS"] = "80"
    known = re.findall(r"(?<![\w-])--[a-z0-9][\w-]*(?:\.[\w-]+)*", told)
    return tuple(dict.fromkeys(each for each in known if each != "--help"))


def calls(made: Subjects, count: int | None, seed: int) -> list[Call]:
    """Return commands with one hostile option, or a hostile word more, or one less; `count` of them."""
    every = []
    for command in commands(made):
        for option in options(command):
            every += [Call(command, option, values) for values in VALUES if not _starts_thousands(option, values)]
        every += [Call(command, "", values) for values in VALUES]
        every += [Call(command[:length], "", ()) for length in range(len(command))]
        every += [
            Call((*command[:place], *values, *command[place + 1 :]), "", ())
            for place in (1, 2)[: len(command) - 1]
            for values in VALUES
        ]
    every += [Call(("train", name, "/nowhere", "--out", "NEW"), "", ()) for name in RECIPES]
    nowhere = ("--data.root", "/nowhere", "--out", "NEW")
    every += [Call(("reproduce", "training", name, *nowhere), "", ()) for name in TRAININGS]
    order = np.random.default_rng(seed).permutation(len(every))
    return [every[index] for index in order[: count or 1500]]


def _starts_thousands(option: str, values: tuple[str, ...]) -> bool:
    return option in _PROCESSES and any(value.isdecimal() and int(value[:6]) > 3 for value in values)


def check(call: Call) -> Verdict:
    """Give a command in an empty folder of its own."""
    with tempfile.TemporaryDirectory(prefix="fuzz-") as folder:
        os.chdir(folder)
        Path("file").write_text("hostile\n")
        Path("folder").mkdir()
        Path("folder/file").write_text("hostile\n")
        words = [*call.base, *([call.option] if call.option else []), *call.values]
        verdict = judged(ask(words), call.words)
        os.chdir("/")
    kind = f"{call.base[0] if call.base else 'no command'}: {verdict.fault}"
    return verdict._replace(fault=kind if verdict.fault else None)


def run(made: Subjects, count: int | None, seed: int, say: Say) -> Tally:
    """Give so many of the commands; None: 1,500."""
    return try_all(calls(made, count, seed), check, say=say, limit=25.0, long=lambda call: call.long)
