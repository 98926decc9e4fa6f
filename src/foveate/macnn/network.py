"""Multi-attention convolutional network (MA-CNN, ICCV 2017, Figure 2)."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from copy import deepcopy
from enum import Enum
from typing import cast

import torch
from jaxtyping import Float
from torch import Tensor, nn

from foveate.backbones.backbone import Backbone, create_backbone, map_side, pool
from foveate.backbones.timm_networks import TimmNetwork
from foveate.config.branches import PARTS, Branch
from foveate.config.checks import require
from foveate.errors import UserError
from foveate.macnn.channel_clusters import cluster_channels, learn_groups
from foveate.macnn.config import MACNNConfig
from foveate.macnn.explanation import explained
from foveate.macnn.grouping import ChannelGrouping, PartAttention, largest_cells, part_attention
from foveate.macnn.losses import distance_loss, diversity_loss
from foveate.macnn.output import MACNNOutput
from foveate.macnn.part_crops import around_all, cropped, squares_around
from foveate.macnn.streams import StreamDecision, streams_of
from foveate.networks.answers import check_answers
from foveate.networks.explanation import Explanation
from foveate.networks.first_view import shrink
from foveate.networks.network import Losses, Network, ParameterGroup, TrainingStep
from foveate.types import BranchLogits


class Phase(Enum):
    """What learns in an epoch."""

    GROUPING = "grouping"
    """The channel grouping, from L_dis and L_div; all else is fixed."""
    CLASSIFYING = "classifying"
    """All else, from cross entropies; the grouping is fixed."""


class MACNN(Network):
    """One network finds parts by grouping its channels; the whole and each part are then looked at.

    >>> import torch
    >>> from foveate import BackboneConfig, MACNN, MACNNConfig
    >>> backbone = BackboneConfig(architecture="test_resnet", weights="none")
    >>> network = MACNN.create(MACNNConfig(backbone=backbone, parts=2), classes=5, input_size=96).eval()
    >>> answers = network(torch.randn(2, 3, 128, 128))  # normalised; parts are cut from 128 pixels
    >>> [str(branch) for branch in answers.present()]
    ['original', 'part-1', 'part-2', 'joint']

    Args:
        backbone: That of the whole image; its channels are grouped, and its head answers for the whole.
        config: Every choice that the paper leaves open.
        input_size: Side of the whole view in pixels; the images given, from which parts are cut, may be larger.
    """

    backbone: Backbone

    def __init__(self, backbone: Backbone, config: MACNNConfig, input_size: int) -> None:
        super().__init__()
        self.part_size = config.part_size or input_size // 2
        for size in (input_size, self.part_size):
            _check_feature_map(backbone, config, size)
        require(config.parts <= backbone.channels, f"parts must be at most {backbone.channels} channels", config.parts)
        classes = backbone.classifier.out_features
        self.config = config
        self.input_size = input_size
        self.backbone = backbone
        self.grouping = ChannelGrouping(config, backbone.channels)
        attended = (nn.Linear(backbone.channels, classes) for _ in range(config.parts))
        self.attended = nn.ModuleList(attended)
        self.decision = StreamDecision(config, backbone.channels, classes)
        names = () if config.shared else self.decision.heads
        self.streams = nn.ModuleDict({name: _headless(backbone) for name in names})

    @classmethod
    def create(cls, config: MACNNConfig, classes: int, input_size: int, *, pretrained: bool = True) -> MACNN:
        """Build it from its configuration; `pretrained` as in `create_backbone`."""
        backbone = create_backbone(config.backbone, classes, pretrained=pretrained, input_size=input_size)
        return cls(backbone, config, input_size)

    def forward(self, images: Float[Tensor, "b 3 Hs Ws"], step: TrainingStep | None = None) -> BranchLogits:
        """Return the logits of every stream; `images` are normalised and of the source size."""
        return self.output(images).logits

    def output(self, images: Float[Tensor, "b 3 Hs Ws"]) -> MACNNOutput:
        """Return what `forward` does, and all that led to it (Figure 2, left to right)."""
        original = shrink(images, self.input_size)
        features = self.backbone(original)
        pooled = pool(features)
        attention = self._attend(features, self.grouping(pooled).detach())
        with torch.autocast(images.device.type, enabled=False):
            boxes = self._boxes(attention)
            sizes = {branch: self.part_size if branch in PARTS else self.input_size for branch in boxes}
            views = {branch: cropped(images, box, sizes[branch]) for branch, box in boxes.items()}
        streams = {Branch.ORIGINAL: pooled} | self._features(views)
        logits = self.decision(self.backbone.classifier(pooled), streams)
        return MACNNOutput(original, features, attention, boxes, views, logits)

    @property
    def branches(self) -> tuple[Branch, ...]:
        """The streams', the whole image's first, and the joint one."""
        return (*streams_of(self.config), Branch.JOINT)

    def passes(self, branches: Collection[Branch]) -> int:
        """Return one for each stream; one alone where the whole image's answer is enough."""
        return 1 if set(branches) <= {Branch.ORIGINAL} else len(streams_of(self.config))

    def branch_logits(self, images: Float[Tensor, "b 3 Hs Ws"], branches: Collection[Branch]) -> BranchLogits:
        """Return the whole image's logits alone where they are enough; arguments as in `Network.branch_logits`."""
        if self.passes(branches) > 1:
            return self.output(images).logits
        return BranchLogits(self.backbone.classifier(pool(self.backbone(self.first_view(images)))))

    def first_view(self, images: Float[Tensor, "b 3 Hs Ws"]) -> Float[Tensor, "b 3 H W"]:
        """Shrink the source, without aliasing."""
        return shrink(images, self.input_size)

    def check_explains(self, *, over_training: bool = False) -> None:
        """Refuse stages of a training."""
        if over_training:
            raise UserError(
                "evidence over training is shown of networks that look closer, such as S3N's; this run is of MA-CNN; "
                "leave --epochs out"
            )

    def explanation(
        self, images: Float[Tensor, "1 3 Hs Ws"], class_names: Sequence[str], title: str, truth: str | None = None
    ) -> Explanation:
        """Return the parts it finds, and what each stream says; arguments and errors as in `Network.explanation`."""
        output = self.output(images)
        check_answers(output.logits)
        return explained(output, self.backbone.normalisation, class_names, title, truth)

    def losses(self, images: Float[Tensor, "b 3 Hs Ws"], step: TrainingStep) -> Losses:
        """Return what this epoch's phase learns from."""
        if self.phase(step.epoch) is Phase.GROUPING:
            return self._grouping_only(images)
        output = self.output(images)
        with torch.autocast(images.device.type, enabled=False):
            attended = torch.einsum("bdhw,bnhw->bnd", output.features.float(), output.attention.maps)
        further = [head(part) for head, part in zip(self.attended, attended.unbind(1), strict=True)]
        with torch.no_grad():
            measured = self._grouping_losses(output.attention)
        return Losses(output.logits, further, measured=measured)

    def phase(self, epoch: int) -> Phase:
        """Return what learns in an epoch, counted from 0."""
        config = self.config
        place = epoch % (config.grouping_epochs + config.classifying_epochs)
        return Phase.GROUPING if place < config.grouping_epochs else Phase.CLASSIFYING

    def _grouping_only(self, images: Float[Tensor, "b 3 Hs Ws"]) -> Losses:
        with torch.no_grad(), _evaluating(self.backbone):
            features = self.backbone(shrink(images, self.input_size))
        losses = self._grouping_losses(self._attend(features, self.grouping(pool(features))))
        own = losses["distance"] + self.config.diversity_weight * losses["diversity"]
        return Losses(None, own=own, measured={name: loss.detach() for name, loss in losses.items()})

    def _attend(self, features: Float[Tensor, "b d h w"], weights: Float[Tensor, "b n d"]) -> PartAttention:
        with torch.autocast(features.device.type, enabled=False):
            return part_attention(features, weights, self.config.attention)

    def _grouping_losses(self, attention: PartAttention) -> dict[str, Float[Tensor, ""]]:
        diversity = diversity_loss(attention, self.config.diversity_margin)
        return {"distance": distance_loss(attention), "diversity": diversity}

    def _boxes(self, attention: PartAttention) -> dict[Branch, Float[Tensor, "b 4"]]:
        squares = squares_around(attention.peaks, self.config.crop)
        whole = {Branch.OBJECT: around_all(squares)} if self.config.object_stream else {}
        return whole | dict(zip(PARTS, squares.unbind(1), strict=False))

    def _features(self, views: dict[Branch, Float[Tensor, "b 3 s s"]]) -> dict[Branch, Float[Tensor, "b d"]]:
        """Return each crop's pooled features; those of one size go through a shared network together."""
        if self.streams:
            networks = {branch: cast(TimmNetwork, self.streams[branch.value]) for branch in views}
            return {branch: pool(networks[branch].forward_features(view)) for branch, view in views.items()}
        features: dict[Branch, Tensor] = {}
        for size in {view.shape[-1] for view in views.values()}:
            alike = {branch: view for branch, view in views.items() if view.shape[-1] == size}
            pooled = pool(self.backbone(torch.cat(list(alike.values()))))
            features |= zip(alike, pooled.chunk(len(alike)), strict=True)
        return features

    @torch.no_grad()
    def prepare(self, batches: Iterable[Float[Tensor, "b 3 Hs Ws"]]) -> str | None:
        """Cluster the channels by where they peak in the training photographs, and have the grouping learn that."""
        if self.config.start_steps == 0:
            return None
        peaks, pooled = [], []
        with _evaluating(self.backbone):
            for images in batches:
                features = self.backbone(shrink(images, self.input_size))
                peaks.append(largest_cells(features).cpu())
                pooled.append(pool(features))
        places = torch.cat(peaks).transpose(0, 1).flatten(1)
        groups = cluster_channels(places, self.config.parts).groups
        device = pooled[0].device
        away = learn_groups(self.grouping, torch.cat(pooled), groups.to(device), self.config.start_steps)
        sizes = ", ".join(map(str, torch.bincount(groups).tolist()))
        return f"channel groups of {sizes} channels by their peaks; the grouping is {away:.3f} from them on average"

    def parameter_groups(self) -> list[ParameterGroup]:
        """Return the heads, which start random, and the grouping."""
        heads = [*self.backbone.classifier.parameters(), *self.attended.parameters(), *self.decision.parameters()]
        return [
            ParameterGroup(heads),
            ParameterGroup(list(self.grouping.parameters()), factor=self.config.grouping_rate, decays=False),
        ]


@contextmanager
def _evaluating(module: nn.Module) -> Iterator[None]:
    """Leave no trace of what the module sees: batch norms keep their statistics, nothing is dropped."""
    training = module.training
    try:
        module.eval()
        yield
    finally:
        module.train(training)


def _headless(backbone: Backbone) -> nn.Module:
    """Copy the network, its head left out."""
    network = deepcopy(backbone.network)
    network.reset_classifier(0)
    return cast(nn.Module, network)


def _check_feature_map(backbone: Backbone, config: MACNNConfig, size: int) -> None:
    if (side := map_side(backbone, size)) < 2:
        raise UserError(
            "MA-CNN needs a feature map of at least 2x2 cells to know where its channels respond; "
            f"{config.backbone.architecture} makes {side}x{side} of {size} pixels; give a larger input_size or "
            "part_size"
        )
