"""Name what is in photographs."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Generic, NamedTuple, TypeVar

import pyarrow as pa

from foveate.config.branches import Branch
from foveate.config.data import OnError, TestViews
from foveate.data.paths import Photographs, find_photographs
from foveate.data.roots import shown_path
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
from foveate.workflows.model import Model, Named, load
from foveate.workflows.together import grouping, joint_answers

_Answer = TypeVar("_Answer", Named, Prediction)


class _Answering(NamedTuple):
    """Which views of a run decide, as in `load`."""

    zoom_entropy_threshold: float | None
    branch: Branch | None


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
    model, paths = _prepared(run, patterns, _Answering(zoom_entropy_threshold, branch), out, context)
    problems = _Problems(context.on_error_of_named, context.say)
    answers = model.classify_many(
        paths, largest_megapixels=context.largest_megapixels, unreadable=problems.add, doubtful=problems.doubt
    )
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
    model, paths = _prepared(run, patterns, _Answering(zoom_entropy_threshold, branch), out, context)
    problems = _Problems(context.on_error_of_named, context.say)
    object_of = None if group_by is None else grouping(group_by, paths.names)
    answers = model.predict_many(
        paths,
        top=top if object_of is None else len(model.class_names),
        entropy_threshold=entropy_threshold,
        error_rate=error_rate,
        coverage=coverage,
        views=views,
        largest_megapixels=context.largest_megapixels,
        unreadable=problems.add,
        doubtful=problems.doubt,
    )
    if object_of is not None:
        answers = joint_answers(answers, object_of, model.class_names, top, entropy_threshold)
    first = model.refiner is not None and object_of is None
    schema = answers_schema(sets=coverage is not None, first=first)
    form = _Form(schema, rows_of, _line if error_rate is None else _bare_line)
    return _written(answers, len(paths), problems, form, out, context.say)


def _check_grouped(group_by: str | None, error_rate: float | None, coverage: float | None) -> None:
    if group_by is not None and (error_rate is not None or coverage is not None):
        raise UserError(
            "an error rate and a coverage rest on answers to one photograph each, group-by answers for several; leave "
            "it out, or leave out error-rate and coverage"
        )


def _prepared(
    run: Path, patterns: Sequence[str], answering: _Answering, out: Path | None, context: RunContext
) -> tuple[Model, Photographs]:
    if out is not None:
        check_file(out)  # what cannot be written is said before the work, not after
    model = load(run, hardware=context.hardware, **answering._asdict())
    return model, find_photographs(patterns, context.say)


@dataclass
class _Problems:
    """What is wrong with photographs, as it is found."""

    on_error: OnError
    say: Callable[[str], None]
    messages: list[str] = field(default_factory=list)

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
    answers: Iterable[_Answer],
    count: int,
    problems: _Problems,
    form: _Form[_Answer],
    out: Path | None,
    say: Callable[[str], None],
) -> Answered:
    """Write or say answers as they come, and then what could not be answered."""
    number = 0
    with _taken(form, out, say) as take, _bar(count, say, shown=out is not None) as advance:
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
