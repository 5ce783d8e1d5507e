"""Trainings from the command line: one network by itself on one or two processes, and experiments
that are resumed or given a data set."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path

import pytest
import timm
import torch
import typer
from safetensors.torch import load_file
from typer.testing import CliRunner

from numerics import __main__ as command
from numerics.data.sets import load_dataset
from numerics.engine import FitConfig, fit, launch, list_checkpoints
from numerics.engine.standalone import build_model, train_model
from numerics.experiment import OnDatasets, Seeded
from numerics.experiments import figure_1a, realistic

ROOT = Path(__file__).parent.parent
MODEL = ["vit_tiny_patch16_224", "--dataset", "digits", "--patch", "4", "--evaluations", "1"]
SHORT = ["--steps", "3", "--batch", "8", "--lr", "1e-4", "--checkpoint-every", "2"]


def invoke(*arguments):
    return CliRunner().invoke(command.app, [str(a) for a in arguments])


def words(result) -> str:
    return " ".join(result.output.split())


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """The folder of a short training of timm's ViT-Ti on digits."""
    folder = tmp_path_factory.mktemp("trained")
    result = invoke("train", *MODEL, *SHORT, "--out", folder)
    assert result.exit_code == 0, result.output
    return folder, result


@pytest.mark.slow
def test_train_leaves_weights_that_timm_loads(trained):
    folder, result = trained
    logged = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    assert [line["step"] for line in logged] == [0, 3]
    assert f"test accuracy {logged[-1]['test_accuracy']:.4f} ±" in words(result)
    assert [path.name for path in list_checkpoints(folder)] == [
        "checkpoint-000000002.pt",
        "checkpoint-000000003.pt",
    ]
    with torch.random.fork_rng(devices=[]):
        model = timm.create_model(
            MODEL[0], img_size=8, patch_size=4, in_chans=1, num_classes=10,
            checkpoint_path=str(folder / "weights.safetensors"),
        )  # fmt: skip
    images, labels = load_dataset("digits").test.batch(torch.arange(360))
    with torch.no_grad():
        right = (model.eval()(images).argmax(dim=1) == labels).float().mean()
    assert float(right) == pytest.approx(logged[-1]["test_accuracy"], abs=1e-6)


@pytest.mark.slow
def test_two_processes_train_as_one(trained, tmp_path):
    arguments = ["-m", "numerics", "train", *MODEL, *SHORT, "--devices", "2", "--out", tmp_path]
    ran = subprocess.run(
        [sys.executable, "-W", "error", *map(str, arguments)],
        cwd=ROOT, env=os.environ | {"OMP_NUM_THREADS": "1"}, capture_output=True, text=True,
        check=False, timeout=300,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.count("test accuracy") == 1
    one, two = (load_file(folder / "weights.safetensors") for folder in (trained[0], tmp_path))
    start = build_model(MODEL[0], load_dataset("digits"), patch=4).state_dict()
    moved = max(float((one[name] - start[name]).abs().max()) for name in one)
    apart = max(float((one[name] - two[name]).abs().max()) for name in one)
    # Sums in another order differ by rounding, which AdamW enlarges where a gradient is near zero.
    assert apart < 0.05 * moved
    assert moved > 1e-4


@pytest.mark.slow
def test_a_run_on_two_processes_is_resumed_to_the_bit(tmp_path):
    ran = subprocess.run(
        [sys.executable, "-W", "error", str(Path(__file__).parent / "two_processes.py"), tmp_path],
        cwd=ROOT, env=os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)},
        capture_output=True, text=True, check=False, timeout=300,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.count("same history: True, same weights: True, as the other: True") == 2


def test_the_options_of_train_are_the_fields_of_a_configuration(tmp_path, monkeypatch):
    options = {
        one.name: one for one in typer.main.get_command(command.app).commands["train"].params
    }
    for field in fields(FitConfig):
        assert options[field.name].default == field.default
        assert len(options[field.name].help) > 10
    seen = []
    monkeypatch.setattr(command, "train_model", lambda *a, **_: seen.append(a[2]) or 1 / 0)
    given = FitConfig(7, 8, 0.5, 0.25, 0.5, "bf16-mixed", 2.0, 3, 4, 5)
    pairs = [(f"--{name.replace('_', '-')}", value) for name, value in asdict(given).items()]
    invoke("train", *MODEL, *(word for pair in pairs for word in pair), "--out", tmp_path)
    assert seen == [given]
    assert not any(getattr(given, field.name) == field.default for field in fields(FitConfig))


@pytest.mark.slow
def test_another_model_or_data_set_is_not_taken_for_the_same_run(trained):
    folder, _ = trained
    for arguments, message in (
        (["vit_tiny_patch16_224_positional", *MODEL[1:]], "PositionalVisionTransformer"),
        ([MODEL[0], "--dataset", "photos", *MODEL[3:]], "about dataset was 'digits', is 'photos'"),
        ([*MODEL[:4], "2", *MODEL[5:]], "about patch was 4, is 2"),
    ):
        refused = invoke("train", *arguments, *SHORT, "--out", folder, "--resume")
        assert refused.exit_code == 2
        assert "is of another run" in words(refused)
        assert message in words(refused)


@pytest.mark.slow
def test_train_again_needs_resume(trained):
    folder, _ = trained
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    refused = invoke("train", *MODEL, *SHORT, "--out", folder)
    assert refused.exit_code == 2
    assert "resume it, or choose another directory; nothing was overwritten" in words(refused)
    again = invoke("train", *MODEL, *SHORT, "--out", folder, "--resume")
    assert again.exit_code == 0
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    (folder / "checkpoint-000000003.pt").unlink()
    assert invoke("train", *MODEL, *SHORT, "--out", folder, "--resume").exit_code == 0
    assert (folder / "weights.safetensors").read_bytes() == before["weights.safetensors"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["vit_giga", "--dataset", "digits"], "timm has no model of that name; there are vit_"),
        (["resnet18", "--dataset", "digits"], "cannot be built for images of 8 × 8 pixels"),
        (["vit_tiny_patch16_224", "--dataset", "digits"], "cannot be built for images of 8 × 8"),
        (
            ["vit_tiny_patch16_224", "--dataset", "mnist"],
            "dataset = 'mnist': dataset must be one of",
        ),
        (
            ["vit_tiny_patch16_224", "--dataset", "cifar100"],
            "python -m numerics.data cifar100 --root nowhere --download",
        ),
        ([*MODEL, "--lr", "0"], "lr = 0.0: lr must be a finite number > 0"),
        ([*MODEL, "--device", "nowhere"], "device 'nowhere' is not available"),
        ([*MODEL, "--devices", "0"], "launch.devices = 0: devices must be an integer >= 1"),
    ],
)
def test_bad_trainings_say_why(tmp_path, arguments, message):
    result = invoke("train", *arguments, "--root", "nowhere", "--out", tmp_path / "out")
    assert result.exit_code == 2
    assert message in words(result)
    assert "Traceback" not in result.output


def test_a_model_is_the_same_under_its_seed():
    data = load_dataset("digits")
    one, same, other = (build_model(MODEL[0], data, patch=4, seed=s) for s in (1, 1, 2))
    assert torch.equal(one.pos_embed, same.pos_embed)
    assert not torch.equal(one.pos_embed, other.pos_embed)
    assert build_model("vit_tiny_patch16_224_positional", data, patch=4).training


def test_train_model_takes_batches_of_the_right_size_for_its_devices(tmp_path):
    data = load_dataset("digits")
    with pytest.raises(ValueError, match="config.batch = 8 asks for 8"):
        fit(
            build_model(MODEL[0], data, patch=4),
            lambda step, generator: data.train.batch(torch.arange(7)),
            FitConfig(batch=8),
            fabric=launch("cpu"),
        )
    config = FitConfig(steps=2, batch=4, lr=1e30)
    with pytest.raises(ArithmeticError, match="after 1 steps"):
        train_model(MODEL[0], data, config, launch("cpu"), patch=4, directory=tmp_path)


# --- experiments ---------------------------------------------------------------------------------


def as_experiment(monkeypatch, module, **changes):
    """Let a module's experiment differ from what it is."""
    monkeypatch.setattr(module, "EXPERIMENT", replace(module.EXPERIMENT, **changes))


TINY = figure_1a.Config(
    photos=("brick", "grass"), width=8, depth=1, heads=2, patch=8, steps=6, batch=4,
    test_crops=16, recorded=3, runs=2,
)  # fmt: skip


def test_an_experiment_that_was_killed_goes_on_where_it_was(tmp_path, monkeypatch):
    class KilledError(Exception):
        pass

    as_experiment(monkeypatch, figure_1a, light=TINY)
    shuffle, calls = figure_1a.shuffle_patches, []

    def killing(*arguments):
        calls.append(arguments)
        if len(calls) == 5:  # in the fourth step of the first control
            raise KilledError
        return shuffle(*arguments)

    monkeypatch.setattr(figure_1a, "shuffle_patches", killing)
    killed = invoke("run", "figure-1a", "--light", "--resume", "--out", tmp_path)
    assert isinstance(killed.exception, KilledError)
    folder = tmp_path / "figure-1a"
    assert sorted(path.name for path in folder.iterdir()) == [
        "seed-0",
        "seed-0-control",
        "seed-1",
        "start.json",
    ]
    resumed = invoke("run", "figure-1a", "--light", "--resume", "--out", tmp_path)
    assert resumed.exit_code == 0, resumed.output
    found = json.loads((tmp_path / "figure-1a.json").read_text())
    whole = json.loads(json.dumps(figure_1a.run(TINY)))
    for kind in ("runs", "controls"):
        for one, other in zip(found["results"][kind], whole[kind], strict=True):
            assert one["history"] == other["history"]
    assert found["results"]["similarity"] == whole["similarity"]
    assert found["command"] == "python -m numerics run figure-1a --seed 0 --light"
    assert (found["resumed"], found["date"]) == (
        1,
        json.loads((folder / "start.json").read_text())["date"],
    )


def test_a_run_is_not_resumed_with_other_code(tmp_path, monkeypatch):
    as_experiment(monkeypatch, figure_1a, light=replace(TINY, runs=1, control=False))
    options = ("run", "figure-1a", "--light", "--resume", "--out", tmp_path)
    assert invoke(*options).exit_code == 0
    start = tmp_path / "figure-1a" / "start.json"
    old = json.loads(start.read_text())
    start.write_text(json.dumps(old | {"versions": old["versions"] | {"torch": "1.0"}}))
    refused = invoke(*options)
    assert refused.exit_code == 2
    assert "was begun with versions" in words(refused)
    assert "'torch': '1.0'" in words(refused)


def test_a_run_is_not_resumed_with_another_configuration(tmp_path, monkeypatch):
    options = ("run", "figure-1a", "--light", "--resume", "--out", tmp_path)
    as_experiment(monkeypatch, figure_1a, light=replace(TINY, runs=1, control=False))
    assert invoke(*options).exit_code == 0
    # More runs and their controls are new trainings; the first is read back.
    as_experiment(monkeypatch, figure_1a, light=TINY)
    assert invoke(*options).exit_code == 0
    as_experiment(monkeypatch, figure_1a, light=replace(TINY, test_crops=17))
    refused = invoke(*options)
    assert refused.exit_code == 2
    assert "is of another run: about test_crops was 16, is 17" in words(refused)


@pytest.mark.parametrize("failure", [OSError(28, "No space left on device", "there"), None])
def test_results_whose_record_cannot_be_written_are_printed(tmp_path, monkeypatch, failure):
    as_experiment(monkeypatch, figure_1a, light=replace(TINY, runs=1, control=False))
    if failure is None:  # a result that is no number
        as_experiment(monkeypatch, figure_1a, run=lambda *_: {"loss": float("nan")})
    else:
        monkeypatch.setattr(command, "write_record", raising(failure))
    result = invoke("run", "figure-1a", "--light", "--out", tmp_path)
    assert result.exit_code == 2
    assert "no record is written; its contents are printed above" in words(result)
    assert '"experiment": "figure-1a"' in result.output


def raising(error: Exception):
    def call(*_):
        raise error

    return call


@dataclass(frozen=True)
class Config(OnDatasets, Seeded):
    """A configuration with a data set."""

    dataset: str | tuple[str, ...] = "photos"


def test_an_experiment_is_given_a_data_set(tmp_path, monkeypatch):
    seen, fetched = [], []
    run = {"run": lambda config, _: seen.append(config) or {}}
    as_experiment(monkeypatch, realistic, light=Config(), **run)
    monkeypatch.setattr(command, "load_dataset", lambda *a, **k: fetched.append((a, k)))
    given = ["run", "realistic", "--dataset", "cifar100", "--root", "there"]
    result = invoke(*given, "--download", "--out", tmp_path)
    assert result.exit_code == 0, result.output
    assert seen == [Config(dataset="cifar100", root="there")]
    assert fetched == [(("cifar100", "there"), {"download": True})]
    several = replace(Config(), dataset=("digits", "svhn"))
    as_experiment(monkeypatch, realistic, light=several)
    assert invoke("run", "realistic", "--light", "--download").exit_code == 0
    assert [arguments for arguments, _ in fetched[1:]] == [("digits", "data"), ("svhn", "data")]
    record = json.loads((tmp_path / "realistic.json").read_text())
    assert record["command"] == "python -m numerics run realistic --seed 0 --dataset cifar100"
    # The record that is kept is of the experiment's own data set.
    written = []
    monkeypatch.setattr(command, "write_record", lambda *a: written.append(a))
    assert invoke(*given).exit_code == 0
    assert written == []


def test_a_missing_data_set_is_an_error_with_the_command(tmp_path, monkeypatch):
    run = {"run": lambda config, _: load_dataset(config.dataset, config.root)}
    as_experiment(monkeypatch, realistic, light=Config(), **run)
    result = invoke("run", "realistic", "--dataset", "cifar100", "--root", "nowhere")
    assert result.exit_code == 2
    assert "python -m numerics.data cifar100 --root nowhere --download" in words(result)


def test_options_that_an_experiment_does_not_take_are_refused(tmp_path):
    result = invoke("run", "figure-1a", "--dataset", "cifar100")
    assert result.exit_code == 2
    assert "figure-1a takes no --dataset; those that do:" in words(result)
    result = invoke("run", "overlay", "--resume", "--out", tmp_path)
    assert result.exit_code == 2
    assert "overlay takes no --resume; those that do: encoding-size, figure-1a" in words(result)
    result = invoke("run", "figure-1a", "--light", "--download")
    assert result.exit_code == 2
    assert "figure-1a takes no --download" in words(result)
    result = invoke("run", "figure-1a", "--checkpoint", "x.pth", "--seed", 1, "--light")
    assert result.exit_code == 2
    assert "run it without --light, --seed" in words(result)
