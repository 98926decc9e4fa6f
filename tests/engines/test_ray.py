"""Ray Data gives the answers of this process, whatever dies meanwhile; one small cluster for all tests."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from foveate.config.data import OnError
from foveate.config.engine import EngineConfig, EngineName
from foveate.config.hardware import HardwareConfig
from foveate.engines import ray_cluster
from foveate.engines.ray_cluster import connected
from foveate.engines.ray_engine import Bulk, RayEngine, engine_of
from foveate.errors import UserError
from foveate.runs.context import RunContext
from foveate.runs.run import Run
from foveate.workflows.predict import predict_paths

RAY = EngineConfig(engine=EngineName.RAY)
CPU = HardwareConfig(accelerator="cpu", workers=0)
pytestmark = pytest.mark.filterwarnings("ignore")  # Ray's own threads and sockets, on whatever version


@pytest.fixture(scope="module")
def engine() -> Iterator[RayEngine]:
    """Of one processor, which is for decoding as for a network; where the environment names a cluster, beside it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ray_cluster, "processors", lambda: 1)
        patch.setenv("RAY_ADDRESS", "127.0.0.1:1")
        ray = connected(RAY)
    yield RayEngine(RAY)
    ray.shutdown()


@pytest.fixture
def photographs(plumage: Path, tmp_path: Path) -> Path:
    """More than a batch, one of which cannot be read."""
    folder = tmp_path / "photographs"
    folder.mkdir()
    for number, path in enumerate(sorted((plumage / "images").glob("*/*"))[:20]):
        (folder / f"{number:02}{path.suffix}").write_bytes(path.read_bytes() if number != 5 else b"no photograph")
    return folder


def test_answers_are_those_of_this_process(
    engine: RayEngine, quick_run: Run, photographs: Path, tmp_path: Path
) -> None:
    said: dict[str, list[str]] = {"local": [], "ray": []}
    for name, config in {"local": EngineConfig(), "ray": RAY}.items():
        context = RunContext(engine=config, on_error=OnError.SKIP, hardware=CPU, say=said[name].append)
        answered = predict_paths(quick_run.path, [str(photographs)], out=tmp_path / f"{name}.parquet", context=context)
        assert answered == (19, 1)
    assert (tmp_path / "local.parquet").read_bytes() == (tmp_path / "ray.parquet").read_bytes()
    assert [line.replace("ray.parquet", "local.parquet") for line in said["ray"]] == said["local"]
    assert [path.name for path in tmp_path.glob("*.parts*")] == []


def test_a_killed_process_loses_nothing_and_what_was_finished_is_not_done_again(
    engine: RayEngine, tmp_path: Path
) -> None:
    log = tmp_path / "log"

    def answerer() -> Callable[[Sequence[int]], tuple[list[int], int]]:
        def answer(batch: Sequence[int]) -> tuple[list[int], int]:
            time.sleep(0.005)
            with log.open("a") as lines:
                lines.write(f"{os.getpid()} {batch[0]}\n")
            return list(batch), os.getpid()

        return answer

    batches = [list(range(start, start + 64)) for start in range(0, 64 * 40, 64)]  # 8 tasks of 5 batches
    answers: list[list[int]] = []
    processes: set[int] = set()
    for answer, process in engine.answers(Bulk(batches, lambda number: number, answerer)):
        answers.append(answer)
        processes.add(process)
        if len(answers) == 9:
            finished = list(answers)
            os.kill(process, signal.SIGKILL)
    assert answers == batches
    assert len(processes) == 2
    done = [int(line.split()[1]) for line in log.read_text().splitlines()]
    assert [done.count(each[0]) for each in finished] == [1] * len(finished)
    assert len(done) <= len(batches) + 2 * 5  # the tasks that the dead process had begun


def test_the_same_for_each_and_an_error_that_can_be_mended(engine: RayEngine) -> None:
    assert list(engine.map(lambda number: number + 1, range(100))) == list(range(1, 101))

    def refuse(number: int) -> int:
        raise UserError(f"{number} must not be 3; leave it out")

    with pytest.raises(UserError, match=r"^3 must not be 3; leave it out$"):
        list(engine.map(refuse, [3]))


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("127.0.0.1:1", "a Ray cluster must answer at the address; 127.0.0.1:1 does not .*; start one there"),
        ("nowhere", "address must be host:port, such as 10.0.0.1:6379, or `auto`.*; got 'nowhere'"),
    ],
)
def test_an_address_that_does_not_answer(address: str, said: str) -> None:
    began = time.monotonic()
    with pytest.raises(UserError, match=said):
        engine_of(EngineConfig(engine=EngineName.RAY, address=address))
    assert time.monotonic() - began < 10
