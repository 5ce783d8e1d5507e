"""The permuted twin is the same problem for a ViT, and the comparisons compare like with like."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from numerics.__main__ import app
from numerics.data import sets
from numerics.data.permuted import PatchPermutation
from numerics.data.sets import NAMES, ImageSet, Splits, load_dataset, shrink, some_images
from numerics.engine import FitConfig, dataset_batches, fit
from numerics.experiment import Options
from numerics.experiments import figure_5, figure_6, figure_7
from numerics.measure.accuracy import dataset_accuracy
from numerics.measure.spatial import distance_bins, similarity_by_distance, spatial_structure
from numerics.models.cnn import build_cnn, build_cnn_of_size, parameter_count
from numerics.models.vit import build_vit, encodings
from numerics.records import load_record
from numerics.training.comparison import (
    ATTENTIONS,
    RECIPES,
    accuracies,
    compare,
    compare_over_seeds,
    recipe_for,
)


def as_json(value):
    return json.loads(json.dumps(value))


TINY_VIT = {"width": 8, "depth": 1, "heads": 2}


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def toy_set(n: int, side: int = 4, classes: int = 3, channels: int = 1, seed: int = 0) -> ImageSet:
    pixels = torch.randn((n, channels, side, side), generator=generator(seed))
    labels = torch.arange(n) % classes
    # The label can be seen: images are as bright as their class is high.
    pixels += 1.5 * labels[:, None, None, None]
    return ImageSet(pixels, labels, torch.zeros(channels), torch.ones(channels))


def toy_splits(**options) -> Splits:
    train, test = toy_set(60, **options), toy_set(30, **options | {"seed": 1})
    return Splits(train, test, 3, train.pixels.shape[1], train.pixels.shape[-1])


# --- the twin ------------------------------------------------------------------------------------


@given(
    grid=st.integers(1, 6),
    patch=st.integers(1, 4),
    channels=st.integers(1, 3),
    seed=st.integers(0, 1000),
)
def test_the_permutation_is_undone_exactly(grid, patch, channels, seed):
    permutation = PatchPermutation.random(grid, seed, patch=patch)
    images = torch.randn((2, channels, grid * patch, grid * patch), generator=generator(seed))
    twins = permutation.apply(images)
    assert torch.equal(permutation.inverse.apply(twins), images)
    assert torch.equal(permutation.apply(permutation.inverse.apply(images)), images)
    # The same pixels, colours kept together.
    colours = [{tuple(c) for c in x.flatten(2).mT.reshape(-1, channels).tolist()}
               for x in (images, twins)]  # fmt: skip
    assert colours[0] == colours[1]


@given(seed=st.integers(0, 1000), patch=st.integers(1, 3))
def test_patch_k_of_the_twin_is_patch_order_k_of_the_original(seed, patch):
    permutation = PatchPermutation.random(3, seed, patch=patch)
    image = torch.randn((3 * patch, 3 * patch), generator=generator(seed))
    twin = permutation.apply(image)

    def patch_of(picture, k):
        row, column = divmod(k, 3)
        return picture[row * patch : (row + 1) * patch, column * patch : (column + 1) * patch]

    for k, source in enumerate(permutation.order.tolist()):
        assert torch.equal(patch_of(twin, k), patch_of(image, source))


@given(seed=st.integers(0, 1000), grid=st.integers(1, 5))
def test_rows_go_back_to_their_places(seed, grid):
    permutation = PatchPermutation.random(grid, seed)
    rows = torch.randn((grid**2, 3), generator=generator(seed))
    # What the twin shows at k belongs at order[k]: permuting, then going back, changes nothing.
    assert torch.equal(permutation.in_original_grid(rows[permutation.order]), rows)


@pytest.mark.parametrize(("patch", "channels"), [(1, 1), (2, 1), (2, 3)])
def test_a_vit_with_permuted_encodings_gives_the_twin_the_same_outputs(patch, channels):
    side, images = 8, torch.randn((5, channels, 8, 8), generator=generator())
    permutation = PatchPermutation.random(side // patch, 3, patch=patch)
    vit = build_vit(side, patch, 4, **TINY_VIT, encoding_std=1.0, channels=channels).double()
    images = images.double()
    with torch.no_grad():
        plain, twins_alone = vit(images), vit(permutation.apply(images))
        vit.pos_embed.copy_(vit.pos_embed[:, permutation.order])
        both = vit(permutation.apply(images))
    assert (both - plain).abs().max() < 1e-12
    assert (twins_alone - plain).abs().max() > 1e-3


def test_no_rearrangement_of_its_input_saves_the_cnn():
    """The CNN has no encodings to permute: the twin changes what it says."""
    images = torch.randn((5, 1, 8, 8), generator=generator()).double()
    cnn = build_cnn(4, width=4).double().eval()
    with torch.no_grad():
        changed = cnn(PatchPermutation.random(8, 3).apply(images)) - cnn(images)
    assert changed.abs().max() > 1e-3


def test_training_on_the_twin_is_the_same_training_for_a_vit():
    """Not equal in law only: with permuted encodings at the start, step by step to rounding."""
    data = toy_set(60)
    permutation = PatchPermutation.random(4, 5)
    twin = permutation.apply_to(data)
    found = []
    for images, order in ((data, torch.arange(16)), (twin, permutation.order)):
        vit = build_vit(4, 1, 3, **TINY_VIT).double()
        with torch.no_grad():
            vit.pos_embed.copy_(vit.pos_embed[:, order])
        doubled = ImageSet(images.pixels, images.labels, images.mean.double(), images.std.double())
        fit(vit, dataset_batches(doubled, 20), FitConfig(steps=6, batch=20, lr=3e-3))
        found.append(encodings(vit))
    original, permuted = found
    assert (permutation.in_original_grid(permuted) - original).abs().max() < 1e-9
    assert (permuted - original).abs().max() > 1e-4


def test_structure_is_found_in_the_original_grid_and_not_in_the_one_shown():
    line = torch.arange(8.0) / 8
    row, column = torch.cartesian_prod(line, line).T
    smooth = torch.stack([row.cos(), row.sin(), column.cos(), column.sin()], dim=1)
    permutation = PatchPermutation.random(8, 1)
    learned = smooth[permutation.order]  # what a network that saw the twin would have
    assert abs(spatial_structure(learned).correlation) < 0.2
    assert spatial_structure(permutation.in_original_grid(learned)).correlation < -0.9


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: PatchPermutation(torch.arange(5)), r"order of shape \(5,\)"),
        (lambda: PatchPermutation(torch.arange(4).reshape(2, 2)), "order of shape"),
        (lambda: PatchPermutation(torch.tensor([0, 1, 2, 2])), "each of 0 … 3 once"),
        (lambda: PatchPermutation(torch.tensor([1, 2, 3, 4])), "each of 0 … 3 once"),
        (lambda: PatchPermutation(torch.arange(4.0)), "as int64"),
        (lambda: PatchPermutation(torch.arange(4), patch=0), "patch = 0: patch must be"),
        (lambda: PatchPermutation.random(0, 0), "grid = 0: grid must be"),
        (lambda: PatchPermutation.random(4, 0).apply(torch.zeros(1, 1, 8, 8)), "images of shape"),
        (lambda: PatchPermutation.random(4, 0).in_original_grid(torch.zeros(3, 2)), "rows of"),
    ],
)
def test_bad_permutations_are_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()


# --- measurements --------------------------------------------------------------------------------


def test_similarity_by_distance_against_a_loop_over_pairs():
    side, P = 4, torch.randn((16, 5), generator=generator(2), dtype=torch.float64)
    sums = {r: [] for r in distance_bins(side)}
    for i in range(16):
        for j in range(16):
            r = round(np.hypot(i // side - j // side, i % side - j % side))
            if i != j:
                sums[r].append((P[i] @ P[j] / (P[i].norm() * P[j].norm())).item())
    expected = [np.mean(values) for values in sums.values()]
    assert similarity_by_distance(P) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("target", [2000, 30_000, 105_482])
def test_the_cnn_comes_as_near_to_a_size_as_its_widths_allow(target):
    sizes = [parameter_count(build_cnn(10, width=w)) for w in range(1, 40)]
    nearest = min(sizes, key=lambda size: abs(size - target))
    assert parameter_count(build_cnn_of_size(target, 10)) == nearest


def test_the_cnn_has_the_layers_it_says():
    cnn = build_cnn(10, width=5, channels=3, blocks=2)
    convolutions = [m for m in cnn.modules() if isinstance(m, torch.nn.Conv2d)]
    assert sum(m.kernel_size == (3, 3) for m in convolutions) == 1 + 3 * 2 * 2
    assert sum(m.kernel_size == (1, 1) for m in convolutions) == 2  # where a stage halves
    assert cnn(torch.zeros(2, 3, 32, 32)).shape == (2, 10)
    assert cnn[:-3](torch.zeros(2, 3, 32, 32)).shape == (2, 20, 8, 8)


def test_equal_seeds_give_equal_networks_and_leave_the_global_generator():
    before = torch.get_rng_state()
    one, same, other = (build_cnn(3, width=2, seed=seed) for seed in (1, 1, 2))
    assert torch.equal(torch.get_rng_state(), before)
    assert all(map(torch.equal, one.parameters(), same.parameters()))
    assert not all(map(torch.equal, one.parameters(), other.parameters()))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: build_cnn(1, width=4), "classes = 1: classes must be an integer >= 2"),
        (lambda: build_cnn(2, width=0), "width = 0: width must be"),
        (lambda: build_cnn(2, width=2, channels=0), "channels = 0"),
        (lambda: build_cnn(2, width=2, blocks=1.5), "blocks = 1.5"),
        (lambda: build_cnn_of_size(100, 10), "parameters = 100: the narrowest network has"),
        (lambda: dataset_accuracy(torch.nn.Flatten(), toy_set(3), limit=0), "is empty"),
        (lambda: shrink(toy_splits(), 5), "side = 5: side must be an integer in 1..4"),
        (lambda: shrink(toy_splits(), 0), "side = 0"),
    ],
)
def test_bad_networks_and_measurements_are_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_accuracy_is_measured_in_evaluation_mode_and_leaves_the_mode():
    data = toy_set(30)
    cnn = build_cnn(3, width=2)
    statistics = [b.clone() for b in cnn.buffers()]
    by_set = dataset_accuracy(cnn, data)
    assert cnn.training
    assert all(map(torch.equal, cnn.buffers(), statistics))
    pairs = [(x, int(y)) for x, y in zip(*data.batch(torch.arange(30)), strict=True)]
    assert dataset_accuracy(cnn.eval(), pairs) == by_set
    assert not cnn.training
    assert dataset_accuracy(cnn, data, limit=1) in (0.0, 1.0)


def test_images_are_averaged_down_and_standardized_anew():
    data = toy_splits(side=8)
    small = shrink(data, 4)
    assert (small.side, small.classes, small.channels) == (4, 3, 1)
    blocks = data.train.pixels.reshape(60, 1, 4, 2, 4, 2).mean(dim=(3, 5))
    assert torch.allclose(small.train.pixels, blocks, atol=1e-6)
    images, labels = small.train.batch(torch.arange(60))
    assert torch.equal(labels, data.train.labels)
    assert images.mean().abs() < 1e-5
    assert images.std() == pytest.approx(1.0, abs=1e-3)
    assert shrink(data, 8) is data


# --- the comparison ------------------------------------------------------------------------------


def test_every_set_of_small_images_has_a_recipe():
    assert set(RECIPES) == set(NAMES) - {"imagenet"}
    with pytest.raises(ValueError, match="dataset = 'mnist': dataset must be one of"):
        recipe_for("mnist")


def test_both_networks_have_the_same_parameters_at_the_start():
    recipe = recipe_for("photos")
    full, positional = (
        build_vit(32, recipe.patch, 16, kind=kind, seed=4) for kind in ATTENTIONS.values()
    )
    pairs = zip(full.named_parameters(), positional.named_parameters(), strict=True)
    for (name, weight), (same, other) in pairs:
        assert name == same
        assert torch.equal(weight, other)


TOY = recipe_for("digits", steps=30)


def toy_compare(attention: str, seed: int = 0, **options):
    recipe = replace(TOY, width=8, depth=1, heads=2, batch=20, lr=1e-2)
    return compare(
        attention, toy_splits(), recipe, seed=seed, recorded=3, options=Options(**options)
    )


def toy_over_seeds(fraction: float):
    return compare_over_seeds(toy_splits(), TOY, [0], fraction=fraction)


@pytest.mark.parametrize("attention", ATTENTIONS)
def test_a_comparison_is_deterministic_resumes_and_learns(attention, tmp_path):
    one, same = toy_compare(attention), toy_compare(attention, directory=tmp_path)
    finished = toy_compare(attention, directory=tmp_path, resume=True)
    assert one["history"] == same["history"] == finished["history"]
    assert one["steps"] == [0, 15, 30]
    assert one["history"] != toy_compare(attention, seed=1)["history"]
    # Chance is 1/3 ± 0.086 on 30 test images.
    assert one["history"]["test_accuracy"][-1] > 0.6


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: toy_compare("linear"), "attention = 'linear': attention must be one of"),
        (
            lambda: compare("full", toy_splits(), TOY, seed=0, recorded=1),
            "recorded = 1: recorded must be an integer >= 2",
        ),
        (lambda: some_images(toy_set(5), 6), r"count = 6: count must be an integer in 1\.\.5"),
        (lambda: some_images(toy_set(5), 0), "count = 0"),
        (lambda: toy_over_seeds(fraction=0.0), r"fraction = 0\.0: fraction must be in \(0, 1\]"),
        (lambda: toy_over_seeds(fraction=1.5), r"fraction = 1\.5: fraction must be in \(0, 1\]"),
        (lambda: toy_over_seeds(fraction=0.001), "leave at least one of 60 images"),
    ],
)
def test_bad_comparisons_are_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_the_first_images_are_those_of_the_set_and_standardized_like_it():
    data = toy_set(9)
    part = some_images(data, 4)
    assert isinstance(part, ImageSet)
    assert torch.equal(part.batch(torch.arange(4))[0], data.batch(torch.arange(4))[0])


def test_a_part_of_a_folder_is_not_its_first_classes():
    """A folder lists one class after another; so few images must come from all over it."""
    folder = [
        (torch.full((1, 2, 2), float(label)), label) for label in range(10) for _ in range(20)
    ]
    labels = [label for _, label in some_images(folder, 60)]
    assert len(labels) == 60
    assert set(labels) == set(range(10))
    assert labels == [label for _, label in some_images(folder, 60)]
    assert some_images(folder, 200) is folder

    class FirstClass(torch.nn.Module):
        def forward(self, x):
            return torch.eye(10)[torch.zeros(len(x), dtype=torch.int64)]

    assert dataset_accuracy(FirstClass(), folder) == 0.1
    assert dataset_accuracy(FirstClass(), folder, limit=60) < 0.3


# --- the experiments -----------------------------------------------------------------------------


def test_figure_5_at_toy_size(tmp_path):
    config = figure_5.Config(
        dataset="digits", side=4, width=8, depth=1, heads=2, steps=4, batch=8, recorded=2, runs=2
    )
    found = figure_5.run(config, Options(directory=tmp_path))
    again = figure_5.run(config, Options(directory=tmp_path, resume=True))
    one = found["datasets"]["digits"]
    assert (one["side"], one["distance"]) == (4, [1, 2, 3, 4])
    assert len(one["runs"]) == 2 * 2 * 2
    assert [r["history"] for r in one["runs"]] == [
        r["history"] for r in again["datasets"]["digits"]["runs"]
    ]
    vit = {(r["images"], r["seed"]): r for r in one["runs"] if r["network"] == "vit"}
    cnn = {(r["images"], r["seed"]): r for r in one["runs"] if r["network"] == "cnn"}
    for (images, _), run in vit.items():
        same = run["curve"] == run["shown_curve"]
        assert same == (images == "original")
        assert len(run["curve"]) == 4
    metrics = found["metrics"]
    change = [
        cnn["permuted", s]["history"]["test_accuracy"][-1]
        - cnn["original", s]["history"]["test_accuracy"][-1]
        for s in (0, 1)
    ]
    assert metrics["digits_cnn_change"]["mean"] == pytest.approx(np.mean(change))
    assert metrics["digits_permuted_correlation"]["n"] == 2
    assert np.array(one["similarity"]["permuted"]).shape == (16, 16)
    ratio = one["parameters"]["cnn"] / one["parameters"]["vit"]
    assert 0.4 < ratio < 2.5


def test_figure_6_at_toy_size(monkeypatch):
    for part in sets.DRAWN:
        monkeypatch.setitem(sets.DRAWN, part, 40)
    config = figure_6.Config(dataset=("digits", "structured"), steps=2, recorded=2, runs=1)
    found = figure_6.run(config)
    assert set(found["metrics"]) == {
        f"{dataset}_{name}"
        for dataset in ("digits", "structured")
        for name in ("positional", "full", "difference")
    }
    for one in found["datasets"].values():
        assert [r["attention"] for r in one["runs"]] == ["positional", "full"]
        assert len({r["parameters"] for r in one["runs"]}) == 1
    assert found["datasets"]["structured"]["chance_accuracy"] == 0.5


@pytest.mark.slow
def test_figure_7_at_toy_size():
    config = figure_7.Config(dataset="digits", fractions=(0.02, 1.0), steps=2, runs=2)
    found = figure_7.run(config)
    few, all_of_it = found["datasets"]["digits"]
    assert (few["train_images"], all_of_it["train_images"]) == (29, 1437)
    assert [(r["seed"], r["attention"]) for r in few["runs"]] == [
        (0, "positional"), (0, "full"), (1, "positional"), (1, "full"),
    ]  # fmt: skip
    names = ("positional", "full", "difference")
    assert set(found["metrics"]) == {f"digits_{n}_{size}" for n in names for size in (29, 1437)}
    # The whole set is Figure 6.
    same = figure_6.run(replace(FIGURE_6, dataset="digits", steps=2, runs=2))
    last = [r["history"]["test_accuracy"][-1] for r in same["datasets"]["digits"]["runs"]]
    assert [r["history"]["test_accuracy"][-1] for r in all_of_it["runs"]] == last


FIGURE_6 = figure_6.Config(recorded=2)


def test_accuracies_are_of_the_last_measurement_and_differences_within_a_seed():
    runs = [
        {"attention": attention, "history": {"test_accuracy": [0.0, value]}}
        for attention, value in zip(["positional", "full"] * 2, [0.9, 0.5, 0.7, 0.6], strict=True)
    ]
    found = accuracies(runs)
    assert found["positional"]["mean"] == pytest.approx(0.8)
    assert found["difference"]["mean"] == pytest.approx(0.25)
    assert found["difference"]["standard_error"] == pytest.approx(0.15)


def test_what_lies_outside_the_configuration_is_kept_with_the_record(monkeypatch, tmp_path):
    light = replace(FIGURE_6, dataset="structured", steps=1, runs=1)
    monkeypatch.setattr(figure_6, "EXPERIMENT", replace(figure_6.EXPERIMENT, light=light))
    for part in sets.DRAWN:
        monkeypatch.setitem(sets.DRAWN, part, 40)
    options = ["run", "figure-6", "--light", "--out", str(tmp_path)]
    assert CliRunner().invoke(app, options).exit_code == 0
    record = load_record("figure-6", tmp_path)
    assert record.fixed["structured"]["recipe"]["width"] == RECIPES["structured"].width
    monkeypatch.setitem(sets.DRAWN, "train", 41)
    with pytest.raises(ValueError, match="figure-6 is out of date: what it was made with"):
        load_record("figure-6", tmp_path)
    monkeypatch.setitem(sets.DRAWN, "train", 40)
    for change in ({"width": 8}, {"warmup": 0.2}, {"clip": 1.0}):
        with monkeypatch.context() as patch:
            patch.setitem(RECIPES, "structured", replace(RECIPES["structured"], **change))
            with pytest.raises(ValueError, match="has changed for structured: make it"):
                load_record("figure-6", tmp_path)
    load_record("figure-6", tmp_path)


def test_an_unknown_data_set_is_refused():
    for experiment in (figure_5, figure_6, figure_7):
        with pytest.raises(ValueError, match="dataset = 'mnist'"):
            experiment.run(experiment.Config(dataset="mnist"))


def test_a_data_set_without_its_files_names_the_command(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"python -m numerics\.data cifar10"):
        figure_6.run(figure_6.Config(dataset="cifar10", root=str(tmp_path)))


@pytest.mark.parametrize("name", ["figure-5", "figure-6", "figure-7"])
def test_another_data_set_is_an_option_of_the_command(name, tmp_path):
    options = ["--dataset", "cifar10", "--root", str(tmp_path)]
    result = CliRunner().invoke(app, ["run", name, *options])
    assert result.exit_code == 2
    assert "python -m numerics.data cifar10" in " ".join(result.output.split())


# --- the records ---------------------------------------------------------------------------------


def test_recorded_twins_are_one_problem_for_the_vit_and_two_for_the_cnn():
    record = load_record("figure-5")
    metrics = record.results["metrics"]
    for name in record.config().datasets:
        # Equal in law: the mean change is within five of its standard errors (Student, 2 degrees
        # of freedom: two-sided level 3.8 %, for each of two sets).
        change = metrics[f"{name}_vit_change"]
        assert abs(change["mean"]) < 5 * change["standard_error"]
        assert metrics[f"{name}_cnn_change"]["mean"] < 0
    photos = {key[7:]: value["mean"] for key, value in metrics.items() if key[:7] == "photos_"}
    assert photos["original_correlation"] < -0.2
    assert photos["permuted_correlation"] < -0.2
    assert abs(photos["permuted_shown_correlation"]) < 0.1


@pytest.mark.parametrize("name", ["figure-6", "figure-7"])
def test_recorded_comparisons_are_of_equal_networks_and_their_metrics_follow_from_the_runs(name):
    record = load_record(name)
    for dataset, found in record.results["datasets"].items():
        for one in found if isinstance(found, list) else [found]:
            assert len({run["parameters"] for run in one["runs"]}) == 1
            last = {
                attention: np.array(
                    [
                        run["history"]["test_accuracy"][-1]
                        for run in one["runs"]
                        if run["attention"] == attention
                    ]
                )
                for attention in ATTENTIONS
            }
            size = f"_{one['train_images']}" if isinstance(found, list) else ""
            metric = record.results["metrics"][f"{dataset}_difference{size}"]
            apart = last["positional"] - last["full"]
            assert metric["mean"] == pytest.approx(apart.mean())
            error = apart.std(ddof=1) / len(apart) ** 0.5
            assert metric["standard_error"] == pytest.approx(error)


def test_recorded_comparisons_cover_every_set_that_needs_no_file():
    offline = {"digits", "photos", "structured", "gaussian-convolution"}
    for name in ("figure-6", "figure-7"):
        assert set(load_record(name).results["datasets"]) == offline


def test_digits_are_what_figure_5_takes():
    assert figure_5.SIDES["digits"] == load_dataset("digits").side
