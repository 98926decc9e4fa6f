from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jaxtyping import Float
from numpy.testing import assert_allclose, assert_array_equal
from PIL import Image

from foveate.data.datasets.cub import load_cub
from foveate.errors import UserError
from foveate.plumage import (
    PART_NAMES,
    Difference,
    Drawing,
    PlumageConfig,
    distinguishing_parts,
    draw_plumage,
    render,
    species_at,
)
from foveate.plumage.canvas import Frame, curve, lighten, mix
from foveate.plumage.writing import _identity

SMALL = PlumageConfig(species=5, train_per_species=1, test_per_species=1, size=64)
CLOSE = PlumageConfig(species=44, train_per_species=9, test_per_species=1, size=320)


class Interruption(Exception):
    pass


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return draw_plumage(tmp_path_factory.mktemp("plumage") / "birds", SMALL, workers=1)


def contents(root: Path) -> dict[str, bytes]:
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in root.rglob("*") if path.is_file()}


def pixels(drawing: Drawing) -> Float[np.ndarray, "size size 3"]:
    return np.asarray(drawing.image, dtype=np.float64)


def place_of(drawing: Drawing, part: str) -> tuple[float, float]:
    return next((point.x, point.y) for point in drawing.parts + drawing.hidden if point.name == part)


def twins_of(group: int) -> list[tuple[int, int, str]]:
    """Pairs of the group that differ in one part, and that part."""
    members = range(4 * group, 4 * group + 4)
    pairs = ((a, b, distinguishing_parts(CLOSE, a, b)) for a, b in combinations(members, 2))
    return [(a, b, next(iter(parts))) for a, b, parts in pairs if len(parts) == 1]


class TestConfig:
    @pytest.mark.parametrize(
        ("field", "value"),
        [
            ("species", 1),
            ("species", 201),
            ("train_per_species", 0),
            ("test_per_species", 10_000),
            ("size", 63),
            ("size", True),
            ("seed", -1),
        ],
    )
    def test_bad_value_is_named(self, field: str, value: object) -> None:
        with pytest.raises(UserError, match=rf"{field} must be a whole number from \d+ to \d+; got {value!r}"):
            PlumageConfig(**{field: value})  # type: ignore[arg-type]

    @pytest.mark.parametrize(
        ("field", "value"), [("bird", 0.39), ("bird", 1.3), ("marks", 0.4), ("marks", float("nan"))]
    )
    def test_bad_factor_is_named(self, field: str, value: float) -> None:
        with pytest.raises(UserError, match=rf"{field} must be a number from [\d.]+ to [\d.]+; got {value!r}"):
            PlumageConfig(**{field: value})  # type: ignore[arg-type]

    def test_default_is_the_documented_one(self) -> None:
        assert PlumageConfig() == PlumageConfig(20, 30, 30, 512, 0, 1.0, 1.0, Difference.PARTS)


class TestSpecies:
    def test_names_are_unique_and_fit_a_folder(self) -> None:
        names = [species_at(index).name for index in range(200)]
        assert len(set(names)) == 200
        assert all(name.replace(" ", "").isalpha() for name in names)

    def test_near_twins_differ_in_one_or_two_parts(self) -> None:
        for group in range(11):
            for a, b in combinations(range(4 * group, 4 * group + 4), 2):
                parts = distinguishing_parts(CLOSE, a, b)
                assert 1 <= len(parts) <= 2
                assert parts <= set(PART_NAMES)
                assert parts == distinguishing_parts(CLOSE, b, a)

    def test_groups_differ_all_over(self) -> None:
        assert distinguishing_parts(CLOSE, 0, 4) == set(PART_NAMES)
        assert distinguishing_parts(CLOSE, 3, 3) == frozenset()

    def test_the_default_set_uses_every_small_part(self) -> None:
        used = frozenset[str]().union(
            *(distinguishing_parts(PlumageConfig(), 4 * g, 4 * g + 3) for g in range(5)),
        )
        assert used == {"beak", "crown", "eye", "leg", "tail", "throat", "wing"}

    def test_twins_by_their_wings_come_in_pairs(self) -> None:
        config = PlumageConfig(species=8, difference=Difference.WING)
        for a, b in combinations(range(8), 2):
            assert distinguishing_parts(config, a, b) == ({"wing"} if a // 2 == b // 2 else set(PART_NAMES))
        names = {species_at(index, Difference.WING).name for index in range(200)}
        assert len(names) == 200
        with pytest.raises(UserError, match="of the same group as species 0; got 2"):
            render(config, 0, 0, dressed_as=2)

    @pytest.mark.parametrize("index", [-1, 20])
    def test_unknown_species_is_refused(self, index: int) -> None:
        with pytest.raises(UserError, match=f"species index must be from 0 to 19; got {index}"):
            distinguishing_parts(PlumageConfig(), 0, index)


class TestRender:
    @settings(max_examples=8, deadline=None)
    @given(species=st.integers(0, 43), index=st.integers(0, 9), seed=st.integers(0, 2**32 - 1))
    def test_box_and_points_are_exact(self, species: int, index: int, seed: int) -> None:
        config = PlumageConfig(species=44, train_per_species=9, test_per_species=1, size=96, seed=seed)
        drawing = render(config, species, index)
        rows, columns = np.nonzero(drawing.mask)
        assert drawing.image.size == (96, 96)
        assert list(drawing.box) == [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
        assert 0.3 <= max(drawing.box.width, drawing.box.height) / 96 <= 0.78
        assert {point.name for point in drawing.parts + drawing.hidden} == set(PART_NAMES)
        for point in drawing.parts + drawing.hidden:
            assert drawing.box.left - 2 <= point.x <= drawing.box.right + 2
            assert drawing.box.top - 2 <= point.y <= drawing.box.bottom + 2

    def test_points_lie_on_the_bird(self) -> None:
        on_bird = []
        for species in range(0, 44, 4):
            drawing = render(CLOSE, species, 1)
            points = [place_of(drawing, name) for name in PART_NAMES if name != "crown"]
            on_bird += [drawing.mask[int(y), int(x)] for x, y in points]
        assert np.mean(on_bird) == 1.0

    @pytest.mark.parametrize("group", range(5))
    def test_twins_in_one_scene_differ_in_the_fine_structure_of_their_part_only(self, group: int) -> None:
        for (a, b, part), index in zip(twins_of(group)[:2], (0, 5), strict=True):
            first, second = render(CLOSE, a, index), render(CLOSE, a, index, dressed_as=b)
            difference = pixels(first) - pixels(second)
            x, y = place_of(first, part)
            rows, columns = np.nonzero(np.abs(difference).max(axis=2) > 10)
            away = np.hypot(columns + 0.5 - x, rows + 0.5 - y)
            side = max(first.box.width, first.box.height)
            assert place_of(second, part) == (x, y)
            assert away.max(initial=0) < (0.26 if part == "leg" else 0.14) * side
            if part in {point.name for point in first.parts}:
                assert away.min() < 0.06 * side
            # Averaged over patches of a part's size, twins are nearly alike.
            blocks = difference.reshape(20, 16, 20, 16, 3).mean(axis=(1, 3))
            left = np.sqrt(16**2 * (blocks**2).sum() / max((difference**2).sum(), 1.0))
            assert left < (0.75 if part == "leg" else 0.55), part

    def test_a_picture_depends_on_seed_species_and_index_only(self) -> None:
        few, many = PlumageConfig(species=2, size=64), PlumageConfig(species=40, train_per_species=50, size=64)
        assert_array_equal(pixels(render(few, 1, 3)), pixels(render(many, 1, 3)))
        other_seed = PlumageConfig(species=2, size=64, seed=1)
        for other in (render(few, 0, 3), render(few, 1, 4), render(other_seed, 1, 3)):
            assert np.abs(pixels(render(few, 1, 3)) - pixels(other)).mean() > 5

    def test_size_changes_the_detail_and_not_the_scene(self) -> None:
        small, large = PlumageConfig(size=128), PlumageConfig(size=256)
        first, second = render(small, 0, 0), render(large, 0, 0)
        assert_allclose(np.array(first.box) * 2, second.box, atol=6)
        for name in PART_NAMES:
            assert_allclose(np.array(place_of(first, name)) * 2, place_of(second, name))

    def test_a_smaller_bird_stands_in_the_same_scene(self) -> None:
        usual, small = (render(PlumageConfig(species=4, size=128, bird=bird), 0, 1) for bird in (1.0, 0.5))
        sides = [max(each.box.width, each.box.height) for each in (usual, small)]
        assert sides[1] / sides[0] == pytest.approx(0.5, abs=0.06)
        assert np.median(np.abs(pixels(usual) - pixels(small))) < 8

    def test_a_larger_mark_covers_more(self) -> None:
        def covered(marks: float) -> int:
            config = PlumageConfig(species=2, size=256, marks=marks, difference=Difference.WING)
            broad, narrow = (pixels(render(config, 0, 1, dressed_as=twin)) for twin in (0, 1))
            return int((np.abs(broad - narrow).max(axis=2) > 10).sum())

        assert covered(2.0) > 1.5 * covered(1.0) > 0

    def test_hiding_does_not_favour_a_part(self) -> None:
        config = PlumageConfig(species=40, size=64)
        drawings = [render(config, species, index) for species in range(0, 40, 4) for index in range(2)]
        hidden = [sum(name in {p.name for p in drawing.hidden} for drawing in drawings) for name in PART_NAMES]
        assert 0 < sum(hidden) < 0.15 * len(drawings) * len(PART_NAMES)
        assert max(hidden) < 0.3 * len(drawings)

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            ((20, 0, None), "species index must be from 0 to 19; got 20"),
            ((0, 60, None), "picture index must be from 0 to 59; got 60"),
            ((0, 0, 4), "of the same group as species 0; got 4"),
        ],
    )
    def test_unknown_picture_is_refused(self, arguments: tuple[int, int, int | None], message: str) -> None:
        species, index, dressed_as = arguments
        with pytest.raises(UserError, match=message):
            render(PlumageConfig(), species, index, dressed_as=dressed_as)


class TestWriting:
    def test_the_cub_loader_reads_it(self, drawn: Path) -> None:
        dataset = load_cub(drawn)
        assert dataset.class_names == tuple(species_at(index).name for index in range(5))
        assert dataset.part_names == PART_NAMES
        assert [record.label for record in dataset.train] == [0, 1, 2, 3, 4]
        assert [record.label for record in dataset.test] == [0, 1, 2, 3, 4]
        assert dataset.train[0].id == "images/001.Amber_Finch/Amber_Finch_0001.jpg"

    def test_records_carry_the_exact_annotations(self, drawn: Path) -> None:
        for record in load_cub(drawn).test:
            drawing = render(SMALL, record.label, 1)
            assert record.box == drawing.box
            assert [part.name for part in record.parts] == [part.name for part in drawing.parts]
            read = [(part.x, part.y) for part in record.parts]
            assert_allclose(read, [(part.x, part.y) for part in drawing.parts], atol=0.006)

    def test_layout_is_complete(self, drawn: Path) -> None:
        tables = {path.name: path.read_text().splitlines() for path in drawn.rglob("*.txt")}
        ids = [line.split()[0] for line in tables["images.txt"]]
        assert ids == [str(number) for number in range(1, 11)]
        for name in ("image_class_labels.txt", "train_test_split.txt", "bounding_boxes.txt"):
            assert [line.split()[0] for line in tables[name]] == ids
        assert len(tables["part_locs.txt"]) == 10 * len(PART_NAMES)
        assert sorted(path.name for path in drawn.iterdir() if path.suffix != ".txt") == [
            "images",
            "parts",
            "plumage.json",
        ]
        for line in tables["images.txt"]:
            with Image.open(drawn / "images" / line.split()[1]) as image:
                assert image.size == (64, 64)
                assert image.mode == "RGB"

    def test_a_script_needs_no_guard_for_processes(self, tmp_path: Path) -> None:
        script = tmp_path / "script.py"
        script.write_text(
            "from pathlib import Path\nfrom foveate.plumage import PlumageConfig, draw_plumage\n"
            f"birds = PlumageConfig(species=2, train_per_species=8, test_per_species=8, size=64)\nprint('once')\n"
            f"draw_plumage(Path({str(tmp_path / 'birds')!r}), birds, workers=2)\nassert __file__\n"
        )
        done = subprocess.run([sys.executable, script], capture_output=True, text=True, check=False)
        assert (done.returncode, done.stdout, done.stderr) == (0, "once\n", "")
        assert len(list((tmp_path / "birds" / "images").glob("*/*.jpg"))) == 32

    def test_bytes_do_not_depend_on_the_number_of_workers(self, drawn: Path, tmp_path: Path) -> None:
        assert contents(draw_plumage(tmp_path / "birds", SMALL, workers=2)) == contents(drawn)

    def test_a_finished_set_is_left_alone(self, drawn: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        before = contents(drawn)
        monkeypatch.setattr("foveate.plumage.writing.render", refuse_to_render)
        assert draw_plumage(drawn, SMALL, workers=1) == drawn
        assert contents(drawn) == before

    def test_an_interrupted_set_is_continued(self, drawn: Path, tmp_path: Path) -> None:
        with pytest.raises(Interruption):
            draw_plumage(tmp_path, SMALL, workers=1, progress=stop_after(4))
        kept = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.jpg")}
        assert len(kept) == 4
        assert not (tmp_path / "plumage.json").exists()
        counts: list[tuple[int, int]] = []
        draw_plumage(tmp_path, SMALL, workers=1, progress=lambda done, total: counts.append((done, total)))
        assert counts == [(done, 10) for done in range(1, 11)]
        assert {path: path.stat().st_mtime_ns for path in kept} == kept
        assert contents(tmp_path) == contents(drawn)

    def test_an_interrupted_set_of_another_config_is_refused(self, tmp_path: Path) -> None:
        with pytest.raises(Interruption):
            draw_plumage(tmp_path, SMALL, workers=1, progress=stop_after(1))
        with pytest.raises(UserError, match=r'holds the drawn birds of one config.*"seed": 0.*"seed": 7'):
            draw_plumage(tmp_path, PlumageConfig(species=2, size=64, seed=7), workers=1)

    def test_a_finished_set_of_another_config_is_refused(self, drawn: Path) -> None:
        before = contents(drawn)
        with pytest.raises(UserError, match="name another folder or delete this one"):
            draw_plumage(drawn, PlumageConfig(), workers=1)
        assert contents(drawn) == before

    def test_a_foreign_folder_is_refused_and_untouched(self, tmp_path: Path) -> None:
        (tmp_path / "thesis.txt").write_text("mine")
        with pytest.raises(UserError, match="drawn birds go into a new or empty folder"):
            draw_plumage(tmp_path, SMALL, workers=1)
        assert contents(tmp_path) == {"thesis.txt": b"mine"}

    def test_a_file_is_no_folder(self, tmp_path: Path) -> None:
        (tmp_path / "birds").write_text("")
        with pytest.raises(UserError, match="is a file: name another path"):
            draw_plumage(tmp_path / "birds", SMALL, workers=1)

    def test_no_workers_draw_nothing(self, tmp_path: Path) -> None:
        with pytest.raises(UserError, match="workers must be at least 1, or None for one per core; got 0"):
            draw_plumage(tmp_path, SMALL, workers=0)

    def test_the_marker_says_what_is_unusual_only(self) -> None:
        usual, other = (json.loads(_identity(PlumageConfig(bird=bird))) for bird in (1.0, 0.5))
        assert other == usual | {"bird": 0.5}
        assert list(usual) == ["edition", "species", "train_per_species", "test_per_species", "size", "seed"]

    def test_the_marker_holds_the_config(self, drawn: Path) -> None:
        marker = json.loads((drawn / "plumage.json").read_text())
        assert {name: marker[name] for name in ("species", "train_per_species", "size", "seed")} == {
            "species": 5,
            "train_per_species": 1,
            "size": 64,
            "seed": 0,
        }


class TestCanvas:
    @settings(deadline=None)
    @given(st.lists(st.tuples(st.floats(-9, 9), st.floats(-9, 9)), min_size=2, max_size=6), st.booleans())
    def test_curve_passes_through_its_points(self, points: list[tuple[float, float]], closed: bool) -> None:
        smooth = curve(points, 5, closed=closed)
        assert_allclose(smooth[::5][: len(points)], points, atol=1e-9)

    @settings(deadline=None)
    @given(st.floats(-3, 3), st.floats(-2, 2), st.floats(-2, 2))
    def test_a_child_frame_is_its_turn_within_the_parent(self, angle: float, x: float, y: float) -> None:
        parent = Frame(np.array([[0.0, -2.0], [2.0, 0.0]]), np.array([5.0, 7.0]))
        child = parent.child((1.0, 0.5), angle, (2.0, 1.0))
        inside = (1.0 + 2 * x * np.cos(angle) - y * np.sin(angle), 0.5 + 2 * x * np.sin(angle) + y * np.cos(angle))
        assert_allclose(child.at(x, y), parent.at(*inside), atol=1e-9)
        assert child.unit == pytest.approx(2.0 * np.sqrt(2.0))

    def test_colours_by_hand(self) -> None:
        assert mix((0, 0, 0), (100, 200, 50), 0.5) == (50, 100, 25)
        assert lighten((100, 100, 100), -0.5) == (50, 50, 50)
        assert lighten((155, 155, 155), 0.5) == (205, 205, 205)


def stop_after(pictures: int) -> Callable[[int, int], None]:
    def progress(done: int, total: int) -> None:
        if done == pictures:
            raise Interruption

    return progress


def refuse_to_render(*_: object) -> Drawing:
    raise AssertionError("drew a picture that was there")
