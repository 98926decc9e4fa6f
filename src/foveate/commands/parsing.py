"""Words of the command line as a command, or one line that says which option is wrong."""

from __future__ import annotations

import io
import re
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import redirect_stderr
from itertools import dropwhile, takewhile, zip_longest
from typing import Any, NamedTuple

import tyro

from foveate.errors import UserError

_BEGIN = "Error parsing "
_NUMBERS = {
    r"invalid literal for int\(\) with base 10: (.*)": "must be a whole number",
    r"could not convert string to float: (.*)": "must be a number",
    r"Exceeds the limit .* for integer string conversion: value has (.*?);.*": "must be a smaller number",
}
"""What Python says of a word that is no number, and what we say."""


def parsed(commands: Mapping[str, Callable[..., Any]], arguments: Sequence[str], **options: Any) -> Any:
    """Return the command that the words ask for; keyword arguments are tyro's.

    Raises:
        UserError: A value breaks the rule of its option.
        SystemExit: Another mistake, which tyro has told, with status 2; or help was asked for, with status 0.
    """
    box = io.StringIO()
    try:
        with redirect_stderr(box):
            return tyro.extras.subcommand_cli_from_dict(dict(commands), args=list(arguments), **options)
    except UserError as error:
        raise UserError(_named(str(error), arguments)) from error
    except SystemExit as end:
        broken = next((each for each in _causes(end) if isinstance(each, ValueError)), None)
        if broken is None:
            sys.stderr.write(box.getvalue())
            raise
        message = str(broken) if isinstance(broken, UserError) else _sentence(box.getvalue())
        raise UserError(_named(message, arguments)) from broken


def _causes(error: BaseException) -> Iterator[BaseException]:
    """Yield what was being handled when an error was raised, and so on."""
    cause = error.__context__
    while cause is not None:
        yield cause
        cause = cause.__context__


def _named(message: str, arguments: Sequence[str]) -> str:
    """Put the option that was given in the place of its field's name, or before a rule that is about it too."""
    given = options_given(arguments)
    first, _, rest = message.partition(" ")
    if first in given:
        return f"{given[first].option} {rest}"
    about = [
        option
        for name, (option, value) in sorted(given.items())
        if value and value in message and re.search(rf"\b{name}\b", message)
    ]
    return f"{', '.join(about)}: {message}" if about and not message.startswith("--") else message


class Given(NamedTuple):
    """An option as it was given, and the first word of its value."""

    option: str
    value: str


def options_given(arguments: Sequence[str]) -> dict[str, Given]:
    """Return the options that were given, by the field's own name."""
    given = {}
    for word, following in zip_longest(arguments, arguments[1:], fillvalue=""):
        if word.startswith("--"):
            option, _, value = word.partition("=")
            name = option.lstrip("-").rpartition(".")[2].replace("-", "_")
            given[name] = Given(option, value or following)
    return given


def _sentence(box: str) -> str:
    """Return the sentence in tyro's box, drawn or of ASCII, about an option whose value cannot be read."""
    lines = [line.strip("│╭╮╰╯ ") for line in box.splitlines()]
    rest = dropwhile(lambda line: not line.startswith(_BEGIN), lines)
    sentence = " ".join(takewhile(lambda line: line.strip("─-"), rest)).removeprefix(_BEGIN)
    option, _, reason = sentence.partition(": ")
    for pattern, words in _NUMBERS.items():
        if match := re.fullmatch(pattern, reason):
            return f"{option} {words}; got {match.group(1)}"
    return sentence
