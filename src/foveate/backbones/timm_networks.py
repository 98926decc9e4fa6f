"""What is asked of timm's networks, whichever they are."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol, runtime_checkable

from torch import Tensor, nn


@runtime_checkable
class TimmNetwork(Protocol):
    """What timm's networks offer beyond `torch.nn.Module`; they share no type that says so."""

    pretrained_cfg: dict[str, Any]
    feature_info: Any
    training: bool

    def __call__(self, images: Tensor) -> Tensor:
        """Return the logits."""

    def forward_features(self, images: Tensor) -> Tensor:
        """Return the last features: a map, or tokens."""

    def get_classifier(self) -> nn.Module:
        """Return the last layer."""

    def reset_classifier(self, num_classes: int, global_pool: str | None = None) -> None:
        """Replace the last layer, and what it stands on."""

    def train(self, mode: bool = True) -> nn.Module:
        """As in `torch.nn.Module`."""

    def state_dict(self) -> dict[str, Tensor]:
        """As in `torch.nn.Module`."""

    def load_state_dict(self, state_dict: Mapping[str, Tensor]) -> object:
        """As in `torch.nn.Module`."""
