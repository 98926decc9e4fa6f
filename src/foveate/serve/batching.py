"""One thread that asks the networks: photographs that wait are answered in one pass."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Hashable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Generic, TypeVar

from foveate.errors import UserError

_Item = TypeVar("_Item")
_Answer = TypeVar("_Answer")
_Other = TypeVar("_Other")


@dataclass(eq=False)
class _Job:
    key: Hashable
    """Jobs of one key are done together; None: alone."""
    work: Any
    """What is answered for; of a job alone a call. None once the job is done or cancelled, for it may be large, and a
    cancelled job waits on for its turn to be passed over."""
    future: Future[Any] = field(default_factory=Future)

    def drop(self, future: Future[Any]) -> None:
        """Let go of what it is answered for."""
        self.work = None


class Batcher(Generic[_Item, _Answer]):
    """A thread that answers for what waits, together where it can be.

    Nothing is waited for: while a pass is on its way others come, and the next pass takes these.

    Args:
        answer: From a key and items to an answer for each.
        largest: Items of one pass.
        passed: Is told how many items a pass had.
    """

    def __init__(
        self,
        answer: Callable[[Hashable, Sequence[_Item]], Sequence[_Answer]],
        largest: int,
        passed: Callable[[int], None] = lambda count: None,
    ) -> None:
        self._answer, self._largest, self._passed = answer, largest, passed
        self._waiting: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._left: _Job | None = None
        self._closing = False
        self._thread = threading.Thread(target=self._work, name="networks", daemon=True)
        self._thread.start()

    @property
    def ready(self) -> bool:
        """Whether it answers."""
        return self._thread.is_alive() and not self._closing

    def submit(self, key: Hashable, item: _Item) -> Future[_Answer]:
        """Have an item answered together with others of its key; a cancelled one is passed over."""
        return self._put(_Job(key, item))

    def call(self, work: Callable[[], _Other]) -> Future[_Other]:
        """Have something else done by the thread, alone."""
        return self._put(_Job(None, work))

    def close(self) -> None:
        """Finish what waits, and end the thread."""
        self._closing = True
        self._waiting.put(None)
        self._thread.join()

    def _put(self, job: _Job) -> Future[Any]:
        job.future.add_done_callback(job.drop)
        self._waiting.put(job)
        return job.future

    def _work(self) -> None:
        while (job := self._next()) is not None:
            if job.key is not None:
                self._pass(job)
            elif job.future.set_running_or_notify_cancel():
                _settle(job.future, job.work)

    def _next(self) -> _Job | None:
        job, self._left = self._left, None
        return self._waiting.get() if job is None else job

    def _pass(self, first: _Job) -> None:
        """Answer for a job and those of its key that wait right behind it."""
        jobs = [first]
        while len(jobs) < self._largest:
            try:
                job = self._waiting.get_nowait()
            except queue.Empty:
                break
            if job is None:
                self._waiting.put(None)
                break
            if job.key != first.key:
                self._left = job
                break
            jobs.append(job)
        running = [job for job in jobs if job.future.set_running_or_notify_cancel()]
        if not running:
            return
        self._passed(len(running))
        try:
            answers = self._answer(first.key, [job.work for job in running])
        except UserError:
            for job in running:  # one photograph's fault is not the others'
                _settle(job.future, partial(self._alone, job))
        except BaseException as error:
            for job in running:
                job.future.set_exception(error)
        else:
            for job, answer in zip(running, answers, strict=True):
                job.future.set_result(answer)

    def _alone(self, job: _Job) -> _Answer:
        return self._answer(job.key, [job.work])[0]


def _settle(future: Future[Any], work: Callable[[], Any]) -> None:
    try:
        answer = work()
    except BaseException as error:
        future.set_exception(error)
    else:
        future.set_result(answer)
