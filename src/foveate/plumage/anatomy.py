"""How a bird sits: its pose, and where that puts its trunk, head, wing, tail, legs and part points."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from foveate.plumage.canvas import Frame, Points, curve
from foveate.plumage.plans import BodyPlan

WING_BARS = 0.36
"""Where the bars cross the wing, in its length."""
TAIL_BARS = 0.74
"""Where the bars cross the tail, in its length."""
_TRUNK = (
    (-0.63, -0.03, 0.075),
    (-0.44, -0.01, 0.180),
    (-0.20, 0.02, 0.275),
    (0.06, 0.03, 0.310),
    (0.27, 0.0, 0.275),
)


@dataclass(frozen=True, slots=True)
class Pose:
    """Everything about a bird's posture and place that has nothing to do with its species; angles in radians."""

    facing: float  # 1 looks right, -1 left
    span: float  # longer side of the bird, as a fraction of the picture's side
    place: tuple[float, float]  # in [0, 1]: where in the room that the span leaves
    roll: float
    tilt: float
    head_tilt: float
    head_turn: float  # foreshortening of the head; negative looks back over the shoulder
    neck: float  # how far the neck is stretched; 1 is at rest
    wing_drop: float
    tail_lift: float
    tail_spread: float
    leg_stretch: float
    perch_slope: float


def draw_pose(rng: np.random.Generator, bird: float = 1.0) -> Pose:
    """A random posture of a bird that is ``bird`` times as long as usual."""
    turn = rng.uniform(0.74, 1.0) * (-1.0 if rng.random() < 0.16 else 1.0)
    return Pose(
        facing=float(rng.choice([-1.0, 1.0])),
        span=bird * rng.uniform(0.40, 0.68),
        place=(rng.random(), rng.random()),
        roll=rng.normal(0.0, 0.07),
        tilt=rng.normal(0.0, 0.16),
        head_tilt=float(np.clip(rng.normal(0.0, 0.20), -0.45, 0.45)),
        head_turn=turn,
        neck=rng.uniform(0.88, 1.18),
        wing_drop=rng.uniform(-0.10, 0.16),
        tail_lift=rng.normal(0.0, 0.16),
        tail_spread=rng.uniform(0.85, 1.7),
        leg_stretch=rng.uniform(0.75, 1.2),
        perch_slope=float(np.clip(rng.normal(0.0, 0.16), -0.4, 0.4)),
    )


class Leg(NamedTuple):
    """Hip and foot of one leg, in pixels."""

    hip: tuple[float, float]
    foot: tuple[float, float]


@dataclass(frozen=True, slots=True)
class Anatomy:
    """A posed bird: frames of its parts and the swept trunk, in pixels of the picture.

    Row i of ``spine`` and ``across`` describes one cross-section, from tail to head: its centre, and the vector
    from there to the belly's outline.
    """

    plan: BodyPlan
    pose: Pose
    body: Frame
    head: Frame
    wing: Frame
    tail: Frame
    legs: tuple[Leg, Leg]
    spine: Float[np.ndarray, "n 2"]
    across: Float[np.ndarray, "n 2"]

    @property
    def unit(self) -> float:
        """Pixels in one body length."""
        return self.body.unit

    def section(self, along: float, across: float) -> tuple[float, float]:
        """A point of the trunk: ``along`` from 0 at the tail to 1 at the head, ``across`` from -1 (back) to 1."""
        row = round(along * (len(self.spine) - 1))
        x, y = self.spine[row] + across * self.across[row]
        return float(x), float(y)

    def outline(self) -> Points:
        """Points that span the bird, small variable parts left out, so that twins are framed alike."""
        r, (beak, _), (tail, width) = self.plan.head, self.plan.beak, self.plan.tail
        spread = width * self.pose.tail_spread
        around = np.linspace(0, 2 * np.pi, 16)
        disc = np.stack([np.cos(around), np.sin(around)], axis=1) * r
        return np.concatenate(
            [
                self.spine + self.across,
                self.spine - self.across,
                self.head(disc),
                self.head([(r + beak, 0.05), (-0.7 * r, -1.45 * r)]),
                self.tail([(tail, -spread), (tail, spread)]),
                self.wing([(self.plan.wing, 0.03)]),
                np.array([leg.foot for leg in self.legs]) + np.array([0.0, 0.03 * self.unit]),
            ]
        )

    def part_points(self) -> dict[str, tuple[float, float]]:
        """Where each part lies, in pixels of the picture; the name is one of `PART_NAMES`."""
        r, (beak, depth) = self.plan.head, self.plan.beak
        return {
            "back": self.section(0.42, -0.72),
            "beak": self.head.at(r * 0.92 + 0.72 * beak, 0.02 + 0.04 * depth),
            "belly": self.section(0.40, 0.74),
            "breast": self.section(0.66, 0.72),
            "crown": self.head.at(-0.60 * r, -1.08 * r),
            "eye": self.head.at(*eye_place(self.plan)),
            "leg": self.legs[0].foot,
            "nape": self.head.at(-0.86 * r, 0.10 * r),
            "tail": self.tail.at(TAIL_BARS * self.plan.tail[0], 0.0),
            "throat": self.head.at(*throat_place(self.plan)),
            "wing": self.wing.at(WING_BARS * self.plan.wing, 0.05),
        }


def eye_place(plan: BodyPlan) -> tuple[float, float]:
    """The eye's centre in the head's frame."""
    return 0.36 * plan.head, -0.16 * plan.head


def throat_place(plan: BodyPlan) -> tuple[float, float]:
    """The centre of the throat patch in the head's frame."""
    return 0.46 * plan.head, 0.62 * plan.head


def build_anatomy(plan: BodyPlan, pose: Pose, root: Frame) -> Anatomy:
    """Put a bird of this build into this pose; ``root`` says where and how large."""
    body = root.child((0.0, 0.0), plan.stance + pose.tilt)
    back = 0.03 if pose.head_turn < 0 else 0.0  # a head that looks back comes to lie over the shoulder
    middle = (plan.neck[0] * pose.neck - 2 * back, plan.neck[1] * pose.neck - back)
    level = Frame(root.matrix, body([middle])[0])
    spine, across = _sweep(plan, body, middle)
    return Anatomy(
        plan=plan,
        pose=pose,
        body=body,
        head=level.child((0.0, 0.0), np.sign(pose.head_turn) * pose.head_tilt, (pose.head_turn, 1.0)),
        wing=body.child((0.27, -0.10 * plan.depth), pose.wing_drop - 0.10, (-1.0, 1.0)),
        tail=body.child((-0.56, -0.03), pose.tail_lift, (-1.0, 1.0)),
        legs=_legs(plan, pose, body, root),
        spine=spine,
        across=across,
    )


def _legs(plan: BodyPlan, pose: Pose, body: Frame, root: Frame) -> tuple[Leg, Leg]:
    """Near and far leg: the hips turn with the trunk, the feet stay under it."""
    belly = np.linalg.solve(root.matrix, body([(-0.02, 0.31 * plan.depth + 0.03)])[0] - root.origin)
    ground = float(belly[1]) + plan.leg * pose.leg_stretch
    near = Leg(body.at(-0.06, 0.20 * plan.depth), root.at(-0.03, ground))
    far = Leg(body.at(0.02, 0.22 * plan.depth), root.at(0.10, ground + 0.13 * np.sin(pose.perch_slope)))
    return near, far


def _sweep(plan: BodyPlan, body: Frame, middle: tuple[float, float]) -> tuple[Points, Points]:
    """Cross-sections of the trunk and neck, from the tail's base to the head's centre."""
    trunk = np.array(_TRUNK)
    trunk[:, 2] *= plan.depth
    shoulder = trunk[-1]
    neck = np.array([*(0.5 * shoulder[:2] + 0.5 * np.array(middle)), 0.5 * shoulder[2] + 0.52 * plan.head])
    end = np.array([*middle, plan.head])
    knots = np.concatenate([trunk, neck[None], end[None]])
    centres, radii = curve(knots[:, :2], 9), curve(np.stack([knots[:, 2]] * 2, axis=1), 9)[:, :1]
    ahead = np.gradient(centres, axis=0)
    ahead /= np.linalg.norm(ahead, axis=1, keepdims=True)
    across = np.stack([-ahead[:, 1], ahead[:, 0]], axis=1) * radii
    return body(centres), (body(across) - body.origin)


def place_bird(plan: BodyPlan, pose: Pose, size: int) -> Anatomy:
    """Pose the bird and scale and shift it into a picture of ``size`` pixels."""
    turn = np.array([[np.cos(pose.roll), -np.sin(pose.roll)], [np.sin(pose.roll), np.cos(pose.roll)]])
    shape = turn @ np.diag([pose.facing, 1.0])
    extent = build_anatomy(plan, pose, Frame(shape, np.zeros(2))).outline()
    low, high = extent.min(axis=0), extent.max(axis=0)
    scale = pose.span * size / (high - low).max()
    room = size * 0.94 - scale * (high - low)
    origin = size * 0.03 + room * np.array(pose.place) - scale * low
    return build_anatomy(plan, pose, Frame(shape * scale, origin))
