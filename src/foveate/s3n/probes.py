"""What the probes of S3N's views say together, out of fold."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from jaxtyping import Int64
from torch import Tensor

from foveate.config.branches import Branch
from foveate.networks.network import Solved
from foveate.networks.probe import Probe, accuracy_and_loss


def measured(probes: Mapping[Branch, Probe], decides_from: Sequence[Branch], labels: Int64[Tensor, " n"]) -> Solved:
    """Return what cross-validation says of each view's probe, and of the joint answer, the mean of their logits.

    Args:
        probes: Of each view.
        decides_from: The views that the joint answer counts.
        labels: The true classes.
    """
    first = probes[Branch.ORIGINAL]
    numbers = {f"strength/{branch.value}": probe.strength for branch, probe in probes.items()}
    held_out = {
        branch: each.out_of_fold.probabilities for branch, each in probes.items() if each.out_of_fold is not None
    }
    if first.out_of_fold is None:
        return Solved(numbers, {}, 0)
    if len(probes) > 1:
        logs = [held_out[branch].clamp(min=torch.finfo(torch.float64).tiny).log() for branch in decides_from]
        held_out[Branch.JOINT] = torch.stack(logs).mean(0).softmax(-1)
    for branch, probabilities in held_out.items():
        accuracy, loss = accuracy_and_loss(probabilities.numpy(), labels.numpy())
        numbers |= {f"held-out/{branch.value}/top1": accuracy, f"held-out/{branch.value}/loss": loss}
    rivals = {f"held-out/{name}": accuracy for name, accuracy in first.rivals.items()}
    return Solved(numbers | rivals, held_out, len(first.out_of_fold.heads))
