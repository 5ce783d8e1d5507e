"""The experiment on gradient gaps: its reference, its pieces, and its rates."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from numerics.data.structured import StructuredData, random_direction
from numerics.experiments import gradient_gap
from numerics.experiments.gradient_gap import LIGHT, empirical_gradient, population_reference
from numerics.models.simplified import SimplifiedViT, logistic_loss
from theory.data.partition import Partition
from theory.expectation.population import population_gradient

TINY = replace(LIGHT, L=2, C=2, N=200, sizes=(50, 200), dimensions=(3,), omegas=(0.0, 0.1), runs=2)


def test_the_reference_is_the_population_gradient() -> None:
    for config in (LIGHT, TINY, gradient_gap.Config()):
        found = population_reference(config.setting(), config.state())
        exact = population_gradient(config.setting(), config.state())
        for name in ("alpha", "gamma", "rho"):
            assert getattr(found, name) == pytest.approx(getattr(exact, name), rel=1e-9)


def test_pieces_make_the_gradient_of_the_whole_sample(monkeypatch: pytest.MonkeyPatch) -> None:
    setting, d = TINY.setting(), 5
    w_star = random_direction(d, torch.Generator().manual_seed(0))
    data = StructuredData(setting, Partition((0, 1, 1, 0)), w_star, dtype=torch.float64)
    model = SimplifiedViT(setting, 0.3 * w_star, torch.zeros(4, 4, dtype=torch.float64))
    monkeypatch.setattr(gradient_gap, "_PIECE", 7 * setting.D * d)
    in_A, in_v = empirical_gradient(model, data, 17, torch.Generator().manual_seed(1))
    source = torch.Generator().manual_seed(1)
    batches = [data.sample(number, source) for number in (7, 7, 3)]
    X, y = torch.cat([b.X for b in batches]), torch.cat([b.y for b in batches])
    whole = torch.autograd.grad(logistic_loss(model(X), y), (model.A, model.v))
    np.testing.assert_allclose(in_A, whole[0], atol=1e-15)
    np.testing.assert_allclose(in_v, whole[1], rtol=1e-12)
    assert (np.diag(in_A) == 0).all()


def test_the_gaps_are_those_of_the_sample() -> None:
    """One run, measured again from its seed by hand."""
    config = replace(TINY, omegas=(0.0,))
    found = gradient_gap.run(config)
    generator = torch.Generator().manual_seed(config.seed)
    partition = Partition.scattered(config.L, config.C, config.seed)
    data = StructuredData(config.setting(), partition, random_direction(config.d, generator))
    torch.randn(config.d, generator=generator)  # the start that ω = 0 does not use
    torch.randn(4, 4, generator=generator)
    batch = data.sample(config.sizes[0], generator)
    same = torch.tensor(partition.same_set)
    A = torch.where(same, torch.tensor(config.gamma), torch.tensor(config.rho))
    model = SimplifiedViT(config.setting(), config.alpha * data.w_star, A)
    in_A, in_v = torch.autograd.grad(logistic_loss(model(batch.X), batch.y), (model.A, model.v))
    exact = population_gradient(config.setting(), config.state())
    along = in_v @ data.w_star
    inside = same & ~torch.eye(4, dtype=torch.bool)
    expected = {
        "alpha": abs(along - exact.alpha),
        "off_axis": (in_v - along * data.w_star).norm(),
        "gamma": (in_A[inside] - exact.gamma).abs().max(),
        "rho": (in_A[~same] - exact.rho).abs().max(),
    }
    for name, value in expected.items():
        assert found["sizes"][name]["values"][0][0] == pytest.approx(
            float(value), rel=1e-3
        )  # float32
    assert found["metrics"]["gamma"]["n"] == config.runs


def test_the_scale_of_the_start_is_swept_on_the_same_images() -> None:
    found = gradient_gap.run(replace(TINY, omegas=(0.0, 1e-6, 0.3)))["omegas"]
    for column in found.values():
        zero, tiny, large = np.array(column["values"])
        np.testing.assert_allclose(zero, tiny, rtol=1e-3, atol=1e-5)
        assert (np.abs(large / zero - 1) > 0.01).all()


def test_one_run_has_no_standard_error() -> None:
    with pytest.raises(ValueError, match="runs = 1"):
        gradient_gap.run(replace(LIGHT, runs=1))


def test_light_gaps_fall_as_the_root_of_N() -> None:
    found = gradient_gap.run(LIGHT)["sizes"]
    for name in ("off_axis", "gamma", "rho"):  # of each, a length or a maximum over many entries
        first, *_, last = found[name]["mean"]
        assert first / last == pytest.approx(10, rel=0.35)
