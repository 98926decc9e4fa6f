"""From a request to its answer: taken on, read, decoded, asked, in time, or refused."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Coroutine, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, TypeVar

from starlette.requests import ClientDisconnect, Request

from foveate.data.images import ImageError
from foveate.hardware import processors
from foveate.serve import pictures
from foveate.serve.admission import Admission
from foveate.serve.batching import Batcher
from foveate.serve.config import ServeConfig
from foveate.serve.evidence import answer_of, explained, shares_of
from foveate.serve.metrics import Metrics
from foveate.serve.refusals import Refusal, closing, overdue, unreadable
from foveate.serve.schemas import Explained, JointAnswer, Predicted
from foveate.serve.service import Received, Service
from foveate.serve.uploads import Upload, read_uploads
from foveate.types import Prediction
from foveate.workflows.decoded_batches import Decoded
from foveate.workflows.together import joint_answers
from foveate.workflows.typical_photographs import TypicalPhotographs

_T = TypeVar("_T")
_EXPLAINED_AT_A_TIME = 2  # each holds a photograph, decoded
_TYPICAL = 480  # pixels of its longer side
_KEPT = 512  # typical photographs, of some 40 kB each


class Desk:
    """Where requests are taken on and answered; of one event loop.

    Args:
        service: What answers.
        config: The limits.
        metrics: What counts.
    """

    def __init__(self, service: Service, config: ServeConfig, metrics: Metrics) -> None:
        self.service, self.config, self.metrics = service, config, metrics
        self.admission = Admission(config)
        self._decoders = ThreadPoolExecutor(processors(), thread_name_prefix="decoder")
        self._typical: dict[int, bytes] = {}
        self._explaining = asyncio.Semaphore(_EXPLAINED_AT_A_TIME)
        self._networks = Batcher[tuple[str, Decoded], Prediction](
            service.answers, config.batch_size, metrics.passes.observe
        )
        metrics.waiting.set_function(lambda: self.admission.waiting)
        metrics.held.set_function(lambda: self.admission.held)

    @property
    def ready(self) -> bool:
        """Whether requests are answered."""
        return self._networks.ready

    def close(self) -> None:
        """Answer what was taken on, and end the threads."""
        self._decoders.shutdown()
        self._networks.close()

    async def predict(self, request: Request, client: str, top: int, *, refined: bool, together: bool) -> Predicted:
        """Answer for a request's photographs, and where asked for for all together.

        Raises:
            Refusal: The request is over a limit, or one of its photographs cannot be read.
        """
        began = time.perf_counter()
        with self._admitted(client) as place:
            uploads = await read_uploads(request, self.config, place, self.config.photographs)
            _note(request, uploads)
            answers, joint = await self._attended(request, self._answered(uploads, top, refined, together))
        self.metrics.photographs.inc(len(uploads))
        return Predicted(
            answers=answers,
            together=joint,
            refined=refined and self.service.zoom is not None,
            seconds=time.perf_counter() - began,
        )

    async def explain(
        self, request: Request, client: str, top: int, *, refined: bool, classes: Sequence[int] = ()
    ) -> Explained:
        """Answer for one photograph, with its evidence; `classes` as in `explained`.

        Raises:
            Refusal: As `predict`, or there is no such class.
        """
        count = len(self.service.model.class_names)
        if unknown := [number for number in classes if not 0 <= number < count]:
            words = f"classes are numbers from 0 to {count - 1}; got {unknown[0]}; see /v1/model"
            raise Refusal(422, "wrong-parameter", words)
        began = time.perf_counter()
        with self._admitted(client) as place:
            uploads = await read_uploads(request, self.config, place, 1)
            _note(request, uploads)
            fields = await self._attended(request, self._explained(uploads[0], top, refined, classes))
        self.metrics.photographs.inc()
        return Explained(**fields, seconds=time.perf_counter() - began)

    async def typical(self, client: str, number: int) -> bytes:
        """Return a typical training photograph of a class, as a JPEG file.

        Raises:
            Refusal: There is no such class, or none of its photographs can be shown.
        """
        if number in self._typical:
            return self._typical[number]
        typical = self.service.typical
        if typical is not None and 0 <= number < len(self.service.model.class_names):
            with self._admitted(client):
                made = await self._drawn(typical, number)
            if made is not None:
                return made
        raise Refusal(404, "no-photograph", "no training photograph of this class can be shown; they may have moved")

    async def _drawn(self, typical: TypicalPhotographs, number: int) -> bytes | None:
        """Make a class's photograph and keep it: decoded and encoded beside the networks, which only choose."""
        loop = asyncio.get_running_loop()
        candidates = await loop.run_in_executor(self._decoders, typical.candidates, number, _TYPICAL)
        if not candidates:
            return None
        chosen = await asyncio.wrap_future(self._networks.call(partial(typical.typical, candidates)))
        made = await loop.run_in_executor(self._decoders, pictures.jpeg, chosen.shown)
        if len(self._typical) >= _KEPT:
            del self._typical[next(iter(self._typical))]
        self._typical[number] = made
        return made

    def _admitted(self, client: str) -> Any:
        if not self.ready:
            raise closing()
        return self.admission.place(client)

    async def _answered(
        self, uploads: Sequence[Upload], top: int, refined: bool, together: bool
    ) -> tuple[list[Any], JointAnswer | None]:
        decoded = await _all(self._decoded(upload, number) for number, upload in enumerate(uploads))
        futures = [
            asyncio.wrap_future(self._networks.submit(refined, (upload.name, each)))
            for upload, each in zip(uploads, decoded, strict=True)
        ]
        predictions = await _all(futures)
        answers = [
            answer_of(each, self.service, top, view.warning) for each, view in zip(predictions, decoded, strict=True)
        ]
        return answers, self._joint(predictions, top) if together else None

    def _joint(self, predictions: Sequence[Prediction], top: int) -> JointAnswer:
        names = self.service.model.class_names
        (joint,) = joint_answers(predictions, lambda _: "", names, len(names))
        return JointAnswer(photographs=len(predictions), top=shares_of(joint, self.service, top), entropy=joint.entropy)

    async def _decoded(self, upload: Upload, number: int) -> Decoded:
        return (await self._received(upload, number)).decoded

    async def _received(self, upload: Upload, number: int, *, shown: bool = False) -> Received:
        loop, sent = asyncio.get_running_loop(), [upload]
        try:
            return await loop.run_in_executor(self._decoders, lambda: self.service.read(*sent.pop(), shown=shown))
        except ImageError as error:
            raise unreadable(error, number) from error
        except MemoryError as error:
            words = f"{upload.name} needs more memory than there is; scale it down"
            raise Refusal(413, "too-many-pixels", words, photograph=number) from error
        finally:
            sent.clear()  # a call that is cancelled stays in the pool's queue until its turn

    async def _explained(self, upload: Upload, top: int, refined: bool, classes: Sequence[int]) -> dict[str, Any]:
        async with self._explaining:
            received = await self._received(upload, 0, shown=True)
            work = partial(explained, self.service, received, top, refined=refined, classes=classes)
            fields: dict[str, Any] = await asyncio.wrap_future(self._networks.call(work))
            return fields

    async def _attended(self, request: Request, work: Coroutine[Any, Any, _T]) -> _T:
        """Wait for an answer as long as its client does, and no longer than the limit.

        Raises:
            Refusal: It takes too long.
            ClientDisconnect: The client hung up.
        """
        task, gone = asyncio.ensure_future(work), asyncio.ensure_future(_hung_up(request))
        try:
            await asyncio.wait({task, gone}, timeout=self.config.seconds, return_when=asyncio.FIRST_COMPLETED)
            if task.done():
                return task.result()
            if gone.done():
                self.metrics.hung_up.inc()
                raise ClientDisconnect
            raise overdue(self.config.seconds)
        finally:
            task.cancel()
            gone.cancel()


async def _hung_up(request: Request) -> None:
    """Wait until the client is gone; its request was read to the end."""
    while (await request.receive())["type"] != "http.disconnect":
        pass


async def _all(works: Any) -> list[Any]:
    """Return all results; where some fail, wait for the others and raise the first error in their order."""
    results = await asyncio.gather(*works, return_exceptions=True)
    for each in results:
        if isinstance(each, BaseException):
            raise each
    return list(results)


def _note(request: Request, uploads: Sequence[Upload]) -> None:
    """Have the log say how much a request held."""
    request.state.facts = {"photographs": len(uploads), "bytes": sum(len(each.data) for each in uploads)}
