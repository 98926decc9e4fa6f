"""The evidence pool's table, what belongs to it, and its patches as a data set."""

from __future__ import annotations

import re
import shutil
import tracemalloc
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image

from foveate.config.data import DataConfig, DatasetFormat, TestViews, TransformConfig
from foveate.data.images import read_image
from foveate.data.records import ArchiveMember, ImageRecord, Patch
from foveate.data.transforms import evaluation_geometries
from foveate.errors import UserError
from foveate.grounding.config import GroundingConfig
from foveate.guided_zoom.config import PatchConfig, PoolConfig
from foveate.guided_zoom.pool import SCHEMA, EvidencePool, PoolDescription, hash_of_photographs
from foveate.recipes.datasets import load_dataset, load_splits
from foveate.types import Size

VIEW = TransformConfig(input_size=32, resize_size=40, source_size=64)


def photographs(root: Path, count: int = 5) -> Path:
    """Class folders of noise: owls and wrens in turn."""
    for index in range(count):
        path = root / "train" / ("owl", "wren")[index % 2] / f"{index}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        noise = np.random.default_rng(index).integers(0, 256, (50 + index, 70, 3), dtype=np.uint8)
        Image.fromarray(noise).save(path)
    return root


@pytest.fixture
def description(tmp_path: Path) -> PoolDescription:
    root = photographs(tmp_path / "birds")
    records = load_dataset(DataConfig(root=root)).train
    return PoolDescription(
        config=PoolConfig(patches=PatchConfig(source_size=64, rounds=2), part_size=2),
        data=DataConfig(root=root),
        transforms=VIEW,
        dataset="birds",
        class_names=("owl", "wren"),
        photographs=len(records),
        data_hash=hash_of_photographs(records),
        network_hash="abc",
    )


def rows(records: list[ImageRecord], rounds: int = 2) -> pa.Table:
    content = [
        {"id": each.id, "label": each.label, "round": number, "x": 1.0, "y": 2.0, "found": True, "probability": 0.5}
        | {"left": 3 * number, "top": 4, "right": 3 * number + 21, "bottom": 25}
        for each in records
        for number in range(rounds)
    ]
    return pa.Table.from_pylist(content, schema=SCHEMA)


def built(path: Path, description: PoolDescription, rounds: int = 2) -> EvidencePool:
    pool = EvidencePool.start(path, description)
    records = list(load_dataset(DataConfig(root=description.data.root)).train)
    for index in pool.parts.missing():
        pool.parts.write(index, rows(records[2 * index : 2 * index + 2], rounds))
    return pool


def test_a_pool_comes_back_as_it_was_written(description: PoolDescription, tmp_path: Path) -> None:
    pool = built(tmp_path / "pool", description)
    again = EvidencePool.open(tmp_path / "pool")
    assert again.description == description
    assert again.table().equals(pool.table())
    assert again.table().schema.equals(SCHEMA)
    assert again.table().num_rows == 10


def test_parts_are_counted_and_finished_ones_stay(description: PoolDescription, tmp_path: Path) -> None:
    pool = EvidencePool.start(tmp_path / "pool", description)
    assert pool.parts.missing() == (0, 1, 2)
    pool.parts.write(1, rows([]))
    assert EvidencePool.start(tmp_path / "pool", description).parts.missing() == (0, 2)
    with pytest.raises(UserError, match=r"2 of 3 parts of .*parts are missing; give `foveate pool build` again"):
        pool.table()


def test_the_summary_counts_rounds_and_classes(description: PoolDescription, tmp_path: Path) -> None:
    summary = built(tmp_path / "pool", description).summary()
    assert [(each.round, each.patches, each.per_class.tolist()) for each in summary] == [
        (0, 5, [3, 2]),
        (1, 5, [3, 2]),
        (2, 0, [0, 0]),
    ]


def test_patches_are_the_views_own_pixels(description: PoolDescription, tmp_path: Path) -> None:
    built(tmp_path / "pool", description)
    splits = load_splits(DataConfig(root=tmp_path / "pool", format=DatasetFormat.POOL, test_fraction=0.0))
    assert splits.class_names == ("owl", "wren")
    assert splits.test == ()
    record = splits.train[1]
    assert (record.id, record.class_name) == ("train/owl/0.png#1", "owl")
    photograph = Image.open(description.data.root / "train/owl/0.png")
    (view,) = evaluation_geometries(Size(*photograph.size), VIEW, TestViews.CENTRE)
    expected = np.asarray(view.pixels(photograph))[4:25, 3:24].astype(int)
    assert np.abs(np.asarray(read_image(record.image)).astype(int) - expected).max() <= 1


def test_released_code_stretches_patches_and_shows_whole_photographs(
    description: PoolDescription, tmp_path: Path
) -> None:
    config = replace(description.config, patches=PatchConfig(source_size=64, patch=0.5, stretch=True), whole=True)
    built(tmp_path / "pool", replace(description, config=config))
    records = load_splits(DataConfig(root=tmp_path / "pool", format=DatasetFormat.POOL, test_fraction=0.0)).train
    assert len(records) == 5 * 2 + 5
    assert read_image(records[1].image).size == (32, 32)
    whole = records[10]
    assert (whole.id, whole.class_name) == ("train/owl/0.png#whole", "owl")
    photograph = Image.open(description.data.root / "train/owl/0.png")
    (view,) = evaluation_geometries(Size(*photograph.size), VIEW, TestViews.CENTRE)
    assert np.array_equal(np.asarray(read_image(whole.image)), np.asarray(view.pixels(photograph)))


def test_photographs_that_moved_are_found_again(description: PoolDescription, tmp_path: Path) -> None:
    built(tmp_path / "pool", description)
    moved = description.data.root.rename(tmp_path / "elsewhere")
    pool = EvidencePool.start(tmp_path / "pool", replace(description, data=replace(description.data, root=moved)))
    assert pool.parts.missing() == ()
    splits = load_splits(DataConfig(root=tmp_path / "pool", format=DatasetFormat.POOL, test_fraction=0.0))
    assert read_image(splits.train[0].image).size == (21, 21)


def test_patches_have_the_classes_of_the_pools_photographs(description: PoolDescription, tmp_path: Path) -> None:
    """A label that a list corrects is corrected in the patches too."""
    (tmp_path / "new.csv").write_text("image,class_name\ntrain/owl/0.png,wren\n")
    data = replace(description.data, relabel=tmp_path / "new.csv")
    built(tmp_path / "pool", replace(description, data=data))
    records = load_dataset(DataConfig(root=tmp_path / "pool")).train
    assert {each.class_name for each in records if each.id.startswith("train/owl/0.png#")} == {"wren"}
    assert {each.class_name for each in records if each.id.startswith("train/owl/2.png#")} == {"owl"}


def test_a_pool_is_recognised(description: PoolDescription, tmp_path: Path) -> None:
    built(tmp_path / "pool", description)
    assert load_dataset(DataConfig(root=tmp_path / "pool")).name == "evidence from birds"


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ({"network_hash": "def"}, "another network"),
        ({"data_hash": "def"}, "other photographs"),
        ({"class_names": ("owl", "kite")}, "other classes"),
        ({"transforms": replace(VIEW, resize_size=48)}, "views of another geometry"),
        (
            {"config": PoolConfig(grounding=GroundingConfig(layer="x"))},
            r"other settings \(grounding, patches, part_size\)",
        ),
    ],
)
def test_a_pool_of_another_is_refused(
    description: PoolDescription, tmp_path: Path, change: dict[str, object], what: str
) -> None:
    built(tmp_path / "pool", description)
    with pytest.raises(UserError, match=f"was built with {what}; name another folder, or remove that one"):
        EvidencePool.start(tmp_path / "pool", replace(description, **change))  # type: ignore[arg-type]


def test_the_hash_knows_another_version_of_the_data(description: PoolDescription) -> None:
    records = load_dataset(DataConfig(root=description.data.root)).train
    relabelled = (replace(records[0], label=1), *records[1:])
    assert len({hash_of_photographs(each) for each in (records, records[1:], relabelled)}) == 3
    (description.data.root / records[0].id).write_bytes(b"shorter")
    assert hash_of_photographs(records) != description.data_hash


def test_the_hash_knows_bytes_and_archives(tmp_path: Path) -> None:
    def hashed(image: bytes | ArchiveMember) -> str:
        return hash_of_photographs([ImageRecord("a", image, 0, "owl")])

    assert hashed(b"12") != hashed(b"123")
    assert hashed(b"123") == hashed(ArchiveMember(tmp_path, 7, 3))


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda folder: (folder / "pool.json").unlink(), "a pool is a folder with a pool.json"),
        (lambda folder: (folder / "pool.json").write_text("{"), r"pool\.json must be JSON"),
        (
            lambda folder: (folder / "pool.json").write_text('{"schema_version": 7}'),
            r"reads pool\.json of schema 4; .* has 7; use the version that wrote it",
        ),
        (
            lambda folder: (folder / "pool.json").write_text('{"schema_version": 1}'),
            "does not describe an evidence pool",
        ),
        (
            lambda folder: (folder / "parts" / "00001.parquet").write_bytes(b"no"),
            r"00001\.parquet .*; remove that file and give",
        ),
    ],
)
def test_a_damaged_pool_is_named(
    description: PoolDescription, tmp_path: Path, damage: Callable[[Path], object], message: str
) -> None:
    built(tmp_path / "pool", description)
    damage(tmp_path / "pool")
    with pytest.raises(UserError, match=message):
        EvidencePool.open(tmp_path / "pool").table()


def test_a_folder_of_something_else_is_left_alone(description: PoolDescription, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "letter.txt").write_text("dear")
    with pytest.raises(UserError, match="a new pool needs an empty folder"):
        EvidencePool.start(tmp_path / "mine", description)
    assert [each.name for each in (tmp_path / "mine").iterdir()] == ["letter.txt"]


def test_an_empty_pool_is_refused(description: PoolDescription, tmp_path: Path) -> None:
    built(tmp_path / "pool", description, rounds=0)
    with pytest.raises(UserError, match=r"a pool must hold evidence; .* is empty"):
        load_dataset(DataConfig(root=tmp_path / "pool", format=DatasetFormat.POOL))


def test_a_class_without_evidence_is_named(description: PoolDescription, tmp_path: Path) -> None:
    pool = EvidencePool.start(tmp_path / "pool", description)
    owls = [record for record in load_dataset(DataConfig(root=description.data.root)).train if record.label == 0]
    for index in pool.parts.missing():
        pool.parts.write(index, rows(owls[index : index + 1]))
    with pytest.raises(UserError, match=re.escape("has none of 1 of 2, 'wren' first")):
        load_dataset(DataConfig(root=tmp_path / "pool"))


def test_photographs_that_are_gone_are_named(description: PoolDescription, tmp_path: Path) -> None:
    built(tmp_path / "pool", description)
    (description.data.root / "train/owl/2.png").unlink()
    with pytest.raises(UserError, match=r"1 are not in .*birds, 'train/owl/2\.png' first"):
        load_dataset(DataConfig(root=tmp_path / "pool"))


def test_a_patch_of_a_broken_photograph_names_the_photograph(tmp_path: Path) -> None:
    patch = Patch(tmp_path / "none.png", VIEW, (0, 0, 8, 8))
    with pytest.raises(UserError, match=r"image not found: .*none\.png"):
        read_image(patch, "none.png#0")


def many(tmp_path: Path, description: PoolDescription, count: int) -> tuple[EvidencePool, list[ImageRecord]]:
    """A pool of `count` patches of two photographs."""
    photographs = list(load_dataset(DataConfig(root=description.data.root)).train)[:5]
    pool = EvidencePool.start(tmp_path / "pool", description)
    each = [photographs[index % 5] for index in range(count // 3)]
    for index in pool.parts.missing():
        pool.parts.write(index, rows(each[index :: len(pool.parts)], 3))
    return pool, photographs


def test_a_table_is_mapped_and_not_read(description: PoolDescription, tmp_path: Path) -> None:
    pool, _ = many(tmp_path, description, 9000)
    read, first = pool.parts.read(), pool.table()
    before = pa.total_allocated_bytes()
    again = pool.table()
    assert pa.total_allocated_bytes() - before < read.nbytes / 100
    assert again.equals(read)
    assert first.equals(read)
    assert again.column("x").num_chunks == 1


def test_a_patch_costs_its_numbers_only(description: PoolDescription, tmp_path: Path) -> None:
    pool, photographs = many(tmp_path, description, 9000)
    pool.dataset(photographs)
    tracemalloc.start()
    train = pool.dataset(photographs).train
    current, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert current < 64 * len(train)
    assert train[7] == train[7]
    assert train[7] is not train[7]
    assert [each.id for each in train[1:3]] == [train[1].id, train[2].id]
    assert train[-1].id == train[len(train) - 1].id
    with pytest.raises(IndexError):
        train[len(train)]


def test_a_part_that_is_built_again_is_joined_again(description: PoolDescription, tmp_path: Path) -> None:
    pool = built(tmp_path / "pool", description)
    assert pool.table().num_rows == 10
    pool.parts.write(1, rows([]))
    assert pool.table().num_rows == 6
    assert pool.parts.joined.exists()
    pool.parts.file(0).unlink()
    with pytest.raises(UserError, match="1 of 3 parts"):
        pool.table()


def test_parts_that_were_restored_by_hand_are_joined_again(description: PoolDescription, tmp_path: Path) -> None:
    pool, other = (built(tmp_path / name, description) for name in ("pool", "other"))
    assert pool.table().num_rows == 10
    other.parts.write(1, rows([]))
    shutil.copy2(other.parts.file(1), pool.parts.file(1))
    assert pool.table().num_rows == 6


def test_a_damaged_joined_file_is_made_anew(description: PoolDescription, tmp_path: Path) -> None:
    pool = built(tmp_path / "pool", description)
    pool.table()
    pool.parts.joined.write_bytes(pool.parts.joined.read_bytes()[:100])
    assert pool.table().equals(pool.parts.read())


def test_a_pool_that_cannot_be_written_is_read(description: PoolDescription, tmp_path: Path) -> None:
    pool = built(tmp_path / "pool", description)
    pool.parts.joined.mkdir()
    assert pool.table().num_rows == 10
