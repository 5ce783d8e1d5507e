"""The photographs are cut apart cleanly, the measurements are right, and the real ViT learns."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from numerics.data import photos
from numerics.data.permuted import shuffle_patches
from numerics.data.photos import FLAT, PHOTOS, Crops, Region, bands, load_photo, train_and_test
from numerics.engine import FitConfig, crop_batches, fit
from numerics.experiments import figure_1a
from numerics.measure.accuracy import accuracy
from numerics.measure.spatial import cosine_similarity, grid_distance, spatial_structure
from numerics.models.vit import build_vit, encodings
from numerics.positional import PositionalVisionTransformer

SMALL = {"crop": 16, "patch": 4, "classes": 3, "width": 16, "depth": 1, "heads": 2}


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


# --- photographs ---------------------------------------------------------------------------------


@pytest.mark.parametrize("name", PHOTOS)
def test_every_photo_is_bundled_grey_and_not_empty(name):
    photo = load_photo(name)
    assert photo.dtype == torch.float32
    assert photo.ndim == 2
    assert min(photo.shape) >= 300
    assert photo.min() >= 0
    assert photo.max() <= 1
    assert photo.std() > 0.02


@given(
    crop=st.integers(1, 40),
    count=st.integers(2, 6),
    slack=st.integers(0, 500),
    height=st.integers(40, 60),
)
def test_bands_hold_a_crop_and_leave_one_crop_between_them(crop, count, slack, height):
    width = (2 * count - 1) * crop + slack
    cut = bands(7, (height, width), crop, count)
    assert len(cut) == count
    assert all(region.photo == 7 and region.width >= crop for region in cut)
    assert cut[0].left == 0
    assert cut[-1].right <= width
    for left, right in pairwise(cut):
        assert right.left - left.right == crop


def coordinates(crops: Crops, shapes: list[tuple[int, int]], n: int) -> list[set[int]]:
    """Pixels of each photograph that ``n`` sampled crops touch, read off the sampler itself.

    The sampler is given photographs whose pixels are their own coordinates; standardization is
    undone by comparing with every crop that the photograph has.
    """
    images, labels = crops.sample(n, generator(5))
    touched: list[set[int]] = [set() for _ in shapes]
    side = crops.crop
    for k, (height, width) in enumerate(shapes):
        photo = code(height, width)
        every = photo.unfold(0, side, 1).unfold(1, side, 1)
        flat = every.reshape(-1, side, side)
        centred = flat - flat.mean(dim=(1, 2), keepdim=True)
        standard = centred / (centred.square().mean(dim=(1, 2), keepdim=True).sqrt() + FLAT)
        for image in images[labels == k, 0]:
            gap = (standard - image).abs().amax(dim=(1, 2))
            assert gap.min() < 1e-5
            place = int(gap.argmin())
            row, column = divmod(place, every.shape[1])
            touched[k] |= {(row + i) * width + column + j for i in range(side) for j in range(side)}
    return touched


def code(height: int, width: int) -> torch.Tensor:
    """White noise: no two crops of it are alike, so that a crop tells where it comes from."""
    return torch.rand((height, width), generator=generator(height * width))


def test_no_pixel_is_in_both_a_training_and_a_test_crop(monkeypatch):
    shapes = [(20, 61), (33, 40)]
    monkeypatch.setattr(photos, "load_photo", lambda name: code(*shapes[["a", "b"].index(name)]))
    train, test = train_and_test(["a", "b"], crop=5, count=4)
    in_train = coordinates(train, shapes, 1500)
    in_test = coordinates(test, shapes, 1500)
    for k, (_, width) in enumerate(shapes):
        assert not in_train[k] & in_test[k]
        columns = np.array(sorted({pixel % width for pixel in in_train[k]}))
        others = np.array(sorted({pixel % width for pixel in in_test[k]}))
        # The nearest training and test columns have five whole columns between them.
        assert np.abs(columns[:, None] - others).min() == 6
        # Every column and row of the regions is reached: the last position is not left out.
        reached = {c for r in train.regions if r.photo == k for c in range(r.left, r.right)}
        assert set(columns.tolist()) == reached
        assert {pixel // width for pixel in in_train[k]} == set(range(shapes[k][0]))


def test_real_train_and_test_regions_are_a_crop_apart():
    train, test = train_and_test(tuple(PHOTOS), crop=32, count=4)
    for one in train.regions:
        for other in test.regions:
            if one.photo == other.photo:
                assert one.left - other.right >= 32 or other.left - one.right >= 32


def test_crops_are_standardized_classes_balanced_and_draws_reproducible():
    train, _ = train_and_test(["camera", "grass", "coins"], crop=16, count=2)
    images, labels = train.sample(3000, generator(1))
    again, same = train.sample(3000, generator(1))
    assert torch.equal(images, again)
    assert torch.equal(labels, same)
    assert not torch.equal(images, train.sample(3000, generator(2))[0])
    assert images.mean(dim=(1, 2, 3)).abs().max() < 1e-4
    assert images.std(dim=(1, 2, 3), correction=0).max() <= 1 + 1e-5
    # Binomial(3000, 1/3) has standard deviation 25.8: five of them.
    assert (torch.bincount(labels) - 1000).abs().max() < 129


def test_brightness_and_contrast_do_not_tell_photos_apart():
    photo = code(30, 30)
    region = Region(0, 0, 0, 30, 30)
    plain, _ = Crops([photo], [region], 8).sample(50, generator())
    dimmed, _ = Crops([0.4 * photo + 0.2], [region], 8).sample(50, generator())
    # What is left of the contrast is FLAT / (contrast of the crop), about 1/255/0.12.
    assert (plain - dimmed).abs().max() < 0.1


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: load_photo("lena"), "photo = 'lena': photo must be one of astronaut"),
        (lambda: bands(0, (64, 64), 32, 2), "crop = 32: 2 bands of a 64 x 64"),
        (lambda: bands(0, (10, 640), 32, 2), "crop = 32: 2 bands of a 10 x 640"),
        (lambda: bands(0, (64, 64), 0, 2), "crop = 0: crop must be"),
        (lambda: bands(0, (64, 64), 8, 1), "count = 1: count must be"),
        (lambda: train_and_test(["moon"], 32, 2), "photos must be at least two"),
        (lambda: train_and_test(["moon", "moon"], 32, 2), "all different"),
        (lambda: train_and_test(["moon", "grass"], 32, 3), "bands = 3: bands must be even"),
        (
            lambda: Crops([code(9, 9), code(9, 9)], [Region(0, 0, 0, 9, 9)], 4),
            r"regions per photo = \[1, 0\]",
        ),
    ],
)
def test_bad_photo_input_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_a_photo_missing_from_its_package_is_named(monkeypatch):
    monkeypatch.setitem(PHOTOS, "lost", ("skimage", "data/lost.png"))
    with pytest.raises(FileNotFoundError, match=r"photo 'lost'.*skimage has no data/lost\.png"):
        load_photo("lost")


# --- measurements --------------------------------------------------------------------------------


def smooth_encodings(side: int) -> torch.Tensor:
    """Encodings on an arc in rows and one in columns, so that their cosine falls with distance."""
    line = torch.arange(side) / side
    row, column = torch.cartesian_prod(line, line).T
    return torch.stack([row.cos(), row.sin(), column.cos(), column.sin()], dim=1)


def test_smooth_encodings_are_spatial_and_random_ones_are_not():
    smooth = spatial_structure(smooth_encodings(8))
    assert smooth.correlation < -0.9
    assert smooth.neighbour > 0.98 > smooth.distant
    noise = torch.randn((64, 512), generator=generator())
    found = spatial_structure(noise)
    # The 2016 cosines are about N(0, 1/512): their correlation with distance about N(0, 1/2016).
    assert abs(found.correlation) < 5 / 2016**0.5
    assert abs(found.neighbour) < 5 / (512 * 112) ** 0.5
    assert abs(found.distant) < 5 / (512 * 700) ** 0.5


def test_structure_against_a_loop_over_pairs():
    side, P = 3, torch.randn((9, 5), generator=generator(3), dtype=torch.float64)
    similarity, distance = [], []
    for i in range(9):
        for j in range(9):
            if i != j:
                cosine = P[i] @ P[j] / (P[i].norm() * P[j].norm())
                similarity.append(cosine.item())
                distance.append(np.hypot(i // side - j // side, i % side - j % side))
    similarity, distance = np.array(similarity), np.array(distance)
    found = spatial_structure(P)
    assert found.neighbour == pytest.approx(similarity[distance == 1].mean(), abs=1e-12)
    assert found.distant == pytest.approx(similarity[distance >= 1.5].mean(), abs=1e-12)
    assert found.correlation == pytest.approx(np.corrcoef(similarity, distance)[0, 1], abs=1e-12)


@given(seed=st.integers(0, 1000), side=st.integers(2, 6))
def test_structure_is_unchanged_by_lengths_rotations_and_symmetries_of_the_grid(seed, side):
    P = torch.randn((side**2, 7), generator=generator(seed), dtype=torch.float64)
    found = spatial_structure(P)
    rotation, _ = torch.linalg.qr(
        torch.randn((7, 7), generator=generator(seed + 1), dtype=torch.float64)
    )
    lengths = 0.1 + torch.rand((side**2, 1), generator=generator(seed + 2), dtype=torch.float64)
    grid = torch.arange(side**2).reshape(side, side)
    for other in (lengths * P, P @ rotation, P[grid.T.flatten()], P[grid.flip(0).flatten()]):
        again = spatial_structure(other)
        for name in ("neighbour", "distant", "correlation"):
            assert getattr(again, name) == pytest.approx(getattr(found, name), abs=1e-9)


def test_moving_encodings_to_other_places_destroys_the_structure():
    P = smooth_encodings(8)
    moved = P[torch.randperm(64, generator=generator())]
    assert abs(spatial_structure(moved).correlation) < 0.2


@pytest.mark.parametrize("rows", [1, 6, 63])
def test_encodings_that_are_no_square_grid_are_refused(rows):
    with pytest.raises(ValueError, match="encodings of shape"):
        spatial_structure(torch.ones(rows, 4))


def test_encodings_with_nan_are_refused():
    P = smooth_encodings(4)
    P[3, 1] = float("nan")
    with pytest.raises(ValueError, match="nan or inf"):
        spatial_structure(P)


def test_grid_distance_and_cosine():
    distance = grid_distance(3)
    assert distance[0, 8] == pytest.approx(8**0.5)
    assert torch.equal(distance, distance.T)
    P = smooth_encodings(3)
    assert torch.allclose(cosine_similarity(P).diagonal(), torch.ones(9))


def test_shuffling_moves_whole_patches_each_image_in_its_own_way():
    images = torch.rand((6, 1, 12, 12), generator=generator())
    moved = shuffle_patches(images, 4, generator(1))

    def patches(batch: torch.Tensor) -> torch.Tensor:
        return batch[:, 0].unfold(1, 4, 4).unfold(2, 4, 4).reshape(6, 9, 16)

    match = (patches(moved)[:, :, None] == patches(images)[:, None]).all(dim=-1)
    assert match.any(dim=2).all()
    orders = match.float().argmax(dim=2)
    assert torch.equal(orders.sort(dim=1).values, torch.arange(9).expand(6, 9))
    assert len({tuple(order) for order in orders.tolist()}) > 1


# --- the network ---------------------------------------------------------------------------------


def test_encodings_are_trained_per_patch_and_initial_weights_follow_the_seed():
    model, same, other = (build_vit(**SMALL, seed=seed) for seed in (4, 4, 5))
    assert model.pos_embed.requires_grad
    assert encodings(model).shape == (16, 16)
    assert all(map(torch.equal, model.parameters(), same.parameters()))
    assert not torch.equal(encodings(model), encodings(other))
    assert encodings(build_vit(**SMALL, encoding_std=0.5)).std() == pytest.approx(0.5, rel=0.2)


def test_colour_images_and_positional_attention_are_a_matter_of_arguments():
    model = build_vit(**SMALL, channels=3, mlp_ratio=4.0, kind=PositionalVisionTransformer)
    assert isinstance(model, PositionalVisionTransformer)
    assert model(torch.zeros(2, 3, 16, 16)).shape == (2, 3)
    assert model.blocks[0].mlp.fc1.out_features == 4 * SMALL["width"]


def test_patches_are_read_row_by_row():
    """An encoding's index is its patch's place, or every map in the figure would be scrambled."""
    model = build_vit(**SMALL)
    images = torch.zeros(1, 1, 16, 16)
    blank = model.patch_embed(images)
    images[..., 4:8, 8:12] = 1.0
    changed = (model.patch_embed(images) - blank)[0].abs().sum(dim=1)
    assert changed.nonzero().flatten().tolist() == [1 * 4 + 2]


def short_training(seed: int, steps: int = 150, transform=None):
    train, test = train_and_test(["brick", "grass", "coffee"], crop=16, count=4)
    model = build_vit(**SMALL, seed=seed)
    history = fit(
        model,
        crop_batches(train, 32, transform),
        FitConfig(steps=steps, batch=32, lr=3e-3, seed=seed),
        record_at=[0, steps // 2, steps],
    )
    return model, history, test


def test_a_short_training_lowers_the_loss_and_beats_chance_on_unseen_regions():
    model, history, test = short_training(0)
    assert history.steps == [0, 75, 150]
    assert history["loss"][0] == pytest.approx(np.log(3), abs=0.3)
    assert history["loss"][2] < history["loss"][0] - 0.2
    images, labels = test.sample(600, generator(9))
    # By chance 1/3 ± 0.019: six standard deviations.
    assert accuracy(model, images, labels) > 1 / 3 + 6 * 0.0193
    assert model.training


def test_training_is_deterministic_under_its_seed():
    (model, history, _), (again, same, _), (_, other, _) = (
        short_training(seed, steps=20) for seed in (1, 1, 2)
    )
    assert history.columns == same.columns
    assert history.columns != other.columns
    assert all(map(torch.equal, model.parameters(), again.parameters()))


def test_the_transform_reaches_the_network():
    seen = []

    def blank(images: torch.Tensor, source: torch.Generator) -> torch.Tensor:
        seen.append(images.shape)
        return torch.zeros_like(images)

    _, history, _ = short_training(3, steps=60, transform=blank)
    assert set(seen) == {(32, 1, 16, 16)}
    # Blank images say nothing: the loss stays at the entropy of three classes.
    assert history["loss"][2] == pytest.approx(np.log(3), abs=0.1)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"crop": 15}, "patch = 4: patch must divide crop = 15"),
        ({"patch": 16}, "patch = 16: patch must divide crop = 16 and be smaller"),
        ({"heads": 3}, "heads = 3: heads must divide width = 16"),
        ({"depth": 0}, "depth = 0: depth must be an integer >= 1"),
        ({"width": 16.0}, "width = 16.0: width must be an integer >= 1"),
        ({"classes": 1}, "classes = 1: classes must be"),
        ({"channels": 0}, "channels = 0: channels must be an integer >= 1"),
        ({"mlp_ratio": 0.0}, "mlp_ratio = 0.0: mlp_ratio must be"),
        ({"encoding_std": 0.0}, "encoding_std = 0.0: encoding_std must be"),
        ({"encoding_std": float("nan")}, "encoding_std = nan"),
    ],
)
def test_bad_networks_are_refused(change, message):
    with pytest.raises(ValueError, match=message):
        build_vit(**{**SMALL, **change})


# --- the experiment ------------------------------------------------------------------------------


def test_the_experiment_at_toy_size_reports_every_run_and_its_control():
    config = figure_1a.Config(
        photos=("brick", "grass"), width=8, depth=1, heads=2, patch=8, steps=4, batch=4,
        test_crops=16, recorded=3, runs=2,
    )  # fmt: skip
    found = figure_1a.run(config)
    assert found["chance_accuracy"] == 0.5
    assert [one["seed"] for one in found["runs"]] == [0, 1]
    assert [one["seed"] for one in found["controls"]] == [0, 1]
    assert found["runs"][0]["steps"] == [0, 2, 4]
    assert found["metrics"]["trained_correlation"]["n"] == 2
    assert found["metrics"]["trained_correlation"]["mean"] == pytest.approx(
        np.mean([one["history"]["correlation"][-1] for one in found["runs"]])
    )
    # A run and its control start from the same weights, and part when trained.
    assert (
        found["runs"][0]["history"]["neighbour"][0]
        == found["controls"][0]["history"]["neighbour"][0]
    )
    similarity = {name: np.array(rows) for name, rows in found["similarity"].items()}
    assert {name: rows.shape for name, rows in similarity.items()} == dict.fromkeys(
        ("initial", "trained", "control"), (16, 16)
    )
    assert not np.allclose(similarity["trained"], similarity["control"])
