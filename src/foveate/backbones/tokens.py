"""What the new head of a vision transformer stands on: patch tokens, the class token, or both."""

from __future__ import annotations

from typing import Any, cast

import torch
from jaxtyping import Float
from torch import Tensor, nn

from foveate.backbones.feature_layout import Layout
from foveate.backbones.timm_networks import TimmNetwork
from foveate.config.networks import Tokens
from foveate.errors import UserError

BODY = "body."
HEAD = "classifier."
"""Before the names of a transformer's weights, and of its head's, in those of `ClassAndPatches`."""


class ClassAndPatches(nn.Module):
    """A vision transformer whose head stands on its class token beside the mean of its patch tokens.

    The class token stands at every place of the feature map, (b, 2d, h, w), so that the map's mean is the head's input.

    Args:
        body: Its head is removed.
        layout: Of its patch tokens.
        classes: c, the number of classes.
    """

    def __init__(self, body: TimmNetwork, layout: Layout, classes: int) -> None:
        super().__init__()
        self._channels = 2 * cast(nn.Linear, body.get_classifier()).in_features
        body.reset_classifier(0)
        self.body = cast(nn.Module, body)
        self.layout = layout
        self.pretrained_cfg: dict[str, Any] = {**body.pretrained_cfg, "classifier": HEAD.rstrip(".")}
        self.feature_info = [{**each, "module": f"{BODY}{each['module']}"} for each in body.feature_info]
        self.num_prefix_tokens = layout.prefix
        self.classifier: nn.Module
        self.reset_classifier(classes)

    def forward(self, images: Float[Tensor, "b 3 H W"]) -> Float[Tensor, "b c"]:
        """Return the logits of normalised images."""
        logits: Tensor = self.classifier(self.forward_features(images).mean(dim=(2, 3)))
        return logits

    def forward_features(self, images: Float[Tensor, "b 3 H W"]) -> Float[Tensor, "b d h w"]:
        """Return the class token, at every place, and the patch tokens."""
        features = cast(TimmNetwork, self.body).forward_features(images)
        patches = self.layout(self.body, features, images)
        token = self.layout.class_token(self.body, features)[:, :, None, None]
        return torch.cat([token.expand(-1, -1, *patches.shape[2:]), patches], dim=1)

    def get_classifier(self) -> nn.Module:
        """Return the head."""
        return self.classifier

    def set_grad_checkpointing(self, enable: bool = True) -> None:
        """Have the body's activations computed again in the backward pass, or not."""
        cast(Any, self.body).set_grad_checkpointing(enable=enable)

    def reset_classifier(self, num_classes: int, global_pool: str | None = None) -> None:
        """Replace the head by a new one, or by none; what it stands on stays."""
        if global_pool is not None:
            raise ValueError(f"a head on class token and patches keeps its pooling; got {global_pool!r}")
        self.classifier = nn.Linear(self._channels, num_classes) if num_classes else nn.Identity()


def tokens_of(network: TimmNetwork, tokens: Tokens | None, classes: int, architecture: str) -> Tokens | None:
    """Return what a new head is to stand on; None: the network has no tokens to choose from, and nothing is changed.

    Its pooling becomes that of the patch tokens, or of the class token where that is wanted.

    Args:
        network: Of a library's pooling, which may be another: a class token, attention.
        tokens: As a configuration has it; None: both where there is a class token, else the patches.
        classes: c, the number of classes.
        architecture: Its name.

    Raises:
        UserError: It has no tokens, or no class token.
    """
    if not hasattr(network, "num_prefix_tokens"):
        if tokens is not None:
            raise UserError(
                f"tokens are what a vision transformer's head stands on; {architecture!r} has a feature map; leave "
                "--network.backbone.tokens out"
            )
        return None
    with_class = network.num_prefix_tokens > 0 and _resets(network, classes, "token")
    if not with_class and tokens in (Tokens.CLASS, Tokens.BOTH):
        raise UserError(
            f"a head stands on tokens that there are; {architecture!r} has no class token; got tokens {tokens}; give "
            "--network.backbone.tokens patch"
        )
    chosen = tokens or (Tokens.BOTH if with_class else Tokens.PATCH)
    if chosen is not Tokens.CLASS:
        _resets(network, classes, "avg")
    if getattr(network, "pool_include_prefix", False):
        network.pool_include_prefix = False  # type: ignore[attr-defined]  # the mean is one over places
    return chosen


def _resets(network: TimmNetwork, classes: int, pooling: str) -> bool:
    """Change the pooling before the head; say whether the network has it."""
    try:
        network.reset_classifier(classes, pooling)
    except (AssertionError, TypeError):
        return False
    return True
