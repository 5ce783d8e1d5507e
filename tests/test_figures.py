"""The experiments of Figures 1b, 2 and 3 at a tiny size."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from numerics.data.sets import as_patches
from numerics.experiments import figure_1b, figure_2, figure_3
from numerics.measure.coefficients import chance_association
from theory.data.partition import Partition
from theory.model.association import association_score


def test_a_localized_partition_is_made_of_squares():
    partition = figure_1b.localized(6, 3)
    assert (partition.L, partition.C) == (4, 9)
    for members in partition.sets:
        rows, columns = np.divmod(members, 6)
        assert np.ptp(rows) == np.ptp(columns) == 2
    with pytest.raises(ValueError, match="block = 4: block must divide side = 6"):
        figure_1b.localized(6, 4)


def test_figure_1b_tells_localized_from_scattered():
    config = replace(figure_1b.Config(), runs=200)
    results = figure_1b.run(config)
    metrics = results["metrics"]
    # Four sides of a 2 × 2 square and two diagonals.
    assert metrics["localized_distance"]["mean"] == pytest.approx((4 + 2 * 2**0.5) / 6)
    # A square holds 4 of the 112 pairs of neighbours of the grid, and there are 16 squares.
    assert metrics["localized_adjacent_shared"]["mean"] == pytest.approx(64 / 112)
    # Of a random partition any two patches share a set with probability (C − 1)/(D − 1).
    shared = metrics["scattered_adjacent_shared"]
    assert abs(shared["mean"] - 3 / 63) < 4 * shared["standard_error"]
    labels = results["labels"]
    assert Partition(tuple(labels["localized"])) == figure_1b.localized(8, 2)
    assert np.bincount(labels["scattered"]).tolist() == [4] * 16


def test_figure_3_draws_the_law():
    config = replace(figure_3.Config(), N=3000)
    results = figure_3.run(config)
    metrics = results["metrics"]
    for name, expected in {
        "spurious_agreeing": config.q / 2,
        "spurious_opposed": config.q / 2,
        "no_feature": 1 - config.q,
        "label": 0.0,
    }.items():
        assert abs(metrics[name]["mean"] - expected) < 4 * metrics[name]["standard_error"], name
    assert metrics["signal_agreeing"]["mean"] == 1

    generator = torch.Generator().manual_seed(config.seed)
    law = config.law(generator)
    sets = law.partition.sets
    for image, y in zip(results["images"], (1, -1), strict=True):
        assert image["y"] == y
        delta = torch.tensor(image["delta"])
        assert (delta[list(sets[image["signal_set"]])] == y).all()
        X = as_patches(torch.tensor(image["pixels"])[None, None], 4)[0]
        torch.testing.assert_close(X @ law.w_star, delta.float(), atol=4e-3, rtol=0)


TINY = figure_2.Config(L=3, C=2, d=4, N=200, N_test=300, steps=6, recorded=3, runs=2)


def test_figure_2_runs_every_arm():
    results = figure_2.run(TINY)
    assert results["steps"] == [0, 3, 6]
    assert set(results["runs"]) == set(figure_2.ARMS)
    for arm, runs in results["runs"].items():
        assert [one["seed"] for one in runs] == [1, 2]
        assert results["metrics"][f"{arm}_association"]["n"] == 2
        assert len(runs[0]["test_error"]) == 3
        A = np.array(results["first"][arm]["A"])
        sigma_A = TINY.weak_sigma_A if arm.endswith("weak") else TINY.sigma_A
        assert np.diag(A) == pytest.approx(sigma_A)
        partition = Partition(tuple(results["first"][arm]["labels"]))
        # Rounded to two decimals, logits may tie.
        best = runs[0]["best"]
        assert runs[0]["loss"][best] == min(runs[0]["loss"])
        assert association_score(A, partition) == pytest.approx(
            runs[0]["association"][best], abs=0.2
        )
    again = figure_2.run(TINY)
    assert again == results


def test_arms_differ_in_law_only():
    runs = figure_2.run(replace(TINY, steps=1, recorded=2, runs=1))["runs"]
    first = {arm: (one["alpha"][0], one["gamma"][0]) for arm, (one,) in runs.items()}
    assert len(set(first.values())) == 1


def test_rows_turn_to_a_set_of_another():
    # Set 0 looks at set 1, set 1 at set 2, set 2 at set 0, as in a derangement.
    partition = Partition.scattered(3, 4, 2)
    labels = torch.tensor(partition.labels)
    following = (labels[None] == (labels[:, None] + 1) % 3) * 5.0
    assert figure_2.rows_on_a_set(following, partition) == {"own_rows": 0, "other_rows": 1}
    own = (labels[None] == labels[:, None]) * 5.0
    assert figure_2.rows_on_a_set(own, partition) == {"own_rows": 1, "other_rows": 0}
    # What a row gives to itself does not count.
    assert figure_2.rows_on_a_set(9 * torch.eye(12), partition) == {
        "own_rows": 0,
        "other_rows": 0,
    }


def test_chance_is_the_score_of_random_logits():
    rng = np.random.default_rng(0)
    partition = Partition.scattered(5, 3, 1)
    scores = []
    for _ in range(300):
        A = rng.random((15, 15))
        np.fill_diagonal(A, 2)
        scores.append(association_score(A, partition))
    error = np.std(scores) / np.sqrt(len(scores))
    assert abs(np.mean(scores) - chance_association(5, 3)) < 4 * error
