"""Shapes and colours shared by a group of near-twins."""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np

from foveate.plumage.canvas import Rgb, lighten, mix, rgb


@dataclass(frozen=True, slots=True)
class BodyPlan:
    """The build of a group; lengths in units of the body from rump to breast, angles in radians."""

    depth: float  # roundness of the trunk; 1 is a sparrow's
    stance: float  # slope of the trunk; negative holds the head up
    neck: tuple[float, float]  # the head's centre, in the trunk's axes
    head: float  # the head's radius
    beak: tuple[float, float]  # length beyond the face, depth at the base
    tail: tuple[float, float]  # length, width of the folded fan
    wing: float  # from the bend to the tip
    leg: float  # visible length


@dataclass(frozen=True, slots=True)
class Palette:
    """Colours of one bird's feathers and bare parts, and how boldly it is marked.

    Birds of one species vary in the size and the strength of their marks: a small picture, in which two narrow bars
    and a broad one are both a pale smear, cannot tell species by the smear's width or brightness either.
    """

    crown: Rgb
    back: Rgb
    rump: Rgb
    face: Rgb
    throat: Rgb
    breast: Rgb
    belly: Rgb
    wing: Rgb
    beak: Rgb
    marks: float  # size of bars, ring, patch, crest and hook; 1 on average
    strength: float  # contrast of the marks, in (0, 1]
    leg_tone: float  # lightness of the legs, -1 to 1

    @property
    def pale(self) -> Rgb:
        """Bars and eye ring."""
        return mix(self.wing, mix(self.throat, (250, 246, 232), 0.5), self.strength)

    @property
    def dark(self) -> Rgb:
        """Streaks of the throat."""
        return mix(self.throat, lighten(mix(self.crown, self.wing, 0.5), -0.15), self.strength)


_PLANS = (
    BodyPlan(1.06, -0.45, (0.40, -0.20), 0.225, (0.18, 0.17), (0.62, 0.15), 0.92, 0.21),  # finch
    BodyPlan(0.88, -0.30, (0.44, -0.17), 0.200, (0.20, 0.09), (0.62, 0.14), 0.90, 0.24),  # warbler
    BodyPlan(1.02, -0.62, (0.44, -0.18), 0.205, (0.23, 0.12), (0.62, 0.17), 0.98, 0.29),  # thrush
    BodyPlan(0.92, -0.90, (0.38, -0.14), 0.225, (0.20, 0.12), (0.68, 0.15), 1.02, 0.15),  # flycatcher
    BodyPlan(0.84, -0.16, (0.44, -0.21), 0.195, (0.21, 0.09), (0.94, 0.14), 0.86, 0.28),  # wagtail
    BodyPlan(1.10, -0.36, (0.39, -0.19), 0.220, (0.18, 0.17), (0.66, 0.17), 0.90, 0.20),  # bunting
    BodyPlan(1.00, -0.55, (0.46, -0.20), 0.200, (0.32, 0.11), (0.46, 0.15), 0.96, 0.25),  # starling
    BodyPlan(0.86, -0.72, (0.42, -0.16), 0.205, (0.18, 0.09), (0.70, 0.15), 0.92, 0.26),  # redstart
    BodyPlan(1.22, -0.42, (0.34, -0.19), 0.240, (0.13, 0.11), (0.60, 0.15), 0.86, 0.20),  # tit
    BodyPlan(1.16, -0.66, (0.36, -0.20), 0.220, (0.18, 0.10), (0.46, 0.15), 0.86, 0.30),  # chat
    BodyPlan(0.96, -0.66, (0.40, -0.19), 0.230, (0.21, 0.16), (0.80, 0.15), 0.88, 0.21),  # shrike
)
_PALETTES = (
    ("#8a5a2b", "#9c6b3a", "#c08a4e", "#c99a5f", "#f0dcb4", "#d9a35b", "#efe0c2", "#4a3a2c", "#5b4a3c"),
    ("#5f6b3a", "#77824a", "#98a05a", "#a9a766", "#e6dfa4", "#d8cf7a", "#efeac8", "#40452f", "#5a5346"),
    ("#3f5873", "#55708d", "#7a93aa", "#8fa3b3", "#e8e6df", "#c7b8a8", "#ece6dc", "#2f3a48", "#3b3e44"),
    ("#6b5a48", "#7a6a58", "#8d7a66", "#b5683c", "#e6bd98", "#c8713d", "#ede2d3", "#4b4036", "#4a3f38"),
    ("#667a84", "#87958f", "#a8ac7f", "#9aa39a", "#f0ecc9", "#e4cf5e", "#efe29a", "#363b3c", "#3f4244"),
    ("#7a3f2a", "#8f5637", "#a8694a", "#b98b68", "#f1e2c4", "#d9b67e", "#f0e3c9", "#43342b", "#6b5748"),
    ("#33425a", "#44556a", "#5f7080", "#596a7c", "#c3c2c8", "#8c92a2", "#b6b5b8", "#29313c", "#4a463f"),
    ("#8c4a4f", "#8a6a62", "#b97f7a", "#b9766f", "#f0d9cc", "#d99e94", "#f1e2d8", "#4d403d", "#5e4c46"),
    ("#4d7ba3", "#7f9a6f", "#9fb08a", "#c9cbb4", "#efe9cf", "#e9d67a", "#f0e6ac", "#4a6280", "#43474d"),
    ("#35625a", "#4a7a6c", "#6f9a86", "#86a894", "#e7ead6", "#bcd0b2", "#e6ead4", "#2b433f", "#45483f"),
    ("#85807a", "#968f86", "#b6b0a4", "#b3aca0", "#efeae0", "#ddcdbb", "#f0ebe2", "#34322f", "#4b4844"),
)


def plan_of(group: int) -> BodyPlan:
    """The build of this group."""
    return _PLANS[group % len(_PLANS)]


def palette_of(group: int, rng: np.random.Generator, marks: float = 1.0) -> Palette:
    """The colours of one bird of this group: individuals of one species differ in tint and depth.

    Its marks are ``marks`` times as large as usual.
    """
    row = _PALETTES[(group + group // len(_PLANS)) % len(_PALETTES)]
    tint = rng.normal(0.0, 5.0, size=3)
    colours: dict[str, Rgb] = {}
    for field, code in zip(fields(Palette), row, strict=False):
        shifted = np.clip(np.array(rgb(code)) * rng.normal(1.0, 0.05) + tint, 8, 250).astype(int)
        colours[field.name] = (int(shifted[0]), int(shifted[1]), int(shifted[2]))
    return Palette(
        **colours,
        marks=marks * rng.uniform(0.78, 1.28),
        strength=rng.uniform(0.65, 0.95),
        leg_tone=rng.uniform(-0.3, 0.2),
    )
