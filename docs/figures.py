"""Draw the methods, stage by stage: docs/images/s3n.svg, guided-zoom.svg and macnn.svg; `make tables`."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from pathlib import Path
from typing import NamedTuple

IMAGES = Path(__file__).parent / "images"
_PICTURE, _MAP, _NETWORK, _ANSWER = "#e3eef7", "#fdebd9", "#e8e6f5", "#e2f2e4"
"""What a box holds: a picture, a map, a network, an answer."""


class Box(NamedTuple):
    """A stage: its left edge and its middle in pixels, and what it does."""

    name: str
    x: int
    y: int
    colour: str
    title: str
    lines: Sequence[str] = ()
    width: int = 150
    height: int = 62

    def svg(self) -> str:
        """Return it as SVG."""
        shape = (
            f'<rect x="{self.x}" y="{self.y - self.height // 2}" width="{self.width}" height="{self.height}" rx="6" '
            f'fill="{self.colour}" stroke="#546e7a"/>'
        )
        middle, top = self.x + self.width // 2, self.y - 8 * len(self.lines) + 5
        title = f'<text x="{middle}" y="{top}" font-size="16" font-weight="bold">{escape(self.title)}</text>'
        lines = [
            f'<text x="{middle}" y="{top + 17 * number}" font-size="13.5">{escape(line)}</text>'
            for number, line in enumerate(self.lines, 1)
        ]
        return "\n".join([shape, title, *lines])


Arrow = tuple[str, str]


def figure(size: tuple[int, int], title: str, boxes: Sequence[Box], arrows: Sequence[Arrow]) -> str:
    """Return the SVG; an arrow leads from the right edge of a box to the left edge of one further right, or down."""
    places = {box.name: box for box in boxes}
    head = '<marker id="a" markerWidth="9" markerHeight="8" refX="8" refY="4" orient="auto">'
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {size[0]} {size[1]}" font-family="sans-serif" '
            f'text-anchor="middle" fill="#1d3347" role="img"><title>{escape(title)}</title>',
            f'<defs>{head}<path d="M0,0L9,4L0,8z"/></marker></defs>',
            f'<rect width="{size[0]}" height="{size[1]}" fill="#ffffff"/>',
            *(_arrow(places[one], places[other]) for one, other in arrows),
            *(box.svg() for box in boxes),
            "</svg>\n",
        ]
    )


def _arrow(one: Box, other: Box) -> str:
    if other.x >= one.x + one.width:
        start = (one.x + one.width, one.y)
        end = (other.x - 2, other.y)
        bend = (start[0] + end[0]) // 2
        path = f"M{start[0]},{start[1]} C{bend},{start[1]} {bend},{end[1]} {end[0]},{end[1]}"
    else:
        down = other.y > one.y
        away = 1 if down else -1
        start = (one.x + one.width // 2, one.y + away * one.height // 2)
        end = (other.x + other.width // 2, other.y - away * (other.height // 2 + 2))
        path = f"M{start[0]},{start[1]} L{end[0]},{end[1]}"
    return f'<path d="{path}" fill="none" stroke="#546e7a" stroke-width="1.6" marker-end="url(#a)"/>'


def s3n() -> str:
    """Return S3N: one photograph, a response, two sampling maps, two views, a joint answer."""
    boxes = [
        Box("photo", 10, 150, _PICTURE, "photograph X", ["448 x 448"], 120),
        Box("first", 165, 150, _NETWORK, "backbone", ["features S, logits s"]),
        Box("response", 350, 150, _MAP, "response R", ["maps of the predicted", "classes (Eq. 1 to 3)"], 160, 74),
        Box("peaks", 545, 150, _MAP, "peaks T", ["local maxima, divided", "into two sets (Eq. 4)"], 160, 74),
        Box("qd", 740, 62, _MAP, "sampling map Q_d", ["Gaussians (Eq. 5, 6)"], 160),
        Box("qc", 740, 238, _MAP, "sampling map Q_c", ["Gaussians (Eq. 5, 6)"], 160),
        Box("d", 935, 62, _PICTURE, "view D", ["enlarged where the", "class responds most"], 150, 74),
        Box("c", 935, 238, _PICTURE, "view C", ["enlarged where", "it responds less"], 150, 74),
        Box("bd", 1120, 62, _NETWORK, "the backbone again", ["features F_D"], 155),
        Box("bc", 1120, 238, _NETWORK, "the backbone again", ["features F_C"], 155),
        Box("joint", 1120, 150, _ANSWER, "joint answer", ["F_O, F_D, F_C (Eq. 9)"], 155),
    ]
    pairs = ["photo first", "first response", "response peaks", "peaks qd", "peaks qc", "qd d", "qc c", "d bd", "c bc"]
    arrows = [(one, other) for one, other in map(str.split, [*pairs, "bd joint", "bc joint"])]
    return figure((1280, 300), "S3N looks three times with one backbone", boxes, arrows)


def guided_zoom() -> str:
    """Return Guided Zoom: the best classes of an answer, the evidence for each, a second network, a weighted sum."""
    boxes = [
        Box("photo", 10, 150, _PICTURE, "photograph s", ["448 x 448"], 120),
        Box("cnn", 165, 150, _NETWORK, "conventional CNN", ["any trained network"]),
        Box("top", 350, 150, _ANSWER, "top-k classes", ["v_0, k = 3 or 5"], 130),
        Box("map", 515, 150, _MAP, "grounding", ["where is the evidence", "for class t? (EB, cEB)"], 160, 74),
        Box("patch", 710, 150, _PICTURE, "patch e_l", ["a square around", "the map's peak"], 140, 74),
        Box("erase", 540, 258, _PICTURE, "erase and look again", ["85 x 85 at the peak", "L further rounds"], 310),
        Box("evidence", 885, 150, _NETWORK, "Evidence CNN", ["does it look like", "class t? v_l[t]"], 155, 74),
        Box("pool", 885, 42, _PICTURE, "pool of patches", ["of training photographs"], 155, 58),
        Box("sum", 1070, 150, _ANSWER, "refined class", ["argmax of", "w v_0 + sum w_l v_l"], 170, 74),
    ]
    pairs = ["photo cnn", "cnn top", "top map", "map patch", "patch evidence", "evidence sum", "pool evidence"]
    arrows = [(one, other) for one, other in map(str.split, [*pairs, "patch erase", "erase map"])]
    return figure((1250, 300), "Guided Zoom asks whether the evidence looks like the class", boxes, arrows)


def macnn() -> str:
    """Return MA-CNN: channels grouped into parts, a crop for each part, a stream for each crop."""
    boxes = [
        Box("photo", 10, 150, _PICTURE, "photograph", ["448 x 448"], 120),
        Box("trunk", 165, 150, _NETWORK, "trunk", ["features F"], 120),
        Box("group", 320, 150, _NETWORK, "channel grouping", ["weights d_i of", "each part i"], 150, 74),
        Box("maps", 505, 150, _MAP, "part attention M_i", ["L_dis: compact", "L_div: elsewhere"], 160, 74),
        Box("crops", 700, 62, _PICTURE, "part crops", ["around each peak"]),
        Box("object", 700, 238, _PICTURE, "object crop", ["around all parts"]),
        Box("streams", 885, 150, _NETWORK, "a stream for each", ["whole, object, parts"], 160),
        Box("answer", 1080, 150, _ANSWER, "joint answer", ["their features", "together"], 150, 74),
    ]
    pairs = ["photo trunk", "trunk group", "group maps", "maps crops", "maps object", "crops streams", "object streams"]
    arrows = [(one, other) for one, other in map(str.split, [*pairs, "streams answer"])]
    return figure((1250, 300), "MA-CNN groups channels into parts", boxes, arrows)


FIGURES = {"s3n.svg": s3n, "guided-zoom.svg": guided_zoom, "macnn.svg": macnn}

if __name__ == "__main__":
    for name, draw in FIGURES.items():
        (IMAGES / name).write_text(draw(), encoding="utf-8")
