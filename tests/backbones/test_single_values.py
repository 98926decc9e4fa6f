"""One value a channel: what batch norms make of it, by hand; and that nothing else changes."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from timm.layers.norm_act import BatchNormAct2d
from torch import Tensor, nn

from foveate.backbones.single_values import SingleValues

NORMS: dict[str, Callable[..., nn.Module]] = {
    "of torch": nn.BatchNorm2d,
    "of timm": lambda channels, eps: BatchNormAct2d(channels, eps=eps, apply_act=False),
    "of several processes": nn.SyncBatchNorm,
}


def seen(create: Callable[..., nn.Module]) -> nn.Module:
    """A batch norm of two channels that has seen means 1 and 2 and variances 3 and 15; 1 is added to both."""
    norm = create(2, eps=1.0)
    norm.load_state_dict(
        {
            "weight": torch.tensor([1.0, 2.0]),
            "bias": torch.tensor([0.0, 3.0]),
            "running_mean": torch.tensor([1.0, 2.0]),
            "running_var": torch.tensor([3.0, 15.0]),
            "num_batches_tracked": torch.tensor(5),
        }
    )
    return norm.train()


def passed(norm: nn.Module, values: Tensor) -> tuple[Tensor, ...]:
    """Return what comes out, the gradients of its sum and the running statistics afterwards."""
    values = values.clone().requires_grad_()
    answers = norm(values)
    answers.sum().backward()
    state = norm.state_dict()
    parameters = [each.grad for each in norm.parameters() if each.grad is not None]
    assert values.grad is not None
    return answers.detach(), values.grad, *parameters, state["running_mean"].clone(), state["running_var"].clone()


@pytest.mark.parametrize("name", NORMS)
def test_one_value_is_normalised_by_what_was_seen_before(name: str) -> None:
    with SingleValues():
        got = passed(seen(NORMS[name]), torch.tensor([5.0, -2.0]).reshape(1, 2, 1, 1))
    answers = torch.tensor([2.0, 1.0]).reshape(1, 2, 1, 1)  # (5 - 1) / 2, and 2 (-2 - 2) / 4 + 3
    gradients = torch.tensor([0.5, 0.5]).reshape(1, 2, 1, 1)  # weight / deviation
    of_parameters = torch.tensor([2.0, -1.0]), torch.ones(2)
    statistics = torch.tensor([1.0, 2.0]), torch.tensor([3.0, 15.0])
    for value, expected in zip(got, (answers, gradients, *of_parameters, *statistics), strict=True):
        assert torch.equal(value, expected)


@pytest.mark.parametrize("name", NORMS)
@pytest.mark.parametrize("shape", [(2, 2, 1, 1), (1, 2, 1, 2)])
def test_two_values_are_normalised_by_each_other_as_ever(name: str, shape: tuple[int, ...]) -> None:
    values = torch.tensor([5.0, -2.0, 1.0, 4.0]).reshape(shape)
    expected = passed(seen(NORMS[name]), values)
    with SingleValues():
        got = passed(seen(NORMS[name]), values)
    assert all(map(torch.equal, got, expected))
    assert not torch.equal(got[-2], torch.tensor([1.0, 2.0])), "the running mean moves"


@pytest.mark.parametrize("affine", [True, False])
def test_without_statistics_one_value_less_itself_is_the_bias(affine: bool) -> None:
    norm = nn.BatchNorm2d(2, affine=affine, track_running_stats=False)
    if affine:
        norm.bias.data.copy_(torch.tensor([1.0, 2.0]))
    values = torch.tensor([5.0, -2.0]).reshape(1, 2, 1, 1).requires_grad_()
    with SingleValues():
        answers = norm(values)
    answers.sum().backward()
    assert answers.flatten().tolist() == ([1.0, 2.0] if affine else [0.0, 0.0])
    assert values.grad is not None
    assert not values.grad.any()


def test_in_half_precision_the_answer_is_in_half_precision() -> None:
    with SingleValues(), torch.autocast("cpu", torch.bfloat16):
        assert seen(nn.BatchNorm2d)(torch.ones(1, 2, 1, 1, dtype=torch.bfloat16)).dtype is torch.bfloat16


def test_outside_the_context_torch_refuses_one_value() -> None:
    with SingleValues():
        pass
    with pytest.raises(ValueError, match="more than 1 value per channel"):
        seen(nn.BatchNorm2d)(torch.ones(1, 2, 1, 1))
