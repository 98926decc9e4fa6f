"""Building the evidence pool: what is kept, in parts, whoever builds them and however often they are stopped."""

from __future__ import annotations

import json
import re
import shutil
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any
from unittest import mock

import pyarrow as pa
import pytest
import torch
from PIL import Image
from torch import Tensor

from foveate.commands.main import main
from foveate.config.data import DatasetFormat
from foveate.config.hardware import HardwareConfig
from foveate.config.networks import BackboneConfig, ProbeConfig
from foveate.data.preparation import Splits
from foveate.data.records import ImageRecord
from foveate.errors import UserError
from foveate.files.documents import unstructured, write_json
from foveate.grounding.config import GroundingConfig, GroundingMethod
from foveate.guided_zoom.config import Keep, PatchConfig, PoolConfig
from foveate.guided_zoom.conventional_cnn import ConventionalCNN
from foveate.guided_zoom.pool import SCHEMA_VERSION, EvidencePool
from foveate.guided_zoom.pool_rule import admission, pool_rows
from foveate.recipes.config import TrainConfig
from foveate.runs.context import RunContext
from foveate.runs.run import Run
from foveate.types import Grounded
from foveate.workflows.build_pool import build_pool, export_patches
from foveate.workflows.train import train

SLOW = HardwareConfig(accelerator="cpu", workers=0)
CONFIG = PoolConfig(
    grounding=GroundingConfig(method=GroundingMethod.CLASS_MAPS),
    patches=PatchConfig(source_size=64, rounds=2),
    keep=Keep.ERASED_CORRECT,
    part_size=10,
    batch_size=4,
)


def silent(line: str) -> None:
    """Say nothing."""


def built(run: Run, out: Path, config: PoolConfig = CONFIG, **options: Any) -> EvidencePool:
    return build_pool(run, out, config, **{"context": RunContext(hardware=SLOW, say=silent), **options})


@pytest.fixture(scope="module")
def pool(quick_run: Run, tmp_path_factory: pytest.TempPathFactory) -> EvidencePool:
    return built(quick_run, tmp_path_factory.mktemp("pools") / "pool")


class Scripted:
    """A network that answers as it is told: the class of each call and photograph."""

    def __init__(self, answers: list[list[int]]) -> None:
        self.answers = answers
        self.images: list[Tensor] = []

    def answer(self, images: Tensor, classes: Tensor) -> Grounded:
        logits = torch.nn.functional.one_hot(torch.tensor(self.answers[len(self.images)]), 2).float()
        self.images.append(images)
        maps = torch.zeros(len(images), 1, 4, 4)
        maps[:, 0, len(self.images) - 1, 1] = 1
        return Grounded(logits, classes, maps)


def scripted(answers: list[list[int]], keep: Keep) -> tuple[list[tuple[str, int]], Scripted]:
    base = Scripted(answers)
    records = [ImageRecord(name, b"", label, "owl") for name, label in (("a", 0), ("b", 1), ("c", 1))]
    images = torch.full((3, 32, 32, 3), 9, dtype=torch.uint8)
    config = replace(CONFIG, keep=keep)
    conventional = mock.Mock(spec=ConventionalCNN, answer=base.answer, classifier=mock.Mock(device=torch.device("cpu")))
    rows = pool_rows(conventional, images, records, config)
    return [(row["id"], row["round"]) for row in rows.to_pylist()], base


@pytest.mark.parametrize(
    ("keep", "number", "enters", "goes_on"),
    [
        (Keep.CORRECT, 0, [True, False], [True, False]),
        (Keep.CORRECT, 1, [True, False], [True, False]),
        (Keep.FIRST_ALWAYS, 0, [True, True], [True, False]),
        (Keep.FIRST_ALWAYS, 1, [True, False], [True, False]),
        (Keep.ERASED_CORRECT, 0, [True, True], [True, True]),
        (Keep.ERASED_CORRECT, 1, [True, False], [True, False]),
    ],
)
def test_what_becomes_of_a_right_and_of_a_wrong_photograph(
    keep: Keep, number: int, enters: list[bool], goes_on: list[bool]
) -> None:
    decision = admission(torch.tensor([True, False]), number, keep)
    assert (decision.enters.tolist(), decision.goes_on.tolist()) == (enters, goes_on)


def test_a_round_is_kept_while_the_answer_is_right() -> None:
    """a: right, right, wrong; b: wrong; c: right three times."""
    kept, base = scripted([[0, 0, 1], [0, 1], [1, 1]], Keep.CORRECT)
    assert kept == [("a", 0), ("a", 1), ("c", 0), ("c", 1), ("c", 2)]
    assert [len(each) for each in base.images] == [3, 2, 2]


def test_the_first_round_of_every_photograph_may_be_kept() -> None:
    kept, _ = scripted([[0, 0, 1], [0, 1], [1, 1]], Keep.FIRST_ALWAYS)
    assert kept == [("a", 0), ("a", 1), ("b", 0), ("c", 0), ("c", 1), ("c", 2)]


def test_the_released_code_asks_the_erased_photographs_alone() -> None:
    """a: right, wrong; b: wrong when whole, then right twice; c: wrong when whole, right, wrong."""
    kept, base = scripted([[0, 0, 0], [1, 1, 1], [1, 0]], Keep.ERASED_CORRECT)
    assert kept == [("a", 0), ("b", 0), ("b", 1), ("b", 2), ("c", 0), ("c", 1)]
    assert [len(each) for each in base.images] == [3, 3, 2]


def test_each_round_hides_the_evidence_of_those_before() -> None:
    _, base = scripted([[0, 1, 1], [0, 1, 1], [0, 1, 1]], Keep.CORRECT)
    black = [(each[0].sum(-1) == 0).sum().item() for each in base.images]
    side = round(CONFIG.patches.erased * 32)
    assert black == [0, side * side, 2 * side * side]
    assert base.images[2][0, 4, 12].tolist() == [0, 0, 0]  # the middle of the first peak's cell


def test_when_nothing_is_right_nothing_is_kept() -> None:
    kept, base = scripted([[1, 0, 0]], Keep.CORRECT)
    assert kept == []
    assert len(base.images) == 1


def test_the_pool_describes_itself(pool: EvidencePool, quick_run: Run) -> None:
    description = pool.description
    assert description.class_names == quick_run.class_names
    assert description.photographs == 24
    assert description.transforms == replace(quick_run.config.transforms, source_size=64)
    assert pool.parts.missing() == ()
    table = pool.table()
    assert table.num_rows >= 24
    assert table.column("round").to_pylist().count(0) == 24
    assert all(
        0 <= left < right <= 64
        for left, right in zip(table["left"].to_pylist(), table["right"].to_pylist(), strict=True)
    )


def test_a_pool_of_the_former_rule_keeps_it(pool: EvidencePool, tmp_path: Path) -> None:
    """Its name in a pool's document means what it did."""
    former = replace(pool.description, config=replace(CONFIG, keep=Keep.FIRST_ALWAYS))
    shutil.copytree(pool.path / "parts", tmp_path / "pool" / "parts")
    write_json(tmp_path / "pool" / "pool.json", unstructured(former), SCHEMA_VERSION)
    assert json.loads((tmp_path / "pool" / "pool.json").read_text())["config"]["keep"] == "first-always"
    assert EvidencePool.open(tmp_path / "pool").description == former
    with pytest.raises(UserError, match=r"was built with other settings \(keep\)"):
        EvidencePool.start(tmp_path / "pool", pool.description)


def test_processes_that_share_the_work_build_the_same_pool(pool: EvidencePool, quick_run: Run, tmp_path: Path) -> None:
    for index in (1, 2, 0):
        context = RunContext(hardware=replace(SLOW, workers=index), say=silent)
        built(quick_run, tmp_path / "pool", share=(index, 3), context=context)
    assert EvidencePool.open(tmp_path / "pool").table().equals(pool.table())


def test_the_copy_of_the_network_that_was_placed_is_grounded(quick_run: Run, tmp_path: Path) -> None:
    with mock.patch.object(ConventionalCNN, "place", wraps=ConventionalCNN.place) as place:
        built(quick_run, tmp_path / "pool")
    assert place.call_args.args[1:] == (CONFIG.grounding, SLOW, None)


def test_a_killed_build_repeats_no_finished_part(pool: EvidencePool, quick_run: Run, tmp_path: Path) -> None:
    calls: list[int] = []

    def rows(base: ConventionalCNN, images: Tensor, records: list[ImageRecord], config: PoolConfig) -> pa.Table:
        calls.append(len(records))
        if len(calls) == 5:
            raise KeyboardInterrupt
        return pool_rows(base, images, records, config)

    with mock.patch("foveate.workflows.grounded_batches.pool_rows", rows):
        with pytest.raises(KeyboardInterrupt):
            built(quick_run, tmp_path / "pool")
        assert EvidencePool.open(tmp_path / "pool").parts.missing() == (1, 2)
        built(quick_run, tmp_path / "pool")
    assert calls == [4, 4, 2, 4, 4, 4, 4, 2, 4]
    assert EvidencePool.open(tmp_path / "pool").table().equals(pool.table())


def test_a_finished_pool_is_built_no_more(pool: EvidencePool, quick_run: Run) -> None:
    before = {path: path.stat().st_mtime_ns for path in pool.path.rglob("*.parquet")}
    with mock.patch("foveate.workflows.grounded_batches.pool_rows", side_effect=AssertionError):
        built(quick_run, pool.path)
    assert {path: path.stat().st_mtime_ns for path in pool.path.rglob("*.parquet")} == before


def test_a_pool_of_another_network_is_refused(pool: EvidencePool, s3n_run: Run) -> None:
    with pytest.raises(UserError, match="was built with another network"):
        built(s3n_run, pool.path)


def test_an_s3n_run_has_a_pool_too(s3n_run: Run, tmp_path: Path) -> None:
    made = built(s3n_run, tmp_path / "pool", replace(CONFIG, patches=PatchConfig(source_size=96, rounds=2)))
    assert made.table().column("round").to_pylist().count(0) == 24


def test_patches_are_exported_as_pictures(pool: EvidencePool, tmp_path: Path) -> None:
    count = export_patches(pool, tmp_path / "patches", say=silent)
    files = sorted((tmp_path / "patches").rglob("*.png"))
    assert len(files) == count == pool.table().num_rows
    assert {path.parent.name for path in files} == set(pool.description.class_names)
    row = pool.table().to_pylist()[0]
    named = [path for path in files if path.stem.endswith(f"{Path(row['id']).stem}-round-0")]
    with Image.open(named[0]) as picture:
        assert picture.size == (row["right"] - row["left"], row["bottom"] - row["top"])
    with pytest.raises(UserError, match="patches are written into an empty folder"):
        export_patches(pool, tmp_path / "patches", say=silent)


HOSTILE = ["../../owl", "/owl", "..", "a/b", "a\0b", "-rf", "NUL", "", "x" * 300, "Owl", "owl", "e\u0301", "\xe9"]


def test_nothing_is_exported_outside_the_folder_and_no_patch_replaces_another(plumage: Path, tmp_path: Path) -> None:
    birds = [each.read_bytes() for each in sorted(plumage.rglob("*.jpg"))[:2]]
    ids = [
        f"{place}/../{name}/{'x' * 300}{suffix}" for place, name in enumerate(HOSTILE) for suffix in (".jpg", ".png")
    ]
    learnt = [
        ImageRecord(f"{each}#0", birds[place % 2], place // 2, HOSTILE[place // 2]) for place, each in enumerate(ids)
    ]
    splits = Splits("birds", tuple(HOSTILE), learnt, (), ())
    pool = mock.Mock(path=tmp_path / "pool", description=mock.Mock(class_names=tuple(HOSTILE)))
    with mock.patch("foveate.workflows.build_pool.load_splits", return_value=splits):
        assert export_patches(pool, tmp_path / "a" / "b" / "patches", say=silent) == len(learnt)
    files = [path.relative_to(tmp_path / "a" / "b" / "patches") for path in tmp_path.rglob("*") if path.is_file()]
    assert {len(each.parts) for each in files} == {2}
    assert len({str(each).casefold() for each in files}) == len(learnt)
    assert len({each.parent for each in files}) == len(HOSTILE)


@pytest.mark.parametrize("share", [(3, 3), (-1, 2), (0, 0)])
def test_a_share_that_is_none_is_refused(quick_run: Run, tmp_path: Path, share: tuple[int, int]) -> None:
    with pytest.raises(UserError, match=re.escape(f"a share must be i/n with 0 <= i < n; got {share[0]}/{share[1]}")):
        built(quick_run, tmp_path / "pool", share=share)


def test_on_the_command_line(
    pool: EvidencePool, quick_run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ["--pool.grounding.method", "class-maps", "--pool.patches.source-size", "64", "--pool.part-size", "10"]
    options += ["--pool.keep", "erased-correct", "--pool.batch-size", "4", "--hardware.precision", "float32"]
    options += ["--pool.patches.rounds", "2"]
    out = str(tmp_path / "pool")
    assert main(["pool", "build", str(quick_run.path), "--out", out, "--share", "0/2", *options]) == 0
    assert "2 of 3 parts are built" in capsys.readouterr().out
    assert main(["pool", "build", str(quick_run.path), "--out", out, *options]) == 0
    assert "| class" in capsys.readouterr().out
    assert EvidencePool.open(tmp_path / "pool").table().equals(pool.table())
    assert main(["pool", "export", out, "--out", str(tmp_path / "patches")]) == 0
    assert main(["pool", "build", str(quick_run.path), "--out", out, "--share", "x"]) == 2
    assert "a share must be i/n" in capsys.readouterr().err


def test_where_nothing_is_said_the_family_decides_and_what_is_said_holds(quick: TrainConfig, tmp_path: Path) -> None:
    """A ViT is grounded by AttnLRP at its first block; excitation backprop that was asked for is refused."""
    probe = ProbeConfig(backbone=BackboneConfig(architecture="test_vit", weights="none"))
    run = train(replace(quick, epochs=15, batch_size=16, network=probe), tmp_path / "run", say=silent)
    said: list[str] = []
    context = RunContext(hardware=SLOW, say=said.append)
    usual = replace(CONFIG, grounding=GroundingConfig())
    for _ in range(2):
        pool = built(run, tmp_path / "pool", usual, context=context)
        chosen = GroundingConfig(method=GroundingMethod.ATTN_LRP, layer="body.blocks.0")
        assert pool.description.config == replace(CONFIG, grounding=chosen)
    line = "evidence is grounded by attn-lrp at body.blocks.0 (--pool.grounding.method)"
    assert said.count(line) == 1, "a pool that is begun goes on as it began"
    for method in (GroundingMethod.EB, GroundingMethod.CEB):
        with pytest.raises(UserError, match=r"excitation backprop grounds a CNN's feature map .* take .*attn-lrp"):
            built(run, tmp_path / "other", replace(CONFIG, grounding=GroundingConfig(method=method)))
    assert not (tmp_path / "other").exists()


def test_what_the_family_cannot_be_seen_by_gives_way_with_its_reason(quick: TrainConfig, tmp_path: Path) -> None:
    """A CNN of SiLUs, which excitation backprop has no rule for."""
    probe = ProbeConfig(backbone=BackboneConfig(architecture="test_efficientnet", weights="none"))
    run = train(replace(quick, epochs=15, batch_size=16, network=probe), tmp_path / "run", say=silent)
    said: list[str] = []
    pool = built(
        run,
        tmp_path / "pool",
        replace(CONFIG, grounding=GroundingConfig()),
        context=RunContext(hardware=SLOW, say=said.append),
    )
    assert pool.description.config.grounding.method is GroundingMethod.CLASS_MAPS
    assert any(
        "grounded by class-maps (--pool.grounding.method): excitation backprop has no rule" in each for each in said
    )


def test_photographs_of_other_classes_are_refused(quick_run: Run, tmp_path: Path) -> None:
    for split, name in product(("train", "test"), ("owl", "wren")):
        file = tmp_path / "others" / split / name / f"{split}.png"
        file.parent.mkdir(parents=True)
        Image.new("RGB", (64, 64)).save(file)
    data = replace(quick_run.config.data, root=tmp_path / "others", format=DatasetFormat.FOLDER)
    config = replace(quick_run.config, data=data)
    run = replace(quick_run, description=replace(quick_run.description, config=config))
    with pytest.raises(UserError, match="works with the classes that it was trained on"):
        built(run, tmp_path / "pool")
    assert not (tmp_path / "pool").exists()
