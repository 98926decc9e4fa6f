"""Class maps of every view, in the first view's coordinates."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.testing import assert_close

from foveate.backbones.class_maps import at_places, class_maps
from foveate.config.branches import Branch
from foveate.config.networks import BackboneConfig, OwnConfig, PlainConfig
from foveate.errors import UserError
from foveate.networks.first_view import lattice
from foveate.networks.own import OwnNetwork
from foveate.networks.plain import PlainNetwork
from foveate.s3n.config import Branches, S3NConfig
from foveate.s3n.network import S3N

BACKBONE = BackboneConfig(architecture="test_resnet", weights="none")
SIZE, PLACES = 160, 41
ZOOMED = (Branch.DISCRIMINATIVE, Branch.COMPLEMENTARY)
CLASSES = torch.tensor([3, 0])


def network(branches: Branches = Branches.ODC) -> S3N:
    torch.manual_seed(0)
    made = S3N.create(S3NConfig(backbone=BACKBONE, branches=branches), 7, SIZE).eval()
    for head in (made.backbone.classifier, *made.fusion.heads.values()):
        nn.init.normal_(head.weight, std=0.3)  # type: ignore[arg-type]  # a module's attributes have no types
    return made


def photographs(size: int = SIZE) -> Tensor:
    small = torch.randn(2, 3, 20, 20, generator=torch.Generator().manual_seed(1))
    return functional.interpolate(small, size=(size, size), mode="bilinear")


@torch.no_grad()
def test_the_map_of_a_plain_network_is_its_class_map() -> None:
    torch.manual_seed(0)
    plain = PlainNetwork.create(PlainConfig(backbone=BACKBONE), 7).eval()
    images = photographs()
    found = plain.branch_maps(images, CLASSES, SIZE)
    cells = class_maps(plain.backbone(images), plain.backbone.classifier.weight, CLASSES[:, None])
    assert list(found.maps) == [Branch.ORIGINAL]
    expected = functional.interpolate(cells, size=(SIZE, SIZE), mode="bilinear", align_corners=False)[:, 0]
    assert_close(found.maps[Branch.ORIGINAL], expected, rtol=1e-4, atol=1e-5)
    assert_close(found.logits.original, plain(images).original)


@pytest.mark.parametrize("branch", ZOOMED)
@torch.no_grad()
def test_a_zoomed_map_lies_where_the_view_was_taken_from(branch: Branch) -> None:
    """A pixel of the view and the place it is taken from have the same value, as far as a lattice resolves it."""
    made, images = network(), photographs(200)
    output = made.output(images)
    own = class_maps(output.features[branch], made.head_weight(branch), CLASSES[:, None])
    in_view = at_places(own, lattice(SIZE, own).expand(2, -1, -1, -1), SIZE)[:, 0]
    found = made.branch_maps(images, CLASSES, 161).maps[branch]
    at_source = functional.grid_sample(found[:, None].nan_to_num(), output.grids[branch], align_corners=True)[:, 0]
    inner = (output.grids[branch].abs() < 0.9).all(-1) & (lattice(SIZE, own).abs() < 0.9).all(-1)
    assert inner.float().mean() > 0.3
    assert (output.grids[branch] - lattice(SIZE, own)).abs().max() > 0.05  # a zoom, not the view itself
    spread = in_view.amax() - in_view.amin()
    assert ((at_source - in_view).abs()[inner] / spread).max() < 0.02


@torch.no_grad()
def test_without_a_zoom_every_view_is_the_first_one(monkeypatch: pytest.MonkeyPatch) -> None:
    made, images = network(), torch.zeros(2, 3, SIZE, SIZE) + torch.tensor([0.3, -0.2, 0.5])[:, None, None]
    monkeypatch.setattr(made.sampler, "forward", lambda maps, size: lattice(size, maps).repeat(len(maps), 1, 1, 1))
    found = made.branch_maps(images, CLASSES, PLACES).maps
    features = made.backbone(images)
    for branch in (Branch.ORIGINAL, *ZOOMED):
        cells = class_maps(features, made.head_weight(branch), CLASSES[:, None])
        expected = at_places(cells, lattice(PLACES, cells).expand(2, -1, -1, -1), SIZE)[:, 0]
        assert_close(found[branch], expected, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize(
    ("branches", "added"),
    [
        (Branches.ODC, (Branch.ORIGINAL, *ZOOMED)),
        (Branches.DC, ZOOMED),
        (Branches.OC, (Branch.ORIGINAL, Branch.COMPLEMENTARY)),
    ],
)
@torch.no_grad()
def test_the_joint_map_is_the_sum_of_those_it_decides_from(branches: Branches, added: tuple[Branch, ...]) -> None:
    made, images = network(branches), photographs()
    found = made.branch_maps(images, CLASSES, PLACES)
    for row in range(0, PLACES, 5):
        for column in range(0, PLACES, 5):
            values = torch.stack([found.maps[branch][:, row, column] for branch in added], dim=1)
            for each, terms in zip(found.maps[Branch.JOINT][:, row, column], values.tolist(), strict=True):
                seen = [term for term in terms if not math.isnan(term)]
                assert each.item() == pytest.approx(sum(seen) if seen else math.nan, rel=1e-4, abs=1e-5, nan_ok=True)
    for branch, logits in found.logits.present().items():
        assert_close(logits, made(images).present()[branch])


@torch.no_grad()
def test_one_view_has_one_map() -> None:
    assert list(network(Branches.O).branch_maps(photographs(), CLASSES, PLACES).maps) == [Branch.ORIGINAL]


def test_a_network_whose_inside_is_unknown_is_refused() -> None:
    own = OwnNetwork.create(OwnConfig(architecture="test_resnet"), 7)
    with pytest.raises(UserError, match=r"linear head on averaged features; got a OwnNetwork"):
        own.branch_maps(photographs(), CLASSES, PLACES)
