"""Bulk work by Ray Data: it reads and decodes on all processors, and asks a network on each GPU.

Ray Data schedules, holds back what is decoded too early, and starts anew what died. Here is what is done to a batch,
and what of it goes from process to process.
"""

from __future__ import annotations

import os
import pickle
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from itertools import chain, islice
from pathlib import Path
from typing import Any, Generic, TypeVar

import torch

from foveate.config.engine import EngineConfig, EngineName
from foveate.engines.ray_cluster import connected
from foveate.engines.threads import Mapped, in_threads
from foveate.errors import UserError
from foveate.hardware import processors

_T = TypeVar("_T")
_D = TypeVar("_D")
_R = TypeVar("_R")
_Row = dict[str, bytes]

_CONTENT = "content"
_TOGETHER = 64  # things of a batch where no network asks for one
_LEAST, _MOST = 64, 1024  # things of a task: each costs some milliseconds
_TASKS = 8  # for each processor, where that makes them neither smaller nor larger
_LIVES = 3  # a task whose process dies is tried so often again
_RESTARTS = 1000  # of one network's process, by whatever it dies


@dataclass(frozen=True)
class Bulk(Generic[_T, _D, _R]):
    """What is to be done to many things; all of it is pickled, to be done in other processes and on other machines."""

    batches: Sequence[Sequence[_T]]
    """What is asked about together."""
    decode: Callable[[_T], _D]
    """What a network needs of each."""
    answerer: Callable[[], Callable[[Sequence[_D]], _R]]
    """Called once in each process that holds a network: returns what answers for a batch."""
    gpu: bool = True
    """Whether a network may have a GPU, where there are any."""


def engine_of(config: EngineConfig) -> RayEngine | None:
    """Return the engine that a configuration names, connected; None: this process does the work.

    Raises:
        UserError: As `connected`.
    """
    if config.engine is EngineName.LOCAL:
        return None
    connected(config)
    return RayEngine(config)


def mapped_by(config: EngineConfig) -> Mapped:
    """Return what does the same for each of many things.

    Raises:
        UserError: As `connected`.
    """
    engine = engine_of(config)
    return in_threads if engine is None else engine.map


@dataclass(frozen=True)
class RayEngine:
    """Ray Data; the cluster is that of this process, or the one that the configuration says."""

    config: EngineConfig

    def map(self, function: Callable[[_T], _R], things: Sequence[_T], *, together: int | None = None) -> Iterator[_R]:
        """Yield `function` of each thing, in their order; how many at once, Ray decides.

        Raises:
            UserError: The function raises one, or the process that calls it dies each time.
        """
        batches = [things[start : start + _TOGETHER] for start in range(0, len(things), _TOGETHER)]
        for results in self._streamed(batches, function):
            yield from results

    def answers(self, bulk: Bulk[_T, _D, _R]) -> Iterator[_R]:
        """Return what is answered for each batch, in their order; wait for the first.

        How long the rest takes is thus not told by how long processes take to start.

        Raises:
            UserError: The work raises one, or the process that does it dies each time.
        """
        answers = self._streamed(bulk.batches, bulk.decode, bulk)
        return chain(list(islice(answers, 1)), answers)

    def _streamed(
        self, batches: Sequence[Sequence[Any]], decode: Callable[[Any], Any], bulk: Bulk[Any, Any, Any] | None = None
    ) -> Iterator[Any]:
        if not batches:
            return
        ray = connected(self.config)
        rows = [{_CONTENT: pickle.dumps(batch)} for batch in batches]
        total = sum(map(len, batches))
        size = min(max(total // (_TASKS * int(ray.cluster_resources().get("CPU", 1))), _LEAST), _MOST)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that Ray 2.64 will limit retries in another way
            dataset = ray.data.from_items(rows, override_num_blocks=min(-(-total // size), len(rows)))
            dataset = dataset.map(_Decoding(decode, Path.cwd()), num_cpus=1, max_retries=_LIVES)
            if bulk is not None:
                dataset = self._asked(ray, dataset, bulk)
        try:
            for _, row in zip(batches, dataset.iter_rows(), strict=True):
                yield _opened(row)
        except ray.exceptions.RayTaskError:
            raise  # a defect of ours
        except ray.exceptions.RayError as error:
            raise UserError(
                f"the processes of a cluster must live; one died at the same task {_LIVES + 1} times "
                f"({str(error).splitlines()[0][:200]}); give it more memory, or look at its log"
            ) from error

    def _asked(self, ray: Any, dataset: Any, bulk: Bulk[Any, Any, Any]) -> Any:
        """Return what is answered: by a network on each GPU, or on each machine, by all of its processors."""
        gpus = int(ray.cluster_resources().get("GPU", 0)) if bulk.gpu else 0
        machines = sum(bool(node["Alive"] and node["Resources"].get("CPU")) for node in ray.nodes())
        threads = torch.get_num_threads() if self.config.address is None else None
        networks = self.config.networks or gpus or max(machines, 1)
        return dataset.map(
            _Answering,
            fn_constructor_args=(bulk.answerer, Path.cwd(), threads),
            compute=ray.data.ActorPoolStrategy(size=networks),
            scheduling_strategy="SPREAD",
            max_restarts=_RESTARTS,
            max_task_retries=_LIVES,
            # Of processors none, whatever it computes with: however many networks there are, one is left to decode.
            num_cpus=0,
            num_gpus=gpus and 1 / -(-networks // gpus),  # several share one where they are more
        )


@dataclass(frozen=True)
class _Decoding:
    """A task: from the things of a batch to what is decoded of each."""

    decode: Callable[[Any], Any]
    folder: Path

    def __call__(self, row: _Row) -> _Row:
        _work_in(self.folder)
        return _closed(lambda: list(map(self.decode, pickle.loads(row[_CONTENT]))))


class _Answering:
    """An actor: a network that answers for what is decoded of a batch."""

    def __init__(self, answerer: Callable[[], Callable[[Any], Any]], folder: Path, threads: int | None) -> None:
        self._folder, self._threads = folder, threads
        # Called with the first batch: a process that dies of it dies at a task, which is tried so many times alone.
        self._answer = cache(answerer)

    def __call__(self, row: _Row) -> _Row:
        _work_in(self._folder)
        torch.set_num_threads(self._threads or processors())
        return _closed(lambda: self._answer()(_opened(row)))


def _work_in(folder: Path) -> None:
    """Let relative paths mean what they mean where the work was asked for."""
    with suppress(OSError):
        os.chdir(folder)


def _closed(result: Callable[[], Any]) -> _Row:
    """Return a result as it goes from process to process; an error that the user can mend is one."""
    try:
        content: object = result()
    except UserError as error:
        content = _Refused(error)
    return {_CONTENT: pickle.dumps(content, protocol=5)}


def _opened(row: _Row) -> Any:
    content = pickle.loads(row[_CONTENT])
    if isinstance(content, _Refused):
        raise content.error
    return content


@dataclass(frozen=True)
class _Refused:
    error: UserError
