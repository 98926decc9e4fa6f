"""What is not answered, and the sentence that says why and what to do."""

from __future__ import annotations

from foveate.data.image_files import NoPictureError, TooManyPixelsError
from foveate.data.images import ImageError


class Refusal(Exception):
    """A request that is not answered.

    Args:
        status: Of HTTP.
        code: A word for programs.
        sentence: For people: the rule, the value, the mend.
        photograph: Which of the request's photographs it is about, counted from 0.
        retry_after: Seconds after which it may be tried again.
    """

    def __init__(
        self, status: int, code: str, sentence: str, *, photograph: int | None = None, retry_after: int | None = None
    ) -> None:
        super().__init__(sentence)
        self.status, self.code, self.sentence = status, code, sentence
        self.photograph, self.retry_after = photograph, retry_after


def unreadable(error: ImageError, number: int) -> Refusal:
    """Return what a photograph that cannot be read is answered with: 415 no picture, 413 too large, 422 damaged."""
    rule = str(error).rpartition("; ")[0]  # the mend is for who trains
    if isinstance(error, NoPictureError):
        return Refusal(415, "no-picture", f"{rule}; send a photograph, such as a JPEG or a PNG", photograph=number)
    if isinstance(error, TooManyPixelsError):
        return Refusal(413, "too-many-pixels", f"{rule}; scale it down", photograph=number)
    return Refusal(422, "unreadable", f"{rule}; send another photograph", photograph=number)


def too_large(largest_megabytes: float, number: int | None = None) -> Refusal:
    """Return the refusal of a file, or of a request, with too many bytes."""
    what = "a photograph's file may have"
    sentence = f"{what} at most {largest_megabytes:g} megabytes; this one has more; scale it down"
    return Refusal(413, "too-large", sentence, photograph=number)


def overdue(seconds: float) -> Refusal:
    """Return the refusal of a request that was not answered in time."""
    sentence = f"an answer is given within {seconds:g} seconds; this took longer; try again, or a smaller photograph"
    return Refusal(503, "overdue", sentence, retry_after=5)


def closing() -> Refusal:
    """Return the refusal of a server that is not ready, or not any more."""
    return Refusal(503, "not-ready", "this server is starting or stopping; try again in a moment", retry_after=5)
