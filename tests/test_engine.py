"""The one training loop: it computes what it says, and survives what may happen to it."""

from __future__ import annotations

import errno
import json
import math
import os
import random
import resource
import signal
import time
from dataclasses import asdict, replace
from io import StringIO
from pathlib import Path

import engine_trainings
import numpy as np
import pytest
import torch
from engine_trainings import CONFIG, RECORD_AT, small_vit
from rich.console import Console
from torch import nn
from torch.utils.data import Dataset

from numerics import files
from numerics.data.sets import load_dataset
from numerics.engine import (
    CorruptCheckpointError,
    FitConfig,
    dataset_batches,
    fit,
    launch,
    list_checkpoints,
    loop,
    metrics,
    read_checkpoint,
    write_checkpoint,
)
from numerics.engine.step import Run
from numerics.seeds import seed_of


@pytest.fixture(scope="module")
def digits():
    return load_dataset("digits").train


@pytest.fixture(scope="module")
def uninterrupted():
    """The training that is killed below, left alone."""
    return engine_trainings.train()


def plain_vit(seed: int = 0) -> nn.Module:
    model = small_vit(seed)
    model.pos_drop = nn.Identity()
    return model


def quick(digits, model=None, **changes):
    """A short training; ``changes`` are of the configuration or options of ``fit``."""
    options = {k: changes.pop(k) for k in list(changes) if k not in asdict(CONFIG)}
    config = FitConfig(**{"steps": 12, "batch": 8, "log_every": 1, **changes})
    model = plain_vit() if model is None else model
    return model, fit(model, dataset_batches(digits, config.batch), config, **options)


def same_weights(one: nn.Module, other: nn.Module) -> bool:
    pairs = zip(one.state_dict().items(), other.state_dict().items(), strict=True)
    return all(a == b and torch.equal(x, y) for (a, x), (b, y) in pairs)


def largest_gap(one: nn.Module, other: nn.Module) -> float:
    pairs = zip(one.parameters(), other.parameters(), strict=True)
    return max(float((x - y).detach().abs().max()) for x, y in pairs)


def lines(directory: Path) -> list[dict]:
    return [json.loads(line) for line in (directory / "metrics.jsonl").read_text().splitlines()]


# --- killed and resumed --------------------------------------------------------------------------


def wait_and_kill(process, directory: Path, lines_before: int, delay: float) -> None:
    """Send SIGKILL once the run has logged so many steps, after a delay in seconds."""
    path, patience = directory / "metrics.jsonl", time.monotonic() + 120
    while not path.exists() or path.read_text().count("\n") < lines_before:
        assert process.is_alive(), f"the training ended by itself: {process.exitcode}"
        assert time.monotonic() < patience
        time.sleep(0.001)
    time.sleep(delay)
    os.kill(process.pid, signal.SIGKILL)
    process.join()
    assert process.exitcode == -signal.SIGKILL


@pytest.mark.slow
@pytest.mark.parametrize("kills", [1, 2])
def test_killed_at_random_and_resumed_it_ends_with_the_same_weights(tmp_path, kills, uninterrupted):
    seed = random.SystemRandom().randrange(2**32)
    print(f"seed of the kills: {seed}")
    draw, done = random.Random(seed), 0
    for kill in range(kills):
        # Up to the last step but one, where the training waits to be killed; a second kill may
        # come before the first checkpoint after the resumption.
        done = draw.randint(done, CONFIG.steps - 2)
        process = engine_trainings.start(tmp_path, resume=kill > 0, hang_at=CONFIG.steps - 1)
        wait_and_kill(process, tmp_path, done + 1, draw.uniform(0, 0.02))
    model, history = engine_trainings.train(tmp_path, resume=True)
    assert same_weights(model, uninterrupted[0])
    assert history == uninterrupted[1]
    assert history.steps == list(RECORD_AT)
    logged = lines(tmp_path)
    assert [line["step"] for line in logged] == list(range(CONFIG.steps + 1))
    assert [line["loss"] for line in logged if line["step"] in RECORD_AT] == history["loss"]


def test_the_comparison_can_fail(uninterrupted):
    """Half the batches of another seed, and weights and history are others."""
    model = small_vit()
    batches = dataset_batches(load_dataset("digits").train, CONFIG.batch).bind(CONFIG.seed + 1)
    history = fit(model, batches, replace(CONFIG, seed=CONFIG.seed + 1), record_at=RECORD_AT)
    assert not same_weights(model, uninterrupted[0])
    assert history["loss"] != uninterrupted[1]["loss"]


@pytest.mark.slow
@pytest.mark.parametrize("rename", [1, 2, 4])
def test_killed_between_writing_a_file_and_naming_it(tmp_path, rename, uninterrupted):
    process = engine_trainings.start(tmp_path, die_at_rename=rename)
    process.join()
    assert process.exitcode == 9
    # The first file to be named is metrics.jsonl, the others are checkpoints.
    assert len(list_checkpoints(tmp_path)) == min(max(0, rename - 2), 2)
    assert len(list(tmp_path.glob(".*.tmp"))) == 1
    for path in list_checkpoints(tmp_path):
        read_checkpoint(path)
    model, history = engine_trainings.train(tmp_path, resume=True)
    assert same_weights(model, uninterrupted[0])
    assert history == uninterrupted[1]
    assert list(tmp_path.glob(".*.tmp")) == []


def test_a_finished_run_is_read_and_not_trained_again(tmp_path, uninterrupted):
    _, history = engine_trainings.train(tmp_path)
    before = (tmp_path / "metrics.jsonl").stat()
    model, again = engine_trainings.train(tmp_path, resume=True, hang_at=0)
    assert same_weights(model, uninterrupted[0])
    assert again == history == uninterrupted[1]
    assert (tmp_path / "metrics.jsonl").stat() == before


def test_numbers_of_numpy_are_no_obstacle_to_resuming(digits, tmp_path):
    options = {"directory": tmp_path, "lr": np.float64(1e-3), "record_at": np.array([0, 12])}
    _, history = quick(digits, **options, observe=lambda model: {"x": np.float64(0.5)})
    list_checkpoints(tmp_path)[-1].unlink()
    _, again = quick(digits, **options, resume=True, observe=lambda model: {"x": torch.tensor(0.5)})
    assert again == history


def test_half_a_line_of_metrics_is_dropped_and_no_step_stands_twice(digits, tmp_path):
    quick(digits, directory=tmp_path, checkpoint_every=5)
    list_checkpoints(tmp_path)[-1].unlink()
    with (tmp_path / "metrics.jsonl").open("a") as file:
        file.write('{"step": 13, "lo')
    quick(digits, directory=tmp_path, checkpoint_every=5, resume=True)
    assert [line["step"] for line in lines(tmp_path)] == list(range(13))


# --- what must not be lost -----------------------------------------------------------------------


def test_a_run_is_not_overwritten(digits, tmp_path):
    quick(digits, directory=tmp_path)
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}
    with pytest.raises(FileExistsError, match=r"holds checkpoint-000000012\.pt of a run: resume"):
        quick(digits, directory=tmp_path)
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_metrics_of_a_run_without_checkpoints_are_not_overwritten(digits, tmp_path):
    (tmp_path / "metrics.jsonl").write_text('{"step": 0}\n')
    with pytest.raises(FileExistsError, match=r"holds metrics\.jsonl of a run"):
        quick(digits, directory=tmp_path)
    assert (tmp_path / "metrics.jsonl").read_text() == '{"step": 0}\n'


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"lr": 2e-3}, r"is of another run: lr was 0\.001, is 0\.002"),
        ({"steps": 13}, "steps was 12, is 13"),
        ({"record_at": [3]}, r"record_at was \[\], is \[3\]"),
    ],
)
def test_another_run_is_not_resumed(digits, tmp_path, change, message):
    quick(digits, directory=tmp_path)
    with pytest.raises(ValueError, match=message):
        quick(digits, directory=tmp_path, resume=True, **change)


def test_another_model_is_not_resumed(digits, tmp_path):
    quick(digits, directory=tmp_path)
    wider = engine_trainings.build_vit(crop=8, patch=4, classes=10, width=16, depth=1, heads=2)
    with pytest.raises(ValueError, match=r"checkpoint-000000012\.pt is of another model"):
        quick(digits, model=wider, directory=tmp_path, resume=True)


@pytest.mark.parametrize(
    ("kept", "message"),
    [
        ({"accumulate": 1, "ema": None, "mixup": 0.0, "cutmix": 0.0, "label_smoothing": 0.0}, None),
        ({"mixup": 0.8}, r"is of another run: mixup was 0\.8, is None"),
        ({"ema": 0.9}, r"ema was 0\.9, is None"),
    ],
)
def test_a_checkpoint_with_fields_that_are_gone_is_read_where_they_did_nothing(
    digits, tmp_path, kept, message
):
    model, history = quick(digits, directory=tmp_path, record_at=[0, 12], checkpoint_every=5)
    list_checkpoints(tmp_path)[-1].unlink()
    state = read_checkpoint(list_checkpoints(tmp_path)[-1])
    old = {"fixed": state["fixed"] | kept, "run": state["run"] | {"average": None}}
    write_checkpoint(tmp_path, 10, state | old)
    options = {"directory": tmp_path, "record_at": [0, 12], "resume": True}
    if message:
        with pytest.raises(ValueError, match=message):
            quick(digits, **options)
    else:
        again, same = quick(digits, **options)
        assert same == history
        assert same_weights(again, model)


def test_resume_needs_a_directory(digits):
    with pytest.raises(ValueError, match="resume needs the directory"):
        quick(digits, resume=True)


@pytest.mark.parametrize("place", [0, 40, 70, 1000, -1])
def test_one_byte_changed_is_found_and_the_earlier_checkpoint_named(digits, tmp_path, place):
    model, _ = quick(digits, directory=tmp_path, checkpoint_every=5)
    earlier, last = list_checkpoints(tmp_path)
    content = bytearray(last.read_bytes())
    content[place] ^= 1
    last.write_bytes(content)
    with pytest.raises(CorruptCheckpointError, match="checksum is wrong") as caught:
        quick(digits, directory=tmp_path, checkpoint_every=5, resume=True)
    assert str(last) in str(caught.value)
    assert f"delete it to resume from {earlier}" in str(caught.value)
    assert last.read_bytes() == content
    # What the message says to do, does it.
    last.unlink()
    again, _ = quick(digits, directory=tmp_path, checkpoint_every=5, resume=True)
    assert same_weights(again, model)


@pytest.mark.parametrize("length", [0, 20, 96, 5000])
def test_a_cut_checkpoint_is_found(tmp_path, length):
    path = write_checkpoint(tmp_path, 1, {"weights": torch.zeros(10_000)})
    path.write_bytes(path.read_bytes()[:length])
    with pytest.raises(CorruptCheckpointError, match="start again: none is earlier"):
        read_checkpoint(path)


def test_a_checkpoint_cannot_run_code(tmp_path):
    path = write_checkpoint(tmp_path, 1, {"weights": print})
    with pytest.raises(Exception, match="[Ww]eights.only"):
        read_checkpoint(path)


def full_disk_from(n: int):
    """An ``os.fsync`` that fails from its n-th call on, as it does when the disk is full."""
    calls, fsync = [], os.fsync

    def failing(handle: int) -> None:
        calls.append(handle)
        if len(calls) >= n:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        fsync(handle)

    return failing


def test_a_full_disk_is_named_and_loses_no_checkpoint(digits, tmp_path, monkeypatch):
    # Calls: two for the empty metrics, one a line, two a checkpoint; the second checkpoint fails.
    monkeypatch.setattr(files.os, "fsync", full_disk_from(2 + 5 + 2 + 5 + 1))
    with pytest.raises(OSError, match="No space left on device") as caught:
        quick(digits, directory=tmp_path, checkpoint_every=5)
    assert caught.value.errno == errno.ENOSPC
    assert caught.value.filename == str(tmp_path / "checkpoint-000000010.pt")
    assert "checkpoint-000000005.pt is whole; make room and resume" in str(caught.value)
    assert sorted(p.name for p in tmp_path.iterdir()) == [
        "checkpoint-000000005.pt",
        "metrics.jsonl",
    ]
    monkeypatch.undo()
    model, _ = quick(digits, directory=tmp_path, checkpoint_every=5, resume=True)
    assert same_weights(model, quick(digits)[0])
    assert [line["step"] for line in lines(tmp_path)] == list(range(13))


def test_metrics_on_a_full_disk_are_named_too(digits, tmp_path, monkeypatch):
    monkeypatch.setattr(files.os, "fsync", full_disk_from(2 + 5 + 2 + 3))
    with pytest.raises(OSError, match="metrics not written") as caught:
        quick(digits, directory=tmp_path, checkpoint_every=5)
    assert caught.value.filename == str(tmp_path / "metrics.jsonl")
    read_checkpoint(tmp_path / "checkpoint-000000005.pt")


def test_a_full_disk_at_the_start_of_a_resumed_run_is_named(digits, tmp_path, monkeypatch):
    quick(digits, directory=tmp_path, checkpoint_every=5)
    list_checkpoints(tmp_path)[-1].unlink()
    monkeypatch.setattr(files.os, "fsync", full_disk_from(1))
    with pytest.raises(OSError, match="metrics not written.*the checkpoints are whole") as caught:
        quick(digits, directory=tmp_path, checkpoint_every=5, resume=True)
    assert caught.value.filename == str(tmp_path / "metrics.jsonl")


@pytest.mark.parametrize(
    "damage", [b"\xff\xfe\n", b'{"loss": 1}\n', b"[1]\n", b'{"step": 1', b"\0"]
)
def test_damaged_metrics_do_not_keep_a_run_from_its_checkpoints(digits, tmp_path, damage):
    quick(digits, directory=tmp_path, checkpoint_every=5)
    list_checkpoints(tmp_path)[-1].unlink()
    path = tmp_path / "metrics.jsonl"
    whole = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(whole[:3]) + damage)
    model, _ = quick(digits, directory=tmp_path, checkpoint_every=5, resume=True)
    assert same_weights(model, quick(digits)[0])
    assert [line["step"] for line in lines(tmp_path)] == [0, 1, 2, 10, 11, 12]


def test_what_others_keep_in_the_folder_stays(digits, tmp_path):
    (tmp_path / ".mine.tmp").write_text("mine")
    (tmp_path / ".checkpoint-000000005.pt-x.tmp").write_text("left by a run that was killed")
    quick(digits, directory=tmp_path)
    assert [path.name for path in tmp_path.glob(".*")] == [".mine.tmp"]


def test_a_write_that_truly_stops_half_way_leaves_the_earlier_checkpoint(tmp_path):
    first = write_checkpoint(tmp_path, 1, {"weights": torch.ones(10)})
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, hard))
    try:
        with pytest.raises(OSError, match="checkpoint-000000001.pt is whole") as caught:
            write_checkpoint(tmp_path, 2, {"weights": torch.ones(100_000)})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert caught.value.errno == errno.EFBIG
    assert list(tmp_path.iterdir()) == [first]
    assert read_checkpoint(first)["weights"].sum() == 10


def poisoned(digits, step: int):
    """Batches that are not numbers from a step on."""
    whole = dataset_batches(digits, 8).bind(0)

    def batches(now: int, generator: torch.Generator):
        images, labels = whole(now, generator)
        return (images * math.nan if now >= step else images), labels

    return batches


@pytest.mark.parametrize(("step", "last"), [(7, 5), (10, 5), (11, 10)])
def test_a_loss_that_is_nan_stops_and_overwrites_nothing(digits, tmp_path, step, last):
    config = FitConfig(steps=12, batch=8, lr=1e-2, warmup=0.25, checkpoint_every=5)
    with pytest.raises(ArithmeticError) as caught:
        fit(plain_vit(), poisoned(digits, step), config, directory=tmp_path)
    message = str(caught.value)
    assert f"the loss is nan and the norm of its gradient nan after {step} steps" in message
    rate = 1e-2 * 0.5 * (1 + math.cos(math.pi * (step - 3) / 9))
    assert f"at learning rate {rate:.3g}: lower lr = 0.01" in message
    kept = tmp_path / f"checkpoint-{last:09d}.pt"
    assert f"the last good checkpoint is {kept}" in message
    assert list_checkpoints(tmp_path)[-1] == kept
    # It is good: with whole batches the run goes on from there to the right end.
    model = plain_vit()
    fit(model, dataset_batches(digits, 8), config, directory=tmp_path, resume=True)
    whole = plain_vit()
    fit(whole, dataset_batches(digits, 8), config)
    assert same_weights(model, whole)


def test_a_gradient_that_is_no_number_stops_before_the_weights_are_touched(digits, tmp_path):
    model = plain_vit()
    model.head.bias.register_hook(lambda gradient: gradient * math.inf)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    with pytest.raises(ArithmeticError, match="none was written yet"):
        quick(digits, model=model, directory=tmp_path)
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())
    assert list_checkpoints(tmp_path) == []


# --- what a step computes ------------------------------------------------------------------------


def test_the_update_is_that_of_plain_adamw(digits):
    """One step by hand: the groups, the learning rate, the batch."""
    model, by_hand = plain_vit(), plain_vit()
    config = FitConfig(steps=5, batch=8, lr=1e-2, weight_decay=0.5, warmup=0.4)
    batches = dataset_batches(digits, 8)
    images, labels = batches.bind(0)(0, torch.Generator())
    fit(model, lambda step, _: batches.bind(0)(0, torch.Generator()), replace(config, steps=1))
    free = [p for n, p in by_hand.named_parameters() if p.ndim == 1 or n in FREE]
    decayed = [p for n, p in by_hand.named_parameters() if not (p.ndim == 1 or n in FREE)]
    groups = [{"params": free, "weight_decay": 0.0}, {"params": decayed, "weight_decay": 0.5}]
    optimizer = torch.optim.AdamW(groups, lr=1e-2)
    nn.functional.cross_entropy(by_hand(images), labels).backward()
    optimizer.step()
    assert largest_gap(model, by_hand) < 1e-7
    assert {n for n, p in by_hand.named_parameters() if p.ndim > 1} > set(FREE)


FREE = ("pos_embed", "cls_token")


def test_warm_up_is_linear_and_the_rest_half_a_cosine(digits, tmp_path):
    quick(digits, steps=20, lr=1e-2, warmup=0.25, directory=tmp_path)
    rates = [line["lr"] for line in lines(tmp_path)]
    expected = [1e-2 * (k + 1) / 6 for k in range(5)]
    expected += [1e-2 * 0.5 * (1 + math.cos(math.pi * k / 15)) for k in range(16)]
    assert rates == pytest.approx(expected, rel=1e-12, abs=1e-15)


def test_without_warm_up_the_first_rate_is_the_largest(digits, tmp_path):
    quick(digits, steps=4, lr=1e-2, warmup=0.0, directory=tmp_path)
    assert lines(tmp_path)[0]["lr"] == 1e-2


def test_bfloat16_runs_on_the_cpu_and_keeps_float32_weights(digits, monkeypatch):
    seen = []
    model = plain_vit()
    model.patch_embed.proj.register_forward_hook(lambda _, x, y: seen.append(y.dtype))
    _, half = quick(digits, model=model, precision="bf16-mixed", record_at=[0, 12])
    _, full = quick(digits, record_at=[0, 12])
    assert set(seen) == {torch.bfloat16}
    assert {p.dtype for p in model.parameters()} == {torch.float32}
    # bfloat16 keeps 8 bits.
    assert half["loss"] == pytest.approx(full["loss"], rel=0.02)
    assert half["loss"] != full["loss"]


def test_the_gradient_is_clipped(digits, tmp_path, monkeypatch):
    norms = []
    gradient = Run.gradient

    def watched(run, step):
        found = gradient(run, step)
        grads = [p.grad for p in run.plain.parameters() if p.grad is not None]
        norms.append(float(torch.nn.utils.get_total_norm(grads)))
        return found

    monkeypatch.setattr(Run, "gradient", watched)
    quick(digits, steps=3, clip=0.01, directory=tmp_path)
    assert norms == pytest.approx([0.01] * 4, rel=1e-3)
    assert all(line["gradient"] > 0.1 for line in lines(tmp_path))  # as it was


# --- seeds ---------------------------------------------------------------------------------------


def test_seeds_are_those_that_the_records_were_made_with():
    """Numbers of the first release: with others no record could be made again."""
    assert seed_of("batch", 3, 7) == 3785146406930564232
    assert seed_of("order", 3, 7) == 747594059081202036
    assert seed_of("item", 3, 7) == 6593660608929868195
    assert seed_of("model", 3, 7, 1) == 8963336917039820590
    assert seed_of("new features", 5) == 2**32 + 5
    assert seed_of("real ViTs", 5) == 2**33 + 5
    assert seed_of("test crops", 0) == 2**31


# --- batches -------------------------------------------------------------------------------------


class Noisy(Dataset):
    """A set with random transforms that draw from every global generator."""

    def __len__(self) -> int:
        return 10

    def __getitem__(self, index: int):
        noise = random.random() + np.random.rand() + torch.rand(1).item()  # noqa: NPY002
        return torch.full((1, 8, 8), index + noise), index


@pytest.fixture
def generators_restored():
    python, numpy = random.getstate(), np.random.get_state()  # noqa: NPY002
    with torch.random.fork_rng(devices=[]):
        yield
    random.setstate(python)
    np.random.set_state(numpy)  # noqa: NPY002


@pytest.mark.parametrize("kind", ["memory", "loaded", "workers"])
def test_a_batch_is_a_function_of_seed_and_step(digits, kind, generators_restored):
    dataset = digits if kind == "memory" else Noisy()
    batches = dataset_batches(dataset, 4, workers=2 if kind == "workers" else 0)
    source, generator = batches.bind(5), torch.Generator()
    run = [source(step, generator) for step in range(6)]
    later = batches.bind(5)
    for step in (3, 4, 0):  # resumed at any step
        for one, other in zip(run[step], later(step, generator), strict=True):
            assert torch.equal(one, other)
    other_seed = batches.bind(6)
    assert not torch.equal(other_seed(0, generator)[0], run[0][0])
    for each in (source, later, other_seed):
        each.close()
    if kind != "memory":
        # Ten images in batches of four: five batches are two epochs, each with every image.
        seen = torch.cat([labels for _, labels in run[:5]])
        assert sorted(seen[:10].tolist()) == sorted(seen[10:].tolist()) == list(range(10))
        assert not torch.equal(seen[:10], seen[10:])
        # An image is not the same in the second epoch: its noise is drawn anew.
        values = torch.cat([images[:, 0, 0, 0] for images, _ in run[:5]])
        assert not set(values[:10].tolist()) & set(values[10:].tolist())


@pytest.mark.parametrize("kind", ["memory", "loaded"])
def test_the_parts_of_all_devices_make_the_batch(digits, kind, generators_restored):
    batches = dataset_batches(digits if kind == "memory" else Noisy(), 6, workers=0)
    generator = torch.Generator()
    for step in (0, 2):
        whole = batches.bind(1)(step, generator)
        parts = [batches.bind(1, rank, 3)(step, generator) for rank in range(3)]
        for k, tensor in enumerate(whole):
            assert torch.equal(torch.cat([part[k] for part in parts]), tensor)


def test_fit_draws_nothing_from_the_global_generators(generators_restored):
    before = (random.getstate(), torch.get_rng_state())
    fit(plain_vit(), dataset_batches(Noisy(), 4, workers=0), FitConfig(steps=2, batch=4))
    assert random.getstate() == before[0]
    assert torch.equal(torch.get_rng_state(), before[1])


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda d: dataset_batches(d, 0), "batch = 0: batch must be"),
        (lambda d: dataset_batches(d, 8)(0, torch.Generator()), "have no seed yet"),
        (lambda d: dataset_batches(d, 8).bind(0, 0, 3), "multiple of 3 devices"),
        (lambda d: fit(plain_vit(), dataset_batches(d, 4), FitConfig(batch=8)), "has 4 images"),
        (
            lambda d: fit(
                plain_vit(),
                dataset_batches(d, 4),
                FitConfig(batch=4, precision="bf16-mixed"),
                fabric=launch("cpu"),
            ),
            "precision must be that of fabric, '32-true'",
        ),
        (lambda d: launch("cuda:1", devices=2), "devices must be 1 on the one cuda:1"),
        (lambda d: quick(d, record_at=[13]), r"record_at contains \[13\]"),
    ],
)
def test_bad_arguments_are_refused(digits, call, message):
    with pytest.raises(ValueError, match=message):
        call(digits)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"steps": 0}, "steps = 0: steps must be an integer >= 1"),
        ({"steps": True}, "steps = True: steps must be"),
        ({"batch": 2.5}, "batch = 2.5: batch must be"),
        ({"lr": -1.0}, "lr = -1.0: lr must be a finite number > 0"),
        ({"lr": 0.0}, "lr = 0.0: lr must be"),
        ({"lr": math.inf}, "lr = inf: lr must be"),
        ({"lr": math.nan}, "lr = nan: lr must be"),
        ({"lr": "1"}, "lr = '1': lr must be"),
        ({"weight_decay": -0.1}, "weight_decay = -0.1: weight_decay must be"),
        ({"warmup": 1.0}, "warmup = 1.0: warmup must be a finite number >= 0 and < 1"),
        ({"precision": "16"}, "precision = '16': precision must be one of 32-true"),
        ({"clip": 0}, "clip = 0: clip must be a finite number > 0"),
        ({"checkpoint_every": 0}, "checkpoint_every = 0: checkpoint_every must be"),
        ({"log_every": 0}, "log_every = 0: log_every must be"),
        ({"seed": -1}, "seed = -1: seed must be an integer >= 0"),
    ],
)
def test_bad_configurations_are_refused(change, message):
    with pytest.raises(ValueError, match=message):
        FitConfig(**change)


# --- what is seen --------------------------------------------------------------------------------


def test_metrics_are_json_lines(digits, tmp_path):
    _, history = quick(
        digits, steps=10, log_every=4, record_at=[3, 10], directory=tmp_path,
        observe=lambda model: {"odd": math.inf},
    )  # fmt: skip
    logged = lines(tmp_path)
    assert [line["step"] for line in logged] == [0, 3, 4, 8, 10]
    assert all(
        line.keys() >= {"step", "loss", "lr", "gradient", "images_per_second"} for line in logged
    )
    assert [line["odd"] for line in logged if line["step"] in (3, 10)] == [None, None]
    assert [line["loss"] for line in logged if line["step"] in (3, 10)] == history["loss"]
    assert logged[-1]["images_per_second"] > 0


def test_the_bar_shows_throughput_and_the_time_left(digits, monkeypatch):
    screen = StringIO()
    console = Console(file=screen, force_terminal=True, width=120)
    monkeypatch.setattr(loop, "progress_bar", lambda shown: metrics.progress_bar(shown, console))
    quick(digits, progress=True, label="digits", observe=lambda _: time.sleep(0.3) or {},
          record_at=[6])  # fmt: skip
    text = screen.getvalue()
    assert "digits" in text
    assert "images/s" in text
    assert "loss 2." in text
    assert "0:00:0" in text


def test_no_bar_unless_asked(digits, capsys):
    quick(digits)
    assert capsys.readouterr() == ("", "")
