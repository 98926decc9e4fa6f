"""Selective sparse sampling networks (S3N, ICCV 2019, Figure 3)."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from functools import partial
from typing import NamedTuple, cast

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn

from foveate.backbones.backbone import Backbone, create_backbone, map_side, pool
from foveate.backbones.class_maps import at_places
from foveate.backbones.own_cnns import OwnCNN
from foveate.config.branches import Branch
from foveate.config.networks import FOLDS, STRENGTHS
from foveate.errors import UserError
from foveate.networks.answers import check_answers
from foveate.networks.branch_maps import BranchMaps, maps_of
from foveate.networks.draws import uniform_draw
from foveate.networks.entropy_gate import unsure
from foveate.networks.explanation import Explanation
from foveate.networks.first_view import lattice, shrink
from foveate.networks.looker import Looker
from foveate.networks.network import FrozenFeatures, Network, ParameterGroup, ResponsePeaks, Solved, TrainingStep
from foveate.networks.probe import Head, fit_probe
from foveate.s3n.attention import Attention, SparseAttention, dense_attention
from foveate.s3n.config import AttentionKind, Partition, S3NConfig
from foveate.s3n.explanation import explained
from foveate.s3n.fusion import JointDecision
from foveate.s3n.output import S3NOutput
from foveate.s3n.probes import measured
from foveate.s3n.response import response_map
from foveate.s3n.saliency import SaliencyNetwork
from foveate.s3n.sampler import Sampler, invert, resample_views
from foveate.types import BranchLogits

_ZOOMED = (Branch.DISCRIMINATIVE, Branch.COMPLEMENTARY)


class _FirstPass(NamedTuple):
    """The pass of a batch's first views: the views, their features, whole and pooled, and the logits of their head."""

    original: Float[Tensor, "b 3 H W"]
    features: Float[Tensor, "b d h w"]
    pooled: Float[Tensor, "b d"]
    logits: Float[Tensor, "b c"]


class S3N(Network):
    """One backbone looks three times: at the whole, where the predicted classes respond most, and at the rest.

    >>> import torch
    >>> from foveate import BackboneConfig, S3N, S3NConfig, TrainingStep
    >>> config = S3NConfig(backbone=BackboneConfig(architecture="test_resnet", weights="none"))
    >>> network = S3N.create(config, classes=5, input_size=64)
    >>> images, labels = torch.randn(2, 3, 96, 96), torch.tensor([3, 1])  # normalised; the zoom reads from 96 pixels
    >>> answers = network(images, TrainingStep(progress=0.0, keys=torch.tensor([0, 1]))).present()
    >>> sum(torch.nn.functional.cross_entropy(logits, labels) for logits in answers.values()).backward()  # Eq. 9
    >>> [str(branch) for branch in answers]
    ['original', 'discriminative', 'complementary', 'joint']
    >>> probabilities = network.eval()(images).decision.softmax(-1)  # the joint answer's

    Args:
        backbone: Shared by the three views; its head answers for the original one and weighs the class maps.
        config: Every choice that the paper leaves open.
        input_size: Side of each view in pixels; the images given may be larger.
    """

    backbone: Backbone

    def __init__(self, backbone: Backbone, config: S3NConfig, input_size: int) -> None:
        super().__init__()
        _check_feature_map(backbone, input_size, least=3 if config.branch_block else 2)
        classes = backbone.classifier.out_features
        self.config = config
        self.input_size = input_size
        self.backbone = backbone
        self.attention = SparseAttention(config)
        salient = config.attention is AttentionKind.SALIENCY
        self.saliency = SaliencyNetwork(backbone, config.placement) if salient else None
        self.looker: Looker | None = None
        self.sampler = Sampler(config)
        self.fusion = JointDecision(config, backbone.channels, classes)
        blocks = {name: _branch_block(backbone.channels) for name in self.fusion.heads if config.branch_block}
        self.blocks = nn.ModuleDict(blocks)
        # Several processes must not wait for gradients of what draws no view.
        if not self.fusion.heads:
            for module in filter(None, (self.attention, self.saliency, self.sampler)):
                module.requires_grad_(False)
        elif config.attention is not AttentionKind.SPARSE or config.radius_rate == 0:
            self.attention.requires_grad_(False)

    @classmethod
    def create(cls, config: S3NConfig, classes: int, input_size: int, *, pretrained: bool = True) -> S3N:
        """Build it from its configuration; `pretrained` as in `create_backbone`."""
        backbone = create_backbone(config.backbone, classes, pretrained=pretrained, input_size=input_size)
        return cls(backbone, config, input_size)

    def look_by(self, looker: Looker) -> None:
        """Let the class maps of another network draw the zoomed views; errors as in `Network.look_by`."""
        looker.backbone.with_linear_head()
        _check_feature_map(looker.backbone, looker.input_size)
        self.looker = looker

    def forward(self, images: Float[Tensor, "b 3 Hs Ws"], step: TrainingStep | None = None) -> BranchLogits:
        """Return the logits of every branch; `images` are normalised and of the source size."""
        return self.output(images, step).logits

    def output(self, images: Float[Tensor, "b 3 Hs Ws"], step: TrainingStep | None = None) -> S3NOutput:
        """Return what `forward` does, and all that led to it (Figure 3, left to right)."""
        return self._zoom(images, self._first_pass(images), step)

    def solve(
        self,
        frozen: FrozenFeatures,
        labels: Int64[Tensor, " n"],
        seed: int = 0,
        groups: Int64[Tensor, " n"] | None = None,
    ) -> Solved:
        """Fit a probe for each view; arguments as in `Network.solve`.

        What draws a photograph's zoomed views here is a head that was not fitted to it, as at test
        time: that of its fold of the cross-validation. Afterwards the head that was fitted to all of them does.
        """
        fit = partial(fit_probe, labels=labels, strengths=STRENGTHS, folds=FOLDS, seed=seed, groups=groups)
        first = fit(frozen("original", lambda network, images, _: network.backbone.pooled(network.first_view(images))))
        first.head.put_into(self.backbone.classifier)
        probes = {Branch.ORIGINAL: first}
        if self.fusion.heads:
            features = frozen("zoomed", partial(_zoomed_features, *first.unseen_heads(len(labels))))
            each = features.chunk(len(self.fusion.heads), dim=-1)
            for (name, head), own in zip(self.fusion.heads.items(), each, strict=True):
                probes[Branch(name)] = fit(own)
                probes[Branch(name)].head.put_into(cast(nn.Linear, head))
            self.fusion.put_into_joint(self.backbone.classifier)
        return measured(probes, self.fusion.decides_from, labels)

    @property
    def branches(self) -> tuple[Branch, ...]:
        """The original view's, that of each zoomed view it draws, and the joint one; else the original one alone."""
        zoomed = tuple(branch for branch in _ZOOMED if branch.value in self.fusion.heads)
        return (Branch.ORIGINAL, *zoomed, Branch.JOINT) if zoomed else (Branch.ORIGINAL,)

    def passes(self, branches: Collection[Branch]) -> int:
        """Return one for the original view, one for each zoomed view that the answers rest on, and the looker's."""
        zoomed = len(self._zoomed(branches))
        return 1 + zoomed + (zoomed > 0 and self.looker is not None)

    def branch_logits(self, images: Float[Tensor, "b 3 Hs Ws"], branches: Collection[Branch]) -> BranchLogits:
        """Return the logits of some branches, drawing no other views; arguments as in `Network.branch_logits`."""
        first, zoomed = self._first_pass(images), self._zoomed(branches)
        return self._zoom(images, first, None, zoomed).logits if zoomed else BranchLogits(first.logits)

    def _zoomed(self, branches: Collection[Branch]) -> tuple[Branch, ...]:
        every = self.branches[1:-1]
        return every if Branch.JOINT in branches else tuple(branch for branch in every if branch in branches)

    @property
    def backbones(self) -> tuple[Backbone | OwnCNN, ...]:
        """The looker's too."""
        return (self.backbone,) if self.looker is None else (self.backbone, self.looker.backbone)

    @property
    def skippable_views(self) -> int:
        """How many views follow the first, the looker's too: none where it decides from the first one alone."""
        return self.passes(self.branches) - 1

    def first_view(self, images: Float[Tensor, "b 3 Hs Ws"]) -> Float[Tensor, "b 3 H W"]:
        """Shrink the source, without aliasing."""
        return shrink(images, self.input_size)

    def check_looks_closer(self) -> None:
        """Refuse an S3N that decides from the first view alone."""
        if not self.fusion.heads:
            raise UserError(
                "zoom_entropy_threshold says where a network looks closer; this S3N decides from the first view alone; "
                "leave it out"
            )

    def look_where_unsure(self, images: Float[Tensor, "b 3 Hs Ws"], entropy_threshold: float) -> BranchLogits:
        """Return the first look's answers, and further ones that are the same where it is sure: no view is drawn there.

        Ours: an image costs one pass, and one more for each view that is drawn where the entropy of the first look is
        higher. Arguments as in `Network.look_where_unsure`.
        """
        first = self._first_pass(images)
        doubtful = unsure(first.logits.float().softmax(-1), entropy_threshold)
        answers = {branch: first.logits.clone() for branch in self.branches[1:]}
        if doubtful.any():
            output = self._zoom(images[doubtful], _FirstPass(*(each[doubtful] for each in first)), None)
            for branch, logits in answers.items():
                logits[doubtful] = output.logits.present()[branch].to(logits.dtype)
        return BranchLogits.of({Branch.ORIGINAL: first.logits} | answers)

    def check_class_maps(self) -> None:
        """Allow them: every view's head is linear, on averaged features."""

    def branch_maps(self, images: Float[Tensor, "b 3 Hs Ws"], classes: Int64[Tensor, " b"], places: int) -> BranchMaps:
        """Return what each branch answers, and where it sees a class; arguments as in `Network.branch_maps`."""
        output = self.output(images)
        maps: dict[Branch, Float[Tensor, "b y y"]] = {}
        with torch.autocast(images.device.type, enabled=False):
            for branch, features in output.features.items():
                own = maps_of(features, self.head_weight(branch), classes)
                if branch in output.grids:
                    grid, covered = invert(output.grids[branch], places)
                else:
                    grid = lattice(places, own).expand(len(images), -1, -1, -1)
                    covered = torch.ones(grid.shape[:-1], dtype=torch.bool, device=grid.device)
                maps[branch] = at_places(own, grid, self.input_size)[:, 0].masked_fill(~covered, torch.nan)
            if output.logits.joint is not None:
                added = torch.stack([maps[branch] for branch in self.fusion.decides_from])
                maps[Branch.JOINT] = added.nansum(0).masked_fill(added.isnan().all(0), torch.nan)
        return BranchMaps(output.logits, maps)

    def check_response_peaks(self) -> None:
        """Allow them: a response has peaks, also where another map draws the views."""

    def response_peaks(self, images: Float[Tensor, "b 3 Hs Ws"]) -> ResponsePeaks:
        """Return the response and its peaks; arguments as in `Network.response_peaks`."""
        output = self.output(images)
        return ResponsePeaks(output.response, output.attention.peaks, output.logits)

    def check_explains(self, *, over_training: bool = False) -> None:
        """Allow it, over a training too."""

    def explanation(
        self, images: Float[Tensor, "1 3 Hs Ws"], class_names: Sequence[str], title: str, truth: str | None = None
    ) -> Explanation:
        """Return what it sees on its way to its answer; arguments and errors as in `Network.explanation`."""
        output = self.output(images)
        check_answers(output.logits)
        return explained(output, self.config, self.backbone.normalisation, class_names, title, truth)

    def _first_pass(self, images: Float[Tensor, "b 3 Hs Ws"]) -> _FirstPass:
        original = shrink(images, self.input_size)
        features = self.backbone(original)
        pooled = pool(features)
        return _FirstPass(original, features, pooled, self.backbone.classifier(self.fusion.dropout(pooled)))

    def _zoom(
        self,
        images: Float[Tensor, "b 3 Hs Ws"],
        first: _FirstPass,
        step: TrainingStep | None,
        zoomed: Sequence[Branch] = _ZOOMED,
        head: nn.Linear | Head | None = None,
    ) -> S3NOutput:
        original, features, original_pooled, logits = first
        pooled = {Branch.ORIGINAL: original_pooled}
        response = self._response(images, first, head)
        salient = None if self.saliency is None else self.saliency(original, response.shape[-1])
        with torch.autocast(images.device.type, enabled=False):
            attention = self._attend(response if salient is None else salient, images, step)
            maps = {branch: getattr(attention, branch.value) for branch in zoomed if branch.value in self.fusion.heads}
            grids = self._grids(maps)
            views = resample_views(images, grids)
        closer = self._features(tuple(maps), views)
        pooled |= {branch: pool(each) for branch, each in closer.items()}
        whole = {Branch.ORIGINAL: features} | closer
        drawn = dict(zip(maps, grids, strict=True)), dict(zip(maps, views, strict=True))
        return S3NOutput(original, response, attention, *drawn, self.fusion(logits, pooled), whole)

    def _response(
        self, images: Float[Tensor, "b 3 Hs Ws"], first: _FirstPass, head: nn.Linear | Head | None
    ) -> Float[Tensor, "b g g"]:
        """Return where the looker's best classes respond, or those of the first pass by one of its heads."""
        features, logits, head = first.features, first.logits, head or self.backbone.classifier
        if self.looker is not None:
            (features, logits), head = self.looker(images, self.backbone.normalisation), self.looker.head
        elif self.config.looker is not None:
            raise UserError(
                f"an S3N whose looker is a run looks by that run's network; got looker {self.config.looker!r} and no "
                "network; give it to `look_by`, or train it with `foveate.train`"
            )
        with torch.autocast(images.device.type, enabled=False):
            return response_map(features, head.weight, logits, self.config, head.bias)

    def _attend(
        self, response: Float[Tensor, "b g g"], images: Float[Tensor, "b 3 Hs Ws"], step: TrainingStep | None
    ) -> Attention:
        config = self.config
        if config.attention is not AttentionKind.SPARSE:
            return dense_attention(response, config.sampling_floor)
        if step is None:
            partition = config.test_partition
        else:
            partition = Partition.ALL if step.progress < config.both_until else config.train_partition
        draw = None
        if partition in (Partition.PROBABILITY, Partition.RANDOM):
            keys = _keys_of(images) if step is None else step.keys
            draw = uniform_draw(keys, response.shape[1])
        attention: Attention = self.attention(response, partition, draw)
        return attention

    def _grids(self, maps: dict[Branch, Float[Tensor, "b g g"]]) -> tuple[Float[Tensor, "b H W 2"], ...]:
        if not maps:
            return ()
        together: Tensor = self.sampler(torch.cat(list(maps.values())), self.input_size)
        return torch.unbind(together.view(len(maps), -1, *together.shape[1:]))

    def _features(
        self, branches: Sequence[Branch], views: Float[Tensor, "v b 3 H W"]
    ) -> dict[Branch, Float[Tensor, "b d _ _"]]:
        if not branches:
            return {}
        # The statistics of a batch norm count in training alone; otherwise one pass does for both.
        if self.config.views_together or not self.training:
            together: Tensor = self.backbone(views.flatten(0, 1))
            features = torch.unbind(together.reshape(len(branches), -1, *together.shape[1:]))
        else:
            features = tuple(self.backbone(view) for view in views)
        blocks = [self.blocks[branch.value] if self.blocks else nn.Identity() for branch in branches]
        return {branch: block(each) for branch, block, each in zip(branches, blocks, features, strict=True)}

    def head_weight(self, branch: Branch) -> Float[Tensor, "c d"]:
        """Return the weight of the head that answers for one view."""
        head = self.backbone.classifier if branch is Branch.ORIGINAL else self.fusion.heads[branch.value]
        weight = head.weight
        assert isinstance(weight, Tensor)
        return weight

    def parameter_groups(self) -> list[ParameterGroup]:
        """Return the heads, which are new, the radii, and the regulariser where it is learned."""
        config = self.config
        heads = [*self.backbone.classifier.parameters(), *self.fusion.parameters()]
        if self.saliency is not None:
            heads += self.saliency.head.parameters()
        groups = [
            ParameterGroup(heads),
            ParameterGroup([self.attention.log_radius], new=False, factor=config.radius_rate, decays=False),
        ]
        if self.sampler.kernel is not None:
            groups.append(ParameterGroup([self.sampler.kernel], new=False, factor=config.regulariser_rate))
        return groups


def _zoomed_features(
    heads: Sequence[Head],
    which: Int64[Tensor, " n"],
    network: Network,
    images: Float[Tensor, "b 3 Hs Ws"],
    positions: Int64[Tensor, " b"],
) -> Float[Tensor, "b d"]:
    """Return the pooled features of the zoomed views that are there, one after the other.

    Args:
        heads: Those that may draw the views.
        which: Of them draws those of each photograph.
        network: An S3N.
        images: Normalised, of the source size.
        positions: Which of the photographs each shows.
    """
    s3n, drawn_by = cast(S3N, network), which[positions].to(images.device)
    first = s3n._first_pass(images)
    zoomed: dict[int, Float[Tensor, " d"]] = {}
    for number in sorted(set(drawn_by.tolist())):
        chosen, head = drawn_by == number, heads[number].to(images.device)
        own = _FirstPass(*(each[chosen] for each in first))._replace(logits=head(first.pooled[chosen].float()))
        features = s3n._zoom(images[chosen], own, None, head=head).features
        pooled = torch.cat([pool(features[branch]) for branch in _ZOOMED if branch in features], dim=1)
        zoomed |= dict(zip(chosen.nonzero()[:, 0].tolist(), pooled, strict=True))
    return torch.stack([zoomed[row] for row in range(len(images))])


def _keys_of(images: Float[Tensor, "b 3 Hs Ws"]) -> Int64[Tensor, " b"]:
    """Return a number for each image that depends on its pixels alone: a random test draw that can be repeated.

    Integers, so that the sum is the same in whatever order it is taken, in a batch or alone.
    """
    return (images * 1024).round().long().sum(dim=(1, 2, 3))


def _branch_block(channels: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(channels, channels, 3, stride=2, padding=1, bias=False), nn.BatchNorm2d(channels), nn.ReLU()
    )


def _check_feature_map(backbone: Backbone | OwnCNN, input_size: int, least: int = 2) -> None:
    """Refuse a map of fewer cells: one says of no place more than of another, one has nothing to normalise over."""
    side = map_side(backbone.with_linear_head(), input_size)
    if side < least:
        raise UserError(
            f"S3N needs a feature map of at least {least}x{least} cells to know where its classes respond; "
            f"{backbone.architecture} makes {side}x{side} of {input_size} pixels; give a larger input_size"
        )
