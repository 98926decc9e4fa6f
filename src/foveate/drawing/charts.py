"""Charts of numbers: figures with axes in the manner of the other pictures."""

from __future__ import annotations

from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from foveate.drawing.page import CARD, GROUND, INK, PALE_INK, SOFT_INK, TRACK
from foveate.files.atomic import atomic_path

COLOURS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#D55E00", "#56B4E9", "#9BA3AF")
"""Told apart with any colour vision (Okabe and Ito)."""

_DPI = 150


def new_chart(width: float, height: float, title: str | None = None) -> Figure:
    """Return an empty figure, in inches; nothing depends on matplotlib's global settings."""
    figure = Figure(figsize=(width, height), dpi=_DPI, facecolor=GROUND, layout="constrained")
    if title is not None:
        figure.suptitle(title, color=INK, fontsize=13, fontweight="bold", parse_math=False)
    return figure


def bare(axes: Axes) -> None:
    """Leave out the frame's upper and right line."""
    axes.spines[["top", "right"]].set_visible(False)


def style_axes(axes: Axes, heading: str, across: str, up: str) -> None:
    """Give axes their words, and the colours of the other pictures."""
    axes.set_title(heading, color=INK, fontsize=10, loc="left", parse_math=False)
    axes.set_xlabel(across, color=SOFT_INK, fontsize=9)
    axes.set_ylabel(up, color=SOFT_INK, fontsize=9)
    axes.set_facecolor(CARD)
    axes.tick_params(colors=SOFT_INK, labelsize=8)
    axes.grid(color=TRACK)
    axes.set_axisbelow(True)
    for name, spine in axes.spines.items():
        spine.set_visible(name in {"left", "bottom"})
        spine.set_color(PALE_INK)


def save_chart(figure: Figure, path: Path) -> None:
    """Write a figure as a PNG.

    Raises:
        UserError: The file cannot be written; what was there before is untouched.
    """
    FigureCanvasAgg(figure)
    with atomic_path(path) as temporary:
        figure.savefig(temporary, format="png")
