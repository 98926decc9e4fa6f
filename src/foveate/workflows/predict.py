"""Name what is in photographs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Generic, NamedTuple, TypeVar

import pyarrow as pa

from foveate.config.branches import Branch
from foveate.config.data import OnError, TestViews
from foveate.data.paths import Photographs, find_photographs
from foveate.data.roots import shown_path
from foveate.engines.ray_engine import RayEngine, engine_of
from foveate.errors import UserError
from foveate.progress import progress
from foveate.runs.context import HERE, RunContext
from foveate.types import Prediction
from foveate.workflows.answer_files import (
    NAMES,
    Row,
    answer_file,
    answers_schema,
    check_file,
    row_of,
    rows_of,
)
from foveate.workflows.answer_rules import Doubt
from foveate.workflows.bulk_predict import Question, bulk_answers, named_of, prediction_of
from foveate.workflows.decoded_batches import Remarks
from foveate.workflows.model import Model, Named
from foveate.workflows.together import grouping, joint_answers

_Answer = TypeVar("_Answer", Named, Prediction)


class Answered(NamedTuple):
    """How many photographs were answered for, and how many could not be read."""

    answers: int
    unreadable: int


def name_paths(
    run: Path,
    patterns: Sequence[str],
    *,
    zoom_entropy_threshold: float | None = None,
    branch: Branch | None = None,
    out: Path | None = None,
    context: RunContext = HERE,
) -> Answered:
    """Name the class of files, folders and globs, and nothing else; write the names to `out`, or say them.

    Arguments and errors as in `predict_paths`.
    """
    question = Question.of(run, context, zoom_entropy_threshold, branch, names_only=True)
    engine, model, paths = _prepared(question, patterns, out, context)
    problems = _Problems(context.on_error_of_named, context.say)
    answers = _answers(engine, model, paths, question, problems.remarks, named_of, out)
    return _written(answers, len(paths), problems, _Form(NAMES, row_of, _name_line), out, context.say)


def predict_paths(
    run: Path,
    patterns: Sequence[str],
    *,
    top: int = 5,
    entropy_threshold: float | None = None,
    error_rate: float | None = None,
    coverage: float | None = None,
    views: TestViews = TestViews.CENTRE,
    zoom_entropy_threshold: float | None = None,
    branch: Branch | None = None,
    group_by: str | None = None,
    out: Path | None = None,
    context: RunContext = HERE,
) -> Answered:
    """Answer for files, folders and globs; write the answers to `out`, or say them. None is kept in memory.

    Arguments as in `load`, `Model.predict_many` and `find_photographs`; where they are said there, the context says
    them here. `group_by`, as in `grouping`, has the photographs of one object answered together, by its name.
    Photographs that cannot be read are left out and named: one by one (`skip`), or all at the end, as an error
    (`stop`); the answers to the others are there.

    Raises:
        UserError: Some photographs cannot be read and that stops, or none can be, or as those do; or held-out answers,
            which are to one photograph each, are to say how sure an answer to several is.
    """
    _check_grouped(group_by, error_rate, coverage)
    doubt = Doubt(entropy_threshold=entropy_threshold, error_rate=error_rate, coverage=coverage)
    question = Question.of(run, context, zoom_entropy_threshold, branch, top=top, doubt=doubt, views=views)
    engine, model, paths = _prepared(question, patterns, out, context)
    problems = _Problems(context.on_error_of_named, context.say)
    object_of = None if group_by is None else grouping(group_by, paths.names)
    if object_of is not None:
        objects = len({object_of(name) for name in paths.names})
        context.say(f"{len(paths)} photographs of {objects} objects, each object answered for once")
        question = replace(question, top=len(model.class_names))
    answers = _answers(engine, model, paths, question, problems.remarks, prediction_of, out)
    if object_of is not None:
        answers = _together(answers, object_of, model.class_names, top, entropy_threshold)
    first = model.refiner is not None and object_of is None
    schema = answers_schema(sets=coverage is not None, first=first)
    rows = partial(rows_of, judged=error_rate is not None or entropy_threshold is not None)
    form = _Form(schema, rows, _line if error_rate is None else _bare_line)
    return _written(answers, len(paths), problems, form, out, context.say)


def _check_grouped(group_by: str | None, error_rate: float | None, coverage: float | None) -> None:
    if group_by is not None and (error_rate is not None or coverage is not None):
        raise UserError(
            "an error rate and a coverage rest on answers to one photograph each, group-by answers for several; leave "
            "it out, or leave out error-rate and coverage"
        )


def _prepared(
    question: Question, patterns: Sequence[str], out: Path | None, context: RunContext
) -> tuple[RayEngine | None, Model, Photographs]:
    if out is not None:
        check_file(out)  # what cannot be written is said before the work, not after
    engine = engine_of(context.engine)
    return engine, question.model(), find_photographs(patterns, context.say)


@contextmanager
def _answers(
    engine: RayEngine | None,
    model: Model,
    paths: Photographs,
    question: Question,
    remarks: Remarks,
    read: Callable[[str], _Answer],
    out: Path | None,
) -> Iterator[Iterator[_Answer]]:
    """Yield the answers, by this process or by an engine."""
    if engine is None:
        yield question.answers(model, paths, remarks)
    else:
        with bulk_answers(engine, model, paths.names, question, read, remarks, out) as answers:
            yield answers


@contextmanager
def _together(
    answers: AbstractContextManager[Iterator[Prediction]],
    object_of: Callable[[str], str],
    class_names: Sequence[str],
    top: int,
    entropy_threshold: float | None,
) -> Iterator[Iterator[Prediction]]:
    with answers as single:
        yield joint_answers(single, object_of, class_names, top, entropy_threshold)


@dataclass
class _Problems:
    """What is wrong with photographs, as it is found."""

    on_error: OnError
    say: Callable[[str], None]
    messages: list[str] = field(default_factory=list)

    @property
    def remarks(self) -> Remarks:
        """Who is told."""
        return Remarks(self.add, self.doubt)

    def add(self, message: str) -> None:
        """Keep it; say it at once where the work goes on without that photograph."""
        self.messages.append(message)
        if self.on_error is OnError.SKIP:
            self.say(message)

    def doubt(self, message: str) -> None:
        """Warn of a photograph that is answered for."""
        self.say(f"warning: {message}")

    def check(self, answers: int, where: str) -> None:
        """Stop after the work, with all of them, where that was asked for or nothing could be answered for."""
        bad = len(self.messages)
        if bad and (self.on_error is OnError.STOP or not answers):
            listed = "\n  ".join(self.messages)
            rest = f"; {answers} answers to the others {where}" if answers else ""
            raise UserError(f"{bad} of {bad + answers} photographs cannot be read{rest}:\n  {listed}")


class _Form(NamedTuple, Generic[_Answer]):
    """How answers go into a file and onto the screen."""

    schema: pa.Schema
    rows: Callable[[_Answer], list[Row]]
    line: Callable[[_Answer], str]


def _written(
    answering: AbstractContextManager[Iterator[_Answer]],
    count: int,
    problems: _Problems,
    form: _Form[_Answer],
    out: Path | None,
    say: Callable[[str], None],
) -> Answered:
    """Write or say answers as they come, and then what could not be answered."""
    number = 0
    bar = _bar(count, say, shown=out is not None)
    with answering as answers, _taken(form, out, say) as take, bar as advance:
        for number, answer in enumerate(answers, 1):
            take(answer)
            advance(number + len(problems.messages))
        if not number:
            problems.check(0, "")  # a file of earlier answers stays
    if out is not None:
        say(f"{number} answers in {shown_path(out)}")
    problems.check(number, "were given above" if out is None else f"are in {shown_path(out)}")
    if problems.messages:
        say(f"left out {len(problems.messages)} of {count} photographs that cannot be read")
    return Answered(number, len(problems.messages))


@contextmanager
def _taken(form: _Form[_Answer], out: Path | None, say: Callable[[str], None]) -> Iterator[Callable[[_Answer], None]]:
    """Yield what is to be done with each answer."""
    if out is None:
        yield lambda answer: say(form.line(answer))
    else:
        with answer_file(out, form.schema) as write:
            yield lambda answer: write(form.rows(answer))


def _bar(count: int, say: Callable[[str], None], *, shown: bool) -> AbstractContextManager[Callable[[int], None]]:
    """Show how far the work is where the answers do not say it."""
    return progress("predicting", count, say) if shown else nullcontext(lambda count: None)


def _name_line(named: Named) -> str:
    return f"{shown_path(named.image)}: {named.class_name}"


def _line(answer: Prediction) -> str:
    return _bare_line(answer, f"not sure (entropy {answer.entropy:.2f} nats), best: ")


def _bare_line(answer: Prediction, doubt: str = "not sure, best: ") -> str:
    others = ", ".join(f"{each.class_name} {each.probability:.1%}" for each in answer.top[1:])
    verdict = f"{'' if answer.sure else doubt}{answer.best.class_name} {answer.best.probability:.1%}"
    line = f"{shown_path(answer.image)}: {verdict}" + (f"  [{others}]" if others else "")
    if answer.changed and answer.first is not None:
        line += f"  before the evidence: {answer.first.class_name} {answer.first.probability:.1%}"
    if answer.prediction_set is None:
        return line
    return f"{line}  set: {', '.join(each.class_name for each in answer.prediction_set)}"
