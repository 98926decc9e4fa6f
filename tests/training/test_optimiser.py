"""Groups of parameters, by hand."""

from __future__ import annotations

import pytest
from torch import nn

from foveate.config.optimiser import OptimiserConfig
from foveate.networks.network import ParameterGroup
from foveate.training.optimiser import build_optimiser


def test_groups_hold_every_parameter_once() -> None:
    network = nn.Sequential(nn.Linear(2, 3), nn.Linear(3, 4))
    config = OptimiserConfig(learning_rate=0.1, new_learning_rate=0.5, momentum=0.8, weight_decay=0.01)
    optimiser = build_optimiser(network, [ParameterGroup(list(network[1].parameters()))], config)
    pretrained, new = optimiser.param_groups
    assert [id(p) for p in pretrained["params"]] == [id(p) for p in network[0].parameters()]
    assert [id(p) for p in new["params"]] == [id(p) for p in network[1].parameters()]
    assert (pretrained["lr"], new["lr"]) == (0.1, 0.5)
    assert all(g["momentum"] == 0.8 and g["weight_decay"] == 0.01 for g in optimiser.param_groups)


def test_each_group_learns_at_its_rate_and_decays_as_it_says() -> None:
    network = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2), nn.Linear(2, 2), nn.Linear(2, 2))
    first, second, third, fourth = (list(layer.parameters()) for layer in network)
    others = [
        ParameterGroup(second[:1], new=False, factor=0.01, decays=False),
        ParameterGroup(third[:1], new=True, factor=3.0),
        ParameterGroup(fourth, new=False),
    ]
    config = OptimiserConfig(learning_rate=0.1, new_learning_rate=0.5, weight_decay=0.01)
    groups = build_optimiser(network, others, config).param_groups
    assert [group["lr"] for group in groups] == pytest.approx([0.1, 0.001, 1.5, 0.1])
    assert [group["weight_decay"] for group in groups] == [0.01, 0.0, 0.01, 0.01]
    assert [id(p) for p in groups[0]["params"]] == [id(p) for p in (*first, second[1], third[1])]
