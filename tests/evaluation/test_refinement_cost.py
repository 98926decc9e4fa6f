"""The passes of a Guided Zoom's decision, by hand and as the networks counted them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from foveate.evaluation.evidence_table import EvidenceTable
from foveate.evaluation.refinement_cost import refinement_passes
from foveate.guided_zoom.config import RefinementConfig
from foveate.networks.network import Network
from foveate.runs.guided_zoom_run import GuidedZoomRun
from foveate.runs.run import Run
from foveate.types import Evidence
from foveate.workflows.split_evidence import evidence_of_split
from zooms import QUIET, REFINEMENT


def table(boxes: list[list[int]], forwards: list[int]) -> EvidenceTable:
    """Two photographs, three classes, one round; a box is told by its left edge."""
    n, k = np.shape(boxes)
    left = torch.tensor(boxes)[:, :, None, None]
    evidence = Evidence(
        logits=torch.tensor([[9.0, 0, 0], [0.3, 0.2, 0.1]]),
        classes=torch.tensor([[0, 1, 2]] * n),
        places=torch.zeros(n, k, 1, 2),
        found=torch.ones(n, k, 1, dtype=torch.bool),
        boxes=torch.cat((left, torch.zeros_like(left), left + 5, torch.full_like(left, 5)), dim=-1),
        scores=torch.full((n, k, 1), 0.5),
        forwards=torch.tensor(forwards),
        patches=torch.zeros(n, dtype=torch.long),
    )
    return EvidenceTable(("a", "b"), np.array([0, 0]), evidence)


@pytest.mark.parametrize(
    ("top_k", "mirrored", "threshold", "passes"),
    [
        (3, False, None, 1 + (2 + 3) / 2),  # 2 and 3 patches
        (3, True, None, 1 + (4 + 6) / 2),
        (2, False, None, 1 + (1 + 2) / 2),
        (2, False, 0.5, 1 + (0 + 1 + 2) / 2),  # the first is sure: the gate's look is all
    ],
)
def test_by_hand(top_k: int, mirrored: bool, threshold: float | None, passes: float, plain_network: Network) -> None:
    decision = RefinementConfig(top_k=top_k, weights=(0.5, 0.5), mirrored=mirrored, entropy_threshold=threshold)
    assert refinement_passes(table([[1, 1, 2], [3, 4, 5]], [1, 1]), decision, plain_network) == passes


def test_in_bfloat16_each_grounded_image_costs_a_pass_more(plain_network: Network, s3n_network: Network) -> None:
    decision = RefinementConfig(top_k=2, weights=(0.5, 0.5), mirrored=False)
    found = replace(table([[1, 1, 2], [3, 4, 5]], [1, 1]), precision="bfloat16")
    assert refinement_passes(found, decision, plain_network) == 2 + (1 + 2) / 2
    exact = replace(found, precision="float32")
    assert refinement_passes(exact, decision, plain_network, looker=True) == 2 + (1 + 2) / 2  # another one is grounded
    gated = replace(decision, entropy_threshold=0.5)  # the first is sure
    assert refinement_passes(found, gated, plain_network) == 1 + (0 + 2 + 2) / 2
    assert refinement_passes(found, decision, s3n_network) == 3 + 1 + (1 + 2) / 2  # is grounded apart in any precision


def test_of_everything_it_is_what_the_networks_counted(made: GuidedZoomRun) -> None:
    evidence = evidence_of_split(made, "test", REFINEMENT, context=QUIET)
    k = evidence.evidence.classes.shape[1]
    network = made.base_run().load_network()
    counted = (evidence.evidence.forwards + evidence.evidence.patches).double().mean()
    assert refinement_passes(evidence, replace(REFINEMENT, top_k=k), network) == pytest.approx(float(counted))
    assert refinement_passes(evidence, REFINEMENT, network) <= float(counted)


def test_a_decision_that_is_not_the_backbones_costs_its_passes_and_one_to_be_grounded(s3n_network: Network) -> None:
    decision = RefinementConfig(top_k=3, weights=(0.5, 0.5), mirrored=False)
    assert s3n_network.passes(s3n_network.branches) == 3
    assert refinement_passes(table([[1, 1, 1], [1, 1, 1]], [1, 1]), decision, s3n_network) == 3 + 1 + 1


@pytest.fixture
def plain_network(made: GuidedZoomRun) -> Network:
    return made.base_run().load_network()


@pytest.fixture
def s3n_network(s3n_run: Run) -> Network:
    return s3n_run.load_network()
