"""Docstrings as the site shows them: an example is a block of Python, `::` before an indented block is a colon."""

from __future__ import annotations

import re
from typing import Any

from griffe import Extension, Object

_EXAMPLE = re.compile(r"^>>> .*(?:\n(?!\n).+)*", re.MULTILINE)


class Docstrings(Extension):
    """Rewrite each docstring before it is parsed."""

    def on_object(self, *, obj: Object, **_: Any) -> None:
        """Called by griffe for each module, class, function and attribute."""
        if obj.docstring is not None:
            obj.docstring.value = in_markdown(obj.docstring.value)


def in_markdown(docstring: str) -> str:
    """Return a docstring with its examples fenced."""
    fenced = _EXAMPLE.sub(lambda found: f"```pycon\n{found[0]}\n```", docstring)
    return re.sub(r"::$", ":", fenced, flags=re.MULTILINE)
