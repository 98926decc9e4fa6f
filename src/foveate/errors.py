"""The errors that a user can mend; light to import (no torch)."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager

_TOO_SMALL = "out of memory", "can't allocate memory"
"""What torch's errors say of any GPU, and of the processor's memory."""


class UserError(ValueError):
    """Input, configuration or environment that the user can mend; the command line exits with status 2.

    The message states the rule, the value that broke it, and what to do.
    """


class LackOfMemory(UserError):
    """A device's memory, or the machine's, is too small."""


@contextmanager
def lack_of_memory_named(what: str) -> Iterator[None]:
    """Say what needs more memory than there is, where a device's or the machine's is too small for it.

    Raises:
        LackOfMemory: It is.
    """
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        if not isinstance(error, MemoryError) and not any(words in str(error) for words in _TOO_SMALL):
            raise
        if (torch := sys.modules.get("torch")) is not None and torch.cuda.is_available():
            torch.cuda.empty_cache()
        reason, *_ = str(error).splitlines() or ["out of memory"]
        raise LackOfMemory(
            f"the memory must be enough, and {what} needs more than there is ({reason[:200]}); take smaller views or "
            "batches, close what else uses the memory, or compute on another device or machine"
        ) from error
