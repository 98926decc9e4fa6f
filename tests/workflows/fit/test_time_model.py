"""How long rungs take, and which of them fit: by hand."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from foveate.recipes import plain
from foveate.workflows.fit.plan import rounded_up
from foveate.workflows.fit.time_model import Machine, Reached, RungTime, Speed

SPEED = Speed(step=2.0, answer=0.5, passes=1.0, gflop=1.0)
CPU, GPU = Machine(decode=0.01, shares=True), Machine(decode=0.01, shares=False)
TIMES = {"probe": RungTime(10, 0), "plain": RungTime(100, 60), "s3n": RungTime(300, 180), "zoom": RungTime(20, 70)}
NEEDS = {"zoom": ("plain", "s3n")}


def test_a_training_is_its_steps_and_the_reading() -> None:
    """33 photographs in batches of 16 are 3 steps an epoch; 2 epochs."""
    config = replace(plain(Path("photographs")), epochs=2, batch_size=16)
    start = CPU.training(config, replace(SPEED, step=0.0), 0)
    assert CPU.training(config, SPEED, 33) == pytest.approx(start + 0.33 + 6 * (2 + 0.16))
    assert GPU.training(config, SPEED, 33) == pytest.approx(start + 0.33 + 6 * 2)
    assert GPU.training(config, replace(SPEED, step=0.1), 33) == pytest.approx(start + 0.33 + 6 * 0.16)


def test_validation_photographs_are_answered_after_each_epoch() -> None:
    config = replace(plain(Path("photographs")), epochs=2, batch_size=16)
    assert CPU.training(config, SPEED, 33, 10) == pytest.approx(CPU.training(config, SPEED, 33) + 2 * 10 * 0.51)


def test_steps_in_place_of_epochs_are_counted() -> None:
    config = replace(plain(Path("photographs")), epochs=0, steps=60, batch_size=16)
    start = CPU.training(config, replace(SPEED, step=0.0), 0)
    assert CPU.training(config, SPEED, 32) == pytest.approx(start + 0.32 + 60 * 2.16)


def test_answers_are_read_and_given() -> None:
    assert CPU.answers(SPEED, 10) == pytest.approx(5.1)
    assert GPU.answers(SPEED, 10) == pytest.approx(5.0)


@pytest.mark.parametrize(
    ("seconds", "rungs"),
    [
        (9, ()),
        (10, ("probe",)),
        (169, ("probe",)),  # plain's folds and its refit are 170 with the probe
        (170, ("probe", "plain")),
        (200, ("probe", "plain", "zoom")),  # the dearer refit, 70, counts, and not both
        (589, ("probe", "plain", "zoom")),
        (590, ("probe", "plain", "s3n")),
        (610, ("probe", "plain", "s3n", "zoom")),
    ],
)
def test_what_fits_is_climbed_with_its_refit(seconds: float, rungs: tuple[str, ...]) -> None:
    assert Reached().fitting(TIMES, seconds, NEEDS).rungs == rungs


def test_what_stands_on_another_rung_waits_for_it() -> None:
    times = {"probe": RungTime(10, 0), "zoom": RungTime(20, 70)}
    assert Reached().fitting(times, 1000, NEEDS).rungs == ("probe",)
    assert Reached(rungs=("plain",)).fitting(times, 1000, NEEDS).rungs == ("plain", "probe", "zoom")


def test_minutes_are_rounded_up_with_a_tenth_to_spare() -> None:
    assert rounded_up(10) == 12
