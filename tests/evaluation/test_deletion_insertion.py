"""Deletion and insertion, by hand, by slow loops and by networks whose answers are known."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.testing import assert_close

from foveate.backbones.backbone import Normalisation
from foveate.errors import UserError
from foveate.evaluation.config import Background, CurveConfig, GroundingStudy
from foveate.evaluation.deletion_insertion import area, background, deletion_and_insertion
from oracles.trust import curve

NORMALISATION = Normalisation((0.5, 0.25, 0.5), (0.5, 0.25, 0.25))
SEEDS = st.integers(0, 10_000)


def summing(images: Tensor) -> Tensor:
    """A network of two classes: the first's logit is the sum of the first colour, the other's is 0."""
    first = images[:, 0].sum((1, 2))
    return torch.stack((first, torch.zeros_like(first)), 1)


def test_curves_by_hand() -> None:
    """Two of four pixels hold the class, log 3 each: 9/10 with both, 3/4 with one, 1/2 without."""
    images = torch.zeros(2, 3, 2, 2)
    images[:, 0, 0] = float(np.log(3))  # the upper row
    maps = torch.tensor([[[2.0, 1.0], [0.0, -1.0]], [[0.0, 0.0], [1.0, 1.0]]])  # it first, and it last
    config = CurveConfig(steps=4, insertion=Background.MEAN)
    curves = deletion_and_insertion(summing, images, maps, torch.tensor([0, 0]), NORMALISATION, config)
    assert_close(curves.shares, torch.tensor([0, 0.25, 0.5, 0.75, 1]))
    assert_close(curves.deletion, torch.tensor([[0.9, 0.75, 0.5, 0.5, 0.5], [0.9, 0.9, 0.9, 0.75, 0.5]]))
    assert_close(curves.insertion, torch.tensor([[0.5, 0.75, 0.9, 0.9, 0.9], [0.5, 0.5, 0.5, 0.75, 0.9]]))
    deletion, insertion = (area(curves.shares, each) for each in curves[1:])
    assert_close(deletion, torch.tensor([0.6125, 0.8125]))
    assert_close(insertion, torch.tensor([0.8125, 0.6125]))  # two steps of four are the mirror of the other two


@settings(deadline=None, max_examples=25)
@given(SEEDS, st.integers(1, 9), st.integers(2, 6), st.integers(2, 5))
def test_curves_agree_with_going_pixel_by_pixel(seed: int, steps: int, height: int, width: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    images = torch.randn(2, 3, height, width, generator=generator)
    maps = torch.rand(2, height, width, generator=generator).mul(4).floor()  # with ties
    weight = torch.randn(3, 3 * height * width, generator=generator)
    classes = torch.randint(3, (2,), generator=generator)

    def network(seen: Tensor) -> Tensor:
        return seen.flatten(1) @ weight.T

    config = CurveConfig(steps=steps, deletion=Background.BLACK, insertion=Background.MEAN)
    curves = deletion_and_insertion(network, images, maps, classes, NORMALISATION, config)
    black = background(images, Background.BLACK, NORMALISATION, 0.1)
    for index, label in enumerate(classes.tolist()):

        def answer(seen: np.ndarray, label: int = label) -> float:
            return float(network(torch.from_numpy(seen)[None]).softmax(1)[0, label])

        image, relevance = images[index].numpy(), maps[index].numpy()
        deletion = curve(answer, image, black[index].numpy(), relevance, steps)
        insertion = curve(answer, np.zeros_like(image), image, relevance, steps)
        assert curves.deletion[index].tolist() == pytest.approx(deletion, abs=1e-5)
        assert curves.insertion[index].tolist() == pytest.approx(insertion, abs=1e-5)


@settings(deadline=None, max_examples=20)
@given(SEEDS)
def test_the_right_order_is_never_worse(seed: int) -> None:
    """Where pixels add up, to delete in the order of what they add lowers the answer fastest, to insert raises it."""
    generator = torch.Generator().manual_seed(seed)
    images = torch.rand(1, 3, 4, 4, generator=generator)
    guess = torch.rand(1, 4, 4, generator=generator)
    config = CurveConfig(steps=16, insertion=Background.MEAN)
    best, other = (
        deletion_and_insertion(summing, images, maps, torch.tensor([0]), NORMALISATION, config)
        for maps in (images[:, 0], guess)
    )
    assert (best.deletion <= other.deletion + 1e-6).all()
    assert (best.insertion >= other.insertion - 1e-6).all()


def test_backgrounds() -> None:
    images = torch.zeros(1, 3, 16, 16)
    images[..., 8:] = 1.0
    assert (background(images, Background.MEAN, NORMALISATION, 0.1) == 0).all()
    black = background(images, Background.BLACK, NORMALISATION, 0.1)
    assert_close(black[0, :, 0, 0], torch.tensor([-1.0, -1.0, -2.0]))
    assert black.shape == images.shape
    blurred = background(images, Background.BLUR, NORMALISATION, 0.25)
    assert_close(blurred.mean(), images.mean())  # as much on one side of the edge as on the other
    assert (blurred.diff(dim=3) >= -1e-6).all()
    assert 0.1 < float(blurred[0, 0, 5, 7]) < 0.5


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("steps", 0, "steps must be at least 1; got 0"),
        ("blur", 0.0, r"blur must be in \(0, 0\.25\]"),
        ("blur", 0.5, r"blur must be in \(0, 0\.25\]"),
    ],
)
def test_a_curve_without_sense_is_refused(field: str, value: float, message: str) -> None:
    with pytest.raises(UserError, match=message):
        CurveConfig(**{field: value})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("methods", (), "methods must name at least one"),
        ("photographs", 0, "photographs must be at least 1, or None for all; got 0"),
        ("masks", 0, "masks must be at least 1"),
        ("stages", 1, "stages must be at least 2"),
        ("sanity_photographs", -1, "sanity_photographs must not be negative"),
    ],
)
def test_a_study_without_sense_is_refused(field: str, value: object, message: str) -> None:
    with pytest.raises(UserError, match=message):
        GroundingStudy(**{field: value})  # type: ignore[arg-type]
