"""The hash of a file, by which it is known again."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

from foveate.errors import UserError
from foveate.files.atomic import check_no_pipe


def hash_of_file(path: Path) -> str:
    """Return the hash of a file's bytes.

    Raises:
        UserError: It is missing or cannot be read.
    """
    check_no_pipe(path)
    try:
        with path.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError as error:
        reason = os.strerror(error.errno or 0)
        raise UserError(f"{path} must be a file that can be read ({reason}); restore it from a copy") from error
