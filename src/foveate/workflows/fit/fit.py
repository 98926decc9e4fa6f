"""Look at the data, climb the ladder of methods as far as the time allows, and leave the best one as a run."""

from __future__ import annotations

import shlex
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path

from foveate.config.data import DataConfig, Split
from foveate.config.hardware import HardwareConfig
from foveate.data.datasets import first_few
from foveate.data.preparation import Splits, checked_splits
from foveate.data.roots import shown_path
from foveate.errors import UserError
from foveate.files.file_names import safe_name
from foveate.files.locks import working_in
from foveate.files.remote_path import located
from foveate.guided_zoom.pool import hash_of_photographs
from foveate.recipes.datasets import load_splits
from foveate.runs.run import finished_otherwise
from foveate.workflows.fit.climb import climb
from foveate.workflows.fit.complete import completed
from foveate.workflows.fit.config import MINUTES, FitConfig, Prefer
from foveate.workflows.fit.finish import finish
from foveate.workflows.fit.journal import Journal, JournalContent, differing_settings
from foveate.workflows.fit.ladder import WORK, Ladder, Rung
from foveate.workflows.fit.ladder_table import LadderTable
from foveate.workflows.fit.plan import measured_machine, measured_speeds, planned, with_folds
from foveate.workflows.fit.rungs import measured_rungs, rungs
from foveate.workflows.train import check_classes

RUNS = Path("runs")
"""Below the current folder."""


@dataclass(frozen=True)
class Fitted:
    """What a fit left: the folder of a run or of a Guided Zoom, and the table of the ladder that it was chosen by."""

    path: Path
    ladder: LadderTable


def fit(
    folder: Path | str,
    *,
    minutes: float = MINUTES,
    out: Path | str | None = None,
    prefer: Prefer | str = Prefer.ACCURACY,
    size: int | None = None,
    seed: int = 0,
    data: DataConfig | None = None,
    hardware: HardwareConfig | None = None,
    say: Callable[[str], None] = print,
) -> Fitted:
    """Find the method that suits photographs best within some minutes, and train it on all of them.

    The choice rests on answers to training photographs by networks that did not learn from them. The test split is
    looked at once, at the end. An interrupted fit is continued by the same call.

    ::

        fitted = foveate.fit("photographs", minutes=15)
        print(fitted.ladder.winner, fitted.ladder.reason)
        print(foveate.load(fitted.path).predict("bird.jpg").best)

    Args:
        folder: The photographs, as `DataConfig.root` has it.
        minutes: Of everything together on this machine; trainings are shortened to fit, what still does not is left
            out, and both are said.
        out: The run folder: new, empty, or holding a fit of the same settings; None: one below `runs/`.
        prefer: What counts between methods that are nearly as good.
        size: Side of the views in pixels; None: as each method's recipe says.
        seed: Of the folds and of every training.
        data: How the photographs are read and divided; its root is not used.
        hardware: Where to compute; None: as this machine does it fast.
        say: Receives lines of progress.

    Returns:
        The folder, which every other command takes, and the table.

    Raises:
        UserError: Something the user can mend: see its message.
        KeyboardInterrupt: It was interrupted; call again to continue.
    """
    began, root = time.perf_counter(), located(folder).expanduser().resolve()
    data = replace(data or DataConfig(root=root), root=root).resolved()
    hardware = hardware or HardwareConfig()
    prefer, minutes = _preferred(prefer), float(minutes)
    config = FitConfig(data=data, minutes=minutes, prefer=prefer, size=size, seed=seed, hardware=hardware)
    out = default_folder(config) if out is None else Path(out).expanduser()
    return _finished(out, config, say) if LadderTable.is_in(out) else _fitted(out, config, began, say)


def _fitted(out: Path, config: FitConfig, began: float, say: Callable[[str], None]) -> Fitted:
    check_folder(out)
    splits = load_splits(config.data, say)
    _check_learnable(splits)
    with working_in(out, lambda: Journal.is_in(out / WORK)):
        table = _climbed(config, splits, out, began, say)
    _say_end(out, table, splits, say)
    return Fitted(out, table)


def _check_learnable(splits: Splits) -> None:
    learned = {record.class_name for record in splits.named(Split.TRAIN)}
    if untaught := [name for name in splits.class_names if name not in learned]:
        raise UserError(
            f"a fit needs a training photograph of every class; there is none of {first_few(untaught)}; add some, or "
            "leave the photographs of these classes out of the other splits"
        )


def _climbed(config: FitConfig, splits: Splits, out: Path, began: float, say: Callable[[str], None]) -> LadderTable:
    listed = hash_of_photographs(splits.train, grouped=True)
    splits = _readable(splits, config, say)
    ladder_rungs = rungs()
    if Journal.is_in(out / WORK):
        ladder = _resumed(config, splits, out, began, say)
    else:
        ladder = _started(config, splits, out, ladder_rungs, began, say)
    # A fit that was begun before a rung was there has not measured it, and goes on without.
    ladder_rungs = measured_rungs(ladder_rungs, ladder.speeds)
    if ladder.folds and ladder.journal.content.winner is not None:  # nor does one choose anew that has chosen
        ladder_rungs = tuple(each for each in ladder_rungs if ladder.journal.entry(each.name) is not None)
    ladder, climbed = climb(ladder, ladder_rungs) if ladder.folds else (ladder, {})
    ladder, answers = completed(ladder, ladder_rungs, climbed)
    table = finish(ladder, ladder_rungs, answers, listed)
    shutil.rmtree(out / WORK)
    return table


def _readable(splits: Splits, config: FitConfig, say: Callable[[str], None]) -> Splits:
    """Return the splits with the training photographs that can be read."""
    counts = f"{len(splits.train)} training and {len(splits.test)} test photographs"
    say(f"{splits.name}: {len(splits.class_names)} classes, {counts}")
    if splits.validation:
        say(
            f"its {len(splits.validation)} validation photographs choose the epoch of each training, and nothing "
            "learns from them; as training photographs they would be learned from, and answered for to choose by"
        )
    checked = checked_splits(splits.parts(), config.data.on_error, say, config.data.largest_megapixels)
    check_classes(splits.train, checked[Split.TRAIN])
    return replace(splits, train=checked[Split.TRAIN])


def _started(
    config: FitConfig,
    splits: Splits,
    out: Path,
    ladder_rungs: tuple[Rung, ...],
    began: float,
    say: Callable[[str], None],
) -> Ladder:
    say("measuring this machine for some seconds")
    speeds = measured_speeds(ladder_rungs, config, len(splits.class_names), say)
    ladder_rungs = measured_rungs(ladder_rungs, speeds)
    content = JournalContent(
        settings=config,
        photographs=hash_of_photographs(splits.train, grouped=True),
        folds=0,
        share=1.0,
        refit_share=None,
        machine=measured_machine(config, ladder_rungs, splits.train),
        speeds=speeds,
        spent=0.0,
        rungs=(),
        winner=None,
        test=None,
    )
    journal = Journal(out / WORK, content, began)
    ladder, reached = planned(_ladder(config, splits, out, journal, say), ladder_rungs)
    journal.content, journal.expected = replace(content, folds=ladder.folds, share=ladder.share), reached.total
    journal.write()
    return ladder


def _resumed(config: FitConfig, splits: Splits, out: Path, began: float, say: Callable[[str], None]) -> Ladder:
    journal = Journal.open(out / WORK, began)
    journal.check(config, splits.train)
    say(f"going on with the fit in {out}, of which {journal.content.spent / 60:.1f} minutes are done")
    return with_folds(_ladder(config, splits, out, journal, say), journal.content.folds)


def _ladder(config: FitConfig, splits: Splits, out: Path, journal: Journal, say: Callable[[str], None]) -> Ladder:
    content = journal.content
    return Ladder(
        config=config,
        out=out,
        splits=splits,
        folds=0,
        fold_of=(None,) * len(splits.train),
        share=content.share,
        machine=content.machine,
        speeds=content.speeds,
        journal=journal,
        say=say,
    )


def default_folder(config: FitConfig) -> Path:
    """Return `runs/PHOTOGRAPHS-fit` or, with a number, the first after it that is new or holds this fit.

    A finished fit of other photographs than lie in the folder now is another one.
    """
    root = config.data.root
    name = f"{root.stem if root.is_file() else root.name}-fit"
    names = (safe_name(name if number == 1 else f"{name}-{number}") for number in count(1))
    return next(path for each in names if _is_usable(path := RUNS / each, config))


def _is_usable(path: Path, config: FitConfig) -> bool:
    if LadderTable.is_in(path):
        table = LadderTable.read(path)
        return _is_same(table.settings, config) and _listed(config) == table.listed
    if Journal.is_in(path / WORK):
        return _is_same(Journal.open(path / WORK).content.settings, config)
    return _is_free(path)


def _is_same(settings: FitConfig, config: FitConfig) -> bool:
    return settings.data.root == config.data.root and not differing_settings(settings, config)


def _listed(config: FitConfig) -> str:
    return hash_of_photographs(load_splits(config.data, lambda line: None).train, grouped=True)


def _is_free(path: Path) -> bool:
    return not path.exists() or (path.is_dir() and all(entry.name.startswith(".") for entry in path.iterdir()))


def check_folder(out: Path) -> None:
    """Refuse a folder that holds something else than a fit.

    Raises:
        UserError: It does.
    """
    if not Journal.is_in(out / WORK) and not _is_free(out):
        raise UserError(f"a new fit needs an empty folder; {out} holds other files; name another with --out")


def _finished(out: Path, config: FitConfig, say: Callable[[str], None]) -> Fitted:
    """Return what an earlier call finished.

    Raises:
        UserError: It was asked for something else.
    """
    table = LadderTable.read(out)
    if differing := differing_settings(table.settings, config):
        raise finished_otherwise(out, differing)
    splits = load_splits(config.data, lambda line: None)
    if hash_of_photographs(splits.train, grouped=True) != table.listed:
        raise UserError(
            f"a finished fit is never overwritten; {out} holds one of other training photographs than there are in "
            f"{config.data.root} now; name another folder with --out, or remove that one"
        )
    shutil.rmtree(out / WORK, ignore_errors=True)  # where it was stopped between the last two steps
    say(f"{out} is fitted already: {table.winner}")
    if table.test is None and splits.test:
        say(f"there are test photographs now; foveate evaluate {shlex.quote(shown_path(out))} answers for them")
    return Fitted(out, table)


def _preferred(prefer: Prefer | str) -> Prefer:
    try:
        return Prefer(prefer)
    except ValueError as error:
        raise UserError(f"prefer must be {' or '.join(Prefer)}; got {str(prefer)[:200]!r}") from error


def _say_end(out: Path, table: LadderTable, splits: Splits, say: Callable[[str], None]) -> None:
    say(table.markdown())
    files = (each.image for each in splits.test or splits.train if isinstance(each.image, Path))
    photograph = shlex.quote(shown_path(next(files, Path("PHOTOGRAPH"))))
    folder = shlex.quote(shown_path(out))
    steps = [
        (f"report {folder}", "everything about it, in one HTML file"),
        (f"serve {folder}", "a page to drop a photograph on"),
        (f"predict {folder} {photograph}", "or a folder of new photographs"),
        (f"explain {folder} {photograph}", "where it looked"),
        (f"evaluate {folder} --sheet a.png", "more of the test split"),
    ]
    say(
        "\n".join(
            [f"done in {table.minutes:.1f} minutes: {out}", *(f"  foveate {each}    # {why}" for each, why in steps)]
        )
    )
