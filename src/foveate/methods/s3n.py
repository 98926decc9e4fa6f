"""Selective sparse sampling networks (S3N, ICCV 2019, Figure 3)."""

from __future__ import annotations

from typing import NamedTuple

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn
from torch.nn import functional

from foveate.backbones import Backbone, create_backbone, map_side, pool
from foveate.config import AttentionKind, Branch, Partition, S3NConfig
from foveate.decision.fusion import JointDecision
from foveate.decision.refinement import unsure
from foveate.errors import UserError
from foveate.methods.network import Moment, Network, ParameterGroup
from foveate.response.gate import response
from foveate.response.saliency import SaliencyNetwork
from foveate.types import BranchLogits
from foveate.zoom.attention import Attention, SparseAttention, dense_attention
from foveate.zoom.draws import uniform_draw
from foveate.zoom.sampler import Sampler, resample

_ZOOMED = (Branch.DISCRIMINATIVE, Branch.COMPLEMENTARY)


class Look(NamedTuple):
    """All that the network saw in a batch on its way to the answer.

    ``original`` is the first view; ``response`` R and ``attention`` live on the response grid; ``grids`` and ``views``
    hold the zoomed branches that there are; ``features`` the maps that each branch's head pools, the original's too.
    """

    original: Float[Tensor, "b 3 H W"]
    response: Float[Tensor, "b g g"]
    attention: Attention
    grids: dict[Branch, Float[Tensor, "b H W 2"]]
    views: dict[Branch, Float[Tensor, "b 3 H W"]]
    logits: BranchLogits
    features: dict[Branch, Float[Tensor, "b d _ _"]]


class _Glance(NamedTuple):
    """What the first look of a batch sees: its view, the maps of it, whole and pooled, and what its head answers."""

    original: Float[Tensor, "b 3 H W"]
    features: Float[Tensor, "b d h w"]
    pooled: Float[Tensor, "b d"]
    logits: Float[Tensor, "b c"]


class S3N(Network):
    """One backbone looks three times: at the whole, where the predicted classes respond most, and at the rest.

    Args:
        backbone: Shared by the three views; its head answers for the original one and weighs the class maps.
        config: Every choice that the paper leaves open.
        input_size: Side of each view in pixels; the images given may be larger.
    """

    backbone: Backbone

    def __init__(self, backbone: Backbone, config: S3NConfig, input_size: int) -> None:
        super().__init__()
        _check_feature_map(backbone, config, input_size)
        classes = backbone.classifier.out_features
        self.config = config
        self.input_size = input_size
        self.backbone = backbone
        self.attention = SparseAttention(config)
        salient = config.attention is AttentionKind.SALIENCY
        self.saliency = SaliencyNetwork(backbone, config.placement) if salient else None
        self.sampler = Sampler(config)
        self.fusion = JointDecision(config, backbone.channels, classes)
        blocks = {name: _branch_block(backbone.channels) for name in self.fusion.heads if config.branch_block}
        self.blocks = nn.ModuleDict(blocks)
        # Several processes must not wait for gradients of what draws no view.
        if not self.fusion.heads:
            for module in filter(None, (self.attention, self.saliency, self.sampler)):
                module.requires_grad_(False)
        elif config.attention is not AttentionKind.SPARSE:
            self.attention.requires_grad_(False)

    @classmethod
    def create(cls, config: S3NConfig, classes: int, input_size: int, *, pretrained: bool = True) -> S3N:
        """Build it from its configuration; `pretrained` as in `create_backbone`."""
        return cls(create_backbone(config.backbone, classes, pretrained=pretrained), config, input_size)

    def forward(self, images: Float[Tensor, "b 3 Hs Ws"], moment: Moment | None = None) -> BranchLogits:
        """Return the logits of every branch; `images` are normalised and of the source size."""
        return self.look(images, moment).logits

    def look(self, images: Float[Tensor, "b 3 Hs Ws"], moment: Moment | None = None) -> Look:
        """Return what `forward` does, and all that led to it (Figure 3, left to right)."""
        return self._look_closer(images, self._glance(images), moment)

    def look_where_unsure(self, images: Float[Tensor, "b 3 Hs Ws"], zoom_above: float) -> BranchLogits:
        """Return the first look's answers, and joint ones that are the same where it is sure: no view is drawn there.

        Ours: an image costs one pass, and one more for each view that is drawn where the entropy of the first look is
        higher.

        Args:
            images: Normalised and of the source size.
            zoom_above: Entropy of the first look's probabilities, in nats.
        """
        glance = self._glance(images)
        asked = unsure(glance.logits.float().softmax(-1), zoom_above)
        joint = glance.logits.clone()
        if asked.any():
            closer = self._look_closer(images[asked], _Glance(*(each[asked] for each in glance)), None)
            joint[asked] = closer.logits.decision.to(joint.dtype)
        return BranchLogits(glance.logits, joint=joint)

    def _glance(self, images: Float[Tensor, "b 3 Hs Ws"]) -> _Glance:
        original = shrink(images, self.input_size)
        features = self.backbone(original)
        pooled = pool(features)
        return _Glance(original, features, pooled, self.backbone.classifier(self.fusion.dropout(pooled)))

    def _look_closer(self, images: Float[Tensor, "b 3 Hs Ws"], glance: _Glance, moment: Moment | None) -> Look:
        original, features, first, logits = glance
        pooled = {Branch.ORIGINAL: first}
        cells = self.config.response_grid or features.shape[-1]
        salient = None if self.saliency is None else self.saliency(original, cells)
        with torch.autocast(images.device.type, enabled=False):
            head = self.backbone.classifier
            where = response(features, head.weight, logits, self.config, head.bias)
            attention = self._attend(where if salient is None else salient, images, moment)
            maps = {branch: getattr(attention, branch.value) for branch in _ZOOMED if branch.value in self.fusion.heads}
            grids = self._grids(maps)
            views = {branch: resample(images, grid) for branch, grid in grids.items()}
        zoomed = self._features(views)
        pooled |= {branch: pool(each) for branch, each in zoomed.items()}
        seen = {Branch.ORIGINAL: features} | zoomed
        return Look(original, where, attention, grids, views, self.fusion(logits, pooled), seen)

    def _attend(
        self, where: Float[Tensor, "b g g"], images: Float[Tensor, "b 3 Hs Ws"], moment: Moment | None
    ) -> Attention:
        config = self.config
        if config.attention is not AttentionKind.SPARSE:
            return dense_attention(where, config.sampling_floor)
        if moment is None:
            partition = config.test_partition
        else:
            partition = Partition.ALL if moment.progress < config.both_until else config.train_partition
        draw = None
        if partition in (Partition.PROBABILITY, Partition.RANDOM):
            keys = _keys_of(images) if moment is None else moment.keys
            draw = uniform_draw(keys, where.shape[1])
        attention: Attention = self.attention(where, partition, draw)
        return attention

    def _grids(self, maps: dict[Branch, Float[Tensor, "b g g"]]) -> dict[Branch, Float[Tensor, "b H W 2"]]:
        if not maps:
            return {}
        together = self.sampler(torch.cat(list(maps.values())), self.input_size)
        return dict(zip(maps, together.chunk(len(maps)), strict=True))

    def _features(self, views: dict[Branch, Float[Tensor, "b 3 H W"]]) -> dict[Branch, Float[Tensor, "b d _ _"]]:
        if not views:
            return {}
        # The statistics of a batch norm count in training alone; otherwise one pass does for both.
        if self.config.views_together or not self.training:
            features = self.backbone(torch.cat(list(views.values()))).chunk(len(views))
        else:
            features = tuple(self.backbone(view) for view in views.values())
        blocks = [self.blocks[branch.value] if self.blocks else nn.Identity() for branch in views]
        return {branch: block(each) for branch, block, each in zip(views, blocks, features, strict=True)}

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


def shrink(images: Float[Tensor, "b 3 Hs Ws"], size: int) -> Float[Tensor, "b 3 H W"]:
    """Resize the source to the first view, without aliasing."""
    if images.shape[-1] == size:
        return images
    return functional.interpolate(images, size=(size, size), mode="bilinear", antialias=True)


def _keys_of(images: Float[Tensor, "b 3 Hs Ws"]) -> Int64[Tensor, " b"]:
    """Return a number for each image that depends on its pixels alone: a random test draw that can be repeated.

    Integers, so that the sum is the same in whatever order it is taken, in a batch or alone.
    """
    return (images * 1024).round().long().sum(dim=(1, 2, 3))


def _branch_block(channels: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(channels, channels, 3, stride=2, padding=1, bias=False), nn.BatchNorm2d(channels), nn.ReLU()
    )


def _check_feature_map(backbone: Backbone, config: S3NConfig, input_size: int) -> None:
    side = map_side(backbone, input_size)
    least = 3 if config.branch_block else 2  # a block's stride of 2 must leave more than one cell to normalise over
    if side < least:
        raise UserError(
            f"S3N needs a feature map of at least {least}x{least} cells to know where its classes respond; "
            f"{config.backbone.architecture} makes {side}x{side} of {input_size} pixels; give a larger input_size"
        )
