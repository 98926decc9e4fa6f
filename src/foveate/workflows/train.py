"""Train a network and leave a run folder."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch.loggers import Logger

from foveate.config.data import Split
from foveate.config.engine import EngineConfig
from foveate.config.networks import NAMED_WEIGHTS
from foveate.config.trackers import Tracker
from foveate.data.preparation import Splits, checked_splits
from foveate.data.records import ImageRecord
from foveate.engines.ray_engine import mapped_by
from foveate.errors import UserError
from foveate.files.locks import working_in
from foveate.hardware import check_devices, first_process
from foveate.networks.network import Network
from foveate.recipes.config import TrainConfig
from foveate.recipes.datasets import load_splits
from foveate.recipes.methods import create_network
from foveate.runs.run import Run, RunDescription, finished_otherwise
from foveate.training.checkpoints import resumed_from
from foveate.training.first_weights import keep_first_weights, mix_with_first_weights
from foveate.training.fit import fit
from foveate.training.losses import check_smoothing
from foveate.training.low_rank import check_low_rank, low_rank_updates
from foveate.training.solve import check_solved, solve, with_head_start
from foveate.training.trackers import log_numbers, tracked
from foveate.workflows.held_out_answers import keep_out_of_fold_answers, keep_validation_answers
from foveate.workflows.looker import described_looker, looker_of


def train(
    config: TrainConfig,
    out: Path | str,
    *,
    tracker: Tracker | str | None = None,
    engine: EngineConfig | None = None,
    say: Callable[[str], None] = print,
) -> Run:
    """Train what `config` describes, in the folder `out`.

    Every photograph, also of the test split, is read once first. An interrupted training is continued by the same call.
    Worker processes are spawned on macOS and Windows: a script calls this below ``if __name__ == "__main__":``.

    Args:
        config: A recipe, or a variant of one by `dataclasses.replace`.
        out: The run folder: new, empty, or holding the unfinished run of the same configuration.
        tracker: Where settings and numbers also go, beside the CSV and TensorBoard of the run folder.
        engine: Who reads the photographs, and computes the features of a frozen backbone; None: this process.
        say: Receives lines of progress.

    Returns:
        The finished run; one that an earlier call finished is used again.

    Raises:
        UserError: Something the user can mend: see its message.
        KeyboardInterrupt: The training was interrupted; call again to continue.
    """
    tracker = None if tracker is None else Tracker(tracker)
    first = first_process()  # Lightning starts this program once more for each further device
    say = say if first else _nothing
    _check_trained_here(config)
    config = _resolved(config)
    splits = load_splits(config.data, say)
    photographs = len(splits.named(Split.TRAIN))
    if not config.epochs:
        config = config.counted(photographs)
        say(f"{config.epochs} epochs of {photographs} photographs")
    out = Path(out)
    looker = described_looker(config.network.looks_by, splits.class_names, out)
    description = RunDescription(config, splits.class_names, splits.name, looker)
    if first and (run := Run.finished_as(out, description)) is not None:
        say(f"{out} is trained already")
        return run
    if first:
        Run.check_start(out, description)
        _warn_of_random_layers(config, say)
        _warn_of_known_photographs(config, splits, say)
    with working_in(out, lambda: resumed_from(out) is not None) if first else nullcontext():
        return _train(config, splits, description, out, say, tracker, engine or EngineConfig(), first=first)


def _check_trained_here(config: TrainConfig) -> None:
    if not config.network.trained_here:
        raise UserError(
            f"a network of your own is adopted, not trained; got {config.network.base}; give its weights to "
            "`foveate adopt`, or train a recipe with --network.backbone.weights FILE"
        )
    if config.network.solved:
        check_solved(config)


def _resolved(config: TrainConfig) -> TrainConfig:
    """Return the same, data set and looker named whatever folder it is that commands are given in."""
    network, looker = config.network, config.network.looks_by
    if looker is not None:
        network = network.with_looker(str(Path(looker).expanduser().resolve()))
    return replace(config, data=config.data.resolved(), network=network)


def _warn_of_random_layers(config: TrainConfig, say: Callable[[str], None]) -> None:
    backbone = config.network.trained_backbone
    if config.frozen_stride and backbone is not None and backbone.weights == "none":
        say(
            f"warning: frozen_stride {config.frozen_stride} keeps the first layers as they begin, and with "
            "--network.backbone.weights none that is at random; add --frozen-stride 0, and every layer learns"
        )


def _warn_of_known_photographs(config: TrainConfig, splits: Splits, say: Callable[[str], None]) -> None:
    """What the run has learned from whose weights are taken must not be held out here; one generation is asked."""
    backbone = config.network.trained_backbone
    if backbone is None or backbone.weights in NAMED_WEIGHTS:
        return
    path = Path(backbone.weights).expanduser()
    run = path if path.is_dir() else path.parent
    if not (run / "photographs.parquet").exists():
        return
    held_out = [each.id for each in (*splits.validation, *splits.test)]
    try:
        known = Run.open(run).trained_among(held_out)
    except UserError as reason:
        say(f"warning: it is not known which photographs {run} has learned from: {reason}")
        return
    if known:
        say(
            f"warning: {run} has learned from {len(known)} of the {len(held_out)} photographs that are held out here, "
            "so that more of them will be right than of new ones; train that run on the division of this one"
        )


def _train(
    config: TrainConfig,
    splits: Splits,
    description: RunDescription,
    out: Path,
    say: Callable[[str], None],
    tracker: Tracker | None,
    engine: EngineConfig,
    *,
    first: bool,
) -> Run:
    records = splits.named(Split.TRAIN)
    say(
        f"{splits.name}: {len(splits.class_names)} classes, {len(records)} training, "
        f"{len(splits.validation)} validation and {len(splits.test)} test photographs"
    )
    check_smoothing(len(splits.class_names), config)
    check_devices(config.hardware)
    with torch.random.fork_rng():
        torch.manual_seed(config.seed)
        # Before the photographs are read: an unknown architecture or missing weights are found within seconds.
        network = create_network(config.network, config.transforms, len(splits.class_names))
        if config.network.looks_by is not None and description.looker is not None:
            looker = looker_of(config.network.looks_by, description.looker, splits.class_names, out)
            network.look_by(looker)
        check_low_rank(network, config.lora_rank)
        mapped, largest = mapped_by(engine), config.data.largest_megapixels
        checked = checked_splits(splits.parts(), config.data.on_error, say, largest, mapped)
        readable, validation = checked["train"], checked.get("validation", ())
        check_classes(records, readable)
        _check_validation(splits, validation)
        # Only now, so that after a mistake in the command the corrected one may use the same folder.
        run = Run.start(out, description) if first else Run(out, description)
        if first:
            run.keep_photographs(readable, validation)
        with tracked(tracker, run.path, config, say) as loggers:
            metrics = _learned(network, config, readable, validation, run, loggers, engine, say, first=first)
            for each in loggers:
                log_numbers(each, metrics)
    skipped = len(records) + len(splits.validation) - len(readable) - len(validation)
    if first:
        run.finish(network, metrics | {"skipped": skipped})
    waiting = f", {metrics['waiting']:.1%} of it waiting for photographs" if "waiting" in metrics else ""
    say(f"trained in {metrics['minutes']} minutes{waiting}: {run.path}")
    return run


def _learned(
    network: Network,
    config: TrainConfig,
    train: Sequence[ImageRecord],
    validation: Sequence[ImageRecord],
    run: Run,
    loggers: Sequence[Logger],
    engine: EngineConfig,
    say: Callable[[str], None],
    *,
    first: bool,
) -> dict[str, Any]:
    """Train a network in place, and return what was measured."""
    if config.network.solved:
        solved = solve(network, config, train, run.path, engine=engine, say=say)
        if first:
            keep_out_of_fold_answers(run, solved, train, say)
        return dict(solved.measured)
    # The processes of further devices get their weights from the first one; a resumed training, from its checkpoint.
    if config.network.begins_with_probe and first and resumed_from(run.path) is None:
        solve(network, config, train, run.path, engine=engine, say=say)
        if config.pretrained_share:
            keep_first_weights(network, run.path)
    with low_rank_updates(network, config.lora_rank):
        metrics = fit(network, config, train, validation, run.path, loggers=loggers, say=say)
    if first and config.pretrained_share:
        mix_with_first_weights(network, run.path, config.pretrained_share)
    if first and validation:
        keep_validation_answers(run, network, validation, config.hardware, say)
    return with_head_start(metrics, run.path)


def trained(config: TrainConfig, out: Path, *, say: Callable[[str], None] = print) -> Run:
    """Return the finished run of `config` in a folder: trained, resumed, or as an earlier call finished it.

    Raises:
        UserError: As `train`, or the finished run there is of another configuration.
    """
    if not (out / "metrics.json").exists():
        say(f"training {out.name}")
        return train(config, out, say=say)
    run = Run.open(out)
    if not config.epochs:
        config = config.counted(len(load_splits(config.data).named(Split.TRAIN)))
    if differing := run.differences(config):
        raise finished_otherwise(out, differing)
    return run


def _nothing(line: str) -> None:
    """Take a line of progress and say nothing."""


def _check_validation(splits: Splits, readable: Sequence[ImageRecord]) -> None:
    if splits.validation and not readable:
        raise UserError(
            f"a validation split must hold photographs that can be read; all {len(splits.validation)} are broken; "
            "replace them, or set data.validation_fraction to 0"
        )


def check_classes(records: Sequence[ImageRecord], readable: Sequence[ImageRecord]) -> None:
    """Refuse training photographs of which those that can be read lack a class.

    Raises:
        UserError: They do.
    """
    lost = {record.class_name for record in records} - {record.class_name for record in readable}
    if lost:
        raise UserError(
            f"every class must keep a training photograph that can be read; {sorted(lost)[0]!r} has none"
            f"{f', nor have {len(lost) - 1} others' if len(lost) > 1 else ''}; replace its photographs or remove it"
        )
