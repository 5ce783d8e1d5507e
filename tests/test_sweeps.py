"""Random starts on one sample: seeds, the exact path as their limit, predictions, and bad input."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from numerics.experiments import initial_conditions, realistic, sample_size, width
from numerics.measure.coefficients import estimate, read_coefficients
from numerics.records import load_record
from numerics.training.descent import train
from numerics.training.random_start import (
    SweepConfig,
    carried_margin,
    exact_path,
    measure,
    random_start,
    set_score,
    sweep,
)
from theory.data.partition import Partition
from theory.model.association import association_score, margin
from theory.setting import Setting

TINY = SweepConfig(L=3, C=2, d=4, N=40, N_test=60, steps=6, runs=2)
SETTING = Setting(L=3, C=2, q=0.4, p=3, nu=0.2, sigma_A=1.0)


# ---------------------------------------------------------------- what a seed decides


def test_a_seed_decides_the_start_and_the_scales_only_scale_it():
    options = {"d": 5, "N": 7}
    one = random_start(SETTING, 3, omega_v=0.5, omega_A=0.25, **options)
    same = random_start(SETTING, 3, omega_v=0.5, omega_A=0.25, **options)
    scaled = random_start(SETTING, 3, omega_v=1.0, omega_A=0.5, **options)
    other = random_start(SETTING, 4, omega_v=0.5, omega_A=0.25, **options)
    assert torch.equal(one.model.A, same.model.A)
    assert torch.equal(one.batches().X, same.batches().X)
    assert torch.equal(2 * one.model.v, scaled.model.v)
    off = ~torch.eye(6, dtype=torch.bool)
    assert torch.equal(2 * one.model.A[off], scaled.model.A[off])
    assert torch.equal(one.model.A.diagonal(), scaled.model.A.diagonal())
    assert torch.equal(one.batches().X, scaled.batches().X)
    assert not torch.equal(one.model.v, other.model.v)


def test_a_training_is_repeated_to_the_bit():
    assert measure(TINY, 5) == measure(TINY, 5)
    assert measure(TINY, 5) != measure(TINY, 6)
    A, B = (realistic.train_one(replace(realistic.LIGHT, N=20, steps=2), 1) for _ in range(2))
    assert torch.equal(A.model.A, B.model.A)
    assert torch.equal(A.model.v, B.model.v)


def test_the_record_of_the_realistic_experiment_starts_here():
    record = load_record("realistic")
    config, (first, *_) = record.config(), record.results["runs"]
    start = random_start(
        config.setting(), 0, d=config.d, omega_v=config.omega, omega_A=config.omega, N=1
    )
    data = start.data
    read = read_coefficients(start.model.A, start.model.v, data.partition, data.w_star)
    for name in ("alpha", "off_axis", "gamma", "rho", "gamma_spread", "margin"):
        assert read.row()[name] == pytest.approx(first["history"][name][0], rel=1e-5)


# ---------------------------------------------------------------- the exact path as a limit

LIMIT = SweepConfig(
    L=4, C=3, q=0.3, d=3, N=20_000, omega_v=0.0, omega_A=0.0, eta_v=3e-3, eta_A=30.0, steps=25
)


def scores(truth: SweepConfig) -> dict[str, float]:
    """Gap of full networks on a large sample from ω = 0 to an exact path, in standard errors."""
    path = exact_path(truth.setting(), 0.0, LIMIT.eta_v, LIMIT.eta_A, LIMIT.steps, "enumeration")
    ends: dict[str, list[float]] = {"alpha": [], "gamma": [], "rho": []}
    for seed in range(8):
        start = random_start(LIMIT.setting(), seed, d=LIMIT.d, omega_v=0.0, omega_A=0.0, N=LIMIT.N)
        data, model, steps = start.data, start.model, LIMIT.steps
        train(
            model,
            start.batches,
            eta_v=LIMIT.eta_v,
            eta_A=LIMIT.eta_A,
            steps=steps,
            record_at=[],
        )
        row = read_coefficients(model.A, model.v, data.partition, data.w_star).row()
        for name in ends:
            ends[name].append(row[name])
    assert path.gamma[-1] - path.rho[-1] > 0.3, "nothing moved: a vacuous comparison"
    found = {name: estimate(values) for name, values in ends.items()}
    return {
        name: abs(e.mean - getattr(path, name)[-1]) / e.standard_error for name, e in found.items()
    }


@pytest.mark.slow
def test_without_a_random_start_a_large_sample_follows_the_exact_path():
    assert max(scores(LIMIT).values()) < 4
    # The comparison sees a data law that is a little different.
    assert max(scores(replace(LIMIT, q=0.33)).values()) > 5


def test_carried_margin_without_noise_is_the_exact_margin():
    path = exact_path(SETTING, 0.1, 0.02, 4.0, 20, "enumeration")
    partition = Partition.scattered(3, 2, 1)
    quiet = carried_margin(float(SETTING.sigma_A) * np.eye(6), path, partition)
    np.testing.assert_allclose(quiet, path.margin, atol=1e-14)
    noisy = float(SETTING.sigma_A) * np.eye(6)
    noisy[0, 1] = 0.5
    assert carried_margin(noisy, path, partition)[0] == margin(noisy, partition)
    assert carried_margin(noisy, path, partition)[0] == -0.5 or partition.same_set[0, 1]


def test_exact_path_is_none_where_it_overflows():
    assert exact_path(SETTING, 1e120, 1.0, 1.0, 5, "enumeration") is None


@pytest.mark.slow
def test_the_carried_path_foretells_the_time_of_association():
    """Noise of A⁰ above that of the sample: both predictions exist, and only one is right."""
    config = SweepConfig(N=8000, omega_A=0.15, N_test=1, steps=100)
    found = [measure(config, seed) for seed in range(4)]
    measured, carried, exact = (
        np.array([one[name] for one in found], dtype=float)
        for name in ("time", "carried_time", "exact_time")
    )
    assert (np.abs(measured / carried - 1) < 0.2).all()
    assert (measured - exact > 5 * np.abs(measured - carried)).all()


# ---------------------------------------------------------------- scores


@given(seed=st.integers(0, 2**31), L=st.integers(2, 4), C=st.integers(1, 3))
def test_set_score_is_at_least_association_and_blind_to_a_derangement(seed, L, C):
    partition = Partition.scattered(L, C, seed % 1000)
    A = np.random.default_rng(seed).normal(size=(L * C, L * C))
    own, best = association_score(A, partition), set_score(A, partition)
    assert max(own, 1 / C) <= best + 1e-12
    assert best <= 1
    hard = partition.same_set.astype(float)
    moved = np.empty_like(hard)
    for members, target in zip(
        partition.sets, (*partition.sets[1:], partition.sets[0]), strict=True
    ):
        moved[list(members)] = hard[list(target)]
    assert (association_score(hard, partition), set_score(hard, partition)) == (1.0, 1.0)
    assert (association_score(moved, partition), set_score(moved, partition)) == (0.0, 1.0)


def test_smaller_steps_keep_the_unit_of_time():
    coarse = measure(replace(TINY, eta_A=5.0, N=2000), 0)
    fine = measure(replace(TINY, eta_A=5.0, N=2000, fine=20), 0)
    for name in ("alpha", "gamma", "rho"):
        assert fine[name] == pytest.approx(coarse[name], rel=0.1, abs=0.01)
    assert fine["alpha_0"] == coarse["alpha_0"]


# ---------------------------------------------------------------- sweeps

EXPERIMENTS = [
    (
        initial_conditions,
        {"omegas": (0.0, 0.1), "omegas_fine": (0.1,), "omegas_v": (0.1,), "omegas_A": (0.1,)}
        | {"sigmas_A": (-1.0, 2.0), "nus": (0.0,)},
    ),
    (sample_size, {"sizes": (5, 20)}),
    (width, {"dimensions": (2, 4), "dimensions_few": (3,), "few": 10}),
]


@pytest.mark.parametrize(("module", "values"), EXPERIMENTS)
def test_experiments_run_at_a_tiny_size(module, values):
    size = {"L": 2, "C": 2, "d": 3, "N": 30, "N_test": 20, "steps": 3, "runs": 2}
    config = replace(module.LIGHT, **size, **values)
    found = module.run(config)
    assert json.loads(json.dumps(found, allow_nan=False)) == found
    for metric in found["metrics"].values():
        assert metric.keys() >= {"n", "mean", "standard_error"}
    parts = [found["many"], found["few"]] if module is width else [found]
    for part in parts:
        for column in part["axes"].values():
            assert {len(rows) for rows in column.values()} == {len(column["values"])}
            assert {len(row) for row in column["margin"]} == {2}


def test_a_sweep_changes_what_it_says_and_nothing_else():
    found = sweep(TINY, {"omega": (0.1,), "sigma_A": (0.5, 2.0)})["axes"]
    both = measure(replace(TINY, omega_v=0.1, omega_A=0.1), 1)
    assert {name: rows[0][1] for name, rows in found["omega"].items() if name != "values"} == both
    assert found["sigma_A"]["margin"][1] == [measure(TINY, seed)["margin"] for seed in (0, 1)]


def test_a_training_that_diverges_is_said_and_kept_out_of_the_means():
    config = replace(TINY, eta_v=1e30, steps=20)
    one = measure(config, 0)
    assert 0 < one["diverged"] <= 20
    assert one["margin"] is None
    assert one["test_error"] is None
    found = sweep(config, {"N": (10,)})
    json.dumps(found, allow_nan=False)
    assert "margin, N = 10" not in found["metrics"]


@pytest.mark.parametrize(
    ("changes", "axes", "message"),
    [
        ({"runs": 1}, {"N": (5,)}, "runs must be >= 2"),
        ({}, {"N": ()}, "axis N is empty"),
        ({}, {"colour": (1,)}, "axis 'colour' is no field"),
        ({}, {"omega": (-0.1,)}, "omega_v must be a finite number >= 0"),
        ({}, {"omega_A": (math.inf,)}, "omega_A must be a finite number >= 0"),
        ({}, {"N": (0,)}, "N must be an integer >= 1"),
        ({}, {"nu": (-1.0,)}, "nu must be a finite number >= 0"),
        ({}, {"fine": (0,)}, "fine must be an integer >= 1"),
        ({"eta_v": math.nan}, {"N": (5,)}, "eta_v must be a finite number >= 0"),
    ],
)
def test_bad_values_are_named(changes, axes, message):
    with pytest.raises(ValueError, match=message):
        sweep(replace(TINY, **changes), axes)


# ---------------------------------------------------------------- what the records say


def column(axis, name, value):
    """Values over seeds at one value of an axis."""
    return np.array(axis[name][axis["values"].index(value)], dtype=float)


def test_recorded_starts_associate_when_small_and_not_when_large():
    axes = load_record("initial-conditions").results["axes"]
    assert (column(axes["omega"], "margin", 0.01) > 0).all()
    assert (column(axes["omega"], "margin", 0.1) < 0).all()
    for sigma_A in (-1.0, 0.0):
        assert (column(axes["sigma_A"], "margin", sigma_A) < 0).all()
        assert (column(axes["sigma_A"], "sets", sigma_A) > 0.6).all()
        assert (column(axes["sigma_A"], "test_error", sigma_A) < 0.02).all()


def test_recorded_exact_paths_are_todays():
    record = load_record("sample-size")
    config, axis = record.config(), record.results["axes"]["N"]
    path = exact_path(
        config.setting(), axis["alpha_0"][0][0], config.eta_v, config.eta_A, 40, config.method
    )
    assert int(np.argmax(path.margin > 0)) == axis["exact_time"][0][0]
    # A seed has one start, whatever N is.
    assert all(row == axis["alpha_0"][0] for row in axis["alpha_0"])


def test_recorded_samples_are_memorized_before_association_and_approach_the_prediction():
    axis = load_record("sample-size").results["axes"]["N"]
    least, most = axis["values"][0], axis["values"][-1]
    assert (column(axis, "train_error", least) == 0).all()
    assert (column(axis, "margin", least) < 0).all()
    assert (column(axis, "test_error", least) > 0.05).all()
    gaps = [
        np.abs(column(axis, "time", N) / column(axis, "carried_time", N) - 1).mean()
        for N in (100, most)
    ]
    assert gaps[1] < 0.15
    assert gaps[0] > 0.4
