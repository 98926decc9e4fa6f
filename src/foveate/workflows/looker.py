"""From the folder of a run to the network that looks for another one."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from foveate.errors import UserError
from foveate.files.hashes import hash_of_file
from foveate.networks.looker import Looker
from foveate.runs.looker_description import LookerDescription
from foveate.runs.run import Run
from foveate.training.checkpoints import resumed_from
from foveate.workflows.class_names import differing_class


def described_looker(folder: str | None, class_names: Sequence[str], out: Path) -> LookerDescription | None:
    """Describe the network that a training in a folder looks by; None: it looks for itself.

    A training that has a checkpoint, or is finished, keeps the looker that it has, also where that one's folder is
    gone: its weights were copied.

    Args:
        folder: Of the looker's run.
        class_names: Of the training.
        out: The run folder of the training.

    Raises:
        UserError: It is no finished run, or has other classes.
    """
    if folder is None:
        return None
    path = Path(folder)
    if not path.exists() and (kept := _kept(out)) is not None:
        return kept
    run = Run.open(path)
    check_looker(run, class_names)
    return LookerDescription(
        network=run.config.network, transforms=run.config.transforms, weights_hash=hash_of_file(run.weights)
    )


def looker_of(folder: str, description: LookerDescription, class_names: Sequence[str], out: Path) -> Looker:
    """Return the network that looks; of a training that resumes, its weights are about to be loaded.

    Arguments as in `described_looker`, and what that returned.

    Raises:
        UserError: Its weights are missing or damaged.
    """
    if resumed_from(out) is not None:
        return description.create(len(class_names))
    return _loaded(Run.open(Path(folder)))


def opened_looker(looker: Run | Path | str | None, recogniser: Run) -> Run | None:
    """Open the run of a network that is to be grounded in another one's place; None: there is none.

    Raises:
        UserError: It is no finished run, or has other classes.
    """
    if looker is None:
        return None
    run = Run.of(looker)
    check_looker(run, recogniser.class_names)
    return run


def loaded_looker(run: Run | None) -> Looker | None:
    """Return a run's network, ready to look for another one; None: there is none.

    Raises:
        UserError: As `Run.load_network`.
    """
    return None if run is None else _loaded(run)


def _loaded(run: Run) -> Looker:
    return Looker(run.load_network().backbone, run.config.transforms.input_size)


def check_looker(looker: Run, class_names: Sequence[str]) -> None:
    """Refuse a looker that is not finished, or whose classes are not those that are recognised, in the same order.

    Raises:
        UserError: It is; of other classes the first that differs is named.
    """
    looker.metrics()  # for its error
    differing = differing_class(looker.class_names, class_names)
    if differing is None:
        return
    raise UserError(
        f"a looker must know the classes that are recognised, in their order; {looker.path} has "
        f"{len(looker.class_names)} and the recogniser {len(class_names)}, and class {differing.place} is "
        f"{differing.one} there and {differing.other} here; train the looker on the same data set"
    )


def _kept(out: Path) -> LookerDescription | None:
    """Return the looker of a training that was begun, where its weights are kept."""
    if not (out / "run.json").exists():
        return None
    run = Run.open(out)
    return run.description.looker if run.finished or resumed_from(out) is not None else None
