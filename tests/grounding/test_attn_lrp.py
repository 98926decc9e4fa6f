"""AttnLRP against an explicit oracle, what it keeps, what it refuses, and the caller's network."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any, cast

import numpy as np
import pytest
import timm
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.testing import assert_close
from torchvision.models import VisionTransformer

from foveate.errors import UserError
from foveate.grounding.attn_lrp import AttnLRP
from foveate.grounding.attn_lrp_rules import gamma_rule, with_gradient_of
from foveate.grounding.grad_cam import GradientTimesActivation
from foveate.grounding.gradients import Rivals
from oracles.attn_lrp import explicit_relevance

CLASSES = 4


def tiny_vit(**options: Any) -> nn.Module:
    """A ViT of two blocks whose weights are large enough that all of it counts, in float64."""
    torch.manual_seed(3)
    shape: dict[str, Any] = {"img_size": 12, "patch_size": 4, "embed_dim": 8, "depth": 2, "num_heads": 2}
    vit = timm.models.VisionTransformer(**{**shape, "num_classes": CLASSES, "mlp_ratio": 2, **options})
    for parameter in vit.parameters():
        nn.init.normal_(parameter, std=0.5)
    return cast(nn.Module, vit.double().eval())


def pictures(count: int = 2, side: int = 12) -> Tensor:
    return torch.randn(count, 3, side, side, dtype=torch.float64, generator=torch.Generator().manual_seed(5))


def tokens_of(vit: nn.Module, images: Tensor, layer: str) -> Tensor:
    outputs: list[Tensor] = []
    handle = vit.get_submodule(layer).register_forward_hook(lambda _, __, output: outputs.append(output))
    vit(images)
    handle.remove()
    return outputs[0].detach()


def weights_of(vit: nn.Module) -> dict[str, np.ndarray]:
    state = {name: each.numpy() for name, each in vit.state_dict().items()}
    block = {name.removeprefix("blocks.1."): each for name, each in state.items() if name.startswith("blocks.1.")}
    return block | {name: each for name, each in state.items() if name.startswith(("norm.", "head."))}


class Kept(AttnLRP):
    """Keeps the relevance of every channel, with its sign."""

    def _maps(self, activations: Tensor, gradients: Tensor) -> Tensor:
        return (gradients * activations[:, None]).flatten(2, 3)


@pytest.mark.parametrize("gamma", [0.0, 0.3])
def test_agrees_with_explicit_relevance_which_adds_up_to_the_logit(gamma: float) -> None:
    """Of the block's whole input: places and class token; what is missing biases and softmaxes kept."""
    vit, images = tiny_vit(), pictures()
    labels = torch.tensor([[1, 3], [0, 2]])
    grounded = AttnLRP(vit, "blocks.0", gamma=gamma)(images, labels)
    tokens = tokens_of(vit, images, "blocks.0").numpy()
    for image in range(2):
        for rank, label in enumerate(labels[image].tolist()):
            relevance, logit, absorbed = explicit_relevance(tokens[image], weights_of(vit), 2, label, gamma)
            assert_close(relevance.sum() + absorbed, logit)
            assert_close(float(grounded.logits[image, label]), logit)
            expected = relevance[1:].sum(1).reshape(3, 3).clip(min=0)
            assert_close(grounded.maps[image, rank], torch.from_numpy(expected).float(), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("fused", [True, False])
def test_fused_attention_is_taken_apart(fused: bool) -> None:
    vit, images = tiny_vit(), pictures()
    for block in cast(nn.Sequential, vit.get_submodule("blocks")):
        cast(nn.Module, block.attn).fused_attn = fused  # type: ignore[assignment]
    expected = AttnLRP(tiny_vit(), "blocks.0")(images, 2)
    assert_close(AttnLRP(vit, "blocks.0")(images, 2), expected)


def test_a_network_without_biases_and_attention_loses_nothing() -> None:
    """What remains is linear or hands all of its relevance down: it adds up to the logit."""
    torch.manual_seed(0)
    network = nn.Sequential(
        *(
            nn.Conv2d(3, 6, 3, bias=False),
            nn.GroupNorm(2, 6, affine=False),
            nn.GELU(),
            nn.Conv2d(6, 8, 2, 2, bias=False),
        ),
        *(nn.SiLU(inplace=True), nn.Hardswish(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.LayerNorm(8, bias=False)),
        nn.Linear(8, CLASSES, bias=False),
    ).double()
    images = pictures(3, 9)
    for gamma in (0.0, 0.4):
        seen = AttnLRP(network, "0", gamma=gamma, stem_gamma=gamma)
        pairs = torch.tensor([[0, 1]] * 3)
        maps, logits = seen.between(images, pairs).maps, network(images)
        assert_close(maps.sum((1, 2)), (logits[:, 0] - logits[:, 1]).detach().float())


def test_of_a_linear_layer_and_its_head_by_hand() -> None:
    """Values 2 and -1, weights 3 and 4, bias 1: 3. With gamma 1 what raises counts twice: 12 - 4 + 2."""
    linear = gamma_rule(functional.linear, 1.0)
    values = torch.tensor([[2.0, -1.0]], requires_grad=True)
    output = linear(values, torch.tensor([[3.0, 4.0]]), torch.tensor([1.0]))
    assert_close(output, torch.tensor([[3.0]]))
    (gradient,) = torch.autograd.grad(output, values)
    assert_close(values.detach() * 3 * gradient / 3, torch.tensor([[12.0, -4.0]]) * 3 / 10)


@pytest.mark.parametrize("gamma", [0.0, 0.25])
def test_a_rule_never_changes_an_answer(gamma: float) -> None:
    for vit in (tiny_vit(), tiny_vit(class_token=False, global_pool="avg", qk_norm=True, init_values=0.5)):
        images = pictures()
        assert_close(AttnLRP(vit, "blocks.0", gamma=gamma)(images, 1).logits, vit(images).detach())


def test_torchs_own_attention_is_seen_through() -> None:
    torch.manual_seed(0)
    vit = VisionTransformer(16, 8, 2, 2, 16, 24, num_classes=CLASSES).double().eval()
    nn.init.normal_(vit.heads.head.weight)
    images, classes = pictures(side=16), torch.tensor([[0, 1], [2, 3]])
    grounded = AttnLRP(vit, "encoder.layers.encoder_layer_0", gamma=0)(images, classes)
    tokens = tokens_of(vit, images, "encoder.layers.encoder_layer_0").numpy()
    names = {
        "ln_1": "norm1",
        "ln_2": "norm2",
        "mlp.0": "mlp.fc1",
        "mlp.3": "mlp.fc2",
        "self_attention.out_proj": "attn.proj",
    }
    weights = {f"head.{each}": vit.state_dict()[f"heads.head.{each}"].numpy() for each in ("weight", "bias")}
    for name, each in vit.state_dict().items():
        inner = name.removeprefix("encoder.layers.encoder_layer_1.")
        for theirs, timms in {**names, "encoder.ln": "norm", "self_attention.in_proj": "attn.qkv"}.items():
            for which in ("weight", "bias"):
                if inner in (f"{theirs}.{which}", f"{theirs}_{which}"):
                    weights[f"{timms}.{which}"] = each.numpy()
    for image in range(2):
        for rank, label in enumerate(classes[image].tolist()):
            relevance, _, _ = explicit_relevance(tokens[image], weights, 2, label, 0.0)
            expected = torch.from_numpy(relevance[1:].sum(1).reshape(2, 2).clip(min=0)).float()
            assert_close(grounded.maps[image, rank], expected, rtol=1e-4, atol=1e-5)


def test_rivals_are_a_linear_mixture_of_classes() -> None:
    vit, images = tiny_vit(), pictures(1)
    seen = Kept(vit, "blocks.0")
    every = seen._signed(images, torch.arange(CLASSES)[None], seen._target).maps[0]
    own = Kept(vit, "blocks.0", target=Rivals(count=2, strength=0.5))
    logits = vit(images)[0].detach()
    for label in range(CLASSES):
        others = [each for each in range(CLASSES) if each != label]
        nearest = sorted(others, key=lambda each: abs(float(logits[each] - logits[label])))[:2]
        maps = own._signed(images, torch.tensor([[label]]), own._target).maps[0, 0]
        assert_close(maps, every[label] - 0.25 * (every[nearest[0]] + every[nearest[1]]), rtol=1e-3, atol=1e-5)


def test_four_threads_agree_with_one_after_the_other_and_leave_the_network() -> None:
    vit, batches = tiny_vit(), torch.split(pictures(8), 2)
    before = {name: each.clone() for name, each in vit.state_dict().items()}
    seen = AttnLRP(vit, "blocks.0")
    alone = [seen(each, 2) for each in batches]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(lambda each: seen(each, 2), batches))
    for one, other in zip(alone, together, strict=True):
        assert_close(one, other)
    plain = GradientTimesActivation(vit, "blocks.0")(batches[0], 2).maps
    assert not torch.allclose(plain, alone[0].maps, rtol=0.1)  # no rule is left over
    assert not any(each._forward_hooks for each in vit.modules())
    assert all(torch.equal(each, before[name]) for name, each in vit.state_dict().items())
    assert all(each.requires_grad and each.grad is None for each in vit.parameters())


class Odd(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(3, CLASSES, 3)

    def forward(self, images: Tensor) -> Tensor:
        return self.convolution(images).sin().mean((2, 3))  # type: ignore[no-any-return]


def test_what_has_no_rule_is_refused_by_name() -> None:
    with pytest.raises(UserError, match=r"AttnLRP has no rule for torch.Tensor.sin; take grad-cam"):
        AttnLRP(Odd(), "convolution")(pictures().float(), 1)
    with pytest.raises(UserError, match="gamma must be 0 or more; got -1"):
        AttnLRP(Odd(), "convolution", gamma=-1)


def test_a_gradient_may_be_anothers() -> None:
    values = torch.tensor([1.0, 2.0], requires_grad=True)
    (gradient,) = torch.autograd.grad(with_gradient_of(values.exp(), 3 * values).sum(), values)
    assert_close(gradient, torch.tensor([3.0, 3.0]))
