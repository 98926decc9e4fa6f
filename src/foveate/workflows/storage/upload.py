"""Results for an address: made in a folder here with all the care that there is, then uploaded, the list of files last.

Whoever writes claims the address first. What lies there is never replaced. The same command goes on where it was
stopped, in the work or in the upload.
"""

from __future__ import annotations

import hashlib
import platform
import secrets
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from foveate.errors import UserError
from foveate.files.byte_cache import cache_folder
from foveate.files.documents import read_json, structured, unstructured, write_json
from foveate.files.free_folders import is_free
from foveate.files.locks import working_in
from foveate.files.remote_path import RemotePath, look_again
from foveate.files.storage import StorageError, answered
from foveate.progress import progress
from foveate.workflows.storage.file_list import FILE, FileList
from foveate.workflows.storage.whole_zoom import keep_network

CLAIM = ".foveate-claim.json"
"""Beside what is to come at an address: who writes there."""
_STATE, _STATE_VERSION = ".state.json", 1
_EXCLUSIVE = ("s3://", "s3a://", "memory://")
"""Where a file is created only if there is none, as it was tested."""
_SAVED_EVERY = 5.0
"""Seconds of an upload that are repeated at most."""
_FILES = (".csv", ".html", ".json", ".parquet", ".pdf", ".png", ".svg")
"""Endings of results that are one file; all others are folders."""


@dataclass(frozen=True, kw_only=True)
class _State:
    """How far a result is."""

    command: str
    """A hash of what was asked for."""
    claim: str
    """What the claim at the address says of us."""
    done: bool = False
    """Whether the work is done, and the upload left."""
    whole: bool = False
    """Whether everything is there, and only what was for the upload is left to be removed."""
    uploaded: dict[str, str]
    """SHA-256 of each file that is there."""


@contextmanager
def going_to(
    out: RemotePath, command: str, say: Callable[[str], None] = print, *, stays: bool = False
) -> Iterator[Path | None]:
    """Yield where to write what goes to an address, and upload it when the block has succeeded.

    Args:
        out: The address of a file or a folder that is not there yet.
        command: What is asked for, in words: only the same goes on with what was stopped.
        say: Receives where the work is, and what became of it.
        stays: Whether what is here stays afterwards: other processes may not have ended that work in it.

    Yields:
        The path here; None: the work is done already, and only its upload is left.

    Raises:
        UserError: Something lies at the address, another job writes there, this machine has unfinished results of
            another command for it, or the storage forbids it or does not answer.
    """
    result = _Result(out, work_folder(out), stays)
    with working_in(result.folder, result.saved):
        try:
            result.begin(hashlib.sha256(command.encode(errors="surrogatepass")).hexdigest())
            if result.state.done:
                say(f"the work for {out} is done: its upload goes on")
                yield None
            else:
                say(f"the work is in {result.work}, and goes to {out} when it is done")
                yield result.work
        except BaseException:
            result.stopped(say)
            raise
        result.upload(say)


def work_folder(out: RemotePath) -> Path:
    """Return the folder here in which the results for an address are made."""
    return cache_folder() / "outgoing" / hashlib.sha256(str(out).encode()).hexdigest()[:16]


class _Result:
    """What is made here for an address."""

    def __init__(self, out: RemotePath, folder: Path, stays: bool) -> None:
        self.out, self.folder, self.work, self.stays = out, folder, folder / out.name, stays
        self.is_file = out.suffix.lower() in _FILES
        self.claim = out.with_name(f".{out.name}{CLAIM}") if self.is_file else out / CLAIM
        self.claimed, self.claiming = False, False
        self.state = _State(command="", claim="", uploaded={})

    def saved(self) -> bool:
        """Whether the same command would go on with something."""
        return not is_free(self.work)

    def begin(self, command: str) -> None:
        """Take up what was stopped, or claim the address."""
        file = self.folder / _STATE
        if file.exists():
            self.state = structured(read_json(file, _STATE_VERSION), _State, file, "a result for an address")
            if self.state.command != command and self.saved():
                raise UserError(
                    f"what was begun for an address is finished by the same command; {self.work} holds the work of "
                    f"another for {self.out}; give that one again, or remove {self.folder}, or name another address"
                )
        _check_writable(self.out)
        self._keep(replace(self.state, command=command, claim=self.state.claim or secrets.token_hex(16)))
        look_again()
        if self.state.whole:
            with suppress(FileNotFoundError, UserError):
                self._check_ours()
                self.claimed = True
            return
        if self.out.is_file() and not (self.state.done and self.work.is_file() and _is_there(self.work, self.out)):
            raise self._taken("a file")
        self._claim()
        if not self.is_file:
            self._check_new()

    def stopped(self, say: Callable[[str], None]) -> None:
        """Give the address back where nothing was made; upload a file that was made all the same."""
        if self.claimed and self.work.is_file():
            self.upload(say)
        elif not self.saved():
            self._end()

    def upload(self, say: Callable[[str], None]) -> None:
        """Put everything there, and remove it here."""
        if self.state.whole:
            self._end()
            say(f"{self.out} is there, whole")
            return
        if not self.work.exists():  # a command that found nothing to write
            self._end()
            return
        keep_network(self.work)
        self._keep(replace(self.state, done=True))
        if self.work.is_file():
            self._put(self.work, self.out)
        else:
            self._upload_folder(say)
        self._keep(replace(self.state, whole=True))
        self._end()
        say(f"{self.out} is there, whole" + (f"; {self.work} stays until you remove it" if self.stays else ""))

    def _upload_folder(self, say: Callable[[str], None]) -> None:
        files = FileList.of(self.work)
        files.write(self.work / FILE)
        uploaded, saved = dict(self.state.uploaded), time.monotonic()
        try:
            with progress("uploading", len(files.files), say) as advance:
                for number, (name, value) in enumerate(files.files.items(), 1):
                    if uploaded.get(name) != value:
                        _replace(self.work / name, self.out / name)
                        uploaded[name] = value
                    if time.monotonic() - saved > _SAVED_EVERY:
                        self._keep(replace(self.state, uploaded=dict(uploaded)))
                        saved = time.monotonic()
                    advance(number)
        finally:
            self._keep(replace(self.state, uploaded=uploaded))
        self._check_sizes(files)
        self._put(self.work / FILE, self.out / FILE)

    def _check_sizes(self, files: FileList) -> None:
        """Refuse to call whole what lost a file, or some of its bytes, on the way."""
        sizes = _sizes_at(self.out)
        for name in files.files:
            size = (self.work / name).stat().st_size
            if sizes.get(name) != size:
                left = {each: value for each, value in self.state.uploaded.items() if each != name}
                self._keep(replace(self.state, uploaded=left))
                raise StorageError(
                    f"a file must arrive whole; {name} in {self.out} has {sizes.get(name, 0)} bytes of {size}; give "
                    "the same command again: it is uploaded anew"
                )

    def _claim(self) -> None:
        """Claim the address for this machine, or find that it did so before; so it is also known that one may write."""
        file = self.folder / ".claim.json"
        claim = {
            "claim": self.state.claim,
            "machine": platform.node(),
            "since": datetime.now(UTC).isoformat("T", "seconds"),
        }
        write_json(file, claim)
        self.claiming = True
        try:
            answered(self.claim.address, lambda system, path: system.put_file(str(file), path, mode="create"))
        except FileExistsError:
            pass
        except FileNotFoundError as error:
            raise UserError(
                f"the bucket or folder of an address must be there; that of {self.out} is not; make it, or check the "
                "spelling"
            ) from error
        finally:
            file.unlink()
        self._check_ours()  # also where a storage knows no exclusive creation: the later of two is refused
        self.claimed = True

    def _check_new(self) -> None:
        """Refuse an address at which there is more than was uploaded from here."""
        others = sorted(set(_sizes_at(self.out)) - {CLAIM} - set(self.state.uploaded))
        if others and not self.state.done:
            raise self._taken("a finished result" if FILE in others else f"other files ({others[0]})")

    def _check_ours(self) -> None:
        file = self.folder / ".other-claim.json"
        try:
            answered(self.claim.address, lambda system, path: system.get_file(path, str(file)))
            other = read_json(file)
        finally:
            file.unlink(missing_ok=True)
        if other.get("claim") != self.state.claim:
            self.claiming = False
            raise UserError(
                f"one job at a time writes to an address; another writes to {self.out}, on {other.get('machine')}, "
                f"since {other.get('since')}; wait until it ends, or name another address; if it is dead, give its "
                f"command again there, or remove {self.claim}"
            )

    def _taken(self, what: str) -> UserError:
        return UserError(
            f"nothing is overwritten at an address; {self.out} holds {what}; name another with --out, or remove that "
            "one"
        )

    def _put(self, file: Path, target: RemotePath) -> None:
        """Put a file where none is."""
        try:
            answered(target.address, lambda system, path: system.put_file(str(file), path, mode="create"))
        except FileExistsError as error:
            if not _is_there(file, target):
                raise self._taken("a file that came there meanwhile") from error

    def _keep(self, state: _State) -> None:
        self.state = state
        write_json(self.folder / _STATE, unstructured(state), _STATE_VERSION)

    def _end(self) -> None:
        """Give the address back, and remove what is here."""
        if self.claimed:
            with suppress(FileNotFoundError):
                answered(self.claim.address, lambda system, path: system.rm_file(path))
        if self.work.is_file():
            self.work.unlink()
        elif not self.stays:
            shutil.rmtree(self.work, ignore_errors=True)
        if self.claimed or not self.claiming:  # else it may be that the claim is there, and only the state tells whose
            (self.folder / _STATE).unlink(missing_ok=True)
        look_again()


def _check_writable(out: RemotePath) -> None:
    if not str(out).startswith(_EXCLUSIVE):
        raise UserError(
            f"results go to a storage in which two jobs exclude each other, {' or '.join(_EXCLUSIVE)}; got {out}; name "
            "such an address, or a folder here, and copy it afterwards"
        )


def _replace(file: Path, target: RemotePath) -> None:
    answered(target.address, lambda system, path: system.put_file(str(file), path))


def _is_there(file: Path, target: RemotePath) -> bool:
    """Whether a file arrived though the storage did not say so: a second try then finds it."""
    content = answered(target.address, lambda system, path: system.cat_file(path))
    return bool(content == file.read_bytes())


def _sizes_at(folder: RemotePath) -> dict[str, int]:
    """Return the sizes of the files below an address, by their paths there."""

    def ask(system: Any, path: str) -> dict[str, int]:
        system.invalidate_cache()
        found = system.find(path, detail=True)
        start = path.strip("/") + "/"
        return {name.strip("/").removeprefix(start): each["size"] for name, each in found.items()}

    return answered(folder.address, ask)
