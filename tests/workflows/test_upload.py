"""Results that go to an address, in fsspec's memory: nothing half is taken for whole, nothing lost or overwritten."""

from __future__ import annotations

import json
import multiprocessing
import re
import shutil
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import fsspec
import pytest
from filelock import FileLock

import foveate
from command_line import status
from foveate.commands.addresses import run_with_addresses
from foveate.errors import UserError
from foveate.files.remote_path import RemotePath, located
from foveate.runs.context import RunContext
from foveate.runs.environment import environment
from foveate.runs.run import Run
from foveate.workflows.storage import upload
from foveate.workflows.storage.download import copied, fetched
from foveate.workflows.storage.file_list import FILE, FileList
from foveate.workflows.storage.upload import CLAIM, work_folder
from zooms import SLOW

QUIET = RunContext(hardware=SLOW, say=lambda line: None)
RUN = "memory://runs/birds"


@dataclass(frozen=True)
class Copying:
    """A command that writes the files of a folder, and counts how often it did."""

    out: Path
    source: Path
    done: list[Path]
    seed: int = 0

    def __repr__(self) -> str:
        return f"Copying({self.seed})"

    def run(self) -> None:
        """Do it."""
        self.done.append(self.out)
        shutil.copytree(self.source, self.out)


def at(address: str) -> RemotePath:
    path = located(address)
    assert isinstance(path, RemotePath)
    return path


def names(root: str = "/runs") -> set[str]:
    return {name.removeprefix(f"{root}/") for name in fsspec.filesystem("memory").find(root)}


def copying(run: Run, **options: Any) -> Copying:
    return Copying(out=at(RUN), source=run.path, done=[], **options)


def test_a_run_goes_there_and_comes_back(
    far: Path, quick_run: Run, tmp_path: Path, birds: list[Path], capsys: pytest.CaptureFixture[str]
) -> None:
    command = copying(quick_run)
    run_with_addresses(command)
    assert command.done == [work_folder(at(RUN)) / "birds"]
    out = capsys.readouterr().out
    assert f"the work is in {command.done[0]}, and goes to {RUN} when it is done" in out
    assert f"{RUN} is there, whole" in out
    here = {each.relative_to(quick_run.path).as_posix() for each in quick_run.path.rglob("*") if each.is_file()}
    wanted = {each for each in here if not each.startswith(("checkpoints/", "."))}
    assert names() == {f"birds/{each}" for each in {*wanted, FILE}}
    assert not list((far / "outgoing").rglob("*"))
    folder = fetched(at(RUN))
    for name in wanted:
        assert (folder / name).read_bytes() == (quick_run.path / name).read_bytes()
    ours, theirs = foveate.load(quick_run.path, hardware=SLOW), foveate.load(RUN, hardware=SLOW)
    assert ours.predict(birds[0]) == theirs.predict(birds[0])
    own = copied(at(RUN), tmp_path / "runs", say=lambda line: None)
    assert own.name.startswith("birds-")
    (own / "evaluation").mkdir(exist_ok=True)
    assert copied(at(RUN), tmp_path / "runs") == own


def test_what_is_there_is_never_overwritten(far: Path, quick_run: Run) -> None:
    run_with_addresses(copying(quick_run))
    before = {name: fsspec.filesystem("memory").cat_file(f"/runs/{name}") for name in names()}
    command = copying(quick_run)
    with pytest.raises(UserError, match=r"nothing is overwritten at an address; memory://runs/birds holds a finished"):
        run_with_addresses(command)
    fsspec.filesystem("memory").pipe_file("/others/notes.txt", b"mine")
    with pytest.raises(UserError, match=r"memory://others holds other files \(notes\.txt\); name another with --out"):
        run_with_addresses(Copying(out=at("memory://others"), source=quick_run.path, done=command.done))
    assert not command.done
    assert names("/others") == {"notes.txt"}
    assert before == {name: fsspec.filesystem("memory").cat_file(f"/runs/{name}") for name in names()}


def test_two_jobs_that_write_to_one_place(
    far: Path, quick_run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of one machine, and of two."""
    second = copying(quick_run)

    @dataclass(frozen=True)
    class First:
        out: Path

        def run(self) -> None:
            with pytest.raises(UserError, match=r"one process at a time works in a folder; another \(pid \d+\)"):
                _in_another_process(second)
            with monkeypatch.context() as other:
                other.setenv("FOVEATE_CACHE", str(tmp_path / "other machine"))
                with pytest.raises(
                    UserError, match=r"another writes to memory://runs/birds, on .*, since 20.*give its"
                ):
                    run_with_addresses(second)
            shutil.copytree(quick_run.path, self.out)

    run_with_addresses(First(at(RUN)))
    assert not second.done
    assert f"birds/{FILE}" in names()
    assert f"birds/{CLAIM}" not in names()


def _in_another_process(command: Copying) -> None:
    """Run a command as a process that does not hold the first one's lock."""
    context = multiprocessing.get_context("fork")
    here, there = context.Pipe()
    process = context.Process(target=_run, args=(command, there))
    process.start()
    try:
        assert here.poll(60), "it answers"
        if (refusal := here.recv()) is not None:
            raise UserError(refusal)
    finally:
        process.kill()  # whatever it inherited from this one does not end it
        process.join()


def _run(command: Copying, there: Connection) -> None:
    FileLock._instances.clear()
    try:
        run_with_addresses(command)
    except UserError as error:
        there.send(str(error))
    else:
        there.send(None)


@pytest.mark.parametrize("error", [KeyboardInterrupt, OSError("the cable was pulled")])
def test_an_interrupted_upload(
    far: Path, quick_run: Run, monkeypatch: pytest.MonkeyPatch, error: Exception, capsys: pytest.CaptureFixture[str]
) -> None:
    """It is not taken for whole, the same command goes on with it and repeats nothing, another leaves it alone."""
    put, sent = upload._replace, list[str]()

    def cut(file: Path, target: RemotePath) -> None:
        if len(sent) == 2:
            raise error
        sent.append(target.name)
        put(file, target)

    command = copying(quick_run)
    monkeypatch.setattr(upload, "_replace", cut)
    with pytest.raises(type(error) if isinstance(error, Exception) else error):
        run_with_addresses(command)
    with pytest.raises(UserError, match=r"is whole when its foveate-files.json is there|must lie at the address"):
        fetched(at(RUN))
    with pytest.raises(UserError, match=r"finished by the same command; .*birds holds the work of another for memory:"):
        run_with_addresses(copying(quick_run, seed=1))

    def going_on(file: Path, target: RemotePath) -> None:
        sent.append(target.name)
        put(file, target)

    monkeypatch.setattr(upload, "_replace", going_on)
    capsys.readouterr()
    run_with_addresses(command)
    assert f"the work for {RUN} is done: its upload goes on" in capsys.readouterr().out
    assert len(command.done) == 1
    assert len(sent) == len(names()) - 1  # each once; the list goes by another way
    assert not FileList.of(quick_run.path).damaged(fetched(at(RUN)))
    assert f"birds/{CLAIM}" not in names()


def test_work_that_was_stopped_goes_on(far: Path, quick_run: Run, tmp_path: Path) -> None:
    """It finds what it left, and the address stays claimed; where nothing was left the address is given back."""

    @dataclass(frozen=True)
    class Stopping:
        out: Path
        write: bool = True

        def run(self) -> None:
            if self.write and self.out.exists():
                assert (self.out / "half").read_text() == "first"
                (self.out / "half").rename(self.out / "whole")
                return
            if self.write:
                self.out.mkdir()
                (self.out / "half").write_text("first")
            raise UserError("stopped")

    for _ in range(2):
        with pytest.raises(UserError, match="stopped"):
            run_with_addresses(Stopping(at(RUN), write=False))
        assert names() == set()
    with pytest.raises(UserError, match="stopped"):
        run_with_addresses(Stopping(at(RUN)))
    assert names() == {f"birds/{CLAIM}"}
    run_with_addresses(Stopping(at(RUN)))
    assert names() == {"birds/whole", f"birds/{FILE}"}


def test_bytes_that_were_lost_on_the_way(far: Path, quick_run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    put = upload._replace

    def losing(file: Path, target: RemotePath) -> None:
        put(file, target)
        if target.name == "run.json":
            fsspec.filesystem("memory").pipe_file("/runs/birds/run.json", file.read_bytes()[:-5])

    monkeypatch.setattr(upload, "_replace", losing)
    command = copying(quick_run)
    with pytest.raises(UserError, match=r"must arrive whole; run\.json in memory://runs/birds has \d+ bytes of \d+"):
        run_with_addresses(command)
    with pytest.raises(UserError, match=r"is whole when its foveate-files\.json is there"):
        fetched(at(RUN))
    monkeypatch.setattr(upload, "_replace", put)
    run_with_addresses(command)
    assert fetched(at(RUN)).is_dir()


def test_a_model_that_was_damaged(far: Path, quick_run: Run) -> None:
    """Here it is fetched anew; there it is refused."""
    run_with_addresses(copying(quick_run))
    folder = fetched(at(RUN))
    (folder / "model.safetensors").write_bytes(b"damaged")
    assert fetched(at(RUN)) == folder
    assert Run.open(folder).load_network() is not None
    fsspec.filesystem("memory").pipe_file("/runs/birds/metrics.json", b"{}")
    assert fetched(at(RUN)) == folder  # it is here
    (folder / "metrics.json").unlink()
    with pytest.raises(UserError, match=r"metrics\.json of memory://runs/birds has another, also when it is fetched"):
        fetched(at(RUN))


@pytest.mark.parametrize("name", ["../run.json", "/etc/passwd", "a/../../b", ".hidden", "a\\b", "C:/a", "a//b"])
def test_a_list_of_files_elsewhere(far: Path, quick_run: Run, name: str) -> None:
    run_with_addresses(copying(quick_run))
    content = json.loads(fsspec.filesystem("memory").cat_file(f"/runs/birds/{FILE}"))
    content["files"][name] = "0" * 64
    fsspec.filesystem("memory").pipe_file(f"/runs/birds/{FILE}", json.dumps(content).encode())
    with pytest.raises(UserError, match="files of a model lie in its folder"):
        fetched(at(RUN))


def test_answers_go_there_as_one_file(
    far: Path, quick_run: Run, birds: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    broken = tmp_path / "broken.jpg"
    broken.write_bytes(b"none")
    words = ("predict", quick_run.path, birds[0], birds[1])
    assert status(*words, "--out", tmp_path / "here.csv") == 0
    assert status(*words, broken, "--out", "memory://answers/there.csv") == 2  # the others' answers are there
    assert fsspec.filesystem("memory").cat_file("/answers/there.csv") == (tmp_path / "here.csv").read_bytes()
    assert status(*words, "--out", "memory://answers/there.csv") == 2
    assert "memory://answers/there.csv holds a file; name another with --out" in capsys.readouterr().err
    assert status(*words, "--out", "memory://answers/there.txt") == 2
    assert names("/answers") == {"there.csv"}


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("evaluate", "RUN", "--results", "memory://rows.jsonl"), "results must be a file or a folder on this machine"),
        (("evaluate", "RUN", "--sheet", "memory://sheet.png"), "sheet must be a file or a folder on this machine"),
        (
            ("predict", "RUN", "BIRD", "--out", "http://ada:pw@localhost/a.csv"),
            "two jobs exclude each other, s3://.*//localhost/a",
        ),
        (("predict", "memory://runs/none", "BIRD"), "a model must lie at the address.*none does at memory://runs/none"),
    ],
)
def test_what_cannot_be(
    far: Path,
    quick_run: Run,
    birds: list[Path],
    capsys: pytest.CaptureFixture[str],
    words: tuple[str, ...],
    message: str,
) -> None:
    given = [{"RUN": quick_run.path, "BIRD": birds[0]}.get(each, each) for each in words]
    assert status(*given) == 2
    err = capsys.readouterr().err
    assert re.search(message, err), err
    assert "pw@" not in err


def test_a_command_line_is_kept_without_credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.argv", ["foveate", "train", "plain", "https://ada:pw@host/a.csv?sig=1", "--out", "b"])
    assert environment()["command"] == "foveate train plain https://host/a.csv --out b"
