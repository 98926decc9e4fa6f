"""A probe: a linear head on frozen features, fitted at once."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_info, threadpool_limits
from torch import Tensor
from torch.testing import assert_close

from foveate.config.networks import STRENGTHS, ProbeConfig
from foveate.networks import probe as probe_module
from foveate.networks.probe import fit_probe


def clouds(classes: int, each: int, spread: float = 0.5) -> tuple[Tensor, Tensor]:
    """Points around a centre of each class, in 6 dimensions and two views."""
    generator = torch.Generator().manual_seed(classes)
    labels = torch.arange(classes).repeat_interleave(each)
    centres = torch.randn(classes, 6, generator=generator)
    noise = torch.randn(len(labels), 2, 6, generator=generator)
    return centres[labels][:, None] * 2 + spread * noise + 3, labels


@pytest.mark.parametrize("classes", [2, 3, 5])
def test_it_is_scikit_learns_regression_on_standardised_features(classes: int) -> None:
    features, labels = clouds(classes, 8, spread=2.0)
    probe = fit_probe(features, labels, [0.05], folds=4)
    rows, repeated = features.flatten(0, 1).double().numpy(), labels.repeat_interleave(2).numpy()
    oracle = make_pipeline(StandardScaler(), LogisticRegression(C=0.05, max_iter=500, tol=1e-3)).fit(rows, repeated)
    answers = torch.softmax(probe.head(features.flatten(0, 1)), 1)
    assert_close(answers, torch.from_numpy(oracle.predict_proba(rows)).float(), rtol=1e-3, atol=1e-4)


def test_fits_side_by_side_are_those_of_one_after_the_other(monkeypatch: pytest.MonkeyPatch) -> None:
    features, labels = clouds(4, 10, spread=3.0)
    together = fit_probe(features, labels, [0.1, 1.0], folds=4)
    monkeypatch.setattr(probe_module, "_LARGE", 0)
    alone = fit_probe(features, labels, [0.1, 1.0], folds=4)
    assert together.held == alone.held
    assert_close(together.head, alone.head)
    assert together.out_of_fold is not None
    assert alone.out_of_fold is not None
    assert_close(together.out_of_fold.heads, alone.out_of_fold.heads)


def test_each_fit_has_one_thread_for_its_products(monkeypatch: pytest.MonkeyPatch) -> None:
    threads: list[int] = []
    fitted = probe_module._fitted

    def watched(values: np.ndarray, classes: np.ndarray, strength: float) -> LogisticRegression:
        threads.extend(each["num_threads"] for each in threadpool_info() if each["user_api"] == "blas")
        return fitted(values, classes, strength)

    monkeypatch.setattr(probe_module, "_fitted", watched)
    with threadpool_limits(2, user_api="blas"):  # also where there is one processor
        fit_probe(*clouds(3, 8), [0.1], folds=4)
    assert set(threads) == {1}


def test_two_points_by_hand() -> None:
    """At -1 and 1 the loss 2 log(1 + exp(-w)) + w^2 / 2C is least where w = 2C / (1 + exp(w))."""
    features, labels = torch.tensor([[[-1.0]], [[1.0]]]), torch.tensor([0, 1])
    probe = fit_probe(features, labels, [1.0], folds=2)
    weight = float(probe.head.weight[1] - probe.head.weight[0])
    assert weight == pytest.approx(2 / (1 + np.exp(weight)), abs=1e-2)
    assert probe.head.bias.abs().max() < 1e-6
    assert probe.held == ()  # classes of one photograph: nothing can be held out


def test_the_strength_is_that_of_the_smallest_loss() -> None:
    features, labels = clouds(4, 10, spread=3.0)
    probe = fit_probe(features, labels, [10.0, 0.001, 0.1], folds=5)
    assert [each.strength for each in probe.held] == [0.001, 0.1, 10.0]
    assert probe.strength == min(probe.held, key=lambda each: each.loss).strength
    assert probe.held[0].loss < np.log(4)
    assert set(probe.rivals) == {"nearest mean", "nearest neighbours"}


@pytest.mark.parametrize("spread", [0.3, 1.0, 3.0, 30.0])
def test_the_climb_ends_where_trying_all_strengths_would(spread: float) -> None:
    features, labels = clouds(4, 10, spread=spread)
    alone = [fit_probe(features, labels, [each], folds=5).held[0] for each in STRENGTHS]
    probe = fit_probe(features, labels, STRENGTHS, folds=5)
    assert probe.strength == min(alone, key=lambda each: each.loss).strength
    assert set(probe.held) <= set(alone)
    assert len(probe.held) < len(STRENGTHS)


def test_views_of_one_photograph_are_held_out_together() -> None:
    """A mirror image that gave its photograph away would make every held-out answer right."""
    _, labels = clouds(3, 6)
    features = torch.randn(18, 1, 6, generator=torch.Generator().manual_seed(5)).expand(-1, 2, -1).contiguous()
    assert fit_probe(features, labels, [100.0], folds=6).held[0].accuracy < 0.7


def test_a_rare_class_takes_no_cross_validation_from_the_others() -> None:
    """Of a single photograph none is held out, of two each is, in two of the folds; the others in all five."""
    features, labels = clouds(3, 10, spread=2.0)
    features, labels = features[:23], labels[:23].clone()  # 10, 10 and 3 photographs
    labels[22] = 3
    probe = fit_probe(features, labels, [0.1, 1.0], folds=5)
    assert probe.out_of_fold is not None
    assert len(probe.out_of_fold.heads) == 5
    answered = ~probe.out_of_fold.probabilities.isnan().any(1)
    assert answered.tolist() == [True] * 22 + [False]
    assert probe.head.weight.shape == (4, 6)
    held = next(each for each in probe.held if each.strength == probe.strength)
    right = probe.out_of_fold.probabilities[:22].argmax(1) == labels[:22]
    assert held.accuracy == pytest.approx(right.double().mean().item())
    assert 0 < probe.rivals["nearest mean"] <= 1
    heads, fold = probe.unseen_heads(23)
    for number in range(22):
        answer = heads[int(fold[number])](features[number, 0]).softmax(0)
        assert_close(answer, probe.out_of_fold.probabilities[number].float(), rtol=1e-3, atol=1e-4)


def test_without_two_photographs_of_a_class_nothing_is_held_out() -> None:
    features, labels = clouds(5, 1)
    probe = fit_probe(features, labels, [0.01, 0.1, 1.0], folds=5)
    assert (probe.strength, probe.held, probe.rivals, probe.out_of_fold) == (0.1, (), {}, None)


def test_groups_of_several_classes_leave_each_class_in_every_fold() -> None:
    """Three places of which the last alone has class 2: it is held out nowhere."""
    features, labels = clouds(3, 6)
    place = torch.tensor([0, 0, 1, 1, 2, 2, 0, 0, 1, 1, 2, 2, 2, 2, 2, 2, 2, 2])
    probe = fit_probe(features, labels, [1.0], folds=5, groups=place)
    assert probe.out_of_fold is not None
    answered = ~probe.out_of_fold.probabilities.isnan().any(1)
    assert set(place[answered].tolist()) == {0, 1}
    assert len(probe.out_of_fold.heads) == 2


def test_a_feature_that_never_changes_counts_for_nothing() -> None:
    features, labels = clouds(3, 6)
    features[..., 2] = 7.0
    probe = fit_probe(features, labels, [0.1], folds=3)
    assert torch.isfinite(probe.head.weight).all()
    assert torch.isfinite(probe.head.bias).all()


def test_the_same_photographs_give_the_same_probe() -> None:
    features, labels = clouds(3, 7)
    first, second = (fit_probe(features, labels, [0.01, 0.1], folds=3, seed=1) for _ in range(2))
    assert torch.equal(first.head.weight, second.head.weight)
    assert first.held == second.held


@pytest.mark.parametrize(
    ("changes", "rule"),
    [({"strengths": ()}, "one at least"), ({"strengths": (0.0,)}, "positive"), ({"folds": 1}, "folds")],
)
def test_what_breaks_a_rule_is_refused(changes: dict[str, object], rule: str) -> None:
    with pytest.raises(ValueError, match=rule):
        ProbeConfig(**changes)  # type: ignore[arg-type]
