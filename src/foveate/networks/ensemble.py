"""Several networks that answer together."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn

from foveate.backbones.backbone import Backbone
from foveate.backbones.own_cnns import OwnCNN
from foveate.config.branches import MEMBERS, Branch
from foveate.config.ensemble import EnsembleConfig
from foveate.errors import UserError
from foveate.networks.answers import decision, log_probabilities, ranked_classes, weighted_decision
from foveate.networks.branch_maps import BranchMaps
from foveate.networks.explanation import Explanation
from foveate.networks.first_view import renormalised, shrink
from foveate.networks.network import Network, ParameterGroup, TrainingStep
from foveate.types import BranchLogits

_SHOWN = 5


class EnsembleNetwork(Network):
    """Asks each member, and adds their log probabilities, each with its weight: a product of experts.

    The original branch is the first member's answer, whose backbone is grounded and whose picture explains; the joint
    one, which decides, is the answer of all. Each member sees the images at its own size, normalised as its own are.

    Args:
        members: In the order of the configuration.
        config: How much each counts, and how large its images are.
    """

    def __init__(self, members: Sequence[Network], config: EnsembleConfig) -> None:
        super().__init__()
        self.members = nn.ModuleList(members)
        self.config = config
        for member in members:
            member.requires_grad_(False)

    @property
    def backbone(self) -> Backbone | OwnCNN:  # type: ignore[override]
        """The first member's."""
        return self._member(0).backbone

    @property
    def backbones(self) -> tuple[Backbone | OwnCNN, ...]:
        """Those of all members."""
        return tuple(backbone for member in self._all() for backbone in member.backbones)

    @property
    def branches(self) -> tuple[Branch, ...]:
        """One for each member, the original one first, and the joint one."""
        return (*MEMBERS[: len(self.members)], Branch.JOINT)

    def passes(self, branches: Collection[Branch]) -> int:
        """Return the sum over the members that are asked; passes of larger members cost more."""
        return sum(self._member(place).passes(self._deciding(place)) for place in self._asked(branches))

    def forward(self, images: Float[Tensor, "b 3 Hs Ws"], step: TrainingStep | None = None) -> BranchLogits:
        """Return every member's log probabilities, and the logits of all together."""
        return self.branch_logits(images, self.branches)

    def branch_logits(self, images: Float[Tensor, "b 3 Hs Ws"], branches: Collection[Branch]) -> BranchLogits:
        """Return the answers of some branches, asking no other member but the first."""
        asked = self._asked(branches)
        answers = {MEMBERS[place]: self._answer(place, self._seen(place, images)) for place in asked}
        if Branch.JOINT in branches:
            answers[Branch.JOINT] = self._joint([answers[MEMBERS[place]] for place in asked])
        return BranchLogits.of(answers)

    def first_view(self, images: Float[Tensor, "b 3 Hs Ws"]) -> Float[Tensor, "b 3 H W"]:
        """Return what the first member's backbone sees."""
        return self._member(0).first_view(self._seen(0, images))

    def check_looks_closer(self) -> None:
        """Refuse: its members look as they are used to.

        Raises:
            UserError: Always.
        """
        raise UserError(
            "zoom_entropy_threshold says where one network looks closer; this one is an ensemble of "
            f"{len(self.members)}; leave it out"
        )

    def check_class_maps(self) -> None:
        """Allow them where every member does."""
        for member in self._all():
            member.check_class_maps()

    def branch_maps(self, images: Float[Tensor, "b 3 Hs Ws"], classes: Int64[Tensor, " b"], places: int) -> BranchMaps:
        """Return what each member answers and where its decision sees a class; the joint map is their weighted sum."""
        each = [
            member.branch_maps(self._seen(place, images), classes, places) for place, member in enumerate(self._all())
        ]
        maps = {MEMBERS[place]: self._map(place, of.maps) for place, of in enumerate(each)}
        maps[Branch.JOINT] = _summed(list(maps.values()), self._weights())
        logits = {MEMBERS[place]: self._decided(place, of.logits) for place, of in enumerate(each)}
        logits[Branch.JOINT] = self._joint(list(logits.values()))
        return BranchMaps(BranchLogits.of(logits), maps)

    def explanation(
        self, images: Float[Tensor, "1 3 Hs Ws"], class_names: Sequence[str], title: str, truth: str | None = None
    ) -> Explanation | None:
        """Return the first member's, with the answer of all."""
        shown = self._member(0).explanation(self._seen(0, images), class_names, title, truth)
        if shown is None:
            return None
        probabilities = self(images).decision.float().softmax(-1)[0].cpu().numpy()
        return shown.decided(ranked_classes(probabilities, class_names, _SHOWN))

    def parameter_groups(self) -> list[ParameterGroup]:
        """Return none: its members were trained before."""
        return []

    def _all(self) -> list[Network]:
        return [self._member(place) for place in range(len(self.members))]

    def _member(self, place: int) -> Network:
        member = self.members[place]
        assert isinstance(member, Network)
        return member

    def _weights(self) -> list[float]:
        return [each.weight for each in self.config.members]

    def _asked(self, branches: Collection[Branch]) -> list[int]:
        """Return which members answer for some branches: always the first."""
        every = Branch.JOINT in branches
        return [
            place
            for place, branch in enumerate(MEMBERS[: len(self.members)])
            if every or place == 0 or branch in branches
        ]

    def _deciding(self, place: int) -> Collection[Branch]:
        """Return which branches of a member its own answer rests on."""
        return self.config.members[place].counting or self._member(place).branches[-1:]

    def _seen(self, place: int, images: Float[Tensor, "b 3 Hs Ws"]) -> Float[Tensor, "b 3 _ _"]:
        own = renormalised(images, self.backbone.normalisation, self._member(place).backbone.normalisation)
        return shrink(own, self.config.members[place].transforms.source)

    def _answer(self, place: int, seen: Float[Tensor, "b 3 _ _"]) -> Float[Tensor, "b c"]:
        return self._decided(place, self._member(place).branch_logits(seen, self._deciding(place)))

    def _decided(self, place: int, logits: BranchLogits) -> Float[Tensor, "b c"]:
        """Return a member's log probabilities."""
        weights = self.config.members[place].counting
        if weights is None:
            return logits.decision.float().log_softmax(-1)
        answers = {branch: each.float().softmax(-1) for branch, each in logits.present().items()}
        return log_probabilities(weighted_decision(answers, weights))

    def _map(self, place: int, maps: Mapping[Branch, Float[Tensor, "b y y"]]) -> Float[Tensor, "b y y"]:
        """Return where what a member says rests."""
        weights = self.config.members[place].counting
        return decision(maps) if weights is None else _summed([maps[each] for each in weights], list(weights.values()))

    def _joint(self, answers: Sequence[Float[Tensor, "b c"]]) -> Float[Tensor, "b c"]:
        return torch.stack([weight * each for weight, each in zip(self._weights(), answers, strict=True)]).sum(0)


def _summed(maps: Sequence[Float[Tensor, "b y y"]], weights: Sequence[float]) -> Float[Tensor, "b y y"]:
    """Return the weighted sum of maps; what one does not show adds nothing, and NaN is what none shows."""
    each = torch.stack(list(maps))
    added = torch.einsum("m,mbij->bij", each.new_tensor(weights), each.nan_to_num())
    return added.masked_fill(each.isnan().all(0), torch.nan)
