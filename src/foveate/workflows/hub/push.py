"""Share a run or a Guided Zoom on the hub, with its model card."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from warnings import catch_warnings, filterwarnings

from foveate.config.data import Split
from foveate.errors import UserError
from foveate.files.documents import write_text
from foveate.runs.guided_zoom_run import GuidedZoomRun
from foveate.runs.run import Run
from foveate.workflows.hub.access import api, hub, refused, told
from foveate.workflows.hub.address import check_name
from foveate.workflows.hub.licence import Licence
from foveate.workflows.hub.manifest import CARD, FILE, is_of_a_model
from foveate.workflows.hub.model_card import model_card
from foveate.workflows.hub.shared_files import write_shared_files

_OF_THE_HUB = {".gitattributes"}
"""What the hub itself puts into a new repository."""


@dataclass(frozen=True, slots=True)
class _There:
    """A repository that is on the hub."""

    files: frozenset[str]
    commit: str
    private: bool


def push(
    model: Run | GuidedZoomRun | Path | str,
    name: str,
    *,
    licence: str | None,
    licence_name: str | None = None,
    licence_link: str | None = None,
    public: bool = False,
    update: bool = False,
    dry_run: Path | None = None,
    say: Callable[[str], None] = print,
) -> str:
    """Share a run or a Guided Zoom on the Hugging Face Hub, so that others `load` it by its address.

    Weights, settings, calibration, held-out answers and a model card go, in one commit. Who you are, huggingface_hub
    knows.

    Args:
        model: Finished, or its folder.
        name: On the hub, user/name.
        licence: What others may do with it, in the hub's word: apache-2.0, cc-by-nc-4.0 and so on, or other.
        licence_name: Of the licence other.
        licence_link: Where the licence other stands.
        public: Whether everybody sees it; else you do, until you open it on its page.
        update: Whether a model that `push` put there before is replaced; what it was stays in the history.
        dry_run: A new or empty folder: what would go is written there, and nothing leaves this machine.
        say: Receives lines of progress.

    Returns:
        Its address, hf://user/name; of a dry run, the folder.

    Raises:
        UserError: There is no licence, the folder is not finished or damaged, the name is taken, the hub does not
            answer, or huggingface_hub is not installed.
    """
    check_name(name)
    terms = Licence.given(licence, licence_name, licence_link)
    hub()  # what is not installed is said before the work
    opened = _opened(model)
    if dry_run is not None:
        _check_empty(dry_run)
        _write(opened, name, terms, dry_run, say)
        say(f"what would go is in {dry_run}; read its {CARD}, then give the same command without --dry-run")
        return str(dry_run)
    there = _there(name)
    _check_free(name, there, public=public, update=update)
    with TemporaryDirectory(prefix="foveate-push-") as temporary:
        _write(opened, name, terms, Path(temporary), say)
        _commit(name, Path(temporary), there, public=public, say=say)
    return f"hf://{name}"


def _opened(model: Run | GuidedZoomRun | Path | str) -> Run | GuidedZoomRun:
    if isinstance(model, Run | GuidedZoomRun):
        return model
    path = Path(model).expanduser()
    return GuidedZoomRun.open(path) if GuidedZoomRun.is_at(path) else Run.open(path)


def _write(model: Run | GuidedZoomRun, name: str, licence: Licence, folder: Path, say: Callable[[str], None]) -> None:
    if not any((model.path / "evaluation").glob(f"{Split.TEST}*.json")):
        say(f"its card has no accuracy: no evaluation is kept; give `foveate evaluate {model.path}` before")
    write_shared_files(model, folder)
    write_text(folder / CARD, model_card(model, name, licence))


def _check_empty(folder: Path) -> None:
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UserError(f"--dry-run needs a new or empty folder; {folder} holds other files; name another")


def _there(name: str) -> _There | None:
    """Return what is on the hub by that name; None where there is nothing that we may see."""
    errors = hub().errors
    with told(f"hf://{name}"):
        try:
            info = api().model_info(name)
        except errors.GatedRepoError:
            raise
        except errors.RepositoryNotFoundError:
            return None
    return _There(frozenset(each.rfilename for each in info.siblings or ()) - _OF_THE_HUB, info.sha, bool(info.private))


def _check_free(name: str, there: _There | None, *, public: bool, update: bool) -> None:
    """Refuse to write over what is there unasked, or over what is none of ours, or where others see it unasked."""
    if there is None:
        return
    if not there.files:
        if there.private is public:
            is_, asked = ("private", "public") if public else ("public", "private")
            raise UserError(
                f"a model is as visible as was asked: {asked}; hf://{name} is there already, empty and {is_}; change "
                "that on its page, or choose another name"
            )
        return
    if FILE not in there.files:
        raise UserError(
            f"only a model that `foveate push` put on the hub is replaced; hf://{name} holds other files, such as "
            f"{min(there.files)}; choose another name"
        )
    if not update:
        raise UserError(
            f"a model on the hub is not replaced unasked; hf://{name} is there; choose another name, or add --update: "
            "what it was stays in its history"
        )
    if public:
        raise UserError(
            f"--public is of a new model; hf://{name} is there, and stays as visible as it is; leave it out, and open "
            "it on its page"
        )


def _commit(name: str, folder: Path, there: _There | None, *, public: bool, say: Callable[[str], None]) -> None:
    """Put a folder on the hub in one commit; of what was there before, the owner's own files stay."""
    client, speaker = hub(), api()
    names = sorted(each.relative_to(folder).as_posix() for each in folder.rglob("*") if each.is_file())
    size = sum((folder / each).stat().st_size for each in names)
    say(f"{len(names)} files, {size / 1e6:.1f} MB, go to hf://{name}, {_seen(there, public=public)}")
    changes: list[Any] = [
        client.CommitOperationAdd(path_in_repo=each, path_or_fileobj=str(folder / each)) for each in names
    ]
    gone = () if there is None else sorted(each for each in there.files - set(names) if is_of_a_model(each))
    changes += [client.CommitOperationDelete(path_in_repo=each) for each in gone]
    with told(f"hf://{name}"), catch_warnings():
        filterwarnings("ignore", message=".*you are about to commit a data file", category=UserWarning)
        filterwarnings("ignore", category=DeprecationWarning)  # the client's own affair
        if there is None:
            speaker.create_repo(name, private=not public)
        before = None if there is None else there.commit
        try:
            with _told_of_an_empty_one(name, say, new=there is None):
                done = speaker.create_commit(name, changes, commit_message="A model of Foveate", parent_commit=before)
        except ValueError as error:  # what the hub says of the card's metadata
            raise _card_refused(name, error) from error
        except RuntimeError as error:
            if not str(error).startswith("Error while uploading"):
                raise
            raise refused(f"hf://{name}", error.__cause__ or error) from error
    say(f"{done.commit_url}\nload it by foveate.load('hf://{name}'); fill in its card on its page")


@contextmanager
def _told_of_an_empty_one(name: str, say: Callable[[str], None], *, new: bool) -> Iterator[None]:
    """Where nothing went into a new repository, say that it is there."""
    try:
        yield
    except BaseException:
        if new:
            say(f"hf://{name} is there now, and empty; the same command goes on, or delete it on its page")
        raise


def _seen(there: _There | None, *, public: bool) -> str:
    if there is not None:
        return "as visible as it is there"
    return "which everybody sees" if public else "which you alone see (--public opens it)"


def _card_refused(name: str, error: ValueError) -> Exception:
    """Return the error of a card that the hub does not take; another one is as it was."""
    if isinstance(error, OSError):  # an HTTP error, which has words of its own
        return error
    reason = " ".join(str(error).split())[:300]
    return UserError(f"the hub must take the model card of hf://{name}; it does not ({reason}); mend what it names")
