"""Which branches answer, and what is looked at for it: one for one pass, some by weights, all as before."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import torch
from jaxtyping import UInt8
from torch import Tensor
from torch.testing import assert_close

from foveate.config.branches import Branch
from foveate.config.hardware import HardwareConfig
from foveate.config.networks import BackboneConfig, PlainConfig
from foveate.errors import UserError
from foveate.inference.classifier import Calibration, Classifier
from foveate.networks.answers import decision
from foveate.networks.network import Network
from foveate.networks.plain import PlainNetwork
from foveate.s3n.config import S3NConfig
from foveate.s3n.network import S3N

BACKBONE = BackboneConfig(architecture="test_efficientnet", weights="none")
SLOW = HardwareConfig(accelerator="cpu", precision="float32")


@pytest.fixture(scope="module")
def s3n() -> S3N:
    torch.manual_seed(0)
    return S3N.create(S3NConfig(backbone=BACKBONE), 5, 64)


@pytest.fixture(scope="module")
def plain() -> PlainNetwork:
    torch.manual_seed(0)
    return PlainNetwork.create(PlainConfig(backbone=BACKBONE), 5)


def photographs(views: int = 1) -> UInt8[Tensor, "b v H W 3"]:
    generator = torch.Generator().manual_seed(0)
    return torch.randint(0, 256, (3, views, 96, 96, 3), dtype=torch.uint8, generator=generator)


@contextmanager
def passes_of(network: Network) -> Iterator[list[int]]:
    """Yield how many images went through its backbone, pass by pass."""
    seen: list[int] = []
    handle = network.backbone.register_forward_hook(lambda _, taken, given: seen.append(len(taken[0])))
    yield seen
    handle.remove()


@pytest.mark.parametrize("views", [1, 2])
def test_the_original_branch_alone_is_one_pass_and_answers_as_among_all(s3n: S3N, views: int) -> None:
    whole = Classifier.place(s3n, SLOW).branch_probabilities(photographs(views))
    alone = Classifier.place(s3n, SLOW, branch="original")
    with passes_of(alone.network) as seen:
        answers = alone.probabilities(photographs(views))
    assert seen == [3 * views]
    assert alone.passes == 1
    assert_close(answers, whole[Branch.ORIGINAL])
    assert_close(alone.branch_probabilities(photographs(views)), {Branch.ORIGINAL: whole[Branch.ORIGINAL]})


def test_without_weights_every_bit_stays(s3n: S3N, plain: PlainNetwork) -> None:
    for network, deciding, passes in ((s3n, Branch.JOINT, 3), (plain, Branch.ORIGINAL, 1)):
        classifier = Classifier.place(network, SLOW)
        with torch.inference_mode():
            logits = classifier.network(classifier.inputs(photographs()[:, 0])).decision
        assert torch.equal(classifier.probabilities(photographs()), logits.softmax(-1))
        assert torch.equal(
            classifier.probabilities(photographs()), decision(classifier.branch_probabilities(photographs()))
        )
        assert (classifier.deciding, classifier.passes) == ((deciding,), passes)


@pytest.mark.parametrize(
    ("weights", "passes"),
    [
        ({"original": 1.0}, 1),
        ({"original": 1.0, "joint": 0.0}, 1),
        ({"original": 0.5, "complementary": 0.5}, 2),
        ({"discriminative": 0.3, "joint": 0.7}, 3),
    ],
)
def test_weights_look_at_no_view_that_does_not_count(s3n: S3N, weights: dict[str, float], passes: int) -> None:
    classifier = Classifier.place(s3n, SLOW, calibration=Calibration(view_weights=weights))
    every = classifier.branch_probabilities(photographs())
    assert len(every) == 4
    with passes_of(classifier.network) as seen:
        answers = classifier.probabilities(photographs())
    assert sum(seen) == 3 * passes == 3 * classifier.passes
    wanted = torch.stack([every[Branch(name)].double() ** weight for name, weight in weights.items()]).prod(0)
    assert_close(answers.double(), wanted / wanted.sum(1, keepdim=True), rtol=1e-4, atol=1e-5)


def test_where_it_is_sure_the_first_look_decides_whatever_the_weights(s3n: S3N) -> None:
    calibration = Calibration(view_weights={"original": 0.2, "discriminative": 0.3, "joint": 0.5})
    whole = Classifier.place(s3n, SLOW, calibration=calibration)
    first = whole.branch_probabilities(photographs())[Branch.ORIGINAL]
    entropy = torch.special.entr(first).sum(1)
    middle = float(entropy.median())
    gated = Classifier.place(s3n, SLOW, calibration=calibration, zoom_entropy_threshold=middle)
    with passes_of(gated.network) as seen:
        answers = gated.probabilities(photographs())
    assert seen == [3, 2]  # three first looks, two closer ones at the one that is unsure
    wanted = torch.where((entropy > middle)[:, None], whole.probabilities(photographs()), first)
    assert_close(answers, wanted, rtol=1e-4, atol=1e-5)


def test_a_temperature_is_of_the_decision_alone(s3n: S3N, plain: PlainNetwork) -> None:
    calibration = Calibration(temperature=2.0)
    for network, branch in ((plain, Branch.ORIGINAL), (s3n, Branch.JOINT)):
        usual, alone = (Classifier.place(network, SLOW, calibration=calibration, branch=b) for b in (None, branch))
        assert_close(alone.probabilities(photographs()), usual.probabilities(photographs()))
    raw = Classifier.place(s3n, SLOW).branch_probabilities(photographs())
    first = Classifier.place(s3n, SLOW, calibration=calibration, branch="original")
    assert_close(first.probabilities(photographs()), raw[Branch.ORIGINAL])
    weighed = Calibration(temperature=2.0, view_weights={"original": 1.0})
    joint = Classifier.place(s3n, SLOW, calibration=weighed, branch="joint")
    assert_close(joint.probabilities(photographs()), raw[Branch.JOINT])


def test_a_branch_must_be_the_networks(s3n: S3N, plain: PlainNetwork) -> None:
    with pytest.raises(
        UserError, match=r"one of the network's, original, as it is a PlainNetwork; got joint; name one"
    ):
        Classifier.place(plain, SLOW, branch="joint")
    with pytest.raises(UserError, match=r"got branch joint and zoom_entropy_threshold 0.5; leave one of them out"):
        Classifier.place(s3n, SLOW, branch="joint", zoom_entropy_threshold=0.5)
    classifier = Classifier.place(plain, SLOW, calibration=Calibration(view_weights={"joint": 1.0}))
    with pytest.raises(UserError, match=r"view_weights must be of the network's branches, original; got one of joint"):
        classifier.probabilities(photographs())
