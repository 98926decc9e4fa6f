"""Evidence found, erased and found again: for a whole batch as for one class of one image after the other."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import product

import numpy as np
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.testing import assert_close

from brightness import (
    CLASSES,
    PATCHES,
    Brightness,
    classifier,
    conventional,
    photographs,
    zoom,
)
from foveate.guided_zoom.config import PatchConfig
from foveate.guided_zoom.conventional_cnn import ConventionalCNN
from foveate.guided_zoom.evidence_rounds import evidence_round, first_round, keys_of, locate_evidence
from foveate.types import Grounded
from oracles.guided_zoom import naive_erased, naive_round, naive_rounds


def grounded_alone(base: ConventionalCNN) -> Callable[[np.ndarray, int], np.ndarray]:
    """Return what grounds one class in one image."""

    def ground(image: np.ndarray, target: int) -> np.ndarray:
        inputs = base.classifier.inputs(torch.from_numpy(image)[None])
        return base.grounding(inputs, torch.tensor([[target]])).maps[0, 0].double().numpy()

    return ground


def squares_at(count: int, classes: int, rounds: int, seed: int) -> Tensor:
    """Return some that are erased in images of 48 pixels; the first two classes of an image share theirs."""
    corners = torch.randint(0, 30, (count, classes, rounds, 2), generator=torch.Generator().manual_seed(seed))
    corners[:, :2] = corners[:, :1]
    return torch.cat((corners, corners + 18), dim=-1)


@settings(deadline=None, max_examples=10)
@given(st.integers(0, 10_000), st.integers(1, 3), st.integers(1, 3), st.integers(0, 2), st.booleans())
@example(seed=1, count=3, k=3, earlier=2, elsewhere=True)
def test_one_round_agrees_with_the_algorithm(seed: int, count: int, k: int, earlier: int, elsewhere: bool) -> None:
    """Whatever was erased for each class: nothing, the same as for another class, or something else."""
    config, base, images = replace(PATCHES, elsewhere=elsewhere), conventional(), photographs(count, 48, seed)
    classes = torch.rand(count, CLASSES, generator=torch.Generator().manual_seed(seed)).argsort(1)[:, :k]
    squares = squares_at(count, k, earlier, seed)
    found = evidence_round(base, images, classes, squares, config)
    for index, rank in product(range(count), range(k)):
        erased, target = [tuple(each) for each in squares[index, rank].tolist()], int(classes[index, rank])
        expected = naive_round(images[index].numpy(), target, erased, grounded_alone(base), config)
        place, _, box, square = (field[index, rank] for field in found.evidence)
        assert_close(place.double(), torch.tensor(expected.place).double(), rtol=0, atol=1e-4)
        assert (tuple(box.tolist()), tuple(square.tolist())) == (expected.box, expected.square)
        alone = torch.from_numpy(naive_erased(images[index].numpy(), erased))[None]
        logits = base.answer(alone, torch.tensor([[target]])).logits[0]
        assert_close(found.logits[index, rank], logits, rtol=1e-4, atol=1e-5)
    assert found.forwards.tolist() == [len({str(each.sort(0).values.tolist()) for each in rows}) for rows in squares]


@settings(deadline=None, max_examples=10)
@given(st.integers(0, 10_000), st.integers(1, 3), st.integers(1, CLASSES), st.integers(0, 2), st.booleans())
def test_all_rounds_agree_with_the_algorithm_class_by_class(
    seed: int, count: int, top_k: int, rounds: int, elsewhere: bool
) -> None:
    config, base = replace(PATCHES, rounds=rounds, elsewhere=elsewhere), conventional()
    images = photographs(count, 48, seed)
    located = locate_evidence(base, images, top_k, config)
    assert located.evidence.found.shape == (count, top_k, rounds + 1)
    for index, rank in product(range(count), range(top_k)):
        target = int(located.classes[index, rank])
        expected = naive_rounds(images[index].numpy(), target, grounded_alone(base), config)
        places, _, boxes, squares = (field[index, rank] for field in located.evidence)
        assert_close(places.double(), torch.tensor([each.place for each in expected]).double(), rtol=0, atol=1e-4)
        assert [tuple(each) for each in boxes.tolist()] == [each.box for each in expected]
        assert [tuple(each) for each in squares.tolist()] == [each.square for each in expected]


def test_a_round_by_hand() -> None:
    """An image of 40 pixels in 4 x 4 cells: the brighter of two red places is erased, and the other found.

    Class 0 sees red, class 1 blue, of which there is one place, a cell below.
    """
    image = torch.zeros(1, 40, 40, 3, dtype=torch.uint8)
    image[0, 20:30, 10:20, 0], image[0, 0:10, 30:40, 0], image[0, 30:40, 10:20, 2] = 250, 200, 250
    grounding = Brightness(cells=4)
    grounding.mixtures = torch.eye(3).double().repeat(2, 1)[[0, 2, 1, 1, 1, 1]]
    config = PatchConfig(patch=0.25, erased=0.25, source_size=80, rounds=1)
    base, classes = conventional(grounding), torch.tensor([[0, 1]])
    first = evidence_round(base, image, classes, torch.zeros(1, 2, 0, 4, dtype=torch.int64), config)
    assert first.evidence.places.tolist() == [[[30.0, 50.0], [30.0, 70.0]]]
    assert first.evidence.boxes.tolist() == [[[20, 40, 40, 60], [20, 60, 40, 80]]]
    assert first.evidence.squares.tolist() == [[[10, 20, 20, 30], [10, 30, 20, 40]]]
    assert first.forwards.tolist() == [1]
    second = evidence_round(base, image, classes, first.evidence.squares[:, :, None], config)
    assert second.evidence.places[0, 0].tolist() == [70.0, 10.0]
    assert second.evidence.squares[0, 0].tolist() == [30, 0, 40, 10]
    assert second.maps[0, 0, 2, 1] == 0
    assert second.forwards.tolist() == [2]
    assert second.logits[0, 0, 0] < first.logits[0, 0, 0] == second.logits[0, 1, 0]  # red is erased for class 0 alone


def test_the_first_round_is_a_round_with_nothing_erased() -> None:
    base, images = conventional(), photographs(3, 48)
    first = first_round(base, images, 4, PATCHES)
    again = evidence_round(base, images, first.classes, first.classes.new_zeros(3, 4, 0, 4), PATCHES)
    assert_close(again.maps, first.maps)
    assert_close(again.logits, first.logits)
    for ours, theirs in zip(again.evidence, first.evidence, strict=True):
        assert torch.equal(ours, theirs)


def test_a_black_square_is_not_evidence() -> None:
    """A class that sees darkness finds the square that its first evidence left; it must look elsewhere."""
    grounding = Brightness()
    grounding.mixtures = -torch.ones(CLASSES, 3).double()  # their maps are largest where the image is dark
    maps = grounding.maps
    grounding.maps = lambda images: maps(images) + 20  # type: ignore[method-assign]
    images = photographs(2, 48)
    again, new = (
        locate_evidence(conventional(grounding), images, 1, replace(PATCHES, elsewhere=e)).evidence
        for e in (False, True)
    )
    assert_close(again.places[:, 0, 0], again.places[:, 0, 1])
    apart = (new.places[:, 0, 1:] - new.places[:, 0, :1]).abs().amax(-1)
    assert (apart >= PATCHES.erased * PATCHES.source_size / 2).all()


def test_classes_that_look_at_the_same_place_share_the_pass_and_the_patch() -> None:
    grounding = Brightness()
    grounding.mixtures = grounding.mixtures[:1] * torch.linspace(1, 2, CLASSES)[:, None]  # all see the same
    done = zoom(grounding).evidence(photographs(2, 48), photographs(2, 64), 3)
    assert done.forwards.tolist() == [1 + 2] * 2
    assert done.patches.tolist() == [3] * 2
    assert grounding.asked == [(2, 3), (2, 3), (2, 3)]


def test_nothing_is_shared_between_images_or_places() -> None:
    grounding = Brightness()
    grounding.mixtures = torch.eye(3).double().repeat(2, 1)
    grounding.mixtures[3:] /= 2  # the three best classes are those of the three colours
    images = torch.zeros(2, 48, 48, 3, dtype=torch.uint8)
    for channel in range(3):
        images[:, 12 * channel : 12 * channel + 6, :6, channel] = 255
        images[:, 12 * channel : 12 * channel + 6, -6:, channel] = 200 + channel
    done = zoom(grounding).evidence(images, photographs(2, 64), 3)
    assert done.classes.remainder(3).sort(dim=1).values.tolist() == [[0, 1, 2]] * 2
    assert done.forwards.tolist() == [1 + 3 * 2] * 2


def test_erased_in_another_order_is_the_same_image() -> None:
    """Two classes see the same two places, each the other first: the third round needs one image."""
    grounding = Brightness()
    grounding.mixtures = torch.tensor([[1.0, 0.6, 0.0], [0.6, 1.0, 0.0]]).double().repeat(3, 1)
    images = torch.zeros(1, 48, 48, 3, dtype=torch.uint8)
    images[0, 6:12, 6:12, 0] = 255
    images[0, 36:42, 36:42, 1] = 255
    done = zoom(grounding).evidence(images, photographs(1, 64), CLASSES)
    first, second = (done.places[0, done.classes[0] % 2 == each][0] for each in (0, 1))
    assert_close(first[:2], second[:2].flip(0))
    assert done.forwards.tolist() == [1 + 2 + 1]


def test_no_more_images_at_a_time_than_are_asked_for() -> None:
    """However many erased images a batch has: the memory of a pass goes with the images in it."""
    sizes: list[int] = []
    brightness = Brightness()

    def grounding(images: Tensor, classes: Tensor | int) -> Grounded:
        sizes.append(len(images))
        return brightness(images, classes)

    base = ConventionalCNN(classifier(), grounding, batch_size=4)
    images = photographs(6, 64)
    located = locate_evidence(base, images, 3, PATCHES)
    assert max(sizes) == 4
    assert sum(sizes) == located.forwards.sum() > 6
    whole = locate_evidence(ConventionalCNN(classifier(), Brightness()), images, 3, PATCHES)
    assert_close(located.logits, whole.logits)
    assert torch.equal(located.evidence.boxes, whole.evidence.boxes)


def test_a_square_that_is_erased_twice_counts_once() -> None:
    square, other = [1, 2, 3, 4], [5, 6, 7, 8]
    once, twice, both = keys_of(
        torch.tensor([[square, [0] * 4, [0] * 4], [square] * 3, [other, square, other]])
    ).tolist()
    assert once == twice != both
    assert sorted(both) == both
