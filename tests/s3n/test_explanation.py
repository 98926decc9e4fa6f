from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from jaxtyping import UInt8
from PIL import Image, ImageColor
from torch import Tensor

from foveate.drawing import captions
from foveate.drawing.captions import HEADER, judge, verdict
from foveate.drawing.overlays import heated
from foveate.drawing.page import Page
from foveate.errors import UserError
from foveate.s3n import picture as module
from foveate.s3n.attention import Attention, SparseAttention, dense_attention
from foveate.s3n.config import S3NConfig
from foveate.s3n.explanation import S3NExplanation, ZoomedView
from foveate.s3n.picture import evidence_picture, explanation_picture
from foveate.s3n.sampler import Sampler, resample
from foveate.types import RankedClass, Size

SIZE = 40
BLUE, ORANGE, GREEN, VERMILION = map(ImageColor.getrgb, ("#0072B2", "#E69F00", "#009E73", "#D55E00"))
CARD, GROUND = (255, 255, 255), ImageColor.getrgb("#F3F4F6")
TOP, STEP = HEADER + module._PANEL_TOP, module._CARD_HEIGHT + module._GAP
LEFTS = [60, 484, 908, 1332]
ROW = HEADER + module._NAMES
LONG = "068.Ruby_throated_Hummingbird_" * 9 + "$x_$ \N{CJK UNIFIED IDEOGRAPH-9DFA}\n"


def explanation(
    cells: int = 7, peaks: tuple[tuple[int, int, float], ...] = ((1, 2, 1.0), (4, 4, 0.5))
) -> S3NExplanation:
    """Real attention and views of a grey ramp; peaks are (row, column, response)."""
    response = torch.zeros(1, cells, cells)
    for row, column, value in peaks:
        response[0, row, column] = value
    return drawn_by(SparseAttention(S3NConfig())(response), response)


def dense(cells: int = 7) -> S3NExplanation:
    """The same of a dense attention, the most of it at the right border."""
    drawing = torch.linspace(0, 1, cells).expand(1, cells, cells).contiguous()
    return replace(drawn_by(dense_attention(drawing, 0.03), torch.zeros_like(drawing)), dense=drawing[0].numpy())


def drawn_by(attention: Attention, response: Tensor) -> S3NExplanation:
    ramp = np.broadcast_to(np.linspace(40, 210, SIZE).astype(np.uint8)[:, None], (SIZE, SIZE, 3))
    pixels = torch.tensor(ramp).permute(2, 0, 1)[None].float()
    views = []
    for name in ("discriminative", "complementary"):
        sampling_map = getattr(attention, name).detach()
        grid = Sampler(S3NConfig())(sampling_map, SIZE)
        view = Image.fromarray(resample(pixels, grid)[0].permute(1, 2, 0).byte().numpy())
        weights = getattr(attention.weights, name)[0].numpy()
        views.append(
            ZoomedView(name, weights, sampling_map[0].numpy(), grid[0].numpy(), view, RankedClass("wren", 0.7))
        )
    answer = (RankedClass("wren", 0.8), RankedClass("robin", 0.15))
    image, where = Image.fromarray(ramp), attention.peaks[0].numpy()
    return S3NExplanation(
        "bird.jpg", image, response[0].numpy(), where, tuple(views), answer, RankedClass("robin", 0.4), "wren"
    )


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Image.Image:
    """The picture of the plain `explanation()`."""
    return drawn(tmp_path_factory.mktemp("whole"), explanation())


def drawn(tmp_path: Path, example: S3NExplanation) -> Image.Image:
    path = tmp_path / "picture.png"
    explanation_picture(example, path)
    return opened(path)


def opened(path: Path) -> Image.Image:
    with Image.open(path) as picture:
        assert picture.format == "PNG"
        picture.load()
    assert list(path.parent.iterdir()) == [path]
    assert picture.width <= 2000
    return picture


def same(one: Image.Image, other: Image.Image) -> bool:
    return np.array_equal(np.asarray(one), np.asarray(other))


def shown(picture: Image.Image, *colours: tuple[int, ...]) -> list[bool]:
    pixels = np.asarray(picture)
    return [bool((pixels == colour).all(-1).any()) for colour in colours]


def gaps(picture: Image.Image) -> UInt8[np.ndarray, "h w 3"]:
    """Return the pixels between the panels, below the first row's heading, and right of all."""
    row = np.asarray(picture)[TOP - 30 : TOP - module._PANEL_TOP + module._CARD_HEIGHT]
    return np.concatenate([*(row[:, left - 22 : left - 2] for left in LEFTS[1:]), row[:, 1734:1752]], axis=1)


def test_a_row_for_the_first_look_and_one_for_each_zoomed_view(tmp_path: Path, whole: Image.Image) -> None:
    once = replace(explanation(), zoomed=())
    pictures = [drawn(tmp_path, once), drawn(tmp_path, replace(once, zoomed=explanation().zoomed[:1])), whole]
    heights = [picture.height for picture in pictures]
    assert [picture.width for picture in pictures] == [1792] * 3
    assert heights[2] - heights[1] == heights[1] - heights[0] > 400
    assert [shown(picture, BLUE, ORANGE) for picture in pictures] == [[False, False], [True, False], [True, True]]


def test_a_network_without_the_closer_look_shows_the_other(tmp_path: Path) -> None:
    example = explanation()
    assert shown(drawn(tmp_path, replace(example, zoomed=example.zoomed[1:])), BLUE, ORANGE) == [False, True]


def test_the_photograph_and_what_is_seen_are_shown_as_they_are(whole: Image.Image) -> None:
    example, picture = explanation(), np.asarray(whole)
    first, view = (
        each.resize((400, 400), Image.Resampling.LANCZOS) for each in (example.image, example.zoomed[0].view)
    )
    for left, above, image in ((LEFTS[0], TOP, first), (LEFTS[3], TOP + STEP, view)):
        assert np.array_equal(picture[above : above + 400, left : left + 400], np.asarray(image))


def test_peaks_are_marked_where_they_are_with_both_colours(whole: Image.Image) -> None:
    # From the first pixel's centre at 0.5 to the last's at 39.5: cell 1 of 7 at 7, 2 at 13.5, 4 at 26.5; then 10-fold.
    strong, weak = (LEFTS[2] + 135, TOP + 70), (LEFTS[2] + 265, TOP + 265)
    assert [whole.getpixel((strong[0] + dx, strong[1])) for dx in (-4, 4)] == [BLUE, BLUE]
    assert [whole.getpixel((weak[0] + dx, weak[1])) for dx in (-4, 4)] == [ORANGE, BLUE]
    closer = (LEFTS[0] + 265, TOP + STEP + 265)
    assert [whole.getpixel((closer[0] + dx, closer[1])) for dx in (-4, 4)] == [BLUE, BLUE]


def test_a_dense_attention_is_shown_where_peaks_would_be(tmp_path: Path) -> None:
    example = dense()
    assert example.dense is not None
    picture = drawn(tmp_path, example)
    panels = {(LEFTS[2], TOP): example.dense}
    panels |= {(LEFTS[0], TOP + row * STEP): view.weights for row, view in enumerate(example.zoomed, start=1)}
    for (left, above), values in panels.items():
        wanted = np.asarray(heated(example.image, values).resize((400, 400), Image.Resampling.LANCZOS))
        assert np.array_equal(np.asarray(picture.crop((left, above, left + 400, above + 400))), wanted)


def test_the_words_of_a_dense_attention_do_not_speak_of_peaks(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    written: list[str] = []
    write = Page.write

    def noted(page: Page, corner: tuple[float, float], text: str, *rest: Any, **options: Any) -> float:
        written.append(text)
        return write(page, corner, text, *rest, **options)

    monkeypatch.setattr(Page, "write", noted)
    explanation_picture(dense(), tmp_path / "dense.png")
    assert len(written) > 10
    assert [text for text in written if "peak" in text] == []
    explanation_picture(explanation(), tmp_path / "sparse.png")
    assert len([text for text in written if "peak" in text]) > 3


def test_the_evidence_of_a_dense_attention_is_what_draws_the_zoom(tmp_path: Path) -> None:
    example = dense()
    assert example.dense is not None
    picture = evidence(tmp_path, ("epoch 1", example))
    wanted = heated(example.image, example.dense).resize((300, 300), Image.Resampling.LANCZOS)
    assert same(picture.crop((234, ROW + 20, 534, ROW + 320)), wanted)


def test_a_peak_that_no_view_uses_is_grey(tmp_path: Path) -> None:
    example = explanation()
    picture = drawn(tmp_path, replace(example, zoomed=()))
    assert picture.getpixel((LEFTS[2] + 135, TOP + 70)) == ImageColor.getrgb("#9BA3AF")


@pytest.mark.parametrize("cells", [2, 31])
def test_any_grid_is_drawn(tmp_path: Path, cells: int) -> None:
    drawn(tmp_path, explanation(cells, peaks=((0, 0, 1.0), (cells - 1, cells - 1, 0.3))))


def test_no_peak_and_a_response_without_spread_show_the_photograph_unchanged(tmp_path: Path) -> None:
    example = explanation(peaks=())
    assert not example.peaks.any()
    picture = drawn(tmp_path, example)
    photo, response, peaks = (picture.crop((left, TOP, left + 400, TOP + 400)) for left in LEFTS[:3])
    assert same(photo, peaks)
    grey = np.asarray(response).astype(int)
    assert np.ptp(grey, axis=-1).max() <= 2


def test_the_same_explanation_draws_the_same_picture(tmp_path: Path, whole: Image.Image) -> None:
    assert same(drawn(tmp_path, explanation()), whole)


@pytest.mark.parametrize("name", [LONG, ""])
def test_names_and_titles_keep_to_their_columns(tmp_path: Path, name: str) -> None:
    answer = (RankedClass(name, 1.0), *(RankedClass(f"{name}{rank}", 0.0) for rank in range(8)))
    plain = explanation(peaks=())
    zoomed = tuple(replace(view, answer=answer[0]) for view in plain.zoomed[:1])
    example = replace(plain, title=name, answer=answer, original_answer=answer[0], truth=f"{name}0", zoomed=zoomed)
    picture = drawn(tmp_path, example)
    assert (gaps(picture) == CARD).all()
    assert (np.asarray(picture)[:, 1753:] == GROUND).all()


def test_the_longest_name_of_a_bird_is_not_shortened() -> None:
    page, style = Page(Size(9, 9)), captions._BEST
    lengths = [page.length(text, style) for text in ("✓ 068.Ruby_throated_Hummingbird", "100.0%")]
    assert sum(lengths) + 12 <= module._PANEL


def test_right_and_wrong_have_their_colours(tmp_path: Path) -> None:
    right = replace(explanation(peaks=()), zoomed=(), original_answer=RankedClass("wren", 0.4))
    wrong = replace(right, truth="crow")
    unknown = replace(right, truth=None)
    colours = [shown(drawn(tmp_path, each), GREEN, VERMILION) for each in (right, wrong, unknown)]
    assert colours == [[True, False], [False, True], [False, False]]


def test_an_answer_is_judged_in_words() -> None:
    wren = RankedClass("wren", 0.8)
    assert verdict(wren, "wren").text == "✓ wren 80.0%, which is right"
    assert verdict(wren, "crow").text == "✗ wren 80.0%, but the true class is crow"
    assert verdict(wren, None).text == "wren 80.0%, the true class is not known"
    assert judge("wren", None).text == ""


def test_an_unwritable_path_leaves_what_was_there(tmp_path: Path) -> None:
    path = tmp_path / "picture.png"
    path.mkdir()
    (path / "kept").write_text("as it was")
    example = replace(explanation(), zoomed=())
    with pytest.raises(UserError, match=r"cannot write .*picture\.png"):
        explanation_picture(example, path)
    with pytest.raises(UserError, match=r"cannot write .*picture\.png"):
        evidence_picture([("epoch 1", example)], path)
    assert [each.name for each in path.iterdir()] == ["kept"]
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"image": Image.new("RGB", (4, 3))}, "square; got 4 x 3"),
        ({"response": np.zeros((7, 6))}, "one square grid"),
        ({"response": np.zeros((31, 31))}, "one square grid"),
        ({"response": np.full((7, 7), 1.5)}, r"in \[0, 1\]; got 1.5 to 1.5"),
        ({"response": np.full((7, 7), np.nan)}, r"in \[0, 1\]"),
        ({"dense": np.zeros((2, 2))}, "one square grid"),
        ({"dense": np.full((7, 7), -0.5)}, r"in \[0, 1\]; got -0.5 to -0.5"),
        ({"peaks": np.zeros((2, 2), dtype=bool)}, "one square grid"),
        ({"zoomed": explanation().zoomed[:1] * 2}, "different names; got discriminative, discriminative"),
        ({"answer": ()}, "at least one class"),
    ],
)
def test_what_cannot_be_shown_is_refused(changes: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        replace(explanation(), **changes)  # type: ignore[arg-type]


def test_a_zoomed_view_must_be_a_known_one_with_attention() -> None:
    view = explanation().zoomed[0]
    with pytest.raises(ValueError, match="discriminative, complementary; got 'joint'"):
        replace(view, name="joint")
    with pytest.raises(ValueError, match="greater than 0"):
        replace(view, attention=np.zeros((7, 7)))


def evidence(tmp_path: Path, *rows: tuple[str, S3NExplanation]) -> Image.Image:
    path = tmp_path / "evidence.png"
    evidence_picture(rows, path)
    return opened(path)


def test_evidence_has_a_row_for_each_moment(tmp_path: Path) -> None:
    example = explanation()
    one, two, three = (evidence(tmp_path, *[("epoch 1", example)] * count) for count in (1, 2, 3))
    assert three.height - two.height == two.height - one.height == 352
    assert same(one, evidence(tmp_path, ("epoch 1", example)))
    views = [np.asarray(one.crop((left, ROW + 20, left + 300, ROW + 320))) for left in (558, 882)]
    for view, zoomed in zip(views, example.zoomed, strict=True):
        assert np.array_equal(view, np.asarray(zoomed.view.resize((300, 300), Image.Resampling.LANCZOS)))


def test_evidence_has_a_column_for_each_view_of_any_row(tmp_path: Path) -> None:
    example = explanation()
    without, closer = replace(example, zoomed=()), replace(example, zoomed=example.zoomed[:1])
    widths = [evidence(tmp_path, ("a", without), ("b", each)).width for each in (without, closer, example)]
    assert widths == [1018, 1342, 1666]


def test_evidence_names_the_photographs_where_they_differ(tmp_path: Path) -> None:
    one = explanation()
    other = replace(one, title="other.jpg")
    labels = (60, ROW, 210, ROW + 340)
    alike, different = (evidence(tmp_path, ("epoch 1", one), ("epoch 1", each)).crop(labels) for each in (one, other))
    assert sum(np.asarray(different.convert("L")).ravel() < 200) > sum(np.asarray(alike.convert("L")).ravel() < 200)


def test_long_labels_keep_to_their_column(tmp_path: Path) -> None:
    example = explanation(peaks=())
    picture = np.asarray(evidence(tmp_path, (LONG, example), (LONG, replace(example, title=LONG, truth=LONG))))
    for top in (ROW, ROW + 352):
        assert (picture[top : top + 340, 212:232] == CARD).all()
        assert (picture[top + 324 : top + 340, 60:210] == CARD).all()


def test_evidence_of_nothing_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="at least one row"):
        evidence_picture([], tmp_path / "evidence.png")
