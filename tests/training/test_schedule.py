"""The learning rate at each step."""

from __future__ import annotations

import math

import pytest
from torch import nn

from foveate.config.optimiser import OptimiserConfig, Schedule
from foveate.networks.network import ParameterGroup
from foveate.training.optimiser import build_optimiser
from foveate.training.schedule import build_schedule


def rates(config: OptimiserConfig, steps: int) -> list[tuple[float, float]]:
    """Return the pretrained and the new layers' rate at each step."""
    network = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))
    optimiser = build_optimiser(network, [ParameterGroup(list(network[1].parameters()))], config)
    schedule = build_schedule(optimiser, config, steps)
    seen = []
    for _ in range(steps):
        seen.append((optimiser.param_groups[0]["lr"], optimiser.param_groups[1]["lr"]))
        optimiser.step()
        schedule.step()
    return seen


def test_step_divides_the_rate_at_the_milestones() -> None:
    config = OptimiserConfig(
        learning_rate=1.0, new_learning_rate=10.0, schedule=Schedule.STEP, milestones=(1 / 3, 2 / 3)
    )
    seen = rates(config, 9)
    assert [rate for rate, _ in seen] == pytest.approx([1, 1, 1, 0.1, 0.1, 0.1, 0.01, 0.01, 0.01])
    assert all(new == pytest.approx(10 * old) for old, new in seen)


def test_cosine_by_its_formula() -> None:
    config = OptimiserConfig(learning_rate=1.0, new_learning_rate=2.0, schedule=Schedule.COSINE)
    expected = [(1 + math.cos(math.pi * step / 8)) / 2 for step in range(8)]
    assert [rate for rate, _ in rates(config, 8)] == pytest.approx(expected)


def test_constant_stays() -> None:
    config = OptimiserConfig(learning_rate=0.3, new_learning_rate=0.4, schedule=Schedule.CONSTANT)
    assert set(rates(config, 5)) == {(0.3, 0.4)}


def test_one_cycle_rises_to_its_peak_and_ends_near_zero() -> None:
    seen = rates(OptimiserConfig(learning_rate=0.01, new_learning_rate=0.1), 100)
    old = [rate for rate, _ in seen]
    assert old[0] == pytest.approx(0.01 / 25)
    assert max(old) == pytest.approx(0.01)
    assert old.index(max(old)) == 29  # 30% of the steps
    assert old[-1] < 1e-6
    assert max(new for _, new in seen) == pytest.approx(0.1)


def test_one_cycle_survives_a_training_of_a_single_step() -> None:
    assert len(rates(OptimiserConfig(), 1)) == 1


@pytest.mark.parametrize("schedule", Schedule)
def test_the_momentum_stays_as_set_at_every_step(schedule: Schedule) -> None:
    network, config = nn.Linear(2, 2), OptimiserConfig(momentum=0.8, schedule=schedule)
    optimiser = build_optimiser(network, [ParameterGroup([network.bias])], config)
    schedule_of_rates = build_schedule(optimiser, config, 20)
    for _ in range(20):
        assert [group["momentum"] for group in optimiser.param_groups] == [0.8, 0.8]
        optimiser.step()
        schedule_of_rates.step()
