"""Figure 4: association and error over training, and a new feature on frozen attention."""

from __future__ import annotations

import json
import math
from dataclasses import asdict, replace

import numpy as np
import pytest
import torch

from numerics.data.structured import Batch, StructuredData, patches_as_pixels, random_direction
from numerics.experiment import Options
from numerics.experiments import figure_4, realistic
from numerics.measure.association import attention_between_patches, read_association
from numerics.models.simplified import SimplifiedViT, logistic_loss
from numerics.models.structured_vit import build_structured_vit
from numerics.positional import PositionalVisionTransformer
from numerics.records import load_record
from numerics.training.new_feature import (
    compare_attentions,
    freeze_attention,
    own_set_attention,
    train_feature,
)
from theory.bounds.encodings import hard_attention_error
from theory.data.law import bayes_error, invariant_error
from theory.data.partition import Partition
from theory.setting import Setting

SETTING = Setting(L=2, C=2, q=0.4, p=3, nu=0.05, sigma_A=2.0)
TINY = figure_4.Config(
    L=2,
    C=2,
    d=3,
    N=60,
    N_test=60,
    steps=4,
    recorded=3,
    runs=2,
    images=(1, 5),
    draws=2,
    transfer_steps=3,
    transfer_test=40,
    width=8,
    depth=1,
    heads=2,
    vit_steps=4,
    batch=8,
    vit_test=20,
    vit_recorded=3,
    vit_runs=2,
)


def make_data(seed=0, setting=SETTING, d=3, **options):
    generator = torch.Generator().manual_seed(seed)
    partition = Partition.scattered(setting.L, setting.C, seed)
    return StructuredData(setting, partition, random_direction(d, generator), **options), generator


# A new feature on frozen attention


def test_frozen_attention_stays_and_v_starts_at_zero():
    data, generator = make_data()
    A = torch.randn(4, 4, generator=generator)
    model = freeze_attention(SETTING, A, d=3)
    before = model.A.detach().clone()
    assert torch.equal(model.v, torch.zeros(3))
    batch, test = data.sample(20, generator), data.sample(20, generator)
    train_feature(model, batch, test, data.w_star, eta_v=0.01, steps=5)
    assert torch.equal(model.A, before)
    assert model.v.norm() > 0
    off = ~torch.eye(4, dtype=torch.bool)
    assert torch.equal(before[off], A[off])
    assert (before.diagonal() == 2.0).all()


def test_first_step_from_zero_is_the_average_of_signed_images():
    # Column sums of the attention weigh the patches; from v = 0 the sigmoid is 1/2 and σ' is ν.
    data, generator = make_data(d=5, dtype=torch.float64)
    A = torch.randn(4, 4, generator=generator, dtype=torch.float64)
    batch = data.sample(7, generator)
    model = freeze_attention(SETTING, A, d=5)
    train_feature(model, batch, batch, data.w_star, eta_v=0.1, steps=1)
    columns = model.attention().sum(dim=0)
    average = (batch.y[:, None] * torch.einsum("j,njd->nd", columns, batch.X)).mean(dim=0)
    torch.testing.assert_close(model.v.detach(), 0.1 * 0.05 * 4 / 2 * average)


def test_own_set_attention_is_even_on_the_set_and_zero_elsewhere():
    partition = Partition((0, 1, 0, 1, 2, 2))
    setting = Setting(L=3, C=2, q=0.4, p=3, nu=0.05, sigma_A=7.0)
    S = own_set_attention(setting, partition, d=2).attention()
    assert torch.equal(S, torch.from_numpy(partition.same_set).to(S.dtype) / 2)


def test_transfer_reads_the_trained_v():
    data, generator = make_data(d=4)
    batch, test = data.sample(30, generator), data.sample(400, generator)
    model = own_set_attention(SETTING, data.partition, d=4)
    found = train_feature(model, batch, test, data.w_star, eta_v=0.02, steps=40)
    v = model.v.detach()
    assert found.alpha == pytest.approx(float(v @ data.w_star), rel=1e-6)
    assert found.off_axis == pytest.approx(float((v - found.alpha * data.w_star).norm()), rel=1e-3)
    with torch.no_grad():
        assert found.train_loss == pytest.approx(float(logistic_loss(model(batch.X), batch.y)))
        assert found.test_error == pytest.approx(
            float((test.y * model(test.X) <= 0).double().mean())
        )
        aligned = SimplifiedViT(model.setting, found.alpha * data.w_star, model.A)(test.X)
    assert found.aligned_error == pytest.approx(float((test.y * aligned <= 0).double().mean()))
    assert 0 < found.train_loss < math.log(2)


def test_relabelling_the_patches_changes_no_result():
    data, generator = make_data(d=4, dtype=torch.float64)
    batch, test = data.sample(30, generator), data.sample(50, generator)
    A = torch.randn(4, 4, generator=generator, dtype=torch.float64)
    order = torch.tensor([2, 0, 3, 1])

    def moved(images):
        return Batch(images.X[:, order], images.y)

    here, there = freeze_attention(SETTING, A, 4), freeze_attention(SETTING, A[order][:, order], 4)
    options = {"w_star": data.w_star, "eta_v": 0.02, "steps": 30}
    found = asdict(train_feature(here, batch, test, **options))
    again = asdict(train_feature(there, moved(batch), moved(test), **options))
    assert found == pytest.approx(again, rel=1e-9)
    # Were the attention not moved along, another function would be learned.
    other = asdict(train_feature(freeze_attention(SETTING, A, 4), moved(batch), test, **options))
    assert other != pytest.approx(found, rel=1e-3)


def test_without_association_the_order_of_the_patches_is_not_seen():
    data, generator = make_data(d=4, dtype=torch.float64)
    images = data.sample(50, generator)
    model = freeze_attention(SETTING, torch.zeros(4, 4, dtype=torch.float64), 4)
    train_feature(model, images, images, data.w_star, eta_v=0.02, steps=30)
    with torch.no_grad():
        torch.testing.assert_close(model(images.X), model(images.X[:, [3, 1, 0, 2]]))


def test_attentions_are_compared_on_the_same_images_and_models_stay_as_they_are():
    data, generator = make_data(d=4)
    alike = {name: own_set_attention(SETTING, data.partition, 4) for name in ("one", "other")}
    options = {"draws": 3, "test_images": 30, "eta_v": 0.02, "steps": 5}
    found = compare_attentions(data, alike, (2, 7), generator=generator, **options)
    assert found["one"] == found["other"]
    assert [len(tasks) for tasks in found["one"]] == [3, 3]
    assert len({task.alpha for tasks in found["one"] for task in tasks}) == 6
    assert all(torch.equal(model.v, torch.zeros(4)) for model in alike.values())


@pytest.mark.parametrize("d", [0, 1.5, True])
def test_a_bad_dimension_is_named(d):
    with pytest.raises(ValueError, match=r"freeze_attention\.d = .*integer >= 1"):
        freeze_attention(SETTING, torch.zeros(4, 4), d)


def test_bad_training_is_named():
    data, generator = make_data()
    batch, model = data.sample(5, generator), own_set_attention(SETTING, data.partition, 3)
    with pytest.raises(ValueError, match=r"eta_v = -1"):
        train_feature(model, batch, batch, data.w_star, eta_v=-1, steps=2)
    with pytest.raises(ValueError, match="A has shape"):
        freeze_attention(SETTING, torch.zeros(3, 3), 3)
    with pytest.raises(ArithmeticError, match="lower eta_v"):
        train_feature(model, batch, batch, data.w_star, eta_v=1e30, steps=9)


# Real ViTs on structured images


def test_a_patch_is_a_pixel():
    X = torch.arange(2 * 6 * 5.0).reshape(2, 6, 5)
    images, labels = patches_as_pixels(Batch(X, torch.tensor([1.0, -1.0])), L=3)
    assert images.shape == (2, 5, 3, 2)
    assert torch.equal(images[1, :, 2, 1], X[1, 5])
    assert labels.tolist() == [1, 0]


def test_the_network_embeds_each_patch_linearly():
    data, generator = make_data(d=5)
    model = build_structured_vit(data, width=8, depth=1, heads=2, seed=3)
    batch = data.sample(3, generator)
    tokens = model.patch_embed(patches_as_pixels(batch, L=2)[0])
    weight, bias = model.patch_embed.proj.weight.flatten(1), model.patch_embed.proj.bias
    torch.testing.assert_close(tokens, batch.X @ weight.T + bias)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"width": 0}, "width = 0: .* integer >= 1"),
        ({"depth": 1.5}, "depth = 1.5: .* integer >= 1"),
        ({"width": 8, "heads": 3}, "heads = 3: heads must divide width = 8"),
        ({"encoding_std": 0.0}, "encoding_std = 0.0: .* finite number > 0"),
    ],
)
def test_a_bad_network_is_named(changes, message):
    with pytest.raises(ValueError, match=rf"build_structured_vit\.{message}"):
        build_structured_vit(make_data()[0], **changes)


def test_a_seed_draws_the_weights_and_nothing_else():
    data, _ = make_data()
    before = torch.get_rng_state()
    first, again = (build_structured_vit(data, width=64, seed=5) for _ in range(2))
    assert torch.equal(before, torch.get_rng_state())
    for one, other in zip(first.parameters(), again.parameters(), strict=True):
        assert torch.equal(one, other)
    assert float(first.pos_embed.detach().std()) == pytest.approx(0.3, rel=0.2)
    assert not torch.equal(first.pos_embed, build_structured_vit(data, width=64).pos_embed)


@pytest.mark.parametrize("order", [(0, 1, 2, 3), (2, 0, 3, 1)])
def test_association_of_encodings_is_relabelled_with_them(order):
    data, _ = make_data()
    model = build_structured_vit(data, kind=PositionalVisionTransformer, width=8, depth=2, heads=2)
    moved = build_structured_vit(data, kind=PositionalVisionTransformer, width=8, depth=2, heads=2)
    moved.pos_embed.data.copy_(model.pos_embed.data[:, list(order)])
    relabelled = Partition(tuple(data.partition.labels[j] for j in order))
    found = read_association(model, data.partition)
    assert found == pytest.approx(read_association(moved, relabelled), rel=1e-5)
    assert set(found) == {"association", "margin", "attention_1", "attention_2"}


def test_encodings_equal_within_sets_are_associated():
    data, _ = make_data()
    model = build_structured_vit(data, width=8, depth=1, heads=2)
    assert attention_between_patches(model) is None
    model.pos_embed.data.copy_(torch.eye(8)[list(data.partition.labels)])
    assert read_association(model, data.partition) == {"association": 1.0, "margin": 1.0}
    positional = build_structured_vit(
        data, kind=PositionalVisionTransformer, width=8, depth=3, heads=2
    )
    maps = attention_between_patches(positional)
    assert maps.shape == (3, 4, 4)
    torch.testing.assert_close(maps.sum(dim=2), torch.ones(3, 4))


# The experiment


@pytest.fixture(scope="module")
def results():
    return figure_4.run(TINY)


def test_results_are_complete_and_fit_into_a_record(results):
    assert json.loads(json.dumps(results, allow_nan=False)) == results
    assert [run["seed"] for run in results["one_layer"]] == [0, 1]
    assert set(results["transfer"]) == set(figure_4.ATTENTIONS)
    for attention in results["transfer"].values():
        assert len(attention["test_error"]["mean"]) == len(TINY.images)
        assert all(0 <= error <= 1 for error in attention["test_error"]["mean"])
    for kind, depth in (("stock", 0), ("positional", 1)):
        for run in results["vits"][kind]:
            assert run["steps"] == [0, 2, 4]
            assert np.shape(run["similarity"]) == (4, 4)
            assert len(run["attention"]) == depth
    assert results["metrics"]["transfer_learned"]["n"] == 2
    assert results["metrics"]["stock_association"]["n"] == 2


def test_a_seed_decides_everything(results):
    again = figure_4.run(TINY)
    assert again == results
    # Runs 0, 1 and runs 1, 2 share the run with seed 1.
    later = figure_4.run(replace(TINY, seed=1))
    assert later["one_layer"][0] == results["one_layer"][1]
    assert later["vits"]["stock"][0] == results["vits"]["stock"][1]
    assert later["transfer"] != results["transfer"]


def test_the_mean_over_runs_is_that_of_the_runs():
    alone = replace(TINY, vit_runs=0)
    models = [realistic.train_one(alone.pretraining(), seed) for seed in (0, 1)]
    found = [
        figure_4._transfer_tasks(alone, one, other.model, seed, "cpu")
        for seed, one, other in zip((0, 1), models, models[::-1], strict=True)
    ]
    expected = [[np.mean([t.alpha for t in cell]) for cell in run["foreign"]] for run in found]
    column = figure_4.run(alone)["transfer"]["foreign"]["alpha"]
    np.testing.assert_allclose(column["mean"], np.mean(expected, axis=0))
    np.testing.assert_allclose(
        column["standard_error"], np.std(expected, axis=0, ddof=1) / math.sqrt(2)
    )


def test_pretraining_is_the_realistic_experiment():
    pretraining = TINY.pretraining()
    for name in ("L", "C", "q", "d", "N", "N_test", "steps", "runs", "omega"):
        assert getattr(pretraining, name) == getattr(TINY, name)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"runs": 1}, r"runs = 1: runs must be >= 2"),
        ({"images": ()}, r"images = \(\)"),
        ({"images": (4, 0)}, r"images = 0: images must be an integer >= 1"),
        ({"draws": 0}, r"draws = 0"),
    ],
)
def test_a_bad_configuration_is_named(changes, message):
    with pytest.raises(ValueError, match=rf"figure-4\.{message}"):
        figure_4.run(replace(TINY, **changes))


def test_a_killed_run_goes_on(results, tmp_path):
    first = figure_4.run(TINY, Options(directory=tmp_path))
    resumed = figure_4.run(TINY, Options(directory=tmp_path, resume=True))
    assert first == resumed == results
    assert {path.name for path in tmp_path.iterdir()} == {
        "stock-0",
        "stock-1",
        "positional-0",
        "positional-1",
    }


def test_the_record_shows_what_its_chapter_says():
    record = load_record("figure-4")
    config, results = record.config(), record.results
    assert not record.revision["modified"]
    setting = config.pretraining().setting()
    e_inv, e_hard = float(invariant_error(setting)), float(hard_attention_error(setting))
    bayes = float(bayes_error(setting))
    histories = [run["history"] for run in results["one_layer"]]
    assert len(histories) == config.runs
    assert all(history["association"][-1] == 1.0 for history in histories)
    assert all(history["test_error"][-1] < e_inv / 4 for history in histories)
    # Theorem 5.1: frozen attention without association, at every number of images.
    images = config.runs * config.draws * config.transfer_test
    sampling = math.sqrt(e_inv * (1 - e_inv) / images)
    for field in ("test_error", "aligned_error"):
        start = results["transfer"]["start"][field]
        floor = np.array(start["mean"]) + 3 * np.hypot(start["standard_error"], sampling)
        assert (floor > e_inv).all()
    # No attention beats the best rule; with the sets the error falls far below e_inv.
    for name in ("learned", "own set"):
        error = results["transfer"][name]["test_error"]
        assert error["mean"][-1] < e_inv / 4
        assert error["mean"][-1] + 4 * math.sqrt(e_hard / images) > bayes
