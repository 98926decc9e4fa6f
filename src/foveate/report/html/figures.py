"""Drawings of numbers that take the page's colours and letters: SVG by matplotlib."""

from __future__ import annotations

import io
import re
from collections.abc import Mapping

import matplotlib
import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure

from foveate.evaluation.calibration import Reliability
from foveate.evaluation.risk_coverage import RiskCoverage

_WIDTH, _HEIGHT = 4.4, 2.7  # inches, of 72 pixels: letters stay readable on a phone
_INK, _SOFT, _RULE = "#010203", "#010204", "#010205"  # stand for the page's colours, which its style sheet gives
_SERIES = ("#010206", "#010207", "#010208")
_THEME = {_INK: "var(--ink)", _SOFT: "var(--soft)", _RULE: "var(--rule)"} | {
    colour: f"var(--series-{number})" for number, colour in enumerate(_SERIES, 1)
}
_HEADER = re.compile(r"^.*?(?=<svg)", re.DOTALL)
_BEYOND = re.compile(r"\s*<metadata>.*?</metadata>|\s*<style.*?</style>| id=\"[a-z]+[\w.]*_\d+\"", re.DOTALL)
_FAMILY = re.compile(r"font-family: [^;\"]+")


def learning_chart(curves: Mapping[str, Float[np.ndarray, "e 2"]], up: str) -> str:
    """Plot numbers over the epochs.

    Args:
        curves: By name, (epoch, value) in each row.
        up: What the values are.
    """
    figure, axes = _new("epoch", up)
    for number, (name, curve) in enumerate(curves.items()):
        axes.plot(curve[:, 0], curve[:, 1], color=_SERIES[number % len(_SERIES)], label=name, linewidth=1.8)
    axes.set_ylim(bottom=0)
    if len(curves) > 1:
        axes.legend(frameon=False, fontsize=8, labelcolor=_INK)
    return _svg(figure, "learning")


def reliability_chart(measured: Mapping[str, Reliability]) -> str:
    """Plot how often answers are right against how sure they are; a dot's area grows with its number of answers."""
    figure, axes = _new("how sure the answers are, %", "right among them, %")
    axes.plot([0, 100], [0, 100], color=_SOFT, linestyle="--", linewidth=1)
    for number, (name, each) in enumerate(measured.items()):
        some = each.counts > 0
        sizes = 14 + 220 * each.counts[some] / each.counts.max()
        colour = _SERIES[number % len(_SERIES)]
        axes.plot(100 * each.confidence[some], 100 * each.accuracy[some], color=colour, linewidth=1.4)
        axes.scatter(
            100 * each.confidence[some], 100 * each.accuracy[some], sizes, color=colour, alpha=0.75, label=name
        )
    axes.set(xlim=(0, 102), ylim=(0, 102))
    if len(measured) > 1:
        axes.legend(frameon=False, fontsize=8, labelcolor=_INK)
    return _svg(figure, "reliability")


def risk_chart(measured: Mapping[str, RiskCoverage]) -> str:
    """Plot the share of wrong answers among the surest ones, for every share of the photographs."""
    figure, axes = _new("photographs answered, the surest first, %", "wrong among them, %")
    for number, (name, each) in enumerate(measured.items()):
        axes.plot(100 * each.coverage, 100 * each.risk, color=_SERIES[number % len(_SERIES)], linewidth=1.8, label=name)
    axes.set_xlim(0, 100)
    axes.set_ylim(bottom=0)
    if len(measured) > 1:
        axes.legend(frameon=False, fontsize=8, labelcolor=_INK)
    return _svg(figure, "risk")


def _new(across: str, up: str) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(_WIDTH, _HEIGHT), layout="constrained")
    axes = figure.subplots()
    axes.set_xlabel(across, color=_SOFT, fontsize=9)
    axes.set_ylabel(up, color=_SOFT, fontsize=9)
    axes.tick_params(colors=_SOFT, labelsize=8)
    axes.grid(color=_RULE, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.set_facecolor("none")
    for name, spine in axes.spines.items():
        spine.set_visible(name in {"left", "bottom"})
        spine.set_color(_RULE)
    return figure, axes


def _svg(figure: Figure, salt: str) -> str:
    """Return a figure as an SVG element: letters are letters, nothing says when it was drawn."""
    FigureCanvasSVG(figure)
    stream = io.StringIO()
    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": salt, "font.family": "sans-serif"}):
        figure.savefig(stream, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    return _themed(stream.getvalue())


def _themed(svg: str) -> str:
    """Leave out what would reach beyond the drawing, and give it the page's colours and letters."""
    svg = _BEYOND.sub("", _HEADER.sub("", svg))
    for stand_in, colour in _THEME.items():
        svg = svg.replace(stand_in, colour)
    return _FAMILY.sub("font-family: var(--font)", svg)
