"""Logs as JSON, an object a line. Neither pictures nor their names are written."""

from __future__ import annotations

import json
import logging
import sys
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


def write_logs(stream: TextIO | None = None) -> None:
    """Have the logs of this server, and uvicorn's from warnings on, written to a stream, or stderr, as JSON lines."""
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(JSONLines())
    for name, level in (("foveate.serve", logging.INFO), ("uvicorn", logging.WARNING)):
        logger = logging.getLogger(name)
        logger.handlers, logger.propagate = [handler], False
        logger.setLevel(level)


def log(event: str, level: int = logging.INFO, *, failed: BaseException | None = None, **facts: object) -> None:
    """Write an event, with facts by their names, and the traceback of what failed."""
    LOG.log(level, event, exc_info=failed, extra={_PASSED: facts})
