"""Plots in one manner."""

from __future__ import annotations

from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from foveate.atomic import atomic_path

# Told apart with any colour vision (Okabe and Ito).
COLOURS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#D55E00", "#56B4E9", "#9BA3AF")


def new_figure(width: float, height: float) -> Figure:
    """Return an empty figure, in inches; nothing depends on matplotlib's global settings."""
    return Figure(figsize=(width, height), dpi=120, layout="constrained")


def bare(axes: Axes) -> None:
    """Leave out the frame's upper and right line."""
    axes.spines[["top", "right"]].set_visible(False)


def save_figure(figure: Figure, path: Path) -> None:
    """Write a figure as a PNG.

    Raises:
        UserError: The file cannot be written; what was there before is untouched.
    """
    FigureCanvasAgg(figure)
    with atomic_path(path) as temporary:
        figure.savefig(temporary, format="png")
