"""Build the evidence pool of a trained network: where it sees its evidence in its own training photographs."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import torch

from foveate.config.data import DataConfig, DatasetFormat, Split, TransformConfig
from foveate.config.hardware import HardwareConfig
from foveate.data.images import read_image
from foveate.data.records import ImageRecord
from foveate.errors import UserError
from foveate.files.atomic import atomic_path
from foveate.files.file_names import unique_names
from foveate.files.hashes import hash_of_file
from foveate.files.locks import LOCK, working_in
from foveate.grounding.config import GroundingConfig, GroundingMethod
from foveate.grounding.usual import usual_groundings
from foveate.guided_zoom.config import PoolConfig
from foveate.guided_zoom.conventional_cnn import ConventionalCNN
from foveate.guided_zoom.pool import EvidencePool, PoolDescription, hash_of_photographs, patches_alone
from foveate.networks.looker import Looker
from foveate.networks.network import Network
from foveate.progress import progress
from foveate.recipes.datasets import load_splits
from foveate.report.tables import markdown_table
from foveate.runs.context import HERE, RunContext
from foveate.runs.run import Run
from foveate.workflows.grounded_batches import grounded_batches
from foveate.workflows.looker import loaded_looker, opened_looker


def build_pool(
    run: Run | Path | str,
    out: Path | str,
    config: PoolConfig | None = None,
    *,
    looker: Run | Path | str | None = None,
    share: tuple[int, int] = (0, 1),
    context: RunContext = HERE,
) -> EvidencePool:
    """Ground every training photograph of a run in its true class, round by round; write the table in parts.

    A killed build goes on with the part it was at. Several processes, on one machine or on many that see the same
    folder, may each build a share; what builds the whole pool beside them is not kept out, and does their work again.

    Args:
        run: A finished run, or its folder.
        out: The pool's folder: new, empty, or holding the same pool.
        config: What the pool holds.
        looker: A finished run of the same classes, or its folder, whose network is grounded in the place of the one
            that answers: look with the small, recognise with the large. None: that one is grounded itself.
        share: (i, n): build every n-th part, beginning with part i.
        context: As `RunContext` says.

    Raises:
        UserError: The folder holds something else, a photograph cannot be read, the network cannot be grounded, or the
            looker has other classes.
    """
    run, config, hardware = Run.of(run), config or PoolConfig(), context.hardware
    looking, (first, step) = opened_looker(looker, run), _checked(share)
    data = context.data_of(run)
    data = data if context.root is None else replace(data, root=context.root.expanduser().resolve())
    EvidencePool.check_folder(out := Path(out))
    config = with_usual_grounding(run, config, out, context, looking)
    photographs = context.photographs_of(run, Split.TRAIN)
    network, grounded = run.load_network(), loaded_looker(looking)
    if not EvidencePool.begun(out):
        check_grounding(network, config.grounding, run.config.transforms, hardware, grounded)
    lock = LOCK if step == 1 else f"{LOCK}-{first}-of-{step}"
    with working_in(out, lambda: any(out.glob("parts/*.parquet")), name=lock):
        records = context.readable(run, photographs)
        pool = EvidencePool.start(out, _description(run, looking, config, data, records))
        mine = [index for index in pool.parts.missing() if index % step == first]
        if mine:
            conventional = ConventionalCNN.place(network, config.grounding, hardware, grounded)
            _build(pool, conventional, (run, looking), records, mine, context)
    missing, parts = pool.parts.missing(), len(pool.parts)
    context.say(f"{pool.path}: {parts - len(missing)} of {parts} parts are built")
    if not missing:
        context.say(summary_of(pool))
    return pool


def check_grounding(
    network: Network,
    config: GroundingConfig,
    transforms: TransformConfig,
    hardware: HardwareConfig,
    looker: Looker | None = None,
) -> None:
    """Ground a blank image, so that what cannot be done is said before photographs are read and folders made.

    Raises:
        UserError: The accelerator is not there, the layer is none or gives no feature map, the method does not fit the
            network, or the network does not answer.
    """
    conventional = ConventionalCNN.place(network, replace(config, masks=1), hardware, looker)
    conventional.answer(torch.zeros(1, transforms.source, transforms.source, 3, dtype=torch.uint8), 1)


def with_usual_grounding(
    run: Run, config: PoolConfig, out: Path, context: RunContext, looker: Run | None = None
) -> PoolConfig:
    """Return what a pool holds, its method of grounding chosen where none is said (`foveate.grounding.usual`).

    What sees through the network is found by trying. A pool that is begun goes on as it began.

    Args:
        run: Of the conventional network.
        config: What is asked for.
        out: The pool's folder.
        context: As `RunContext` says.
        looker: Of the network that is grounded in its place; None: it is grounded itself.
    """
    asked = config.grounding
    if asked.method:
        return config
    if EvidencePool.begun(out):
        begun = EvidencePool.open(out).description.config.grounding
        return replace(config, grounding=replace(asked, method=begun.method, layer=asked.layer or begun.layer))
    try:
        network, looking = run.load_network(), loaded_looker(looker)
    except UserError:  # it is said where it is needed
        return config
    grounded = network.backbone if looking is None else looking.backbone
    first, *others = usual_groundings(grounded, asked)
    refusal: UserError | None = None
    for each in (first, *others):
        try:
            check_grounding(network, each, run.config.transforms, context.hardware, looking)
        except UserError as error:
            refusal = refusal or error
            continue
        where, why = (f" at {each.layer}" if each.layer else ""), (f": {refusal}" if refusal else "")
        if each != replace(asked, method=GroundingMethod.EB):
            context.say(f"evidence is grounded by {each.method}{where} (--pool.grounding.method){why}")
        return replace(config, grounding=each)
    return replace(config, grounding=first)  # none can: its own error is raised where it is needed


def _description(
    run: Run, looker: Run | None, config: PoolConfig, data: DataConfig, records: Sequence[ImageRecord]
) -> PoolDescription:
    return PoolDescription(
        config=config,
        data=data,
        transforms=replace(run.config.transforms, source_size=config.patches.source_size),
        dataset=run.description.dataset,
        class_names=run.class_names,
        photographs=len(records),
        data_hash=hash_of_photographs(records),
        network_hash=hash_of_file(run.weights),
        looker_hash=None if looker is None else hash_of_file(looker.weights),
    )


def parsed_share(text: str) -> tuple[int, int]:
    """Read a share from words such as 0/4.

    Raises:
        UserError: It is none.
    """
    first, slash, step = text.partition("/")
    if not slash or not first.isdecimal() or not step.isdecimal():
        raise _no_share(text)
    return int(first), int(step)


def _checked(share: tuple[int, int]) -> tuple[int, int]:
    first, step = share
    if not 0 <= first < step:
        raise _no_share(f"{first}/{step}")
    return share


def _no_share(given: str) -> UserError:
    return UserError(f"a share must be i/n with 0 <= i < n; got {given}")


def summary_of(pool: EvidencePool) -> str:
    """Return how many photographs each round kept, in all and by class, as a Markdown table."""
    rounds = pool.summary()
    lines = [("all", *(str(each.patches) for each in rounds))]
    lines += [
        (name, *(str(each.per_class[label]) for each in rounds))
        for label, name in enumerate(pool.description.class_names)
    ]
    return markdown_table(("class", *(f"round {each.round}" for each in rounds)), lines)


def _build(
    pool: EvidencePool,
    conventional: ConventionalCNN,
    runs: tuple[Run, Run | None],
    records: Sequence[ImageRecord],
    parts: Sequence[int],
    context: RunContext,
) -> None:
    size = pool.description.config.batch_size
    chunks = [records[pool.parts.members(index)] for index in parts]
    batches = [[chunk[start : start + size] for start in range(0, len(chunk), size)] for chunk in chunks]
    every = [batch for part in batches for batch in part]
    run, looker = runs
    made = grounded_batches(conventional, run, every, pool.description.config, context, looker)
    count = 0
    with progress("grounding", sum(map(len, chunks)), context.say) as advance:
        for index, part in zip(parts, batches, strict=True):
            tables = []
            for batch, table in zip(part, made, strict=False):  # the next part's are made later
                tables.append(table)
                count += len(batch)
                advance(count)
            pool.parts.write(index, pa.concat_tables(tables))


def export_patches(pool: EvidencePool, out: Path, *, say: Callable[[str], None] = print) -> int:
    """Write every patch of a pool as a PNG below a folder for each class, to be looked at; return how many.

    Folders and files have the names of classes and photographs as far as a file system takes them (`safe_name`).

    Raises:
        UserError: The folder holds something, or the pool is unfinished or empty.
    """
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise UserError(f"patches are written into an empty folder; {out} holds something; name another")
    patches = load_splits(DataConfig(root=pool.path, format=DatasetFormat.POOL, test_fraction=0.0)).train
    records = patches_alone(patches)
    folders = unique_names({name: name for name in pool.description.class_names})
    files = unique_names({each: _stem(each) for each in (record.id.rpartition("#")[0] for record in records)})
    with progress("cutting", len(records), say) as advance:
        for count, record in enumerate(records, 1):
            photograph, _, number = record.id.rpartition("#")
            path = out / folders[record.class_name] / f"{files[photograph]}-round-{number}.png"
            with atomic_path(path) as temporary:
                read_image(record.image, record.id).save(temporary, format="PNG")
            advance(count)
    say(f"{len(records)} patches: {out}")
    return len(records)


def _stem(photograph: str) -> str:
    return re.sub(r"\.\w{1,5}$", "", photograph).replace("/", "-")
