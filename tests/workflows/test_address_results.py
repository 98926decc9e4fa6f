"""Results at addresses that end half-way, or that cannot be: taken up again, or refused by name."""

from __future__ import annotations

import shutil
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import fsspec
import pytest

from foveate.commands.addresses import run_with_addresses
from foveate.commands.compare import Compare
from foveate.commands.guided_zoom_commands import PoolBuild
from foveate.commands.models_here import with_models_here
from foveate.commands.train import Train
from foveate.config.hardware import HardwareConfig
from foveate.errors import UserError
from foveate.files.hashes import hash_of_file
from foveate.files.remote_path import RemotePath, located
from foveate.guided_zoom.pool import EvidencePool
from foveate.runs.guided_zoom_run import LOOKER, NETWORK, GuidedZoomRun
from foveate.runs.run import Run
from foveate.workflows.storage import upload
from foveate.workflows.storage.download import copied, fetched
from foveate.workflows.storage.upload import CLAIM, work_folder

RUN = "memory://runs/birds"
FEW = ("run.json", "metrics.json")


@dataclass(frozen=True)
class Writing:
    """A command that copies what is given."""

    out: Path
    source: Path
    hardware: HardwareConfig = field(default_factory=HardwareConfig)
    share: str = "0/1"

    def __repr__(self) -> str:
        return "Writing"

    def run(self) -> None:
        """Do it."""
        (shutil.copytree if self.source.is_dir() else shutil.copyfile)(self.source, self.out)


def at(address: str) -> RemotePath:
    path = located(address)
    assert isinstance(path, RemotePath)
    return path


def names(root: str = "/runs") -> set[str]:
    return {name.removeprefix(f"{root}/") for name in fsspec.filesystem("memory").find(root)}


@pytest.fixture
def few(quick_run: Run, tmp_path: Path) -> Path:
    """A folder of two files of a run."""
    (tmp_path / "few").mkdir()
    for name in FEW:
        shutil.copyfile(quick_run.path / name, tmp_path / "few" / name)
    return tmp_path / "few"


def test_a_guided_zoom_takes_its_network_along(far: Path, made: GuidedZoomRun) -> None:
    assert made.description.base.is_absolute()
    run_with_addresses(Writing(at("memory://zooms/one"), made.path))
    there = GuidedZoomRun.open(fetched(at("memory://zooms/one")))
    assert there.description.base == Path(NETWORK)
    assert there.base_run().path == there.path / NETWORK
    assert not (there.path / NETWORK / "checkpoints").exists()
    assert replace(there.description, base=made.description.base) == made.description


@pytest.mark.parametrize(
    ("out", "options", "message"),
    [
        (RUN, {"share": "0/2"}, r"a share of a pool is no result by itself; got --share 0/2 and --out memory:"),
        (RUN, {"hardware": HardwareConfig(nodes=2)}, r"on several machines writes to a folder that they all see"),
        ("gs://bucket/a", {}, r"two jobs exclude each other, s3:// or s3a:// or memory://; got gs://bucket/a; name"),
        ("sftp://host/a", {}, r"two jobs exclude each other"),
        ("file:///tmp/a", {}, r"two jobs exclude each other"),
    ],
)
def test_what_is_refused(far: Path, few: Path, out: str, options: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        run_with_addresses(Writing(at(out), few, **options))
    assert names() == set()


def test_processes_that_train_together_keep_their_folder(
    far: Path, few: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run_with_addresses(Writing(at(RUN), few, hardware=HardwareConfig(devices=2)))
    folder = work_folder(at(RUN)) / "birds"
    assert f"{RUN} is there, whole; {folder} stays until you remove it" in capsys.readouterr().out
    assert {*FEW} < {each.name for each in folder.iterdir()}


@pytest.mark.parametrize("where", ["_end", "_keep", "work", "claim"])
@pytest.mark.parametrize("one", [True, False])
def test_interrupted_at_the_end(far: Path, few: Path, monkeypatch: pytest.MonkeyPatch, where: str, one: bool) -> None:
    """After all is there: the same command finds that, removes the claim and what is here."""
    out, source = (at(f"{RUN}.json"), few / "run.json") if one else (at(RUN), few)
    keep, unlink = upload._Result._keep, Path.unlink

    def cut(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    def cut_at_work(path: Path, missing_ok: bool = False) -> None:
        if path.name == out.name:
            raise KeyboardInterrupt
        unlink(path, missing_ok)

    def cut_when_whole(result: upload._Result, state: upload._State) -> None:
        if state.whole:
            raise KeyboardInterrupt
        keep(result, state)

    with monkeypatch.context() as here:
        if where == "_keep":
            here.setattr(upload._Result, "_keep", cut_when_whole)
        elif where == "_end":
            here.setattr(upload._Result, "_end", cut)
        elif where == "claim":
            here.setattr(type(fsspec.filesystem("memory")), "rm_file", cut)
        else:
            here.setattr(Path, "unlink", cut_at_work)
            here.setattr(shutil, "rmtree", cut)
        with pytest.raises(KeyboardInterrupt):
            run_with_addresses(Writing(out, source))
    run_with_addresses(Writing(out, source))
    assert names() == ({"birds.json"} if one else {f"birds/{each}" for each in (*FEW, "foveate-files.json")})
    assert not [each for each in (far / "outgoing").rglob("*") if each.is_file()]
    with pytest.raises(UserError, match="nothing is overwritten at an address"):
        run_with_addresses(Writing(out, source))


def test_a_claim_that_was_interrupted_is_known_again(far: Path, few: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def cut(*_: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as here:
        here.setattr(upload._Result, "_check_ours", cut)
        with pytest.raises(KeyboardInterrupt):
            run_with_addresses(Writing(at(RUN), few))
    assert names() == {f"birds/{CLAIM}"}
    run_with_addresses(Writing(at(RUN), few))
    assert f"birds/{CLAIM}" not in names()


def test_a_storage_that_creates_over_another(far: Path, few: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever was overwritten reads the other's claim."""
    memory = fsspec.filesystem("memory")

    def put(system: Any, source: str, path: str, **_: Any) -> None:
        memory.pipe_file(path, b'{"claim": "other", "machine": "owl", "since": "2026-01-01"}')

    monkeypatch.setattr(type(memory), "put_file", put)
    with pytest.raises(UserError, match=r"another writes to memory://runs/birds, on owl"):
        run_with_addresses(Writing(at(RUN), few))
    assert names() == {f"birds/{CLAIM}"}


def test_the_state_is_not_written_for_each_file(far: Path, few: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written, keep = list[upload._State](), upload._Result._keep

    def counting(result: upload._Result, state: upload._State) -> None:
        written.append(state)
        keep(result, state)

    for number in range(40):
        (few / f"{number}.txt").write_text("a")
    monkeypatch.setattr(upload._Result, "_keep", counting)
    run_with_addresses(Writing(at(RUN), few))
    assert len(written) <= 4
    assert len(written[-1].uploaded) == 42


def test_processes_that_copy_at_once(far: Path, few: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run_with_addresses(Writing(at(RUN), few))
    copytree = shutil.copytree

    def beside(source: Path, target: Path, **options: Any) -> None:
        copytree(source, target, **options)
        copytree(source, target.parent / f"{source.name}-{source.parent.name}")

    monkeypatch.setattr(shutil, "copytree", beside)
    assert (copied(at(RUN), tmp_path / "runs", lambda line: None) / "run.json").is_file()
    assert len(list((tmp_path / "runs").iterdir())) == 1


def test_models_of_every_option_are_fetched(
    far: Path, made: GuidedZoomRun, few: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    run_with_addresses(Writing(at(RUN), few))
    looking = with_models_here(PoolBuild(run_folder=Path("runs/a"), out=Path("pool"), looker=Path(RUN)))
    assert looking.looker is not None
    assert (looking.looker / "run.json").is_file()
    compared = with_models_here(Compare(models=(Path(f"runs/a+{RUN}"), Path(f"{RUN}+{RUN}")))).models
    assert [str(each) for each in compared] == [f"runs/a+{looking.looker}", f"{looking.looker}+{looking.looker}"]
    s3n = Train.of("s3n", "foveate")
    s3n = replace(s3n, config=replace(s3n.config, network=s3n.config.network.with_looker(RUN)))
    assert with_models_here(s3n).config.network.looks_by == str(looking.looker)
    run_with_addresses(Writing(at("memory://pools/one"), made.pool))
    pool = with_models_here(replace(Train.of("evidence", "foveate"), folder=at("memory://pools/one"))).folder
    assert pool is not None
    assert EvidencePool.open(pool).description == made.open_pool().description
    fsspec.filesystem("memory").pipe_file("/pools/half/pool.json", b"{}")
    with pytest.raises(UserError, match=r"memory://pools/half has none: its upload was interrupted"):
        with_models_here(replace(Train.of("evidence", "foveate"), folder=at("memory://pools/half")))


def test_another_looker_before_anything_was_computed(quick_run: Run, made: GuidedZoomRun, tmp_path: Path) -> None:
    for name in ("first", "second"):
        shutil.copytree(quick_run.path, tmp_path / name)
    with (tmp_path / "second" / "model.safetensors").open("ab") as stream:
        stream.write(b"another")
    for name in ("first", "second", "second"):
        looker = Run.open(tmp_path / name)
        description = replace(made.description, looker_hash=hash_of_file(looker.weights))
        (tmp_path / "zoom").mkdir(exist_ok=True)
        GuidedZoomRun(tmp_path / "zoom", description).keep_looker(looker)
        assert hash_of_file(tmp_path / "zoom" / LOOKER / "model.safetensors") == description.looker_hash
    assert [each.name for each in (tmp_path / "zoom").iterdir()] == [LOOKER]
