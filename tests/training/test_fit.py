"""Training: it learns, it resumes exactly, it keeps what it saved."""

from __future__ import annotations

import errno
import re
import shutil
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from unittest import mock

import lightning.pytorch as pl
import pytest
import torch
from safetensors.torch import load_file

from foveate.config.data import OnError, TransformConfig
from foveate.config.networks import BackboneConfig, NetworkConfig, PlainConfig
from foveate.data.loading import Batch
from foveate.errors import UserError
from foveate.macnn.config import MACNNConfig
from foveate.plumage import PlumageConfig, draw_plumage
from foveate.recipes.config import TrainConfig
from foveate.recipes.methods import create_network
from foveate.runs.run import Run
from foveate.s3n.config import Branches, Partition, S3NConfig
from foveate.training.callbacks import EpochLines
from foveate.training.checkpoints import AtomicCheckpoints
from foveate.training.module import TrainingModule
from foveate.workflows.train import train


def quiet(line: str) -> None:
    """Say nothing."""


@pytest.fixture(scope="module")
def small(quick: TrainConfig) -> TrainConfig:
    """Three epochs of a network with everything random switched on: views, order, dropout."""
    backbone = BackboneConfig(architecture="test_efficientnet", weights="none")
    network = PlainConfig(backbone=backbone, dropout=0.3)
    return replace(quick, network=network, epochs=3, ema_decay=0.9, class_weights=True)


@pytest.fixture(scope="module")
def whole(small: TrainConfig, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """The run of `small` that was never stopped."""
    return train(small, tmp_path_factory.mktemp("fit") / "whole", say=quiet)


def weights(run: Run) -> dict[str, torch.Tensor]:
    return load_file(run.path / "model.safetensors")


def same(one: Run, other: Run) -> bool:
    return all(torch.equal(tensor, weights(other)[name]) for name, tensor in weights(one).items())


def interrupt_after(step: int, monkeypatch: pytest.MonkeyPatch, error: type[BaseException] = KeyboardInterrupt) -> None:
    """Let the training step fail once, when it is called for the `step`-th time (from 0)."""
    original: Callable[..., Any] = TrainingModule.training_step
    calls = iter(range(10_000))

    def failing(self: TrainingModule, batch: Any) -> Any:
        if next(calls) == step:
            raise error
        return original(self, batch)

    monkeypatch.setattr(TrainingModule, "training_step", failing)


@pytest.mark.parametrize(
    ("step", "workers"),
    [(0, 0), (4, 0), (4, 2), (8, 0)],
    ids=["first-epoch", "middle", "middle-with-workers", "last-epoch"],
)
def test_interrupted_and_resumed_gives_the_weights_of_never_stopping(
    small: TrainConfig, whole: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: int, workers: int
) -> None:
    with monkeypatch.context() as patched:
        interrupt_after(step, patched)
        with pytest.raises(KeyboardInterrupt):
            train(small, tmp_path / "stopped", say=quiet)
    assert not Run.open(tmp_path / "stopped").finished
    lines: list[str] = []
    again = replace(small, hardware=replace(small.hardware, workers=workers))
    resumed = train(again, tmp_path / "stopped", say=lines.append)
    assert any("resuming" in line for line in lines) == (step >= 3)
    assert same(whole, resumed)


@pytest.fixture(scope="module")
def whole_s3n(quick_s3n: TrainConfig, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Three epochs of S3N: in the second every peak is in both sets, in the third they are drawn."""
    assert isinstance(quick_s3n.network, S3NConfig)
    network = replace(quick_s3n.network, both_until=0.5, train_partition=Partition.PROBABILITY, dropout=0.3)
    config = replace(quick_s3n, network=network, epochs=3, keep_epochs=(1, 3))
    return train(config, tmp_path_factory.mktemp("fit") / "s3n", say=quiet)


@pytest.mark.parametrize("step", [4, 7])
def test_s3n_resumes_exactly(whole_s3n: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: int) -> None:
    """Stopped in the second and in the third epoch: the draws are those of never stopping."""
    whole, config = whole_s3n, whole_s3n.config
    with monkeypatch.context() as patched:
        interrupt_after(step, patched)
        with pytest.raises(KeyboardInterrupt):
            train(config, tmp_path / "stopped", say=quiet)
    workers = replace(config, hardware=replace(config.hardware, workers=2))
    resumed = train(workers, tmp_path / "stopped", say=quiet)
    assert same(whole, resumed)
    assert whole.kept_epochs() == resumed.kept_epochs() == (1, 3)


@pytest.fixture(scope="module")
def whole_macnn(quick_macnn: TrainConfig, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Three epochs of MA-CNN, a phase each."""
    return train(replace(quick_macnn, epochs=3), tmp_path_factory.mktemp("fit") / "macnn", say=quiet)


@pytest.mark.parametrize("step", [1, 4, 7])
def test_macnn_resumes_exactly(whole_macnn: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: int) -> None:
    """Stopped in its first phase, whose start is then made once more, in its second and in its third."""
    whole, config = whole_macnn, whole_macnn.config
    with monkeypatch.context() as patched:
        interrupt_after(step, patched)
        with pytest.raises(KeyboardInterrupt):
            train(config, tmp_path / "stopped", say=quiet)
    lines: list[str] = []
    workers = replace(config, hardware=replace(config.hardware, workers=2))
    resumed = train(workers, tmp_path / "stopped", say=lines.append)
    assert any("channel groups" in line for line in lines) == (step < 3)
    assert same(whole, resumed)


def test_kept_epochs_are_averaged_where_the_weights_are(small: TrainConfig, tmp_path: Path) -> None:
    run = train(replace(small, epochs=2, keep_epochs=(2,), ema_decay=0.9), tmp_path / "run", say=quiet)
    kept, final = run.load_network(2).state_dict(), run.load_network().state_dict()
    assert all(torch.equal(tensor, final[name]) for name, tensor in kept.items())


def test_kept_epochs_hold_the_weights_of_their_time(s3n_run: Run) -> None:
    first, last = (s3n_run.load_network(epoch).state_dict() for epoch in (1, 2))
    final = s3n_run.load_network().state_dict()
    assert all(torch.equal(tensor, final[name]) for name, tensor in last.items())
    assert not torch.equal(first["attention.log_radius"], final["attention.log_radius"])
    with pytest.raises(UserError, match=r"kept 1, 2, not 3; train with --keep-epochs"):
        s3n_run.load_network(3)


def test_the_seed_and_nothing_else_decides(small: TrainConfig, whole: Run, tmp_path: Path) -> None:
    first = whole
    workers = replace(small, hardware=replace(small.hardware, workers=2))
    assert same(first, train(workers, tmp_path / "workers", say=quiet))
    other = train(replace(small, seed=1), tmp_path / "other", say=quiet)
    assert not same(first, other)


def test_it_learns_a_few_pictures_by_heart(small: TrainConfig, tmp_path: Path) -> None:
    assert isinstance(small.network, PlainConfig)
    config = replace(
        small,
        network=replace(small.network, dropout=0.0),
        transforms=replace(small.transforms, smallest_area=1.0, aspect_jitter=1.0, flip=0.0),
        optimiser=replace(small.optimiser, learning_rate=0.1),
        ema_decay=None,
        label_smoothing=0.0,
        epochs=20,
    )
    lines: list[str] = []
    train(config, tmp_path / "run", say=lines.append)
    losses = [float(found.group(1)) for line in lines if (found := re.search(r"training loss ([\d.]+)", line))]
    assert len(losses) == 20
    assert losses[-1] < 0.2 * losses[0]


@dataclass
class Steps:
    """What a training showed and held, step by step: which photographs, and the weights before."""

    positions: list[list[int]] = field(default_factory=list)
    weights: list[dict[str, torch.Tensor]] = field(default_factory=list)

    def recorded(self, patched: pytest.MonkeyPatch) -> None:
        original = TrainingModule.training_step

        def step(module: TrainingModule, batch: Batch) -> torch.Tensor:
            self.positions.append(batch.position.tolist())
            self.weights.append({name: value.clone() for name, value in module.network.state_dict().items()})
            return original(module, batch)

        patched.setattr(TrainingModule, "training_step", step)


@pytest.fixture
def three(quick: TrainConfig, tmp_path: Path) -> TrainConfig:
    """A training with three photographs, seen at 32 pixels: a feature map of one cell is left of each."""
    birds = PlumageConfig(species=3, train_per_species=1, test_per_species=1, size=64)
    data = replace(quick.data, root=draw_plumage(tmp_path / "birds", birds, workers=1))
    return replace(quick, data=data, transforms=TransformConfig(input_size=32, resize_size=36))


def test_a_last_photograph_alone_trains_and_changes_no_other_step(
    three: TrainConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = replace(three, batch_size=2)
    here, torchs = Steps(), Steps()
    with monkeypatch.context() as patched:
        here.recorded(patched)
        run = train(config, tmp_path / "run", say=quiet)
    with monkeypatch.context() as patched:
        torchs.recorded(patched)
        patched.setattr("foveate.training.module.SingleValues", nullcontext)
        with pytest.raises(ValueError, match="more than 1 value per channel"):
            train(config, tmp_path / "torchs", say=quiet)
    assert [len(shown) for shown in here.positions] == [2, 1, 2, 1]
    assert all(sorted(many + alone) == [0, 1, 2] for many, alone in (here.positions[:2], here.positions[2:]))
    assert len(torchs.weights) == 2
    for before, expected in zip(here.weights, torchs.weights, strict=False):
        assert all(torch.equal(before[name], value) for name, value in expected.items())
    assert any(not torch.equal(before, here.weights[1][name]) for name, before in here.weights[2].items())
    assert all(value.isfinite().all() for value in weights(run).values())


def test_photographs_that_are_shown_one_by_one_train(three: TrainConfig, tmp_path: Path) -> None:
    run = train(replace(three, batch_size=1), tmp_path / "run", say=quiet)
    assert all(value.isfinite().all() for value in weights(run).values())


SELECTIVE = BackboneConfig(architecture="skresnet18", weights="none")
"""It normalises pooled features: of a single photograph one value a channel, whatever the size of its maps."""


@pytest.mark.parametrize(
    "network",
    [
        PlainConfig(backbone=SELECTIVE),
        S3NConfig(backbone=SELECTIVE),
        S3NConfig(backbone=SELECTIVE, branches=Branches.O),
        MACNNConfig(backbone=SELECTIVE, parts=2, part_size=64, grouping_epochs=0),
        MACNNConfig(backbone=SELECTIVE, parts=2, part_size=64, grouping_epochs=1),
    ],
    ids=["plain", "s3n", "s3n-o", "macnn", "macnn-grouping"],
)
def test_every_method_learns_from_a_single_photograph(
    quick: TrainConfig, monkeypatch: pytest.MonkeyPatch, network: NetworkConfig
) -> None:
    monkeypatch.setattr(TrainingModule, "log", mock.Mock())
    config = replace(quick, network=network)
    module = TrainingModule(create_network(network, config.transforms, 4), config, [2])
    pixels = torch.randint(0, 256, (1, 1, 64, 64, 3), dtype=torch.uint8)
    torch.autograd.backward(module.training_step(Batch(pixels, torch.tensor([2]), torch.tensor([0]))))
    gradients = [each.grad for each in module.parameters() if each.grad is not None]
    assert gradients
    assert all(each.isfinite().all() for each in gradients)


def test_waiting_is_what_passes_between_two_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two epochs by hand: 2 and 1 s, then 0 and 3 s of waiting, in 10 s each."""
    lines, clock = EpochLines(quiet), iter([0, 2, 5, 6, 9, 10, 20, 20, 24, 27, 29, 30])
    monkeypatch.setattr("foveate.training.callbacks.time", mock.Mock(perf_counter=lambda: float(next(clock))))
    trainer, module, batch = (mock.Mock(spec=each) for each in (pl.Trainer, pl.LightningModule, Batch))
    trainer.configure_mock(callback_metrics={"train/loss": torch.tensor(1.0)}, current_epoch=0, max_epochs=2)
    for _ in range(2):
        lines.on_train_epoch_start(trainer, module)
        for number in range(2):
            lines.on_train_batch_start(trainer, module, batch, number)
            lines.on_train_batch_end(trainer, module, None, batch, number)
        lines.on_train_epoch_end(trainer, module)
    assert (lines.seconds, lines.waited) == (20.0, 6.0)
    resumed = EpochLines(quiet)
    resumed.load_state_dict(lines.state_dict())
    assert (resumed.seconds, resumed.waited) == (20.0, 6.0)


def test_a_validation_split_chooses_the_epoch(small: TrainConfig, tmp_path: Path) -> None:
    config = replace(small, data=replace(small.data, validation_fraction=0.34), epochs=4)
    lines: list[str] = []
    run = train(config, tmp_path / "run", say=lines.append)
    tops = [float(found.group(1)) / 100 for line in lines if (found := re.search(r"validation top-1 ([\d.]+)%", line))]
    assert len(tops) == 4
    metrics = run.metrics()
    assert metrics["chosen_epoch"] == tops.index(max(tops)) + 1
    assert metrics["validation/top1"] == pytest.approx(max(tops), abs=1e-4)
    assert 0 <= metrics["waiting"] < 1


def test_with_validation_the_averaged_weights_that_were_scored_are_the_ones_kept(
    small: TrainConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = replace(small, data=replace(small.data, validation_fraction=0.34), epochs=2, ema_decay=0.5)
    scored: list[dict[str, torch.Tensor]] = []

    def remember(self: TrainingModule) -> None:
        scored.append({name: tensor.clone() for name, tensor in self.network.state_dict().items()})

    monkeypatch.setattr(TrainingModule, "on_validation_epoch_start", remember)
    run = train(config, tmp_path / "run", say=quiet)
    chosen = scored[run.metrics()["chosen_epoch"] - 1]
    assert all(torch.equal(tensor, chosen[name]) for name, tensor in weights(run).items())


def test_a_run_that_failed_at_its_very_end_finishes_with_the_same_weights(
    small: TrainConfig, whole: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:

    def full(*_: object) -> None:
        raise UserError("disk full")

    with monkeypatch.context() as patched:
        patched.setattr(Run, "finish", full)
        with pytest.raises(UserError, match="disk full"):
            train(small, tmp_path / "failed", say=quiet)
    again = train(small, tmp_path / "failed", say=quiet)
    assert same(whole, again)
    assert again.metrics().keys() == whole.metrics().keys()
    assert again.metrics()["train/loss"] == whole.metrics()["train/loss"]


def test_a_damaged_checkpoint_is_named_and_how_to_start_over(
    small: TrainConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:
        interrupt_after(4, patched)
        with pytest.raises(KeyboardInterrupt):
            train(small, tmp_path / "run", say=quiet)
    checkpoint = tmp_path / "run" / "checkpoints" / "last.ckpt"
    checkpoint.write_bytes(checkpoint.read_bytes()[:1000])
    with pytest.raises(UserError, match=r"last\.ckpt cannot be read.*remove .*checkpoints to start"):
        train(small, tmp_path / "run", say=quiet)


def test_a_loss_that_is_not_finite_stops_the_training(small: TrainConfig, tmp_path: Path) -> None:
    config = replace(small, optimiser=replace(small.optimiser, learning_rate=1e30, new_learning_rate=1e30))
    with pytest.raises(UserError, match=r"must stay finite; it is (nan|inf) in epoch 1; lower optimiser"):
        train(config, tmp_path / "run", say=quiet)


@pytest.fixture
def rising(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each epoch's loss is so many times as large as it is: 1, 5, 25."""
    step = TrainingModule.training_step
    monkeypatch.setattr(
        TrainingModule, "training_step", lambda module, batch: step(module, batch) * 5.0**module.current_epoch
    )
    log = TrainingModule.log

    def times(module: TrainingModule, name: str, value: Any, **options: Any) -> None:
        log(module, name, value * 5.0**module.current_epoch if name == "train/loss" else value, **options)

    monkeypatch.setattr(TrainingModule, "log", times)


@pytest.mark.usefixtures("rising")
def test_a_training_that_loses_what_it_learned_is_stopped_again_and_again(small: TrainConfig, tmp_path: Path) -> None:
    config = replace(small, epochs=3, optimiser=replace(small.optimiser, learning_rate=1e-6, new_learning_rate=1e-6))
    for _ in range(2):
        with pytest.raises(UserError, match=r"loss must fall; it is .* in epoch 3 and was .* in the first: too large"):
            train(config, tmp_path / "run", say=quiet)


@pytest.mark.usefixtures("rising")
def test_a_training_whose_loss_ends_higher_than_it_began_is_warned_of(small: TrainConfig, tmp_path: Path) -> None:
    said: list[str] = []
    config = replace(small, epochs=2, optimiser=replace(small.optimiser, learning_rate=1e-6, new_learning_rate=1e-6))
    train(config, tmp_path / "run", say=said.append)
    assert any("warning: the training loss rose from" in line for line in said)


def test_losses_of_phases_do_not_compare() -> None:
    said: list[str] = []
    for falls in (False, True):
        lines = EpochLines(said.append, falls=falls)
        lines.first_loss, lines.measured = 1.0, {"train/loss": 50.0}
        lines.warn()
        assert len(said) == int(falls)


def test_other_photographs_cannot_resume_a_training(
    small: TrainConfig, plumage: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    birds = tmp_path / "birds"
    shutil.copytree(plumage, birds)
    config = replace(small, data=replace(small.data, root=birds))
    with monkeypatch.context() as patched:
        interrupt_after(4, patched)
        with pytest.raises(KeyboardInterrupt):
            train(config, tmp_path / "run", say=quiet)
    next((birds / "images").rglob("*_0001.jpg")).write_bytes(b"broken")
    broken = replace(config, data=replace(config.data, on_error=OnError.SKIP))
    with pytest.raises(UserError, match=r"differs in config.data.on_error"):
        train(broken, tmp_path / "run", say=quiet)
    shutil.rmtree(birds)
    shutil.copytree(plumage, birds)
    moved = birds.rename(tmp_path / "moved")
    resumed = train(replace(config, data=replace(config.data, root=moved)), tmp_path / "run", say=quiet)
    assert resumed.finished


def test_ema_label_smoothing_class_weights_and_clipping_change_the_weights(small: TrainConfig, tmp_path: Path) -> None:
    base = replace(small, epochs=1, ema_decay=None)
    variants = {
        "base": base,
        "ema": replace(base, ema_decay=0.9),
        "smoothing": replace(base, label_smoothing=0.3),
        "clipping": replace(base, optimiser=replace(base.optimiser, gradient_clip=1e-3)),
        "flip": replace(base, transforms=replace(base.transforms, flip=1.0)),
    }
    runs = {name: train(config, tmp_path / name, say=quiet) for name, config in variants.items()}
    for name in variants.keys() - {"base"}:
        assert not same(runs["base"], runs[name]), name


def test_a_disk_that_fills_while_a_checkpoint_is_saved_costs_only_the_new_one(
    small: TrainConfig, whole: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = torch.save
    calls = iter(range(100))

    def full(content: object, stream: Any) -> None:
        if next(calls) == 1:
            stream.write(b"half of it")
            raise OSError(errno.ENOSPC, "No space left on device")
        original(content, stream)

    with monkeypatch.context() as patched:
        patched.setattr(torch, "save", full)
        with pytest.raises(UserError, match=r"cannot write .*last.ckpt.*No space left.*free space"):
            train(small, tmp_path / "full", say=quiet)
    kept = torch.load(tmp_path / "full" / "checkpoints" / "last.ckpt", weights_only=True)
    assert kept["epoch"] == 0
    assert same(whole, train(small, tmp_path / "full", say=quiet))


def test_every_start_keeps_its_own_logs(small: TrainConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patched:
        interrupt_after(4, patched)
        with pytest.raises(KeyboardInterrupt):
            train(small, tmp_path / "run", say=quiet)
    train(small, tmp_path / "run", say=quiet)
    logs = sorted((tmp_path / "run" / "logs").glob("version_*"))
    assert len(logs) == 2
    for folder in logs:
        assert (folder / "metrics.csv").read_text().startswith("epoch,step,train/loss")
        assert list(folder.glob("events.out.tfevents.*"))


def test_checkpoints_hold_only_what_can_be_loaded_safely(tmp_path: Path) -> None:
    AtomicCheckpoints().save_checkpoint({"state_dict": {"a": torch.ones(2)}, "epoch": 3}, tmp_path / "a" / "x.ckpt")
    loaded = torch.load(tmp_path / "a" / "x.ckpt", weights_only=True)
    assert loaded["epoch"] == 3


def test_a_batch_that_cannot_be_shared_out_is_refused(quick: TrainConfig, tmp_path: Path) -> None:
    config = replace(quick, batch_size=7, hardware=replace(quick.hardware, devices=2))
    with pytest.raises(UserError, match="batch_size must be a multiple of the 2 devices; got 7"):
        train(config, tmp_path / "run", say=quiet)
