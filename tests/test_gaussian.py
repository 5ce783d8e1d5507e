"""Gaussian patches under the cubic convolutional teacher: the law that is drawn."""

from __future__ import annotations

import pytest
import torch

from numerics.data.gaussian import GaussianConvolution
from numerics.data.structured import random_direction
from theory.data.partition import Partition

SETS = Partition.scattered(3, 4, 5)


def law(kernel: int = 1, **options) -> GaussianConvolution:
    w_star = random_direction(6, torch.Generator().manual_seed(1))
    return GaussianConvolution(SETS, w_star, kernel, **options)


@pytest.mark.parametrize("kernel", [1, 2, 4])
def test_groups_cut_the_sets(kernel):
    groups = law(kernel).groups
    assert torch.bincount(groups).tolist() == [kernel] * (12 // kernel)
    labels = torch.tensor(SETS.labels)
    for group in groups.unique():
        assert len(labels[groups == group].unique()) == 1


@pytest.mark.parametrize("kernel", [1, 2, 4])
def test_labels_are_the_teachers(kernel):
    data = law(kernel)
    X, y, *_ = data.sample(200, torch.Generator().manual_seed(0))
    assert X.shape == (200, 12, 6)
    x = X.double() @ data.w_star.double()
    expected = sum(x[:, data.groups == B].sum(dim=1) ** 3 for B in data.groups.unique())
    assert torch.equal(expected.sign(), y.double())


def test_patches_are_independent_gaussians():
    X, y, *_ = law(std=0.5).sample(20_000, torch.Generator().manual_seed(2))
    entries = X.flatten(1).double()
    covariance = entries.T @ entries / len(X)
    # Five standard errors of a sample covariance of 20 000 Gaussian vectors.
    assert (covariance - 0.25 * torch.eye(72)).abs().max() < 5 * 0.25 * (2 / 20_000) ** 0.5
    kurtosis = (entries**4).mean() / (entries**2).mean() ** 2
    assert kurtosis.item() == pytest.approx(3, abs=0.05)
    assert abs(y.mean().item()) < 5 / 20_000**0.5


def test_only_the_patch_teacher_forgets_the_sets():
    X = law().sample(500, torch.Generator().manual_seed(3)).X
    moved = X[:, torch.randperm(12, generator=torch.Generator().manual_seed(4))]
    torch.testing.assert_close(law(1).teacher(moved), law(1).teacher(X))
    assert (law(4).teacher(moved).sign() != law(4).teacher(X).sign()).any()


@pytest.mark.parametrize(
    ("options", "field"),
    [
        ({"kernel": 3}, "kernel = 3"),
        ({"kernel": 0}, "kernel = 0"),
        ({"std": 0.0}, "std = 0.0"),
        ({"dtype": torch.int64}, "dtype = torch.int64"),
        ({"w_star": torch.ones(3)}, "w_star of shape"),
    ],
)
def test_bad_fields_are_named(options, field):
    fields = {"partition": SETS, "w_star": torch.tensor([1.0, 0.0])} | options
    with pytest.raises(ValueError, match=f"GaussianConvolution.{field}"):
        GaussianConvolution(**fields)
    with pytest.raises(ValueError, match="sample.N = 0"):
        law().sample(0, torch.Generator())
