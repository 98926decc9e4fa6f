"""What a Guided Zoom's decision costs: passes of both its networks over one photograph."""

from __future__ import annotations

import torch

from foveate.evaluation.evidence_table import EvidenceTable
from foveate.guided_zoom.config import RefinementConfig
from foveate.networks.network import Network


def refinement_passes(
    table: EvidenceTable, config: RefinementConfig, network: Network, *, looker: bool = False
) -> float:
    """Return how often a CNN looks at a photograph, or at a part of one, on average, where the evidence decides so.

    Counted are the passes of the conventional network, one more for each image that is grounded where that is not its
    decision's own pass (maps are always computed in float32), and those of the Evidence CNN; not what a grounding
    itself computes (a way back, or masks).

    Args:
        table: The evidence of a split, of at least as many classes and rounds as the decision considers; the network
            answers in its precision.
        config: The decision. Later rounds of fewer classes than the table has may share more than is counted here.
        network: The conventional network.
        looker: Whether another network is grounded in its place, in a pass of its own.
    """
    evidence, k, rounds = table.evidence, config.top_k, config.rounds + 1
    forwards = evidence.forwards.clamp(max=1 + k * config.rounds)
    owner = torch.arange(len(table.ids))[:, None, None, None].expand(-1, k, rounds, 1)
    boxes = torch.cat((owner, evidence.boxes[:, :k, :rounds]), dim=-1).flatten(0, 2)
    patches = torch.bincount(torch.unique(boxes, dim=0)[:, 0], minlength=len(table.ids))
    looks = network.passes(network.branches)
    grounded = looks + (looker or not network.decides_by_backbone or table.precision != "float32")
    passes = forwards * grounded + patches * (2 if config.mirrored else 1)
    considered = table.refined(config).considered
    gate = 0 if config.entropy_threshold is None else looks
    return float((gate + considered * passes).double().mean())
