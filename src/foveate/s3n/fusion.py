"""Fusion: a head for each view, and the joint head on the features of all (S3N, section 3.4)."""

from __future__ import annotations

from typing import cast

import torch
from jaxtyping import Float
from torch import Tensor, nn

from foveate.config.branches import Branch
from foveate.s3n.config import Branches, Fusion, S3NConfig
from foveate.types import BranchLogits

_DECIDES_FROM = {
    Branches.D: (Branch.DISCRIMINATIVE,),
    Branches.O: (Branch.ORIGINAL,),
    Branches.OD: (Branch.ORIGINAL, Branch.DISCRIMINATIVE),
    Branches.OC: (Branch.ORIGINAL, Branch.COMPLEMENTARY),
    Branches.DC: (Branch.DISCRIMINATIVE, Branch.COMPLEMENTARY),
    Branches.ODC: (Branch.ORIGINAL, Branch.DISCRIMINATIVE, Branch.COMPLEMENTARY),
}


class JointDecision(nn.Module):
    """A linear head for each zoomed view, and one on all features that the decision is made from.

    The original view's head is the backbone's own and not part of this module, since the class maps rest on it.
    """

    def __init__(self, config: S3NConfig, channels: int, classes: int) -> None:
        super().__init__()
        self.decides_from = _DECIDES_FROM[config.branches]
        self.dropout = nn.Dropout(config.dropout)
        zoomed = (branch for branch in self.decides_from if branch is not Branch.ORIGINAL)
        self.heads = nn.ModuleDict({branch.value: nn.Linear(channels, classes) for branch in zoomed})
        views = len(self.decides_from)
        own = len(self.heads) > 0 and config.fusion is Fusion.OWN
        self.joint = nn.Linear(views * channels, classes) if own else None

    @torch.no_grad()
    def put_into_joint(self, original_head: nn.Linear) -> None:
        """Make a joint head of its own answer with the mean of the views' logits."""
        if self.joint is None:
            return
        named = {Branch.ORIGINAL: original_head} | {Branch(name): head for name, head in self.heads.items()}
        heads = [cast(nn.Linear, named[branch]) for branch in self.decides_from]
        self.joint.weight.copy_(torch.cat([head.weight for head in heads], dim=1) / len(heads))
        self.joint.bias.copy_(torch.stack([head.bias for head in heads]).mean(0))

    def forward(
        self, original_logits: Float[Tensor, "b c"], features: dict[Branch, Float[Tensor, "b d"]]
    ) -> BranchLogits:
        """Return every branch's logits.

        Args:
            original_logits: The backbone's own head's.
            features: F_O, F_D, F_C: the pooled features of each view; one without them has no answer, nor has then the
                joint branch.
        """
        heads = {name: head for name, head in self.heads.items() if Branch(name) in features}
        zoomed = {name: head(self.dropout(features[Branch(name)])) for name, head in heads.items()}
        each = {Branch.ORIGINAL: original_logits} | {Branch(name): logits for name, logits in zoomed.items()}
        if len(heads) < len(self.heads):
            return BranchLogits(original_logits, **zoomed)
        if self.joint is not None:
            joined = torch.cat([features[branch] for branch in self.decides_from], dim=1)
            zoomed[Branch.JOINT.value] = self.joint(self.dropout(joined))
        elif zoomed:
            zoomed[Branch.JOINT.value] = torch.stack([each[branch] for branch in self.decides_from]).mean(0)
        return BranchLogits(original_logits, **zoomed)
