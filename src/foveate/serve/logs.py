"""Logs as JSON, an object a line. Neither pictures nor their names are written."""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TextIO

LOG = logging.getLogger("foveate.serve")
"""Receives an event for each request, and what goes wrong."""

_PASSED = "facts"


class JSONLines(logging.Formatter):
    """A record as one line of JSON: time, level, event, and the facts that were given with it."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        facts = getattr(record, _PASSED, {})
        time = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
        line = {"time": time, "level": record.levelname.lower(), "event": record.getMessage(), **facts}
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=True, default=str)


@contextmanager
def written_logs(stream: TextIO | None = None) -> Iterator[None]:
    """Have the logs of this server, and uvicorn's from warnings on, written to a stream, or stderr, as JSON lines.

    Afterwards the loggers are as they were: what is logged later does not go to a stream that may be closed.
    """
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(JSONLines())
    loggers = {logging.getLogger("foveate.serve"): logging.INFO, logging.getLogger("uvicorn"): logging.WARNING}
    before = [(each, each.handlers, each.propagate, each.level) for each in loggers]
    for logger, level in loggers.items():
        logger.handlers, logger.propagate = [handler], False
        logger.setLevel(level)
    try:
        yield
    finally:
        for logger, handlers, propagate, level in before:
            logger.handlers, logger.propagate = handlers, propagate
            logger.setLevel(level)


def log(event: str, level: int = logging.INFO, *, failed: BaseException | None = None, **facts: object) -> None:
    """Write an event, with facts by their names, and the traceback of what failed."""
    LOG.log(level, event, exc_info=failed, extra={_PASSED: facts})
