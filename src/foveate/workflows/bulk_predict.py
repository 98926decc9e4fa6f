"""Answers for many photographs by an engine: every worker loads the model, and what is finished is kept in parts."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import pyarrow as pa

from foveate.config.branches import Branch
from foveate.config.data import TestViews
from foveate.config.hardware import HardwareConfig
from foveate.data.images import ImageError
from foveate.data.paths import Photographs
from foveate.data.photographs import name_of
from foveate.data.roots import shown_path
from foveate.engines.parts import kept_parts, tables_in_parts
from foveate.engines.ray_engine import Bulk, RayEngine
from foveate.files.hashes import hash_of_file
from foveate.files.remote_path import located, with_credentials
from foveate.runs.context import RunContext
from foveate.runs.guided_zoom_run import GuidedZoomRun
from foveate.types import Prediction, RankedClass
from foveate.workflows.answer_rules import Doubt
from foveate.workflows.decoded_batches import Decoded, Pixels, Remarks
from foveate.workflows.decoding import Decoding
from foveate.workflows.model import Model, Named, load

BATCH = 16
"""Photographs that are answered for together: as many as `Model.predict_many` takes."""
_ROWS = pa.schema([(name, pa.string()) for name in ("answer", "unreadable", "doubtful")])
"""An answer is JSON; nothing stands where there is none."""
_Answer = TypeVar("_Answer", Named, Prediction)


@dataclass(frozen=True, kw_only=True)
class Question:
    """What is asked of a model about every photograph; called in each worker, it returns what answers."""

    run: Path
    hardware: HardwareConfig
    zoom_entropy_threshold: float | None = None
    branch: Branch | None = None
    top: int = 5
    doubt: Doubt = field(default_factory=Doubt)
    views: TestViews = TestViews.CENTRE
    names_only: bool = False
    largest_megapixels: int | None = None

    @classmethod
    def of(
        cls, run: Path, context: RunContext, zoom_entropy_threshold: float | None, branch: Branch | None, **asked: Any
    ) -> Question:
        """Return a question to a run where and as the context says."""
        return cls(
            run=run,
            hardware=context.hardware,
            zoom_entropy_threshold=zoom_entropy_threshold,
            branch=branch,
            largest_megapixels=context.largest_megapixels,
            **asked,
        )

    def model(self) -> Model:
        """Load the model; errors as in `load`."""
        return load(
            self.run,
            hardware=self.hardware,
            zoom_entropy_threshold=self.zoom_entropy_threshold,
            branch=self.branch,
        )

    def answers(self, model: Model, photographs: Photographs, remarks: Remarks) -> Iterator[Any]:
        """Yield the answers by this process, as `Model.predict_many` or `Model.classify_many`."""
        told = remarks._asdict()
        if self.names_only:
            return model.classify_many(photographs, largest_megapixels=self.largest_megapixels, **told)
        return model.predict_many(
            photographs,
            top=self.top,
            **asdict(self.doubt),
            views=self.views,
            largest_megapixels=self.largest_megapixels,
            **told,
        )

    def __call__(self) -> Callable[[Sequence[_Looked]], pa.Table]:
        """Return what answers for a batch, as a row for each photograph.

        Raises:
            UserError: As `load` and `Model.rule` do.
        """
        model = self.model()
        if self.names_only:
            return lambda looked: _rows(looked, model.named)
        rule = model.rule(self.top, self.doubt, self.views)
        return lambda looked: _rows(looked, lambda names, pixels: model.answers(rule, names, pixels))


class _Looked(NamedTuple):
    name: str
    decoded: Decoded | None
    problem: str = ""


@dataclass(frozen=True)
class _Look:
    """Decodes a photograph, or says why it cannot be read."""

    decoding: Decoding

    def __call__(self, place: str) -> _Looked:
        photograph = located(place)
        name = name_of(photograph)
        try:
            return _Looked(name, self.decoding(photograph))
        except ImageError as error:
            return _Looked(name, None, str(error))


@contextmanager
def bulk_answers(
    engine: RayEngine,
    model: Model,
    names: Sequence[str],
    question: Question,
    read: Callable[[str], _Answer],
    remarks: Remarks,
    out: Path | None,
) -> Iterator[Iterator[_Answer]]:
    """Yield the answers of `Model.predict_many` or `Model.classify_many`, in the order of the photographs.

    Where they go to a file, parts lie in a folder beside it until it is written.

    Args:
        engine: Does the work.
        model: The same that every worker loads.
        names: Paths of the photographs.
        question: What is asked.
        read: Makes an answer of what a worker wrote: `prediction_of` or `named_of`.
        remarks: Who is told what of photographs.
        out: Where the answers go in the end; None: nothing is kept.

    Raises:
        UserError: As `Model.predict_many`, `kept_parts` and `RayEngine.answers` do.
    """
    largest = RunContext(largest_megapixels=question.largest_megapixels).largest_of(model.run)
    look, gpu = _Look(model.decoding(question.views, largest)), question.hardware.accelerator != "cpu"

    def make(batches: Sequence[slice]) -> Iterator[pa.Table]:
        places = [list(map(with_credentials, names[each])) for each in batches]
        return engine.answers(Bulk(places, look, question, gpu=gpu))

    if out is None:
        cut = [slice(start, min(start + BATCH, len(names))) for start in range(0, len(names), BATCH)]
        yield _told(make(cut), read, remarks)
        return
    folder, answered = out.with_name(f"{out.name}.parts"), _Answered()
    with kept_parts(folder, _work(model, names, question, largest), _ROWS, len(names), BATCH) as parts:
        try:
            yield answered.counted(_told(tables_in_parts(parts, BATCH, make), read, remarks))
        except Exception:
            if answered.all and not answered.count:
                shutil.rmtree(parts.folder)  # not one can be read: the next call is to look again
            raise
        shutil.rmtree(parts.folder)


@dataclass
class _Answered:
    """How many answers there were, and whether they are all."""

    count: int = 0
    all: bool = False

    def counted(self, answers: Iterator[_Answer]) -> Iterator[_Answer]:
        for self.count, answer in enumerate(answers, 1):
            yield answer
        self.all = True


def _told(tables: Iterator[pa.Table], read: Callable[[str], _Answer], remarks: Remarks) -> Iterator[_Answer]:
    """Yield answers, and pass on what is wrong with photographs."""
    for table in tables:
        for row in table.to_pylist():
            if row["unreadable"] and remarks.unreadable is not None:
                remarks.unreadable(row["unreadable"])
            if row["doubtful"] and remarks.doubtful is not None:
                remarks.doubtful(row["doubtful"])
            if row["answer"]:
                yield read(row["answer"])


def _rows(
    looked: Sequence[_Looked], answer: Callable[[list[str], list[Pixels]], Iterator[Named] | Iterator[Prediction]]
) -> pa.Table:
    """Return a row for each photograph of a batch; the network is asked about those that can be read."""
    readable = [(each.name, each.decoded.pixels) for each in looked if each.decoded is not None]
    answers: Iterator[object] = iter(())
    if readable:
        names, pixels = zip(*readable, strict=True)
        answers = iter(answer(list(names), list(pixels)))
    rows = [
        {
            "answer": "" if each.decoded is None else json.dumps(_plain(next(answers))),
            "unreadable": shown_path(each.problem),
            "doubtful": shown_path((each.decoded and each.decoded.warning) or ""),
        }
        for each in looked
    ]
    return pa.Table.from_pylist(rows, _ROWS)


def _plain(answer: Any) -> Any:
    """Return an answer as JSON holds it, every number to its last bit."""
    if not isinstance(answer, Prediction):
        return answer
    return answer.image, answer.top, answer.entropy, answer.sure, answer.prediction_set, answer.first


def named_of(text: str) -> Named:
    """Read a name as a worker wrote it."""
    return Named(*json.loads(text))


def prediction_of(text: str) -> Prediction:
    """Read an answer as a worker wrote it."""
    image, top, entropy, sure, chosen, first = json.loads(text)
    return Prediction(
        image,
        tuple(RankedClass(*each) for each in top),
        entropy,
        sure,
        None if chosen is None else tuple(RankedClass(*each) for each in chosen),
        None if first is None else RankedClass(*first),
    )


def _work(model: Model, names: Sequence[str], question: Question, largest_megapixels: int) -> dict[str, Any]:
    """Return what answers depend on."""
    asked = {name: value for name, value in asdict(question).items() if name not in ("run", "hardware")}
    hardware = {name: getattr(question.hardware, name) for name in ("accelerator", "precision", "runtime")}
    weights = [model.run.weights]
    if model.zoom is not None:
        weights += [model.zoom / "guided_zoom.json", GuidedZoomRun.open(model.zoom).evidence_run().weights]
    return {
        "model": [hash_of_file(file) for file in weights],
        "calibration": [
            asdict(each) for each in (model.classifier.calibration, model.calibration, model.first_calibration)
        ],
        "photographs": hashlib.sha256("\0".join(names).encode(errors="surrogatepass")).hexdigest(),
        "question": {**asked, "largest_megapixels": largest_megapixels},
        "hardware": hardware,
    }
