"""Take in a network that was trained elsewhere: from a file of weights to a finished run folder."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from scipy.stats import binomtest

from foveate.backbones.foreign_weights import check_is_file
from foveate.backbones.own_cnns import check_side, load_own_weights
from foveate.config.data import DataConfig, Split, TransformConfig
from foveate.config.hardware import HardwareConfig
from foveate.config.networks import Library, OwnConfig
from foveate.data.loading import EvaluationViews, evaluation_loader
from foveate.data.preparation import Splits, checked_splits
from foveate.data.records import ImageRecord
from foveate.errors import UserError
from foveate.files.documents import check_fields
from foveate.files.hashes import hash_of_file
from foveate.files.locks import working_in
from foveate.hardware import device_of
from foveate.inference.classifier import Classifier
from foveate.networks.own import OwnNetwork
from foveate.recipes.config import TrainConfig
from foveate.recipes.datasets import load_splits
from foveate.runs.run import Run, RunDescription

_SAMPLE = 64
_CHANCE = 0.05  # how likely guessing may be to do as well


def adopt(
    checkpoint: Path | str,
    out: Path | str,
    *,
    architecture: str,
    library: Library = Library.TIMM,
    data: DataConfig,
    transforms: TransformConfig | None = None,
    mean: tuple[float, float, float] | None = None,
    std: tuple[float, float, float] | None = None,
    weights_key: str | None = None,
    seed: int = 0,
    hardware: HardwareConfig | None = None,
    say: Callable[[str], None] = print,
) -> Run:
    """Make a run folder of a trained network, and try it on some of its training photographs.

    Its classes are those of the data set, in its order; that they are also the checkpoint's only the answers show. The
    same call again returns the run that is there.

    Args:
        checkpoint: A state dict of any program, as safetensors or torch file.
        out: The run folder: new or empty, or holding the same network.
        architecture: The library's name of the network.
        library: Whose code builds it.
        data: The data set that it was trained with.
        transforms: The views that it is shown, of the size that it was trained for. The whole photograph is squashed
            to a square, where most programs cut off its longer side's ends.
        mean: As in `OwnConfig`.
        std: As in `OwnConfig`.
        weights_key: Where in the file the weights lie, such as state_dict_ema; None: the plain ones of those that fit.
        seed: Of which photographs it is tried on, and of a Guided Zoom's Evidence CNN.
        hardware: As in `RunContext`.
        say: As in `RunContext`.

    Raises:
        UserError: The checkpoint does not fit, a photograph cannot be read, or the folder holds something else.
    """
    checkpoint, out, hardware = Path(checkpoint).expanduser().resolve(), Path(out), hardware or HardwareConfig()
    data = data.resolved()
    own = OwnConfig(architecture=architecture, library=library, mean=mean, std=std)
    config = TrainConfig(data=data, transforms=transforms or TransformConfig(), network=own, seed=seed)
    file = _Checkpoint(checkpoint, _hash(checkpoint), weights_key)
    if (run := _adopted(out, config, file.hash, weights_key)) is not None:
        return _same(run, checkpoint, say)
    device_of(hardware)
    splits = load_splits(data, say)
    Run.check_start(out, RunDescription(config, splits.class_names, splits.name))
    with working_in(out, lambda: False):
        return _adopt(file, splits, config, own, hardware=hardware, out=out, say=say)


class _Checkpoint(NamedTuple):
    path: Path
    hash: str
    weights_key: str | None


def _adopt(
    checkpoint: _Checkpoint,
    splits: Splits,
    config: TrainConfig,
    own: OwnConfig,
    *,
    hardware: HardwareConfig,
    out: Path,
    say: Callable[[str], None],
) -> Run:
    architecture, data, seed = own.architecture, config.data, config.seed
    network = OwnNetwork.create(own, len(splits.class_names), config.transforms.source)
    weights = load_own_weights(network.backbone, checkpoint.path, architecture, key=checkpoint.weights_key)
    check_side(network.backbone, own, config.transforms.source)
    for line in weights.remarks:
        say(line)
    classifier = Classifier.place(network, hardware)
    parts = {"train": splits.named(Split.TRAIN), "validation": splits.validation}
    readable = checked_splits(
        {name: records for name, records in parts.items() if records}, data.on_error, say, data.largest_megapixels
    )
    train, validation = readable["train"], readable.get("validation", ())
    sample = _sample(train, seed)
    right = _right(classifier, sample, config.transforms, hardware.workers)
    _tell(right, len(sample), splits, say)
    # Only now, so that after a mistake in the command the corrected one may use the same folder.
    run = Run.start(out, RunDescription(config, splits.class_names, splits.name))
    run.keep_photographs(train, validation)
    skipped = len(splits.train) + len(splits.validation) - len(train) - len(validation)
    origin = {"adopted": str(checkpoint.path), "checkpoint_hash": checkpoint.hash}
    origin |= {"weights_key": checkpoint.weights_key or "", "weights_place": weights.place}
    run.finish(network, {"minutes": 0.0, **origin, "tried": len(sample), "right": right, "skipped": skipped})
    say(f"adopted {architecture} of {checkpoint.path}: {run.path}")
    return run


def _same(run: Run, checkpoint: Path, say: Callable[[str], None]) -> Run:
    say(f"{run.path} holds {run.config.network.base} of {checkpoint} already")
    return run


def _hash(checkpoint: Path) -> str:
    check_is_file(checkpoint)
    return hash_of_file(checkpoint)


def _adopted(out: Path, config: TrainConfig, network_hash: str, key: str | None) -> Run | None:
    """Return the finished run of the same network, where there is one.

    Raises:
        UserError: It is of another, or does not say of which.
    """
    if not (out / "run.json").exists() or not (run := Run.open(out)).finished:
        return None
    differing, metrics = run.differences(config), run.metrics()
    if not differing:
        names = [name for name in ("weights_key", "weights_place") if name in metrics]
        check_fields(metrics, dict.fromkeys(["checkpoint_hash", *names], str), out / "metrics.json")
    if not differing and metrics["checkpoint_hash"] != network_hash:
        differing = ["its weights"]
    if not differing and (key or "") not in (metrics.get("weights_key", ""), metrics.get("weights_place")):
        differing = [f"which weights of the file it took ({metrics.get('weights_place')!r})"]
    if differing:
        raise UserError(
            f"a folder keeps the network that it holds; {out} differs in {', '.join(differing)}; name another with "
            "--out, or remove that one"
        )
    return run


def _sample(records: Sequence[ImageRecord], seed: int) -> list[ImageRecord]:
    """Draw photographs from all classes in turn."""
    drawn: Counter[int] = Counter()
    turns = []
    for index in np.random.default_rng(seed).permutation(len(records)).tolist():
        label = records[index].label
        turns.append((drawn[label], index))
        drawn[label] += 1
    turns.sort(key=lambda turn: turn[0])
    return [records[index] for _, index in turns[:_SAMPLE]]


def _right(
    classifier: Classifier, records: Sequence[ImageRecord], transforms: TransformConfig, workers: int | None
) -> int:
    loader = evaluation_loader(EvaluationViews(records, transforms), 16, workers=workers)
    return sum(int((classifier.probabilities(batch.images).argmax(1) == batch.labels).sum()) for batch in loader)


def _tell(right: int, tried: int, splits: Splits, say: Callable[[str], None]) -> None:
    classes = len(splits.class_names)
    say(f"{right} of {tried} training photographs named rightly, {classes} classes")
    if binomtest(right, tried, 1 / classes, alternative="greater").pvalue > _CHANCE:
        say(
            f"warning: guessing would name {tried / classes:.0f}: the network's classes may be in another order than "
            f"the data set's, which begins {', '.join(splits.class_names[:3])}; or it was trained with another "
            "normalisation (--mean, --std), or on other photographs"
        )
